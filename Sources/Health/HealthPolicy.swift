/// When an endpoint is kept off, for how long, and how it comes back. Times are nanoseconds.
package struct HealthPolicy: Sendable, Equatable {
    /// Failed attempts in a row that eject; connect failures count, too. 0: never.
    package var consecutiveErrors = 5
    /// Connect failures in a row that eject. 0: never.
    package var connectFailures = 3
    /// Share of failed attempts in `window` that ejects. 0...1; above 1: never.
    package var errorRatio = 0.5
    /// Attempts in `window` below which `errorRatio` says nothing.
    package var minimumRequests = 20
    /// What `errorRatio` looks back on. Above 0.
    package var window: Int64 = 10_000_000_000
    /// The first ejection. Doubles with each that follows soon; ± 20 %, so that not all come back at once.
    package var ejection: Int64 = 1_000_000_000
    /// No ejection is longer.
    package var maxEjection: Int64 = 60_000_000_000
    /// How long the weight rises from 10 % to 100 %, after warming and after an ejection. 0: at once.
    package var slowStart: Int64 = 10_000_000_000
    /// Failed active probes in a row that eject. 0: never.
    package var probeFailures = 3
    /// How often active probes are sent: a failed one keeps an unreachable endpoint off for three times as long.
    package var probeInterval: Int64 = 2_000_000_000
    /// How long the one request to a half-open endpoint may go without a token before another may try.
    package var halfOpenPatience: Int64 = 60_000_000_000
    /// How long an endpoint is full that answers 429 or 503 without `Retry-After`; doubles up to `maxFull`.
    package var full: Int64 = 1_000_000_000
    package var maxFull: Int64 = 10_000_000_000
    /// The longest `Retry-After` that is believed.
    package var maxRetryAfter: Int64 = 60_000_000_000
    /// Share of a pool's reachable endpoints that must be eligible, or else suspects are, too. 0...1.
    ///
    /// A matter of the pool, so `Routing` reads it, not this room.
    package var panicThreshold = 0.5

    package init() {}
}
