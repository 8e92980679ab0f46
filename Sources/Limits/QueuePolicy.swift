/// What an `AdmissionQueue` may hold, and for how long.
@usableFromInline package struct QueuePolicy: Sendable, Equatable {
    /// Requests that may wait, at most 2^24. 0: nothing ever waits.
    package var maxRequests = 1000
    /// Bytes of request bodies that may wait. A larger body is never queued.
    package var maxBytes = 256 << 20
    /// How long a request may wait, in nanoseconds. A deadline of its own may only be nearer.
    package var timeoutNanos: Int64 = 60_000_000_000
    /// Share of both bounds, 0...1, past which requests of negative priority do not wait: they are shed first.
    package var sheddableShare = 0.5
    /// Share of `timeoutNanos`, 0...1, after which a band that still waits is served out of turn.
    package var promotionShare = 0.25
    /// One in so many requests taken goes to such a band. At least 2: the top band keeps the greater part.
    package var promotionTurns = 8

    /// The defaults.
    package init() {}

    /// Bounds and time to wait; the rest by default.
    package init(maxRequests: Int, maxBytes: Int, timeoutNanos: Int64) {
        self.maxRequests = maxRequests
        self.maxBytes = maxBytes
        self.timeoutNanos = timeoutNanos
    }

    /// The policy with every number in a range in which no sum of them overflows.
    internal var bounded: QueuePolicy {
        var bounded = self
        bounded.maxRequests = min(max(0, maxRequests), 1 << 24)
        bounded.maxBytes = min(max(0, maxBytes), 1 << 56)
        bounded.timeoutNanos = min(max(0, timeoutNanos), 1 << 60)
        bounded.sheddableShare = min(1, max(0, sheddableShare))
        bounded.promotionShare = min(1, max(0, promotionShare))
        bounded.promotionTurns = max(2, promotionTurns)
        return bounded
    }

    /// Nanoseconds of waiting that make a band due to be served out of turn.
    internal var promotionNanos: Int64 { Int64(Double(timeoutNanos) * promotionShare) }

    /// What requests and bytes may wait in all when one of `priority` is added.
    internal func bounds(for priority: Int32) -> (requests: Int, bytes: Int) {
        if priority >= 0 { return (maxRequests, maxBytes) }
        return (Int(Double(maxRequests) * sheddableShare), Int(Double(maxBytes) * sheddableShare))
    }
}
