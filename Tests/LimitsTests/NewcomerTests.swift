import Testing

@testable import Limits

/// Tenants that had nothing waiting go before those that have, once.
@Suite struct NewcomerTests {
    struct Load: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var seed: UInt64
        /// Costs of the requests of the backlogged tenants and of the others.
        var backlogged = 1...1
        var others = 1...1
    }

    static let loads = [
        Load(testDescription: "equal costs", seed: 1),
        Load(testDescription: "mixed costs", seed: 2, backlogged: 1...2_000, others: 1...2_000),
        Load(testDescription: "costly requests of the backlogged", seed: 3, backlogged: 500...5_000, others: 1...10),
        Load(testDescription: "costly requests of the others", seed: 4, backlogged: 1...10, others: 500...1_000),
    ]

    @Test("a tenant below its share waits one turn at most among nine that are backlogged", arguments: loads)
    func belowItsShare(_ load: Load) {
        var pool = Pool(load, backlogged: 9)
        // Its fair share, by cost, is one part in ten; it asks for less than half of that.
        let every = 21 * max(1, load.others.upperBound / load.backlogged.upperBound)
        var waited: [Int] = []
        for turn in 0..<every * 200 {
            if turn % every == 0 { pool.send(9, turn) }
            if let taken = pool.serve(), taken.request.tenant == 9 { waited.append(turn - taken.payload) }
        }
        waited.sort()
        #expect(waited.count >= 199)
        #expect(waited[waited.count * 9 / 10] <= 1, "\(waited.suffix(20))")
        // With costs as unequal one of them may be more than it is entitled to until it comes again.
        if load.others.count == 1 { #expect(waited.last! <= 1, "\(waited.suffix(20))") }
    }

    @Test("several such tenants wait for one another and for one turn beside", arguments: [1 as UInt64, 2, 3])
    func severalBelowTheirShares(_ seed: UInt64) {
        var pool = Pool(Load(testDescription: "", seed: seed), backlogged: 5)
        var waited: [Int] = []
        for turn in 0..<20_000 {
            for tenant in 5..<10 where Int.random(in: 0..<1_000, using: &pool.random) < 20 { pool.send(tenant, turn) }
            if let taken = pool.serve(), taken.request.tenant >= 5 { waited.append(turn - taken.payload) }
        }
        waited.sort()
        #expect(waited[waited.count / 2] == 0 && waited[waited.count * 9 / 10] <= 2, "\(waited.suffix(20))")
    }

    @Test(
        "who sends one request at a time, at once or after a pause, gets no more than its share",
        arguments: loads, [0, 1, 3])
    func oneAtATime(_ load: Load, _ pause: Int) {
        var pool = Pool(load, backlogged: 5)
        var served = [Double](repeating: 0, count: 10)
        var due = [Int](repeating: 0, count: 10)
        for turn in 0..<40_000 {
            for tenant in 5..<10 where due[tenant] == turn { pool.send(tenant, turn) }
            guard let taken = pool.serve() else { continue }
            let tenant = Int(taken.request.tenant)
            served[tenant] += Double(taken.request.cost)
            due[tenant] = turn + 1 + (pause == 0 ? 0 : Int.random(in: 1...pause, using: &pool.random))
        }
        let share = served.reduce(0, +) / 10
        #expect(served[5...].allSatisfy { $0 <= share * 1.05 }, "served \(served)")
        // A request that costs less than a turn leaves the rest of it to the backlogged ones.
        if load.others.upperBound >= load.backlogged.upperBound {
            #expect(jainIndex(served) >= 0.95, "served \(served)")
        }
    }

    @Test("who comes just when the ring has passed its mark gets no more than its share")
    func comesAgainAsNewcomer() {
        var pool = Pool(Load(testDescription: "", seed: 1), backlogged: 5)
        var served = [Double](repeating: 0, count: 6)
        for turn in 0..<30_000 {
            let isKnown = pool.queue.order.flowOf.keys.contains { $0.tenant == 5 }
            if !isKnown { pool.send(5, turn) }
            if let taken = pool.serve() { served[Int(taken.request.tenant)] += 1 }
        }
        #expect(jainIndex(served) >= 0.95, "served \(served)")
        #expect(served[5] <= 30_000 / 6 * 1.05, "served \(served)")
    }

    @Test("tenants never seen before do not starve those that wait, nor fill the memory", arguments: [1, 1_000])
    func flood(_ cost: Int) {
        var pool = Pool(Load(testDescription: "", seed: 1, others: cost...cost), backlogged: 3)
        var served = [Double](repeating: 0, count: 3)
        for turn in 0..<30_000 {
            // Twice as many as can be served.
            for tenant in [turn * 2, turn * 2 + 1] { pool.send(10 + tenant, turn) }
            if let taken = pool.serve(), taken.request.tenant < 3 { served[Int(taken.request.tenant)] += 1 }
        }
        // With 500 waiting the ring has a turn after 500 / 3 newcomers.
        #expect(served.reduce(0, +) >= 30_000 / 168, "served \(served)")
        #expect(jainIndex(served) >= 0.95, "served \(served)")
        #expect(pool.queue.order.flows.count <= 500 + AdmissionOrder.maxMarks + 2)
        while pool.queue.dequeue(at: 0, dropped: &pool.dropped) != nil {}
        #expect(pool.queue.order.flowOf.isEmpty && pool.queue.order.bands[0].marks == 0)
    }

    @Test("a request that was put back goes before newcomers, and is charged once")
    func putBack() throws {
        var queue = AdmissionQueueTests.queue()
        var dropped: [Dropped<Int>] = []
        for (payload, tenant) in [1, 1, 2, 2].enumerated() {
            _ = queue.enqueue(payload, QueuedRequest(tenant: UInt64(tenant)), at: 0, dropped: &dropped)
        }
        for expected in [0, 2, 1] {
            for newcomer in 1...20 {
                let taken = try #require(queue.dequeue(at: 1, dropped: &dropped))
                #expect(taken.payload == expected)
                let request = QueuedRequest(tenant: UInt64(expected * 100 + newcomer + 10))
                guard case .queued(let ticket) = queue.enqueue(-1, request, at: 1, dropped: &dropped) else { return }
                _ = queue.putBack(taken, at: 1)
                if newcomer == 20 { #expect(queue.dequeue(at: 1, dropped: &dropped)?.payload == expected) }
                _ = queue.remove(ticket, at: 1)
            }
        }
        #expect(queue.dequeue(at: 2, dropped: &dropped)?.payload == 3)
        #expect(queue.count == 0)
    }
}

/// A queue in which some tenants, counted from 0, always have requests waiting.
private struct Pool: ~Copyable {
    var queue = AdmissionQueueTests.queue(requests: 500, timeout: .max / 2)
    var dropped: [Dropped<Int>] = []
    var random: SeededRandom
    let load: NewcomerTests.Load
    let backlogged: Int

    init(_ load: NewcomerTests.Load, backlogged: Int) {
        self.load = load
        self.backlogged = backlogged
        random = SeededRandom(load.seed)
        for tenant in 0..<backlogged {
            for _ in 0..<20 { send(tenant, -1) }
        }
        // After this the backlogged ones are newcomers no more.
        for _ in 0..<backlogged * 3 { _ = serve() }
    }

    mutating func send(_ tenant: Int, _ payload: Int) {
        let cost = Int.random(in: tenant < backlogged ? load.backlogged : load.others, using: &random)
        _ = queue.enqueue(payload, QueuedRequest(tenant: UInt64(tenant), cost: cost), at: 0, dropped: &dropped)
        dropped.removeAll()
    }

    /// Takes a request; a backlogged tenant sends another at once.
    mutating func serve() -> Waiting<Int>? {
        let taken = queue.dequeue(at: 0, dropped: &dropped)
        if let taken, taken.request.tenant < UInt64(backlogged) { send(Int(taken.request.tenant), -1) }
        return taken
    }
}
