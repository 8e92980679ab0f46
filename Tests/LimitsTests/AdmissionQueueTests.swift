import Testing

@testable import Limits

@Suite struct AdmissionQueueTests {
    static func queue(
        requests: Int = 100, bytes: Int = 1_000_000, timeout: Int64 = 60 * second
    ) -> AdmissionQueue<Int> {
        AdmissionQueue(QueuePolicy(maxRequests: requests, maxBytes: bytes, timeoutNanos: timeout))
    }

    // MARK: Order

    struct Arrival: Sendable {
        var payload: Int
        var tenant: UInt64 = 0
        var priority: Int32 = 0
        var cost = 1
    }

    struct Order: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var arrivals: [Arrival]
        var leaves: [Int]
    }

    @Test(
        "requests leave in the order of",
        arguments: [
            Order(
                testDescription: "coming, within a tenant",
                arrivals: [Arrival(payload: 1), Arrival(payload: 2), Arrival(payload: 3)], leaves: [1, 2, 3]),
            Order(
                testDescription: "priority",
                arrivals: [
                    Arrival(payload: 1, priority: -1), Arrival(payload: 2), Arrival(payload: 3, priority: 7),
                    Arrival(payload: 4, priority: 7), Arrival(payload: 5),
                ], leaves: [3, 4, 2, 5, 1]),
            Order(
                testDescription: "turns of tenants",
                arrivals: [
                    Arrival(payload: 1, tenant: 1), Arrival(payload: 2, tenant: 1), Arrival(payload: 3, tenant: 1),
                    Arrival(payload: 4, tenant: 2), Arrival(payload: 5, tenant: 2), Arrival(payload: 6, tenant: 3),
                ], leaves: [1, 4, 6, 2, 5, 3]),
            Order(
                testDescription: "turns by cost, two of 2 for each of 4",
                arrivals: [
                    Arrival(payload: 1, tenant: 1, cost: 4), Arrival(payload: 2, tenant: 1, cost: 4),
                    Arrival(payload: 3, tenant: 1, cost: 4), Arrival(payload: 4, tenant: 2, cost: 2),
                    Arrival(payload: 5, tenant: 2, cost: 2), Arrival(payload: 6, tenant: 2, cost: 2),
                    Arrival(payload: 7, tenant: 2, cost: 2), Arrival(payload: 8, tenant: 2, cost: 2),
                ], leaves: [1, 4, 5, 2, 6, 7, 3, 8]),
        ])
    func order(_ row: Order) {
        var queue = Self.queue()
        var dropped: [Dropped<Int>] = []
        for arrival in row.arrivals {
            let request = QueuedRequest(tenant: arrival.tenant, priority: arrival.priority, cost: arrival.cost)
            _ = queue.enqueue(arrival.payload, request, at: 0, dropped: &dropped)
        }
        var left: [Int] = []
        while let taken = queue.dequeue(at: 0, dropped: &dropped) { left.append(taken.payload) }
        #expect(left == row.leaves)
        #expect(dropped.isEmpty)
    }

    @Test("a request that was put back is the next of its tenant and band again")
    func putBack() throws {
        var queue = Self.queue()
        var dropped: [Dropped<Int>] = []
        for payload in 1...4 {
            let request = QueuedRequest(tenant: UInt64(payload % 2))
            _ = queue.enqueue(payload, request, at: Int64(payload), dropped: &dropped)
        }
        let taken = try #require(queue.dequeue(at: 10, dropped: &dropped))
        let ticket = queue.putBack(taken, at: 11)
        #expect(queue.count == 4)
        let again = try #require(queue.dequeue(at: 12, dropped: &dropped))
        #expect(again.payload == taken.payload && again.request == taken.request)
        #expect(queue.remove(ticket, at: 12) == nil)
        var left: [Int] = []
        while let taken = queue.dequeue(at: 13, dropped: &dropped) { left.append(taken.payload) }
        #expect(left == [2, 3, 4])
    }

    // MARK: Leaving

    @Test("a client that leaves leaves no trace")
    func remove() throws {
        var queue = Self.queue()
        var dropped: [Dropped<Int>] = []
        var tickets: [QueueTicket] = []
        for payload in 0..<50 {
            let request = QueuedRequest(tenant: UInt64(payload % 7), priority: Int32(payload % 3), bytes: 10)
            guard case .queued(let ticket) = queue.enqueue(payload, request, at: 0, dropped: &dropped) else {
                Issue.record("not queued")
                return
            }
            tickets.append(ticket)
        }
        for (payload, ticket) in tickets.enumerated().shuffled() {
            let removed = queue.remove(ticket, at: 1)
            #expect(removed?.payload == payload)
            #expect(queue.remove(ticket, at: 1) == nil)
        }
        #expect(queue.count == 0 && queue.bytes == 0)
        #expect(queue.nextDeadline == nil && queue.bands(at: 1).isEmpty)
        #expect(queue.order.flowOf.isEmpty)
    }

    @Test("a ticket is good for one stay only, even when the queue has given back its memory")
    func ticketsAfterBurst() throws {
        var queue = Self.queue(requests: 5_000)
        var dropped: [Dropped<Int>] = []
        var first: QueueTicket?
        for payload in 0..<2_000 {
            let admission = queue.enqueue(payload, QueuedRequest(tenant: 1), at: 0, dropped: &dropped)
            if payload == 0, case .queued(let ticket) = admission { first = ticket }
        }
        while queue.dequeue(at: 1, dropped: &dropped) != nil {}
        #expect(queue.order.slots == 0)
        _ = queue.enqueue(1, QueuedRequest(tenant: 1), at: 2, dropped: &dropped)
        #expect(queue.remove(try #require(first), at: 3) == nil)
        #expect(queue.count == 1)
    }

    @Test("a request waits until its deadline or the queue's timeout, whichever is nearer")
    func expiry() {
        var queue = Self.queue(timeout: 100)
        var dropped: [Dropped<Int>] = []
        _ = queue.enqueue(1, QueuedRequest(tenant: 1, deadline: 1_000), at: 0, dropped: &dropped)
        _ = queue.enqueue(2, QueuedRequest(tenant: 1, deadline: 50), at: 0, dropped: &dropped)
        _ = queue.enqueue(3, QueuedRequest(tenant: 1), at: 30, dropped: &dropped)
        #expect(queue.nextDeadline == 50)
        queue.expire(at: 49, dropped: &dropped)
        #expect(dropped.isEmpty)
        queue.expire(at: 50, dropped: &dropped)
        #expect(dropped.map(\.waiting.payload) == [2])
        #expect(queue.dequeue(at: 100, dropped: &dropped)?.payload == 3)
        #expect(dropped.map(\.waiting.payload) == [2, 1])
        #expect(dropped.allSatisfy { $0.reason == .ttlExpired })
    }

    @Test("a request whose deadline has passed does not wait")
    func expiredOnArrival() {
        var queue = Self.queue()
        var dropped: [Dropped<Int>] = []
        let admission = queue.enqueue(1, QueuedRequest(tenant: 1, deadline: 7), at: 7, dropped: &dropped)
        #expect(admission == .rejected(.ttlExpired, retryAfterNanos: second))
        #expect(queue.count == 0)
    }

    @Test("a full queue lets in who comes after others have expired")
    func expiryMakesRoom() {
        var queue = Self.queue(requests: 1, timeout: 10)
        var dropped: [Dropped<Int>] = []
        _ = queue.enqueue(1, QueuedRequest(tenant: 1), at: 0, dropped: &dropped)
        _ = queue.enqueue(2, QueuedRequest(tenant: 1), at: 10, dropped: &dropped)
        #expect(dropped.map(\.reason) == [.ttlExpired])
        #expect(queue.dequeue(at: 11, dropped: &dropped)?.payload == 2)
    }

    @Test("removeAll hands out everything with the reason")
    func removeAll() {
        var queue = Self.queue()
        var dropped: [Dropped<Int>] = []
        for payload in 0..<10 {
            let request = QueuedRequest(tenant: UInt64(payload), priority: Int32(payload % 2))
            _ = queue.enqueue(payload, request, at: 0, dropped: &dropped)
        }
        queue.removeAll(.shuttingDown, at: 1, dropped: &dropped)
        #expect(Set(dropped.map(\.waiting.payload)) == Set(0..<10))
        #expect(dropped.allSatisfy { $0.reason == .shuttingDown })
        #expect(queue.count == 0)
    }

    @Test("numbers at the edges of their types do no harm")
    func edges() {
        var queue = Self.queue(bytes: .max, timeout: .max)
        var dropped: [Dropped<Int>] = []
        for (payload, number) in [Int.min, -1, 0, .max].enumerated() {
            let request = QueuedRequest(tenant: .max, priority: .min, cost: number, bytes: number, deadline: .max)
            _ = queue.enqueue(payload, request, at: 1, dropped: &dropped)
            let lofty = QueuedRequest(tenant: .max, priority: .max, cost: number, bytes: number, deadline: .min)
            _ = queue.enqueue(payload, lofty, at: 1, dropped: &dropped)
        }
        var left = 0
        while queue.dequeue(at: 2, dropped: &dropped) != nil { left += 1 }
        #expect(left == 4)
        #expect(queue.bytes == 0)
    }
}
