extension AdmissionOrder {
    /// How a new request finds room.
    @usableFromInline internal enum Room: Sendable, Equatable {
        /// There is room.
        case free
        /// Requests of lower bands leave until there is.
        case fromLowerBands
        /// Requests of another tenant in the same band, which has more waiting, leave until there is.
        case fromFlow(Int)
        /// There is none.
        case none
    }

    /// Whether and how `request` can wait without breaking a bound. Changes nothing.
    @usableFromInline internal func room(for request: QueuedRequest) -> Room {
        let bounds = policy.bounds(for: request.priority)
        let (tooMany, tooLarge) = excess(of: request)
        if tooMany <= 0 && tooLarge <= 0 { return .free }
        if bounds.requests < 1 || bounds.bytes < request.bytes { return .none }
        let below = firstBelow(request.priority)
        var lower = (requests: 0, bytes: 0)
        for band in byPriority[below...] {
            lower.requests += bands[band].requests
            lower.bytes += bands[band].bytes
        }
        if lower.requests >= tooMany && lower.bytes >= tooLarge { return .fromLowerBands }
        if below == 0 { return .none }
        let band = byPriority[below - 1]
        if bands[band].priority != request.priority { return .none }
        let flow = heaviestFlow(in: band)
        return yields(flow, to: request, tooMany, tooLarge) ? .fromFlow(flow) : .none
    }

    /// Whether `request` fits now.
    @usableFromInline internal func fits(_ request: QueuedRequest) -> Bool {
        let (tooMany, tooLarge) = excess(of: request)
        return tooMany <= 0 && tooLarge <= 0
    }

    /// The request that makes room next: the newest of the heaviest tenant in the lowest band, or of the given flow.
    @usableFromInline internal func victim(_ room: Room) -> Int? {
        switch room {
        case .free, .none: return nil
        case .fromLowerBands:
            guard let lowest = byPriority.last else { return nil }
            return flows[heaviestFlow(in: lowest)].queue.last
        case .fromFlow(let flow): return flows[flow].queue.last
        }
    }

    /// By how much the bounds would be passed with `request`.
    private func excess(of request: QueuedRequest) -> (requests: Int, bytes: Int) {
        let bounds = policy.bounds(for: request.priority)
        return (requests + 1 - bounds.requests, bytes + request.bytes - bounds.bytes)
    }

    /// Whether a flow can make the room and still holds no less than the newcomer's then does.
    ///
    /// So an eviction always evens out, tenants of equal weight never evict each other in turn, and none is evicted
    /// for a newcomer that then does not fit.
    private func yields(_ flow: Int, to request: QueuedRequest, _ tooMany: Int, _ tooLarge: Int) -> Bool {
        var claimed = overhead + request.bytes
        if let own = flowOf[FlowKey(tenant: request.tenant, priority: request.priority)] {
            if own == flow { return false }
            claimed += weight(of: own)
        }
        var left = (requests: 0, bytes: 0)
        var slot = Int32(flows[flow].queue.last)
        while slot >= 0 && (left.requests < tooMany || left.bytes < tooLarge) {
            left.requests += 1
            left.bytes += entries[Int(slot)].request.bytes
            slot = flowLinks[Int(slot)].previous
        }
        if left.requests < tooMany || left.bytes < tooLarge { return false }
        return weight(of: flow) - left.requests * overhead - left.bytes >= claimed
    }

    /// What a request counts for beside its bytes, so that count and bytes are one measure: a queue full by count
    /// weighs as much as one full by bytes.
    private var overhead: Int { max(1, policy.maxBytes / max(1, policy.maxRequests)) }

    private func weight(of flow: Int) -> Int { flows[flow].requests * overhead + flows[flow].bytes }

    /// The heaviest of the first 32 flows in the highest class: exact for up to 32, else half the heaviest at least.
    private func heaviestFlow(in band: Int) -> Int {
        let first = band * AdmissionOrder.classes
        var weightClass = AdmissionOrder.classes - 1
        while weightClass > 0 && weights[first + weightClass].isEmpty { weightClass -= 1 }
        var flow = weights[first + weightClass].head
        var heaviest = Int(flow)
        for _ in 0..<32 where flow >= 0 {
            if weight(of: Int(flow)) > weight(of: heaviest) { heaviest = Int(flow) }
            flow = weightLinks[Int(flow)].next
        }
        return heaviest
    }

    /// Puts a flow into the class of its weight, or into none if it is empty.
    internal mutating func weigh(_ flow: Int) {
        let old = flows[flow].weight
        let new = flows[flow].requests == 0 ? -1 : weightClass(of: weight(of: flow))
        if old == new { return }
        let first = flows[flow].band * AdmissionOrder.classes
        if old >= 0 { weights[first + old].remove(flow, &weightLinks) }
        if new >= 0 { weights[first + new].append(flow, &weightLinks) }
        flows[flow].weight = new
    }

    private func weightClass(of weight: Int) -> Int {
        let octaves = overhead.leadingZeroBitCount - weight.leadingZeroBitCount
        return min(AdmissionOrder.classes - 1, max(0, octaves))
    }

    /// Takes over new bounds. What waits beyond them stays.
    @usableFromInline internal mutating func update(_ policy: QueuePolicy) {
        self.policy = policy.bounded
        noneDueBefore = .min
        for flow in flowOf.values { weigh(flow) }
    }
}
