extension AdmissionOrder {
    @usableFromInline internal var waitingRequests: Int { requests }
    @usableFromInline internal var waitingBytes: Int { bytes }
    @usableFromInline internal var nextDeadline: Int64? { deadlines.next?.deadline }
    @usableFromInline internal var drainPerSecond: Double { drain.perSecond }

    /// The first request of the highest band; `nil` if none waits.
    @usableFromInline internal var oldest: Int? {
        guard let top = byPriority.first else { return nil }
        return bands[top].queue.first
    }

    /// `request` as it waits: with its time of arrival and the nearer of its deadline and the queue's timeout.
    @usableFromInline internal func stamped(_ request: QueuedRequest, at now: Int64) -> QueuedRequest {
        var stamped = request
        stamped.enqueuedAt = now
        let (latest, overflows) = now.addingReportingOverflow(policy.timeoutNanos)
        if !overflows { stamped.deadline = min(request.deadline, latest) }
        return stamped
    }

    /// The bands, the highest priority first.
    @usableFromInline internal func describe(at now: Int64) -> [QueueBand] {
        byPriority.map { band in
            let arrived = entries[bands[band].queue.first].request.enqueuedAt
            return QueueBand(
                priority: bands[band].priority, requests: bands[band].requests, bytes: bands[band].bytes,
                tenants: bands[band].flows, oldestNanos: max(0, now - arrived))
        }
    }
}
