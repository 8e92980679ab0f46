package import Health

/// What `pick` knows of an endpoint: numbers, read by the caller just before.
package struct Candidate: Sendable, Equatable {
    /// Slot in `Snapshot.endpoints`.
    package var slot: Int
    /// Weight by slow start, 1...1024; 1024 is full.
    package var weight: Int
    /// Our own requests there, this one not counted.
    package var inFlight: Int
    /// The most requests at a time; `Int.max`: no limit.
    package var limit: Int
    /// Time to the first token, averaged; 0: unknown.
    package var latencyNanos: Int
    /// A hash that stays with the endpoint across reloads and processes, for affinity.
    package var identity: UInt64
    package var standing: Standing
    /// Whether this request has been there.
    package var isTried: Bool

    @inlinable package init(
        slot: Int, standing: Standing = .ready, weight: Int = Candidate.fullWeight, inFlight: Int = 0,
        limit: Int = .max, latencyNanos: Int = 0, isTried: Bool = false, identity: UInt64 = 0
    ) {
        self.slot = slot
        self.weight = weight
        self.inFlight = inFlight
        self.limit = limit
        self.latencyNanos = latencyNanos
        self.identity = identity
        self.standing = standing
        self.isTried = isTried
    }

    /// The weight of an endpoint that is past its slow start.
    @inlinable package static var fullWeight: Int { 1024 }

    /// The weight that counts: the one probing request of a half-open endpoint need not wait for a slow start.
    @inline(__always)
    internal var share: Double { standing == .halfOpen ? Double(Candidate.fullWeight) : Double(weight) }

    /// Whether one more request would pass the limit.
    @inline(__always)
    internal var isAtLimit: Bool { inFlight >= limit }
}

extension Candidate {
    /// An endpoint as its record tells of it.
    @inlinable package init(slot: Int, _ reading: EndpointReading, isTried: Bool, identity: UInt64) {
        self.init(
            slot: slot, standing: reading.standing, weight: reading.weight, inFlight: reading.inFlight,
            limit: reading.limit, latencyNanos: reading.latencyNanos, isTried: isTried, identity: identity)
    }
}
