import Testing

@testable import Limits

/// Random operations against `NaiveQueue`, each answer and all sums compared after every step.
@Suite struct AdmissionQueueModelTests {
    struct Run: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var seed: UInt64
        var policy: QueuePolicy
        var tenants: UInt64 = 6
        var costs = 1...5
        var bytes = 0...10
        var priorities: [Int32] = [0, 0, 0, 10, -10, -20]
    }

    static let runs = [
        Run(
            testDescription: "small and full", seed: 1,
            policy: QueuePolicy(maxRequests: 20, maxBytes: 150, timeoutNanos: 400)),
        Run(
            testDescription: "full by bytes", seed: 2,
            policy: QueuePolicy(maxRequests: 60, maxBytes: 90, timeoutNanos: 900)),
        Run(
            testDescription: "large and unequal", seed: 3,
            policy: QueuePolicy(maxRequests: 60, maxBytes: 4_000, timeoutNanos: 2_000), costs: 1...300, bytes: 0...200),
        Run(
            testDescription: "one band of many tenants", seed: 4,
            policy: QueuePolicy(maxRequests: 50, maxBytes: 1_000, timeoutNanos: 1_000), tenants: 25, priorities: [0]),
        Run(
            testDescription: "mostly newcomers", seed: 7,
            policy: QueuePolicy(maxRequests: 60, maxBytes: 4_000, timeoutNanos: 1_000), tenants: 300, costs: 1...60,
            priorities: [0]),
        Run(
            testDescription: "one tenant in many bands", seed: 5,
            policy: QueuePolicy(maxRequests: 40, maxBytes: 1_000, timeoutNanos: 1_000), tenants: 1,
            priorities: Array(-8...8)),
        Run(
            testDescription: "no room at all", seed: 6,
            policy: QueuePolicy(maxRequests: 0, maxBytes: 10, timeoutNanos: 9)),
    ]

    @Test("20,000 random operations do what the model does", .timeLimit(.minutes(1)), arguments: runs)
    func random(_ run: Run) throws {
        var pair = QueuePair(run.policy, seed: run.seed)
        for step in 0..<20_000 {
            pair.now += Int64.random(in: 0..<12, using: &pair.random)
            // The load goes up and down, so that the queue is empty at times and full at others.
            let share = step / 500 % 3 == 0 ? 30 : 60
            switch Int.random(in: 0..<100, using: &pair.random) {
            case ..<share:
                var request = QueuedRequest(
                    tenant: UInt64.random(in: 0..<run.tenants, using: &pair.random),
                    priority: run.priorities.randomElement(using: &pair.random)!,
                    cost: Int.random(in: run.costs, using: &pair.random),
                    bytes: Int.random(in: run.bytes, using: &pair.random))
                if pair.random.chance(30) {
                    request.deadline = pair.now + Int64.random(in: 0..<500, using: &pair.random)
                }
                try pair.enqueue(request)
            case share..<90: try pair.dequeue(putsBack: pair.random.chance(15))
            case 90..<98: try pair.remove()
            case 98: try pair.expire()
            default: if pair.random.chance(10) { try pair.removeAll() } else { try pair.changeBounds() }
            }
            try pair.compare()
        }
        try pair.removeAll()
        try pair.compare()
    }
}

/// The queue and its model, driven side by side.
private struct QueuePair: ~Copyable {
    var queue: AdmissionQueue<Int>
    var model: NaiveQueue
    var random: SeededRandom
    var now: Int64 = 0
    var tickets: [QueueTicket: Int] = [:]
    var lastPayload = 0
    let policy: QueuePolicy

    init(_ policy: QueuePolicy, seed: UInt64) {
        self.policy = policy
        queue = AdmissionQueue(policy)
        model = NaiveQueue(policy)
        random = SeededRandom(seed)
    }

    mutating func enqueue(_ request: QueuedRequest) throws {
        lastPayload += 1
        var dropped: [Dropped<Int>] = []
        let admission = queue.enqueue(lastPayload, request, at: now, dropped: &dropped)
        try expireModel(&dropped)
        if request.deadline <= now {
            try #require(isRejected(admission, .ttlExpired) && dropped.isEmpty)
            return
        }
        let right = model.rightEvictions(for: request)
        switch admission {
        case .queued(let ticket):
            try #require(right.contains(dropped.map(\.waiting.payload)))
            for drop in dropped {
                let isLower = drop.waiting.request.priority < request.priority
                try #require(drop.reason == (isLower ? .evictedPriority : .evictedQueuePressure))
                let item = model.remove(drop.waiting.payload)
                try #require(item?.request == drop.waiting.request)
            }
            var stamped = request
            stamped.enqueuedAt = now
            stamped.deadline = min(request.deadline, now + model.policy.timeoutNanos)
            model.insert(NaiveQueue.Item(payload: lastPayload, request: stamped))
            try #require(tickets.updateValue(lastPayload, forKey: ticket) == nil)
        case .rejected:
            try #require(isRejected(admission, .saturated) && dropped.isEmpty && right.contains(nil))
        }
    }

    mutating func dequeue(putsBack: Bool) throws {
        var dropped: [Dropped<Int>] = []
        let taken = queue.dequeue(at: now, dropped: &dropped)
        try expireModel(&dropped)
        let item = model.take(at: now)
        try #require(taken?.payload == item?.payload && taken?.request == item?.request)
        guard putsBack, let taken, let item else { return }
        tickets[queue.putBack(taken, at: now)] = taken.payload
        model.putBack(item)
    }

    /// A ticket of a request that waits, or of one that has left.
    mutating func remove() throws {
        guard let (ticket, payload) = tickets.randomElement(using: &random) else { return }
        let removed = queue.remove(ticket, at: now)
        tickets[ticket] = nil
        // A request that was put back has a new ticket: its old one must find nothing.
        if tickets.values.contains(payload) {
            try #require(removed == nil || model.items.contains { $0.payload == payload })
        }
        if let removed {
            let item = model.remove(payload)
            try #require(removed.payload == payload && removed.request == item?.request)
        } else {
            try #require(tickets.values.contains(payload) || !model.items.contains { $0.payload == payload })
        }
    }

    mutating func expire() throws {
        var dropped: [Dropped<Int>] = []
        queue.expire(at: now, dropped: &dropped)
        try expireModel(&dropped)
    }

    mutating func removeAll() throws {
        var dropped: [Dropped<Int>] = []
        queue.removeAll(.noEndpoints, at: now, dropped: &dropped)
        try #require(dropped.allSatisfy { $0.reason == .noEndpoints })
        try #require(Set(dropped.map(\.waiting.payload)) == Set(model.items.map(\.payload)))
        for drop in dropped { model.remove(drop.waiting.payload) }
        try #require(queue.count == 0)
    }

    mutating func changeBounds() throws {
        var changed = policy
        changed.maxRequests = policy.maxRequests * Int.random(in: 50...100, using: &random) / 100
        changed.maxBytes = policy.maxBytes * Int.random(in: 50...100, using: &random) / 100
        queue.update(changed)
        model.policy = changed
    }

    /// The expired come first in `dropped`; what is left there are evictions.
    private mutating func expireModel(_ dropped: inout [Dropped<Int>]) throws {
        let expired = model.items.filter { $0.request.deadline <= now }
        let first = dropped.prefix { $0.reason == .ttlExpired }
        try #require(Set(first.map(\.waiting.payload)) == Set(expired.map(\.payload)))
        // In the order of the queue: tenants who have nothing left leave their marks in this order.
        for drop in first { model.remove(drop.waiting.payload) }
        dropped.removeFirst(first.count)
    }

    private func isRejected(_ admission: Admission, _ reason: DropReason) -> Bool {
        guard case .rejected(reason, let retryAfter) = admission else { return false }
        return (second...60 * second).contains(retryAfter)
    }

    func compare() throws {
        for band in queue.order.byPriority.indices {
            let real = queue.order.bands[queue.order.byPriority[band]]
            try #require(real.marks == model.bands[band].ring.count(where: \.items.isEmpty))
            try #require(real.newFlows == model.bands[band].newcomers.count)
        }
        let items = model.items
        try #require(queue.count == items.count)
        try #require(queue.bytes == model.bytes)
        try #require(queue.nextDeadline == model.nextDeadline)
        let bands = queue.bands(at: now)
        try #require(bands.map(\.priority) == model.bands.map(\.priority))
        try #require(bands.map(\.requests) == model.bands.map(\.items.count))
        try #require(bands.map(\.tenants) == model.bands.map(\.flows.count))
        try #require(bands.map(\.bytes) == model.bands.map { $0.items.reduce(0) { $0 + $1.request.bytes } })
    }
}
