internal import Bytes
internal import Health
internal import Limits
internal import OpenAI
internal import Routing
internal import Synchronization
internal import Topology

/// An endpoint with what all reactors know of it. The record outlives reloads, and so do requests that hold it.
struct EndpointMember: Sendable {
    /// Slot in `Snapshot.endpoints`.
    let slot: Int
    let record: EndpointRecord
    /// For affinity: the same in every process.
    let identity: UInt64
    /// `nil` unless the limit adapts.
    let limiter: EndpointLimiter?
    let traits: EndpointTraits

    init(
        slot: Int, _ endpoint: Endpoint, record: EndpointRecord, limiter: EndpointLimiter?, traits: EndpointTraits
    ) {
        self.slot = slot
        self.record = record
        self.limiter = limiter
        self.traits = traits
        identity = stableHash(endpoint.address.description.utf8.span)
    }

    /// What picking knows of it now.
    func candidate(at now: Int64, isTried: Bool) -> Candidate {
        let reading = record.reading(at: now)
        return Candidate(
            slot: slot, standing: reading.standing, weight: reading.weight, inFlight: reading.inFlight,
            limit: reading.limit, latencyNanos: reading.latencyNanos, isTried: isTried, identity: identity)
    }
}

/// What an endpoint was found to be.
final class EndpointTraits: Sendable {
    private let kind: Atomic<UInt8>

    init(_ engine: EngineKind) { kind = Atomic(engine.rawValue) }

    /// As configured, or as it says of itself in `/v1/models`; `other` until it is known.
    var engine: EngineKind {
        get { EngineKind(rawValue: kind.load(ordering: .relaxed)) ?? .other }
        set { kind.store(newValue.rawValue, ordering: .relaxed) }
    }
}

/// Finds the concurrency limit of an endpoint from its times to the first token.
final class EndpointLimiter: Sendable {
    private let limit = Mutex(AdaptiveLimit())

    func observe(ttftNanos: Int64, inFlight: Int, at now: Int64, _ record: EndpointRecord) {
        let changed = limit.withLock { $0.observe(ttftNanos: ttftNanos, inFlight: inFlight, at: now) }
        if let changed { record.setLimit(changed) }
    }
}
