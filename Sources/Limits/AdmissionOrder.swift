/// Who waits, and in which order: an `AdmissionQueue` without its payloads.
///
/// Apart from the queue because a generic type is compiled where it is used: this is compiled here, once. Requests,
/// flows (the requests of one tenant in one band) and bands are slots of arrays, joined by chains of slot numbers, so
/// that nothing is allocated per request and each step takes the same time however many wait.
@usableFromInline internal struct AdmissionOrder: Sendable {
    internal struct Entry: Sendable {
        var request: QueuedRequest
        /// Which stay this is; 0: the slot is free.
        var serial: UInt64
        var flow: Int
    }

    internal struct Flow: Sendable {
        let key: FlowKey
        /// Whether it is in its band's `newcomers`, else in its `ring`.
        var isNew = true
        var band: Int
        /// The flow's requests, the oldest first.
        var queue = Chain()
        var requests = 0
        var bytes = 0
        /// Cost it may still take in its visit, see `turn(in:)`; below 0, what it owes.
        var deficit = 0
        /// Which of its band's `weights` it is in; -1: none yet.
        var weight = -1
    }

    internal struct FlowKey: Hashable, Sendable {
        let tenant: UInt64
        let priority: Int32
    }

    internal struct Band: Sendable {
        let priority: Int32
        /// The band's requests, the oldest first.
        var queue = Chain()
        /// Flows that had nothing waiting when their request came, and may still take some: before those of `ring`.
        var newcomers = Chain()
        /// The other flows in the order of their visits, the first has the turn; and marks, see `emptied(_:in:)`.
        var ring = Chain()
        /// Whether the first of `ring` has had the quantum of this visit.
        var isVisiting = false
        /// Flows with requests, those in `newcomers` included.
        var flows = 0
        var newFlows = 0
        var marks = 0
        /// Requests taken from newcomers since the ring had a turn, and how many may be.
        var newTurns = 0
        var newTurnsAtMost = 0
        var requests = 0
        var bytes = 0
        var cost = 0
        /// Number of the last promotion; 0: none yet.
        var promoted: UInt64 = 0
    }

    /// Flows of a band by the power of two of what they hold: `weights[band * classes + class]`.
    internal static let classes = 24

    internal var policy: QueuePolicy
    internal var entries: [Entry] = []
    internal var flows: [Flow] = []
    internal var bands: [Band] = []
    /// Bands with requests, the highest priority first.
    internal var byPriority: [Int] = []
    internal var requests = 0
    internal var bytes = 0
    internal var drain = DrainRate()
    /// Requests taken since the last promotion.
    internal var turnsSincePromotion = 0
    internal var promotions: UInt64 = 0
    /// No band is due for promotion before.
    internal var noneDueBefore = Int64.min

    internal var flowOf: [FlowKey: Int] = [:]
    internal var deadlines = DeadlineHeap()
    internal var flowLinks: [ChainLink] = []
    internal var bandLinks: [ChainLink] = []
    internal var ringLinks: [ChainLink] = []
    internal var weightLinks: [ChainLink] = []
    internal var weights: [Chain] = []
    private var freeEntries: [Int32] = []
    internal var freeFlows: [Int32] = []
    internal var freeBands: [Int32] = []
    private var lastSerial: UInt64 = 0

    @usableFromInline internal init(_ policy: QueuePolicy) { self.policy = policy.bounded }

    // MARK: Adding

    /// Adds a request behind those of its tenant, whatever the bounds.
    ///
    /// - Returns: Its slot: the smallest numbers are used, so that an array beside this one stays dense.
    @usableFromInline internal mutating func insert(_ request: QueuedRequest) -> Int {
        let slot = newEntry(request)
        flows[entries[slot].flow].queue.append(slot, &flowLinks)
        bands[flows[entries[slot].flow].band].queue.append(slot, &bandLinks)
        count(slot, 1)
        let flow = entries[slot].flow
        if flows[flow].isNew && flows[flow].deficit == 0 { flows[flow].deficit = quantum(of: flows[flow].band) }
        return slot
    }

    /// Adds a request that was taken in vain before all others of its band, and gives its tenant the turn back.
    ///
    /// It counts as the oldest of its band, which it may not be: that only delays a promotion until it is taken again.
    @usableFromInline internal mutating func insertFirst(_ request: QueuedRequest) -> Int {
        let slot = newEntry(request)
        let flow = entries[slot].flow
        let band = flows[flow].band
        flows[flow].queue.prepend(slot, &flowLinks)
        bands[band].queue.prepend(slot, &bandLinks)
        count(slot, 1)
        drain.count(-1)
        promotionMayBeDue(toArrival: request.enqueuedAt)
        // Before the newcomers it is next, whoever has the turn in the ring, and that one keeps it.
        moveToNewcomers(flow)
        bands[band].newTurns = max(0, bands[band].newTurns - 1)
        flows[flow].deficit = max(1, flows[flow].deficit + request.cost)
        return slot
    }

    private mutating func newEntry(_ request: QueuedRequest) -> Int {
        let flow = flowForAdding(FlowKey(tenant: request.tenant, priority: request.priority))
        lastSerial += 1
        let entry = Entry(request: request, serial: lastSerial, flow: flow)
        var slot = entries.count
        if let free = freeEntries.popLast() {
            slot = Int(free)
            entries[slot] = entry
        } else {
            entries.append(entry)
            flowLinks.append(ChainLink())
            bandLinks.append(ChainLink())
        }
        deadlines.insert(slot, request.deadline)
        return slot
    }

    private mutating func flowForAdding(_ key: FlowKey) -> Int {
        if let flow = flowOf[key] {
            if flows[flow].requests == 0 { revive(flow) }
            return flow
        }
        let band = bandForAdding(key.priority)
        let flow = Flow(key: key, band: band)
        var slot = flows.count
        if let free = freeFlows.popLast() {
            slot = Int(free)
            flows[slot] = flow
        } else {
            flows.append(flow)
            ringLinks.append(ChainLink())
            weightLinks.append(ChainLink())
        }
        flowOf[key] = slot
        bands[band].flows += 1
        bands[band].newFlows += 1
        bands[band].newcomers.append(slot, &ringLinks)
        return slot
    }

    private mutating func bandForAdding(_ priority: Int32) -> Int {
        let place = firstBelow(priority)
        if place > 0, case let above = byPriority[place - 1], bands[above].priority == priority { return above }
        var slot = bands.count
        if let free = freeBands.popLast() {
            slot = Int(free)
            bands[slot] = Band(priority: priority)
        } else {
            bands.append(Band(priority: priority))
            for _ in 0..<AdmissionOrder.classes { weights.append(Chain()) }
        }
        byPriority.insert(slot, at: place)
        return slot
    }

    /// Where in `byPriority` the bands below `priority` begin.
    internal func firstBelow(_ priority: Int32) -> Int {
        var (low, high) = (0, byPriority.count)
        while low < high {
            let middle = (low + high) / 2
            if bands[byPriority[middle]].priority < priority { high = middle } else { low = middle + 1 }
        }
        return low
    }

    // MARK: Removing

    /// Takes a request out, with its band if it was the last there.
    @usableFromInline internal mutating func remove(_ slot: Int) -> QueuedRequest {
        let request = entries[slot].request
        let flow = entries[slot].flow
        let band = flows[flow].band
        let wasFirst = bands[band].queue.first == slot
        flows[flow].queue.remove(slot, &flowLinks)
        bands[band].queue.remove(slot, &bandLinks)
        if wasFirst && !bands[band].queue.isEmpty {
            // Behind a request that was put back an older one comes to light.
            let arrived = entries[bands[band].queue.first].request.enqueuedAt
            if arrived < request.enqueuedAt { promotionMayBeDue(toArrival: arrived) }
        }
        deadlines.remove(slot)
        count(slot, -1)
        entries[slot].serial = 0
        freeEntries.append(Int32(slot))
        if flows[flow].requests == 0 { emptied(flow, in: band) }
        return request
    }

    /// Adds (`sign` 1) or takes away (-1) a request in all sums it is part of.
    private mutating func count(_ slot: Int, _ sign: Int) {
        let request = entries[slot].request
        let flow = entries[slot].flow
        let band = flows[flow].band
        requests += sign
        bytes += sign * request.bytes
        bands[band].requests += sign
        bands[band].bytes += sign * request.bytes
        bands[band].cost += sign * request.cost
        flows[flow].requests += sign
        flows[flow].bytes += sign * request.bytes
        weigh(flow)
    }

    /// Forgets the memory of a burst. Only when nothing waits.
    @usableFromInline internal mutating func releaseMemory() {
        precondition(requests == 0, "requests are waiting")
        var empty = AdmissionOrder(policy)
        empty.drain = drain
        (empty.promotions, empty.turnsSincePromotion) = (promotions, turnsSincePromotion)
        // Serials go on, so that no ticket is ever valid twice.
        empty.lastSerial = lastSerial
        self = empty
    }

    // MARK: Looking

    /// Slots made so far, free ones included.
    @usableFromInline internal var slots: Int { entries.count }

    /// Which stay the request in `slot` is at; 0: none.
    @usableFromInline internal func serial(at slot: Int) -> UInt64 {
        entries.indices.contains(slot) ? entries[slot].serial : 0
    }

    /// A request whose deadline has come.
    @usableFromInline internal func expired(at now: Int64) -> Int? {
        guard let next = deadlines.next, next.deadline <= now else { return nil }
        return next.slot
    }
}
