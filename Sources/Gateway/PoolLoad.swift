internal import Bytes
internal import Health
internal import Limits
internal import Reactor
internal import Routing
internal import Synchronization

/// One stay of an exchange in the queue of a pool: told apart from later ones, for what comes of it comes late.
final class QueueStay: Sendable {
    /// Changed under the lock of the queue only; `nil` before the stay begins.
    fileprivate let ticket = Mutex<QueueTicket?>(nil)
}

/// An exchange in the queue of a pool.
struct Waiter: Sendable {
    let exchange: ReactorBound<Exchange>
    let stay: QueueStay
    /// Slots of endpoints that have failed it; of the snapshot with this generation.
    let tried: [Int32]
    let generation: Int
}

/// A place at an endpoint, taken for a request.
struct Place: Sendable {
    let slot: Int
    let record: EndpointRecord
    let claim: Claim
    /// Whether it was taken although nothing good is expected of the endpoint: for want of a better one.
    var isGamble = false

    /// The same place with the slot it has in another state; `nil` if that does not know the endpoint.
    func moved(to state: GatewayState) -> Place? {
        if slot < state.members.count, state.members[slot].record === record { return self }
        guard let slot = state.members.firstIndex(where: { $0.record === record }) else { return nil }
        return Place(slot: slot, record: record, claim: claim, isGamble: isGamble)
    }
}

/// What the reactors share of a pool: how many requests run, and who waits. Outlives reloads.
///
/// While nobody waits, a request costs an atomic addition here if the pool has a limit, and nothing if it has none: what
/// every reactor writes to on every request makes two of them slower than one.
final class PoolLoad: Sendable {
    let name: String
    /// Whether the pool has a limit, so that its requests are counted. For good: a pool that gets one gets another load.
    let isLimited: Bool
    private let limit = Atomic<Int>(.max)
    private let running = Atomic<Int>(0)
    private let waiting = Atomic<Int>(0)
    private let guarded: Mutex<Guarded>

    /// How many that cannot be helped may be passed by for one behind them.
    private static let lookAhead = 8

    private struct Guarded: ~Copyable {
        var queue: AdmissionQueue<Waiter>
        var members: [EndpointMember] = []
        var policy = PickPolicy()
        var generation = 0
        var scratch = PickScratch()
        var random: SplitMix64
        var turn = 0
        /// Whether the pool is gone.
        var isClosed = false
    }

    init(name: String, _ policy: PoolPolicy, seed: UInt64) {
        self.name = name
        isLimited = policy.limit != .max
        guarded = Mutex(Guarded(queue: AdmissionQueue(policy.queue), random: SplitMix64(seed: seed)))
    }

    /// Goes over to what a new snapshot says of the pool.
    func update(_ policy: PoolPolicy, _ members: [EndpointMember], generation: Int) {
        limit.store(policy.limit, ordering: .relaxed)
        guarded.withLock { guarded in
            guarded.queue.update(policy.queue)
            guarded.members = members
            guarded.policy = policy.pick
            guarded.generation = generation
            guarded.isClosed = false
        }
    }

    /// Whether requests wait, so that those that come now must not pass them.
    var hasWaiting: Bool { waiting.load(ordering: .relaxed) > 0 }

    /// Takes one of the requests the pool may have at once.
    func enter() -> Bool {
        guard isLimited else { return true }
        let limit = limit.load(ordering: .relaxed)
        var current = running.load(ordering: .relaxed)
        while current < limit {
            let (done, seen) = running.weakCompareExchange(
                expected: current, desired: current + 1, ordering: .relaxed)
            if done { return true }
            current = seen
        }
        return false
    }

    /// Takes one whatever the limit.
    func enterAnyway() {
        if isLimited { running.wrappingAdd(1, ordering: .relaxed) }
    }

    /// Gives it back, and lets the next one go if one waits.
    func leave(at now: Int64) {
        giveBack()
        if hasWaiting { dispatch(at: now) }
    }

    private func giveBack() {
        if isLimited { running.wrappingSubtract(1, ordering: .relaxed) }
    }

    // MARK: The queue

    /// Lets a request wait. Who has to make room for it is told.
    func enqueue(_ waiter: Waiter, _ request: QueuedRequest, at now: Int64) -> Admission {
        var dropped: [Dropped<Waiter>] = []
        let admission = guarded.withLock { guarded in
            if guarded.isClosed { return Admission.rejected(.noEndpoints, retryAfterNanos: 1_000_000_000) }
            let admission = guarded.queue.enqueue(waiter, request, at: now, dropped: &dropped)
            if case .queued(let ticket) = admission { waiter.stay.ticket.withLock { $0 = ticket } }
            waiting.store(guarded.queue.count, ordering: .relaxed)
            return admission
        }
        PoolLoad.tell(dropped)
        return admission
    }

    /// Takes a request out whose client has left, or that waits no longer. Returns whether it still waited.
    func remove(_ stay: QueueStay, at now: Int64) -> Bool {
        guarded.withLock { guarded in
            guard let ticket = stay.ticket.withLock({ $0 }) else { return false }
            let found = guarded.queue.remove(ticket, at: now) != nil
            waiting.store(guarded.queue.count, ordering: .relaxed)
            return found
        }
    }

    /// Lets go as many of those that wait as there is room for.
    func dispatch(at now: Int64) {
        var dropped: [Dropped<Waiter>] = []
        var granted: [(Waiter, Place)] = []
        guarded.withLock { guarded in
            var passedBy: [Waiting<Waiter>] = []
            while passedBy.count < PoolLoad.lookAhead, guarded.queue.count > 0, enter() {
                guard let next = guarded.queue.dequeue(at: now, dropped: &dropped) else {
                    giveBack()
                    break
                }
                if let place = PoolLoad.choose(for: next.payload, &guarded, at: now) {
                    granted.append((next.payload, place))
                } else {
                    giveBack()
                    passedBy.append(next)
                    // What is too much for one that has not failed yet is too much for all.
                    if next.payload.tried.isEmpty { break }
                }
            }
            while let waiter = passedBy.popLast() {
                let ticket = guarded.queue.putBack(waiter, at: now)
                waiter.payload.stay.ticket.withLock { $0 = ticket }
            }
            waiting.store(guarded.queue.count, ordering: .relaxed)
        }
        for (waiter, place) in granted {
            let stay = waiter.stay
            waiter.exchange.submit { $0.placeGranted(place, stay: stay, by: self) }
        }
        PoolLoad.tell(dropped)
    }

    /// Lets nobody wait any more: the pool is gone. To be called once every reactor knows, or will know first.
    func close(at now: Int64) {
        var dropped: [Dropped<Waiter>] = []
        guarded.withLock { guarded in
            guarded.isClosed = true
            guarded.queue.removeAll(.noEndpoints, at: now, dropped: &dropped)
            waiting.store(0, ordering: .relaxed)
        }
        PoolLoad.tell(dropped)
    }

    /// The best place there is now for one that has waited; an endpoint that failed it only if it is the only one.
    private static func choose(for waiter: Waiter, _ guarded: inout Guarded, at now: Int64) -> Place? {
        guard waiter.generation == guarded.generation, !waiter.tried.isEmpty else {
            return choose(avoiding: [], isFirst: waiter.tried.isEmpty, &guarded, at: now)
        }
        return choose(avoiding: waiter.tried, isFirst: false, &guarded, at: now)
            ?? choose(avoiding: [], isFirst: false, &guarded, at: now)
    }

    private static func choose(
        avoiding tried: [Int32], isFirst: Bool, _ guarded: inout Guarded, at now: Int64
    ) -> Place? {
        guarded.scratch.fill(guarded.members, tried: tried, at: now)
        guarded.turn &+= 1
        var policy = guarded.policy
        policy.panicShare = 1
        let result = pick(policy, turn: guarded.turn, random: &guarded.random, scratch: &guarded.scratch)
        guard case .endpoint(let position) = result else { return nil }
        // Who has failed once waits for one that is sound: tries at suspects would multiply an outage.
        return guarded.scratch.claim(position, guarded.members, mayGamble: isFirst, at: now)
    }

    private static func tell(_ dropped: [Dropped<Waiter>]) {
        for item in dropped {
            let (waiter, reason, retryAfter) = (item.waiting.payload, item.reason, item.retryAfterNanos)
            waiter.exchange.submit { $0.waitedInVain(reason, retryAfterNanos: retryAfter, stay: waiter.stay) }
        }
    }

    // MARK: What is seen from outside

    /// How many requests run, if they are counted, and how many may; `Int.max`: any number.
    var occupancy: (running: Int, limit: Int) {
        (running.load(ordering: .relaxed), limit.load(ordering: .relaxed))
    }

    /// The queue by bands, and the bytes of all that wait.
    func bands(at now: Int64) -> (bands: [QueueBand], bytes: Int) {
        guarded.withLock { ($0.queue.bands(at: now), $0.queue.bytes) }
    }
}
