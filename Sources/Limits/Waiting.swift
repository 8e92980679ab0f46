/// What the queue must know of a request to order it.
@usableFromInline package struct QueuedRequest: Sendable, Equatable {
    /// Who shares fairly with the others: a stable hash of the tenant's name.
    package var tenant: UInt64
    /// The band: the higher, the earlier. Negative: may be shed.
    package var priority: Int32
    /// What the request takes of the pool, in any unit that is the same for all, such as predicted tokens. At least 1.
    package var cost: Int
    /// Bytes held while it waits.
    package var bytes: Int
    /// When waiting is in vain, in nanoseconds of the caller's clock. The queue brings it forward to its own timeout.
    package var deadline: Int64
    /// When it came, in nanoseconds of the caller's clock. Set by the queue.
    package internal(set) var enqueuedAt: Int64 = 0

    /// A request not yet queued. A cost outside of 1...2^36 and bytes outside of 0...2^40 count as the nearest value
    /// inside, so that no sum of them overflows.
    package init(tenant: UInt64, priority: Int32 = 0, cost: Int = 1, bytes: Int = 0, deadline: Int64 = .max) {
        self.tenant = tenant
        self.priority = priority
        self.cost = min(max(1, cost), 1 << 36)
        self.bytes = min(max(0, bytes), 1 << 40)
        self.deadline = deadline
    }
}

/// A request that waits, or that has just left the queue.
package struct Waiting<Payload> {
    /// What the caller needs to go on with it.
    package var payload: Payload
    /// What the queue knows of it.
    package var request: QueuedRequest

    @inlinable package init(_ payload: Payload, _ request: QueuedRequest) {
        self.payload = payload
        self.request = request
    }
}

extension Waiting: Sendable where Payload: Sendable {}

/// Names one stay of one request in the queue; never valid again after it.
package struct QueueTicket: Sendable, Hashable {
    @usableFromInline internal let slot: Int32
    @usableFromInline internal let serial: UInt64

    @inlinable internal init(slot: Int, serial: UInt64) {
        self.slot = Int32(truncatingIfNeeded: slot)
        self.serial = serial
    }
}

/// Why a request is not served. The labels are those of llm-d's `x-llm-d-request-dropped-reason`.
package enum DropReason: UInt8, Sendable, CaseIterable {
    /// The queue has no room for it.
    case saturated
    /// Its deadline, or the queue's timeout, passed before its turn came.
    case ttlExpired
    /// Nothing is left that could serve it.
    case noEndpoints
    /// The gateway stops.
    case shuttingDown
    /// It made room for a request of a higher priority.
    case evictedPriority
    /// It made room for a tenant of the same priority that has less waiting.
    case evictedQueuePressure

    /// The value of the reason header, and of labels in logs and metrics.
    package var label: StaticString {
        switch self {
        case .saturated: "rejected-saturated"
        case .ttlExpired: "rejected-ttl-expired"
        case .noEndpoints: "rejected-no-endpoints"
        case .shuttingDown: "rejected-shutting-down"
        case .evictedPriority: "evicted-priority"
        case .evictedQueuePressure: "evicted-queue-pressure"
        }
    }
}

/// A request that waited in vain.
package struct Dropped<Payload> {
    package var waiting: Waiting<Payload>
    package var reason: DropReason
    /// When to try again: 1...60 s, from the measured drain rate.
    package var retryAfterNanos: Int64

    @inlinable package init(_ waiting: Waiting<Payload>, _ reason: DropReason, retryAfterNanos: Int64) {
        self.waiting = waiting
        self.reason = reason
        self.retryAfterNanos = retryAfterNanos
    }
}

extension Dropped: Sendable where Payload: Sendable {}

/// What became of a request that wants to wait.
package enum Admission: Sendable, Equatable {
    /// It waits.
    case queued(QueueTicket)
    /// It does not; `retryAfterNanos` is 1...60 s.
    case rejected(DropReason, retryAfterNanos: Int64)
}

/// One band of the queue, for metrics and the admin endpoint.
@usableFromInline package struct QueueBand: Sendable, Equatable {
    package var priority: Int32
    package var requests: Int
    package var bytes: Int
    package var tenants: Int
    /// How long the first in the band has waited, in nanoseconds.
    package var oldestNanos: Int64
}
