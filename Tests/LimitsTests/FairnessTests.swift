import Testing

@testable import Limits

/// What tenants and bands get of a pool that cannot serve them all.
@Suite struct FairnessTests {
    struct Load: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var seed: UInt64
        /// Costs of the abusive tenant's requests and of the others'.
        var abusive: ClosedRange<Int>
        var others: ClosedRange<Int>
    }

    static let loads = [
        Load(testDescription: "equal costs", seed: 1, abusive: 1...1, others: 1...1),
        Load(testDescription: "mixed costs", seed: 2, abusive: 1...2_000, others: 1...2_000),
        Load(testDescription: "costly requests of the abusive one", seed: 3, abusive: 5_000...20_000, others: 10...100),
        Load(testDescription: "cheap requests of the abusive one", seed: 4, abusive: 1...10, others: 500...5_000),
    ]

    @Test("an abusive tenant at ten times its share leaves the others theirs: Jain's index ≥ 0.95", arguments: loads)
    func jain(_ load: Load) {
        var random = SeededRandom(load.seed)
        var queue = AdmissionQueueTests.queue(requests: 2_000)
        var dropped: [Dropped<Int>] = []
        var served = [Double](repeating: 0, count: 10)
        for step in 0..<15_000 {
            // Ten arrivals of the abusive tenant for each of any other; one request in five is served.
            for _ in 0..<5 {
                let tenant = max(0, Int.random(in: -9..<10, using: &random))
                let cost = Int.random(in: tenant == 0 ? load.abusive : load.others, using: &random)
                let request = QueuedRequest(tenant: UInt64(tenant), cost: cost)
                _ = queue.enqueue(step, request, at: Int64(step), dropped: &dropped)
            }
            dropped.removeAll()
            guard let taken = queue.dequeue(at: Int64(step), dropped: &dropped), step > 5_000 else { continue }
            served[Int(taken.request.tenant)] += Double(taken.request.cost)
        }
        let index = jainIndex(served)
        #expect(index >= 0.95, "served \(served)")
    }

    @Test("the others wait no longer for an abusive tenant than for one another", arguments: [1 as UInt64, 2, 3])
    func isolation(_ seed: UInt64) {
        let alone = waits(seed, abusivePercent: 0)
        let beside = waits(seed, abusivePercent: 1_000)
        // The one in service is all that may come between.
        #expect(beside.p90 <= alone.p90 + 1, "alone \(alone), beside \(beside)")
    }

    /// Nine tenants that use half of what ten would get, and one that sends `abusivePercent` of its tenth.
    ///
    /// - Returns: How many turns the requests of the nine waited.
    private func waits(_ seed: UInt64, abusivePercent: Int) -> (p50: Int, p90: Int) {
        var random = SeededRandom(seed)
        var queue = AdmissionQueueTests.queue(requests: 1_000, timeout: .max / 2)
        var dropped: [Dropped<Int>] = []
        var waited: [Int] = []
        for turn in 0..<15_000 {
            for tenant in 1...9 where Int.random(in: 0..<1_000, using: &random) < 50 {
                _ = queue.enqueue(turn, QueuedRequest(tenant: UInt64(tenant)), at: 0, dropped: &dropped)
            }
            if Int.random(in: 0..<1_000, using: &random) < abusivePercent {
                _ = queue.enqueue(turn, QueuedRequest(tenant: 0), at: 0, dropped: &dropped)
            }
            guard let taken = queue.dequeue(at: 0, dropped: &dropped), taken.request.tenant != 0 else { continue }
            waited.append(turn - taken.payload)
        }
        waited.sort()
        return (waited[waited.count / 2], waited[waited.count * 9 / 10])
    }

    @Test("a storm at high priority goes ahead of batch, and batch still gets an eighth once it has waited long")
    func storm() {
        var policy = QueuePolicy(maxRequests: 1_000, maxBytes: 1_000_000, timeoutNanos: 60 * second)
        policy.promotionTurns = 8
        var queue = AdmissionQueue<Int>(policy)
        var dropped: [Dropped<Int>] = []
        for payload in 0..<200 {
            _ = queue.enqueue(payload, QueuedRequest(tenant: 1, priority: -10), at: 0, dropped: &dropped)
        }
        var (early, late, lateTurns) = (0, 0, 0)
        for turn in 0..<300 {
            // A request of the storm each tenth of a second, and as many served.
            let now = Int64(turn) * second / 10
            _ = queue.enqueue(-1, QueuedRequest(tenant: 2, priority: 100), at: now, dropped: &dropped)
            let taken = queue.dequeue(at: now, dropped: &dropped)
            let isBatch = taken?.request.priority == -10
            if now < 15 * second {
                early += isBatch ? 1 : 0
            } else {
                (late, lateTurns) = (late + (isBatch ? 1 : 0), lateTurns + 1)
            }
        }
        #expect(early == 0)
        #expect((lateTurns / 8...lateTurns / 8 + 1).contains(late))
    }

    @Test("no band starves under those above it", arguments: [2, 5, 20])
    func bandsTakeTurns(_ lower: Int) {
        var queue = AdmissionQueueTests.queue(requests: 10_000)
        var dropped: [Dropped<Int>] = []
        for band in 1...lower {
            for _ in 0..<100 {
                _ = queue.enqueue(band, QueuedRequest(tenant: 1, priority: Int32(-band)), at: 0, dropped: &dropped)
            }
        }
        var served = [Int](repeating: 0, count: lower + 1)
        let turns = 8 * lower * 10
        for _ in 0..<turns {
            _ = queue.enqueue(0, QueuedRequest(tenant: 1), at: 20 * second, dropped: &dropped)
            served[queue.dequeue(at: 20 * second, dropped: &dropped)?.payload ?? 0] += 1
        }
        #expect(served[0] == turns - turns / 8)
        #expect(served.dropFirst().allSatisfy { $0 == 10 }, "served \(served)")
    }

    @Test("no tenant starves: each of many is served once in a round")
    func tenantsTakeTurns() {
        var queue = AdmissionQueueTests.queue(requests: 10_000)
        var dropped: [Dropped<Int>] = []
        for tenant in 0..<100 {
            for _ in 0..<(tenant == 0 ? 1_000 : 5) {
                _ = queue.enqueue(tenant, QueuedRequest(tenant: UInt64(tenant)), at: 0, dropped: &dropped)
            }
        }
        for _ in 0..<5 {
            var round: Set<Int> = []
            for _ in 0..<100 { round.insert(queue.dequeue(at: 0, dropped: &dropped)?.payload ?? -1) }
            #expect(round == Set(0..<100))
        }
    }
}

/// 1: all have the same; 1/n: one of n has everything.
func jainIndex(_ shares: [Double]) -> Double {
    let sum = shares.reduce(0, +)
    return sum * sum / (Double(shares.count) * shares.reduce(0) { $0 + $1 * $1 })
}
