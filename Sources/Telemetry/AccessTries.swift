internal import Bytes

/// The attempts of an exchange, for the access log. Kept by the exchange while it runs, memory reused.
package struct AccessTries: Sendable {
    /// One attempt that has ended.
    package struct Entry: Sendable {
        internal let start: UInt16
        internal let length: UInt16
        /// The status it answered; 0 if it did not.
        package let status: Int
        /// How long it took.
        package let nanos: Int
        /// What went wrong; empty if nothing did.
        package let reason: StaticString
    }

    /// Most attempts that are kept; later ones are left out.
    package static let limit = 20
    private static let endpointLimit = 128

    /// In the order in which they ended.
    package private(set) var entries: [Entry] = []
    private var bytes: [UInt8] = []
    private var hasFailure = false

    /// None yet; memory is taken with the first.
    package init() {}

    /// Whether the attempts say more than the record does: one failed, or there were several.
    package var isWorthTelling: Bool { hasFailure || entries.count > 1 }

    /// Adds an attempt that has ended. Of exchanges with a single good one it need not be called.
    ///
    /// - Parameters:
    ///   - endpoint: Its name. Copied.
    ///   - status: What it answered; 0 for nothing.
    ///   - nanos: How long it took.
    ///   - reason: What went wrong, such as the label of an `AttemptResult`; empty if nothing did.
    package mutating func append(endpoint: Span<UInt8>, status: Int, nanos: Int, reason: StaticString) {
        guard entries.count < AccessTries.limit else { return }
        let length = wholePrefix(endpoint, limit: AccessTries.endpointLimit)
        if reason.utf8CodeUnitCount > 0 { hasFailure = true }
        entries.append(
            Entry(
                start: UInt16(bytes.count), length: UInt16(length), status: status, nanos: nanos, reason: reason))
        bytes.append(copying: endpoint.extracting(0..<length))
    }

    /// Forgets all and keeps the memory.
    package mutating func removeAll() {
        if entries.isEmpty { return }
        entries.removeAll(keepingCapacity: true)
        bytes.removeAll(keepingCapacity: true)
        hasFailure = false
    }

    /// The name of an entry's endpoint.
    @_lifetime(borrow self)
    internal func endpoint(of entry: Entry) -> Span<UInt8> {
        bytes.span.extracting(Int(entry.start)..<Int(entry.start) + Int(entry.length))
    }
}
