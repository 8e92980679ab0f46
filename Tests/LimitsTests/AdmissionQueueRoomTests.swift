import Testing

@testable import Limits

/// Who gets in, and who has to leave, when the queue is full.
@Suite struct AdmissionQueueRoomTests {
    struct Row: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var requests = 4
        var bytes = 400
        /// Tenant, priority and bytes of what waits; payloads count from 0.
        var waiting: [(UInt64, Int32, Int)]
        var newcomer: (UInt64, Int32, Int)
        /// `nil`: the newcomer is rejected.
        var evicted: [Int]?
        var reason = DropReason.evictedPriority
    }

    @Test(
        "the newcomer",
        arguments: [
            Row(
                testDescription: "waits where there is room", waiting: [(1, 0, 0), (1, 0, 0), (1, 0, 0)],
                newcomer: (1, 0, 0), evicted: []),
            Row(
                testDescription: "is rejected behind its own requests",
                waiting: [(1, 0, 0), (1, 0, 0), (1, 0, 0), (1, 0, 0)], newcomer: (1, 0, 0), evicted: nil),
            Row(
                testDescription: "takes the place of the newest of a lower band",
                waiting: [(1, 5, 0), (1, 0, 0), (1, 0, 0), (1, 5, 0)], newcomer: (1, 5, 0), evicted: [2]),
            Row(
                testDescription: "takes it from the lowest band, not the next",
                waiting: [(1, 2, 0), (1, 1, 0), (1, 0, 0), (1, 1, 0)], newcomer: (1, 3, 0), evicted: [2]),
            Row(
                testDescription: "takes it from the tenant with most of the lower band",
                waiting: [(1, 0, 0), (2, 0, 0), (2, 0, 0), (3, 0, 0)], newcomer: (9, 1, 0), evicted: [2]),
            Row(
                testDescription: "is rejected below what waits",
                waiting: [(1, 1, 0), (1, 1, 0), (1, 1, 0), (1, 1, 0)], newcomer: (2, 0, 0), evicted: nil),
            Row(
                testDescription: "takes the place of a tenant that has more waiting",
                waiting: [(1, 0, 0), (1, 0, 0), (1, 0, 0), (2, 0, 0)], newcomer: (3, 0, 0), evicted: [2],
                reason: .evictedQueuePressure),
            Row(
                testDescription: "does not when it would then have more itself",
                waiting: [(1, 0, 0), (1, 0, 0), (2, 0, 0), (2, 0, 0)], newcomer: (1, 0, 0), evicted: nil),
            Row(
                testDescription: "is rejected among equals",
                waiting: [(1, 0, 0), (2, 0, 0), (3, 0, 0), (4, 0, 0)], newcomer: (5, 0, 0), evicted: nil),
            Row(
                testDescription: "waits within the bytes", waiting: [(1, 0, 200), (1, 0, 100)], newcomer: (1, 0, 100),
                evicted: []),
            Row(
                testDescription: "is rejected past the bytes", waiting: [(1, 0, 200), (1, 0, 101)],
                newcomer: (1, 0, 100), evicted: nil),
            Row(
                testDescription: "takes several places for its bytes",
                waiting: [(1, 0, 150), (1, 0, 150), (1, 0, 100)], newcomer: (1, 1, 200), evicted: [2, 1]),
            Row(
                testDescription: "takes several places of one tenant for its bytes", requests: 100,
                waiting: [(1, 0, 100), (1, 0, 100), (1, 0, 60), (1, 0, 60), (2, 0, 80)], newcomer: (3, 0, 100),
                evicted: [3, 2], reason: .evictedQueuePressure),
            Row(
                testDescription: "evicts nobody when even that does not do",
                waiting: [(1, 0, 300), (1, 1, 100)], newcomer: (1, 1, 350), evicted: nil),
            Row(
                testDescription: "is rejected when it is larger than all bytes", waiting: [], newcomer: (1, 9, 401),
                evicted: nil),
            Row(
                testDescription: "of negative priority waits up to half the requests", waiting: [(1, -1, 0)],
                newcomer: (2, -1, 0), evicted: []),
            Row(
                testDescription: "of negative priority is shed past half the requests",
                waiting: [(1, 0, 0), (2, 0, 0)],
                newcomer: (2, -1, 0), evicted: nil),
            Row(
                testDescription: "of negative priority is shed past half the bytes", waiting: [(1, 0, 101)],
                newcomer: (2, -1, 100), evicted: nil),
            Row(
                testDescription: "of negative priority takes the place of a lower one",
                waiting: [(1, -9, 0), (1, -9, 0)],
                newcomer: (2, -1, 0), evicted: [1]),
        ])
    func room(_ row: Row) {
        var queue = AdmissionQueueTests.queue(requests: row.requests, bytes: row.bytes)
        var dropped: [Dropped<Int>] = []
        for (payload, waiting) in row.waiting.enumerated() {
            let request = QueuedRequest(tenant: waiting.0, priority: waiting.1, bytes: waiting.2)
            _ = queue.enqueue(payload, request, at: Int64(payload), dropped: &dropped)
        }
        #expect(dropped.isEmpty && queue.count == row.waiting.count)
        let request = QueuedRequest(tenant: row.newcomer.0, priority: row.newcomer.1, bytes: row.newcomer.2)
        let admission = queue.enqueue(-1, request, at: 100, dropped: &dropped)
        #expect(dropped.map(\.waiting.payload) == row.evicted ?? [])
        #expect(dropped.allSatisfy { $0.reason == row.reason })
        if case .rejected(let reason, let retryAfter) = admission {
            #expect(row.evicted == nil && reason == .saturated && retryAfter >= second)
        } else {
            #expect(row.evicted != nil)
        }
    }

    @Test("batch is shed before interactive: not one interactive request is turned away for batch")
    func batchFirst() {
        var queue = AdmissionQueueTests.queue(requests: 100)
        var random = SeededRandom(1)
        var dropped: [Dropped<Int>] = []
        var (interactive, batch) = (0, 0)
        for step in 0..<5_000 {
            let isBatch = random.chance(80)
            let request = QueuedRequest(
                tenant: UInt64.random(in: 0..<5, using: &random), priority: isBatch ? -10 : 0, deadline: .max)
            let admission = queue.enqueue(step, request, at: Int64(step), dropped: &dropped)
            if case .rejected = admission { if isBatch { batch += 1 } else { interactive += 1 } }
            // Interactive load alone is a fifth of the arrivals, and a quarter of them is served.
            if step % 4 == 0 { _ = queue.dequeue(at: Int64(step), dropped: &dropped) }
        }
        interactive += dropped.count { $0.waiting.request.priority == 0 }
        batch += dropped.count { $0.waiting.request.priority < 0 }
        #expect(interactive == 0)
        #expect(batch > 2_000)
    }

    @Test("one who floods a full queue leaves room for every other tenant")
    func flood() {
        var queue = AdmissionQueueTests.queue(requests: 200)
        var dropped: [Dropped<Int>] = []
        for payload in 0..<1_000 {
            _ = queue.enqueue(payload, QueuedRequest(tenant: 0), at: 0, dropped: &dropped)
        }
        for tenant in 1...10 {
            for _ in 0..<10 {
                let admission = queue.enqueue(-1, QueuedRequest(tenant: UInt64(tenant)), at: 1, dropped: &dropped)
                guard case .queued = admission else {
                    Issue.record("tenant \(tenant) was turned away")
                    continue
                }
            }
        }
        #expect(queue.count == 200)
        #expect(dropped.count == 100 && dropped.allSatisfy { $0.waiting.request.tenant == 0 })
    }
}
