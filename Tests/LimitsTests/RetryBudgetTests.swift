import Testing

@testable import Limits

@Suite struct RetryBudgetTests {
    @Test("an outage is not amplified: retries are a fifth of the load, the start and the floor")
    func outage() {
        let budget = RetryBudget()
        var retries = 0
        // 1,000 requests in 10 s, of which each would like 4 retries.
        for request in 0..<1_000 {
            budget.deposit()
            for _ in 0..<4 where budget.withdraw(at: Int64(request) * second / 100) { retries += 1 }
        }
        #expect((230...200 + 20 + 33).contains(retries))
    }

    @Test("the floor alone: three at once, then three a second")
    func floor() {
        let budget = RetryBudget(initial: 0)
        var times: [Int64] = []
        for step in 0..<300 {
            let now = 7 * second + Int64(step) * second / 100
            if budget.withdraw(at: now) { times.append(now - 7 * second) }
        }
        #expect(times.prefix(3) == [0, second / 100, second / 50])
        #expect((11...12).contains(times.count))
    }

    @Test("without a floor nothing is given that was not paid in")
    func noFloor() {
        let budget = RetryBudget(ratio: 0.25, floorPerSecond: 0, initial: 1)
        #expect(budget.withdraw(at: 0))
        #expect(!budget.withdraw(at: second))
        for _ in 0..<4 { budget.deposit() }
        #expect(budget.available == 1)
        #expect(budget.withdraw(at: second))
        #expect(!budget.withdraw(at: second))
        budget.refund()
        #expect(budget.withdraw(at: second))
    }

    @Test("the bucket holds no more than its capacity")
    func capacity() {
        let budget = RetryBudget(floorPerSecond: 0)
        for _ in 0..<10_000 { budget.deposit() }
        budget.refund()
        #expect(budget.available == 100)
        let taken = (0..<1_000).count { _ in budget.withdraw(at: 0) }
        #expect(taken == 100)
    }

    @Test("threads together get what one would", .timeLimit(.minutes(1)))
    func threads() async {
        let budget = RetryBudget(ratio: 0.2, floorPerSecond: 3, initial: 20, capacity: 1_000_000)
        let taken = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    (0..<50_000).count { _ in
                        budget.deposit()
                        return budget.withdraw(at: 0)
                    }
                }
            }
            return await group.reduce(0, +)
        }
        #expect(taken + budget.available == 40_000 + 20 + 3)
    }
}
