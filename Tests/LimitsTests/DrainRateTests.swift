import Testing

@testable import Limits

@Suite struct DrainRateTests {
    @Test("the rate is that of the requests taken", arguments: [0.2, 1, 50, 2_000])
    func rate(_ perSecond: Double) {
        var drain = DrainRate()
        for step in 0..<Int(max(40, 40 * perSecond)) {
            drain.advance(to: Int64(Double(step) / perSecond * 1e9), isBusy: true)
            drain.count(1)
        }
        // Just after a request was taken a slow rate looks half as fast again.
        #expect(drain.perSecond > perSecond * 0.8 && drain.perSecond < perSecond * 1.6)
    }

    @Test("time with nothing waiting does not count")
    func quiet() {
        var drain = DrainRate()
        for step in 0..<1_000 {
            drain.advance(to: Int64(step) * second / 100, isBusy: true)
            drain.count(1)
        }
        let before = drain.perSecond
        drain.advance(to: 3_600 * second, isBusy: false)
        #expect(drain.perSecond == before)
    }

    @Test("a pool that stops is noticed")
    func stalled() {
        var drain = DrainRate()
        for step in 0..<1_000 {
            drain.advance(to: Int64(step) * second / 100, isBusy: true)
            drain.count(1)
        }
        drain.advance(to: 100 * second, isBusy: true)
        #expect(drain.perSecond < 12)
        drain.advance(to: 300 * second, isBusy: true)
        #expect(drain.perSecond < 1)
    }

    @Test("a clock that steps back does no harm")
    func backwards() {
        var drain = DrainRate()
        drain.advance(to: 5 * second, isBusy: true)
        drain.count(1)
        let before = drain.perSecond
        drain.advance(to: 4 * second, isBusy: true)
        drain.advance(to: 5 * second, isBusy: true)
        #expect(drain.perSecond == before)
    }

    @Test("Retry-After is the time that the requests ahead take, 1...60 s")
    func retryAfter() {
        var queue = AdmissionQueueTests.queue(requests: 1_000, timeout: 3_600 * second)
        var dropped: [Dropped<Int>] = []
        #expect(queue.retryAfterNanos(priority: 0, at: 0) == second)
        for payload in 0..<500 {
            let priority: Int32 = payload < 100 ? 5 : 0
            _ = queue.enqueue(payload, QueuedRequest(tenant: 1, priority: priority), at: 0, dropped: &dropped)
        }
        // Ten a second for ten seconds.
        for step in 1...100 { _ = queue.dequeue(at: Int64(step) * second / 10, dropped: &dropped) }
        for step in 0..<100 {
            _ = queue.enqueue(step, QueuedRequest(tenant: 1, priority: 5), at: 10 * second, dropped: &dropped)
        }
        let all = queue.retryAfterNanos(priority: 0, at: 10 * second)
        let high = queue.retryAfterNanos(priority: 5, at: 10 * second)
        #expect((40 * second...60 * second).contains(all))
        #expect((8 * second...13 * second).contains(high))
        #expect(queue.retryAfterNanos(priority: 6, at: 10 * second) == second)
        #expect(queue.retryAfterNanos(priority: 0, at: 1_000 * second) == 60 * second)
    }
}
