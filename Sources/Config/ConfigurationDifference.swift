/// What a reload changes, by name: for the log line that says so.
package struct ConfigurationDifference: Sendable, Equatable, CustomStringConvertible {
    /// `model "a"`, `pool "b"`.
    package private(set) var added: [String] = []
    package private(set) var removed: [String] = []
    /// With what changed in it: `pool "b" (endpoints)`.
    package private(set) var changed: [String] = []
    /// What takes effect only when the process is started anew: `workers`.
    package private(set) var needsRestart: [String] = []

    /// Whether both configurations are the same.
    package var isEmpty: Bool { added.isEmpty && removed.isEmpty && changed.isEmpty && needsRestart.isEmpty }

    /// `added model "a"; changed pool "b" (endpoints); needs a restart: workers`.
    package var description: String {
        let parts = [
            ("added ", added), ("removed ", removed), ("changed ", changed), ("needs a restart: ", needsRestart),
        ]
        let text = parts.filter { !$0.1.isEmpty }.map { $0.0 + $0.1.joined(separator: ", ") }.joined(separator: "; ")
        return text.isEmpty ? "nothing changed" : text
    }

    /// What leads from `old` to `new`.
    package init(from old: Configuration, to new: Configuration) {
        compare("model", old.models, new.models, name: \.name, parts: Self.changedParts)
        compare("pool", old.pools, new.pools, name: \.name, parts: Self.changedParts)
        if old.defaultModel != new.defaultModel { changed.append("defaultModel") }
        compareListeners(old, new)
        if old.workers != new.workers { needsRestart.append("workers") }
        if old.adminAddress != new.adminAddress { needsRestart.append("admin.address") }
        if old.logging.level != new.logging.level { changed.append("logging") }
        if old.logging.format != new.logging.format { needsRestart.append("logging.format") }
        if old.logging.output != new.logging.output { needsRestart.append("logging.output") }
        if old.logging.access != new.logging.access { needsRestart.append("logging.access") }
        if old.metrics != new.metrics { changed.append("metrics") }
        if old.shutdown != new.shutdown { changed.append("shutdown") }
    }

    private mutating func compareListeners(_ old: Configuration, _ new: Configuration) {
        let (before, after) = (Set(old.listeners.map(\.address)), Set(new.listeners.map(\.address)))
        for address in after.subtracting(before).map(\.description).sorted() {
            needsRestart.append("new listener \(address)")
        }
        for address in before.subtracting(after).map(\.description).sorted() {
            needsRestart.append("removed listener \(address)")
        }
        let kept = (
            old.listeners.filter { after.contains($0.address) }, new.listeners.filter { before.contains($0.address) }
        )
        compare("listener", kept.0, kept.1, name: \.address.description) { old, new in
            (old.http1 != new.http1 || old.http2 != new.http2 ? ["protocols"] : [])
                + (old.tls != new.tls ? ["tls"] : []) + (old.limits != new.limits ? ["limits"] : [])
        }
    }

    private mutating func compare<Item: Equatable>(
        _ kind: String, _ old: [Item], _ new: [Item], name: (Item) -> String, parts: (Item, Item) -> [String]
    ) {
        // Names are unique in a valid configuration; a listener on port 0 may repeat, and the first stands for all.
        let before = Dictionary(old.map { (name($0), $0) }, uniquingKeysWith: { first, _ in first })
        let after = Dictionary(new.map { (name($0), $0) }, uniquingKeysWith: { first, _ in first })
        for item in new {
            let label = "\(kind) \(kind == "listener" ? name(item) : quoted(name(item)))"
            guard let earlier = before[name(item)] else {
                added.append(label)
                continue
            }
            if earlier != item { changed.append("\(label) (\(parts(earlier, item).joined(separator: ", ")))") }
        }
        for item in old where after[name(item)] == nil { removed.append("\(kind) \(quoted(name(item)))") }
    }

    private static func changedParts(from old: Configuration.Model, to new: Configuration.Model) -> [String] {
        var parts: [String] = []
        if old.aliases != new.aliases { parts.append("aliases") }
        if old.tiers != new.tiers { parts.append(old.isPlain && new.isPlain ? "pool" : "tiers") }
        if old.routes != new.routes { parts.append("routes") }
        if old.priority != new.priority { parts.append("priority") }
        if old.fallbacks != new.fallbacks { parts.append("fallbacks") }
        return parts
    }

    private static func changedParts(from old: Configuration.Pool, to new: Configuration.Pool) -> [String] {
        var parts: [String] = []
        if old.endpoints != new.endpoints { parts.append("endpoints") }
        if old.upstreamModel != new.upstreamModel { parts.append("upstreamModel") }
        if old.discoverModels != new.discoverModels { parts.append("discoverModels") }
        if old.provider != new.provider { parts.append("provider") }
        if old.balancing != new.balancing { parts.append("balancing") }
        if old.affinity != new.affinity { parts.append("affinity") }
        if old.health != new.health { parts.append("health") }
        if old.ejection != new.ejection { parts.append("ejection") }
        if old.slowStart != new.slowStart { parts.append("slowStart") }
        if old.concurrency != new.concurrency { parts.append("concurrency") }
        if old.queue != new.queue { parts.append("queue") }
        if old.retries != new.retries { parts.append("retries") }
        if old.timeouts != new.timeouts { parts.append("timeouts") }
        if old.hedgeAfter != new.hedgeAfter { parts.append("hedging") }
        if old.continuation != new.continuation { parts.append("continuation") }
        return parts
    }
}

extension Configuration.Model {
    /// Whether `pool: NAME` says all of its tiers.
    fileprivate var isPlain: Bool {
        guard let target = tiers.first?.targets.first else { return false }
        return tiers == [Tier(pool: target.pool)]
    }
}
