@testable import Limits

/// What an `AdmissionQueue` should do, in arrays and loops: slow, short, and checked step by step against the real one.
struct NaiveQueue {
    struct Item: Equatable {
        var payload: Int
        var request: QueuedRequest
    }

    struct Flow {
        var tenant: UInt64
        var items: [Item] = []
        var deficit = 0
    }

    struct Band {
        var priority: Int32
        var newcomers: [Flow] = []
        /// The one whose turn it is first. Flows without items are marks.
        var ring: [Flow] = []
        var isVisiting = false
        var newTurns = 0
        var newTurnsAtMost = 0
        var flows: [Flow] { (newcomers + ring).filter { !$0.items.isEmpty } }
        var promoted = 0
        var items: [Item] { flows.flatMap(\.items) }
    }

    var policy: QueuePolicy
    /// The highest priority first.
    var bands: [Band] = []
    var turnsSincePromotion = 0
    var promotions = 0
    /// Payloads in the order of coming, those put back before all others: who is the oldest of a band.
    var arrivals: [Int] = []

    init(_ policy: QueuePolicy) { self.policy = policy }

    var items: [Item] { bands.flatMap(\.items) }
    var bytes: Int { items.reduce(0) { $0 + $1.request.bytes } }
    var nextDeadline: Int64? { items.map(\.request.deadline).min() }

    // MARK: Adding and removing

    mutating func insert(_ item: Item) {
        let band = band(for: item)
        arrivals.append(item.payload)
        if let flow = bands[band].newcomers.firstIndex(where: { $0.tenant == item.request.tenant }) {
            bands[band].newcomers[flow].items.append(item)
        } else if let flow = bands[band].ring.firstIndex(where: { $0.tenant == item.request.tenant }) {
            bands[band].ring[flow].items.append(item)
        } else {
            bands[band].newcomers.append(Flow(tenant: item.request.tenant, items: [item]))
            bands[band].newcomers[bands[band].newcomers.count - 1].deficit = quantum(of: bands[band])
        }
    }

    mutating func putBack(_ item: Item) {
        let band = band(for: item)
        arrivals.insert(item.payload, at: 0)
        var flow = Flow(tenant: item.request.tenant)
        if let index = bands[band].newcomers.firstIndex(where: { $0.tenant == flow.tenant }) {
            flow = bands[band].newcomers.remove(at: index)
        } else if let index = bands[band].ring.firstIndex(where: { $0.tenant == flow.tenant }) {
            flow = bands[band].ring.remove(at: index)
            if index == 0 { bands[band].isVisiting = false }
        }
        flow.items.insert(item, at: 0)
        flow.deficit = max(1, flow.deficit + item.request.cost)
        bands[band].newcomers.insert(flow, at: 0)
        bands[band].newTurns = max(0, bands[band].newTurns - 1)
    }

    private mutating func band(for item: Item) -> Int {
        let band = bands.firstIndex { $0.priority <= item.request.priority } ?? bands.count
        if band == bands.count || bands[band].priority != item.request.priority {
            bands.insert(Band(priority: item.request.priority), at: band)
        }
        return band
    }

    @discardableResult mutating func remove(_ payload: Int) -> Item? {
        arrivals.removeAll { $0 == payload }
        for band in bands.indices {
            guard let item = bands[band].remove(payload) else { continue }
            if bands[band].flows.isEmpty { bands.remove(at: band) }
            return item
        }
        return nil
    }

    // MARK: Turns

    mutating func take(at now: Int64) -> Item? {
        if bands.isEmpty { return nil }
        let band = nextBand(at: now)
        let item = bands[band].take(quantum: quantum(of: bands[band]))
        if bands[band].flows.isEmpty { bands.remove(at: band) }
        arrivals.removeAll { $0 == item.payload }
        return item
    }

    private mutating func nextBand(at now: Int64) -> Int {
        if turnsSincePromotion < policy.promotionTurns - 1 {
            turnsSincePromotion += 1
            return 0
        }
        let due = bands.indices.dropFirst().filter { oldest(of: bands[$0]).enqueuedAt <= now - policy.promotionNanos }
        guard let band = due.min(by: { bands[$0].promoted < bands[$1].promoted }) else { return 0 }
        turnsSincePromotion = 0
        promotions += 1
        bands[band].promoted = promotions
        return band
    }

    private func oldest(of band: Band) -> QueuedRequest {
        let items = band.items
        let first = arrivals.first { payload in items.contains { $0.payload == payload } }
        return items.first { $0.payload == first }!.request
    }

    private func quantum(of band: Band) -> Int {
        max(1, band.items.reduce(0) { $0 + $1.request.cost } / band.items.count)
    }

    // MARK: Room

    func fits(_ request: QueuedRequest) -> Bool {
        let bounds = policy.bounds(for: request.priority)
        return items.count < bounds.requests && bytes + request.bytes <= bounds.bytes
    }

    /// Every list of evicted payloads that would be right; none: the request is to be rejected.
    ///
    /// More than one where tenants weigh the same. `nil` in the list: rejected.
    func rightEvictions(for request: QueuedRequest) -> [[Int]?] {
        if fits(request) { return [[]] }
        let bounds = policy.bounds(for: request.priority)
        if bounds.requests < 1 || request.bytes > bounds.bytes { return [nil] }
        var without = self
        for item in items where item.request.priority < request.priority { without.remove(item.payload) }
        if without.fits(request) { return evictionsFromBelow(for: request) }
        guard let band = bands.first(where: { $0.priority == request.priority }) else { return [nil] }
        let weight = band.flows.map(weight(of:)).max()!
        return band.flows.filter { self.weight(of: $0) == weight }.map { evictions(from: $0, in: band, for: request) }
    }

    private func evictionsFromBelow(for request: QueuedRequest) -> [[Int]?] {
        if fits(request) { return [[]] }
        let weight = bands.last!.flows.map(weight(of:)).max()!
        return bands.last!.flows.filter { self.weight(of: $0) == weight }.flatMap { flow in
            let victim = flow.items.last!.payload
            var without = self
            without.remove(victim)
            return without.evictionsFromBelow(for: request).map { [victim] + $0! }
        }
    }

    private func evictions(from flow: Flow, in band: Band, for request: QueuedRequest) -> [Int]? {
        if flow.tenant == request.tenant { return nil }
        let own = band.flows.first { $0.tenant == request.tenant } ?? Flow(tenant: request.tenant)
        let claimed = weight(of: own) + overhead + request.bytes
        var without = self
        var left = flow
        var evicted: [Int] = []
        while !without.fits(request), let victim = left.items.popLast() {
            without.remove(victim.payload)
            evicted.append(victim.payload)
        }
        return without.fits(request) && weight(of: left) >= claimed ? evicted : nil
    }

    private var overhead: Int { max(1, policy.maxBytes / max(1, policy.maxRequests)) }
    private func weight(of flow: Flow) -> Int {
        flow.items.reduce(0) { $0 + $1.request.bytes + overhead }
    }
}

extension NaiveQueue.Band {
    mutating func remove(_ payload: Int) -> NaiveQueue.Item? {
        for flow in newcomers.indices {
            guard let index = newcomers[flow].items.firstIndex(where: { $0.payload == payload }) else { continue }
            let item = newcomers[flow].items.remove(at: index)
            if newcomers[flow].items.isEmpty { makeMark(newcomers.remove(at: flow)) }
            return item
        }
        for flow in ring.indices {
            guard let index = ring[flow].items.firstIndex(where: { $0.payload == payload }) else { continue }
            let item = ring[flow].items.remove(at: index)
            if !ring[flow].items.isEmpty { return item }
            ring[flow].deficit = min(0, ring[flow].deficit)
            if flow == 0 && isVisiting {
                makeMark(ring.remove(at: 0))
                isVisiting = false
            }
            return item
        }
        return nil
    }

    private mutating func makeMark(_ flow: NaiveQueue.Flow) {
        ring.append(flow)
        ring[ring.count - 1].deficit = min(0, flow.deficit)
    }

    mutating func take(quantum: Int) -> NaiveQueue.Item {
        if newcomers.count + ring.count == 1 {
            newTurns = 0
            if ring.isEmpty { return takeFromNewcomers(alone: true) }
            ring[0].deficit = ring[0].items[0].request.cost
            isVisiting = true
        } else if !newcomers.isEmpty {
            if newTurns == 0 || newTurns < newTurnsAtMost { return takeFromNewcomers() }
            newTurns = 0
            if ring.allSatisfy(\.items.isEmpty) {
                for _ in ring { passFirst(quantum) }
                return takeFromNewcomers()
            }
        }
        newTurns = 0
        while true {
            if ring[0].items.isEmpty {
                passFirst(quantum)
                continue
            }
            if !isVisiting { ring[0].deficit += quantum }
            isVisiting = true
            let item = ring[0].items[0]
            if ring[0].deficit >= item.request.cost {
                ring[0].deficit -= item.request.cost
                return remove(item.payload)!
            }
            ring.append(ring.removeFirst())
            isVisiting = false
        }
    }

    private mutating func takeFromNewcomers(alone: Bool = false) -> NaiveQueue.Item {
        let item = newcomers[0].items[0]
        if alone { newcomers[0].deficit = item.request.cost }
        if newTurns == 0 { newTurnsAtMost = max(8, flows.count / max(1, flows.count - newcomers.count)) }
        if !alone { newTurns += 1 }
        newcomers[0].deficit -= item.request.cost
        if newcomers[0].deficit <= 0 { ring.append(newcomers.removeFirst()) }
        return remove(item.payload)!
    }

    private mutating func passFirst(_ quantum: Int) {
        var mark = ring.removeFirst()
        if mark.deficit >= 0 { return }
        mark.deficit = min(0, mark.deficit + quantum)
        ring.append(mark)
    }
}
