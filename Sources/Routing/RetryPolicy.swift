/// How often a request may be tried, and after what.
package struct RetryPolicy: Sendable, Equatable {
    /// In all, over all pools and tiers, the first counted in. 1...20.
    package var attempts: Int
    /// Answers that are tried again; all others are passed on.
    package var statuses: StatusSet
    /// Upper bound of the first wait, when waiting is all that is left; doubles each time.
    package var backoffNanos: Int64
    /// Where the doubling ends.
    package var maxBackoffNanos: Int64

    package init(
        attempts: Int = 5, statuses: StatusSet = [408, 429, 500, 502, 503, 504, 529],
        backoffNanos: Int64 = 25_000_000, maxBackoffNanos: Int64 = 250_000_000
    ) {
        self.attempts = attempts
        self.statuses = statuses
        self.backoffNanos = backoffNanos
        self.maxBackoffNanos = maxBackoffNanos
    }

    /// How long to wait before the attempt after `attemptsMade`: anything up to the bound, so that requests that
    /// failed together do not come back together.
    ///
    /// - SeeAlso: "Exponential Backoff And Jitter", full jitter (AWS architecture blog, 2015).
    package func backoff(attemptsMade: Int, _ random: inout SplitMix64) -> Int64 {
        let doublings = Int64(min(max(attemptsMade - 1, 0), 20))
        let (doubled, isTooLarge) = backoffNanos.multipliedReportingOverflow(by: 1 << doublings)
        let bound = max(0, isTooLarge ? maxBackoffNanos : min(doubled, maxBackoffNanos))
        return Int64(random.unit() * Double(bound))
    }
}

/// Why an attempt was in vain.
package enum AttemptFailure: Sendable, Equatable {
    /// No connection.
    case connect
    /// The connection ended before the answer began.
    case broken
    /// No answer, or no first token, within the time of an attempt.
    case timeout
    /// What came is no answer of the API.
    case garbage
    /// An answer that says no, by its status.
    case status(Int)
    /// The endpoint does not serve the model.
    case modelMissing
    /// The provider does not accept our credential.
    case authentication
    /// The prompt is too long for the model.
    case contextLength
    /// The provider's policy forbids the request.
    case contentPolicy
    /// The client left.
    case cancelled
}

/// Where another attempt may be made.
package enum AttemptPlace: Sendable, Equatable {
    /// At an endpoint of the pool not tried yet: `PickResult.endpoint`.
    case elsewhere
    /// Only where it was tried, or where nothing good is expected: `.again`, `.lastResort`.
    case sameAgain
    /// Nowhere before this time: `.saturated`.
    case notBefore(Int64)
    /// Nowhere in the pool.
    case nowhere
}
