internal import Bytes

/// Finds the model of a name a client wrote, octet for octet.
///
/// Exact names and aliases win over patterns; among patterns the one with most literal bytes wins, then the first.
package final class ModelTable: Sendable {
    /// The models in the order they were declared.
    package let models: [Model]

    private struct Entry: Sendable {
        let name: [UInt8]
        let model: Int
        /// The name an endpoint sees unless the pool says otherwise; `nil`: the one the client wrote.
        let resolved: [UInt8]?
    }

    private struct Pattern: Sendable {
        let prefix: [UInt8]
        let suffix: [UInt8]
        let model: Int
        let resolved: [UInt8]?
    }

    /// Where a name leads.
    package struct Match: Sendable {
        /// Index in `models`.
        package let model: Int
        /// The name an endpoint sees unless the pool says otherwise; `nil`: the one the client wrote.
        package let resolved: [UInt8]?
    }

    private let entries: [Entry]
    /// Open addressing: index in `entries`, or -1. Its size is a power of two, at most half full.
    private let slots: [Int32]
    private let patterns: [Pattern]

    /// - Parameter models: If two have the same name or alias, the first wins.
    package init(_ models: [Model]) {
        self.models = models
        var entries: [Entry] = []
        var patterns: [Pattern] = []
        for (index, model) in models.enumerated() {
            let isPattern = model.name.utf8.contains(UInt8(ascii: "*"))
            let resolved = isPattern ? nil : Array(model.name.utf8)
            for (position, name) in ([model.name] + model.aliases).enumerated() {
                let bytes = Array(name.utf8)
                let target = position == 0 ? nil : resolved
                if let star = bytes.firstIndex(of: UInt8(ascii: "*")) {
                    patterns.append(
                        Pattern(
                            prefix: Array(bytes[..<star]), suffix: Array(bytes[(star + 1)...]), model: index,
                            resolved: target))
                } else {
                    entries.append(Entry(name: bytes, model: index, resolved: target))
                }
            }
        }
        var size = 16
        while size < entries.count * 2 { size *= 2 }
        var slots = [Int32](repeating: -1, count: size)
        var exactNames: [[UInt8]] = []
        for (index, entry) in entries.enumerated() {
            var slot = ModelTable.hash(entry.name.span) & (size - 1)
            while slots[slot] >= 0, entries[Int(slots[slot])].name != entry.name { slot = (slot + 1) & (size - 1) }
            guard slots[slot] < 0 else { continue }
            slots[slot] = Int32(index)
            exactNames.append(entry.name)
        }
        self.exactNames = exactNames
        self.entries = entries
        self.slots = slots
        // Stable: among equally specific ones the first declared stays first.
        self.patterns = patterns.enumerated().sorted { left, right in
            let (first, second) = (left.element, right.element)
            let lengths = (first.prefix.count + first.suffix.count, second.prefix.count + second.suffix.count)
            return lengths.0 != lengths.1 ? lengths.0 > lengths.1 : left.offset < right.offset
        }.map(\.element)
    }

    /// Where a name leads; `nil` if nowhere.
    package func match(_ name: Span<UInt8>) -> Match? {
        var slot = ModelTable.hash(name) & (slots.count - 1)
        while slots[slot] >= 0 {
            let entry = entries[Int(slots[slot])]
            if bytesEqual(entry.name.span, name) { return Match(model: entry.model, resolved: entry.resolved) }
            slot = (slot + 1) & (slots.count - 1)
        }
        for pattern in patterns {
            let (prefix, suffix) = (pattern.prefix.count, pattern.suffix.count)
            guard name.count >= prefix + suffix, bytesEqual(name.extracting(..<prefix), pattern.prefix.span),
                bytesEqual(name.extracting((name.count - suffix)...), pattern.suffix.span)
            else { continue }
            return Match(model: pattern.model, resolved: pattern.resolved)
        }
        return nil
    }

    /// Every exact name and alias once, for lists and suggestions.
    package let exactNames: [[UInt8]]

    /// FNV-1a. The names are the operator's, so that collisions cannot be crafted by a client.
    private static func hash(_ name: Span<UInt8>) -> Int {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for index in 0..<name.count { hash = (hash ^ UInt64(name[index])) &* 0x100_0000_01b3 }
        return Int(truncatingIfNeeded: hash ^ (hash >> 32))
    }
}
