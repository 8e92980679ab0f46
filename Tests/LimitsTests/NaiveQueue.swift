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
        /// The one whose turn it is first.
        var flows: [Flow] = []
        var isVisiting = false
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
        let place = place(for: item)
        bands[place.band].flows[place.flow].items.append(item)
        arrivals.append(item.payload)
    }

    mutating func putBack(_ item: Item) {
        let place = place(for: item)
        bands[place.band].flows[place.flow].items.insert(item, at: 0)
        arrivals.insert(item.payload, at: 0)
        let quantum = quantum(of: bands[place.band])
        var flow = bands[place.band].flows[place.flow]
        if place.flow > 0 {
            if bands[place.band].isVisiting { bands[place.band].flows[0].deficit -= quantum }
            bands[place.band].flows.remove(at: place.flow)
            bands[place.band].flows.insert(flow, at: 0)
        }
        flow.deficit = max(0, flow.deficit) + item.request.cost
        bands[place.band].flows[0] = flow
        bands[place.band].isVisiting = true
    }

    private mutating func place(for item: Item) -> (band: Int, flow: Int) {
        var band = bands.firstIndex { $0.priority <= item.request.priority } ?? bands.count
        if band == bands.count || bands[band].priority != item.request.priority {
            bands.insert(Band(priority: item.request.priority), at: band)
        }
        band = bands.firstIndex { $0.priority == item.request.priority }!
        if let flow = bands[band].flows.firstIndex(where: { $0.tenant == item.request.tenant }) { return (band, flow) }
        bands[band].flows.append(Flow(tenant: item.request.tenant))
        return (band, bands[band].flows.count - 1)
    }

    @discardableResult mutating func remove(_ payload: Int) -> Item? {
        for band in bands.indices {
            for flow in bands[band].flows.indices {
                guard let index = bands[band].flows[flow].items.firstIndex(where: { $0.payload == payload }) else {
                    continue
                }
                let item = bands[band].flows[flow].items.remove(at: index)
                arrivals.removeAll { $0 == payload }
                if bands[band].flows[flow].items.isEmpty {
                    if flow == 0 { bands[band].isVisiting = false }
                    bands[band].flows.remove(at: flow)
                    if bands[band].flows.isEmpty { bands.remove(at: band) }
                }
                return item
            }
        }
        return nil
    }

    // MARK: Turns

    mutating func take(at now: Int64) -> Item? {
        if bands.isEmpty { return nil }
        let band = nextBand(at: now)
        let quantum = quantum(of: bands[band])
        if bands[band].flows.count == 1 {
            bands[band].flows[0].deficit = bands[band].flows[0].items[0].request.cost
            bands[band].isVisiting = true
        }
        while true {
            if !bands[band].isVisiting { bands[band].flows[0].deficit += quantum }
            bands[band].isVisiting = true
            let item = bands[band].flows[0].items[0]
            if bands[band].flows[0].deficit >= item.request.cost {
                bands[band].flows[0].deficit -= item.request.cost
                return remove(item.payload)
            }
            bands[band].flows.append(bands[band].flows.removeFirst())
            bands[band].isVisiting = false
        }
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
