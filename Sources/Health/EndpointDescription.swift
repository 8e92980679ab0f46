/// An endpoint's state in plain values: for admin answers, explanations, metrics and logs.
package struct EndpointDescription: Sendable, Equatable {
    package let standing: Standing
    /// Why the standing last changed.
    package let lastReason: HealthReason
    /// Since the standing last changed by an event.
    package let lastChangeAgoNanos: Int64
    package let inFlight: Int
    /// `Int.max`: none.
    package let limit: Int
    /// Of 1,024.
    package let weight: Int
    /// Time to the first token, as picking sees it; 0: unknown.
    package let latencyNanos: Int
    package let consecutiveErrors: Int
    package let connectFailures: Int
    package let probeFailures: Int
    /// Ejections since the endpoint is known.
    package let ejections: Int
    /// How many of them count for the length of the next one.
    package let ejectionLevel: Int
    /// Until one request may try; 0 if the endpoint is not ejected, or half open.
    package let ejectedForNanos: Int64
    /// 0 if it is not full.
    package let fullForNanos: Int64
    /// Whether the one request to the half-open endpoint runs.
    package let isHalfOpenTaken: Bool
    package let isDraining: Bool
    /// Attempts since the endpoint is known.
    package let successes: Int
    package let failures: Int
}
