internal import Bytes
internal import Health
internal import Limits
internal import OpenAI
internal import Reactor
internal import Routing
internal import Telemetry
internal import Topology
internal import Transport

/// What the walk through the targets has seen so far, for when nothing can be had at once.
struct Outlook {
    /// The first target of the tier at hand whose endpoints are busy, by our own count: there the request queues.
    var busy: TierPlan?
    /// The target that can be asked soonest, and when.
    var soonest: (plan: TierPlan, at: Int64)?
    /// The first target with an endpoint that nothing good is expected of, but that is there.
    var lastResort: TierPlan?
    /// When the queue that rejected the request thinks that trying again makes sense.
    var retryAfterNanos: Int64?
    /// Whether an endpoint was passed by for it had said that it is full.
    var isFull = false
    /// Whether the request has waited for an endpoint to come back.
    var hasHeld = false
}

/// From the plan to a place at an endpoint: at once, or after a stay in the queue of a pool.
extension Exchange {
    /// How long a request may wait for an endpoint to come back, where none can be had.
    static let holdNanos: Int64 = 2_000_000_000

    /// Sends the request to the best endpoint there is, or lets it wait for one.
    func seek() {
        if pool < 0, !nextTarget() { return giveUp() }
        // What was busy before an attempt need not be so after it.
        outlook.busy = nil
        if deadline <= worker.reactor.now { return giveUp() }
        while true {
            switch worker.findPlace(pool, self, mayPass: attempts > 0) {
            case .place(let place): return send(to: place)
            case .busy:
                if outlook.busy == nil { outlook.busy = plan }
            case .later(let time):
                outlook.isFull = true
                noteLater(time)
            case .again(_, let time): noteLater(time)
            case .lastResort(_, let time):
                if outlook.lastResort == nil { outlook.lastResort = plan }
                noteLater(time)
            case .none: break
            }
            let tier = plan.tier
            let before = plan
            if nextTarget() {
                guard plan.tier != tier, let busy = outlook.busy else { continue }
                // A tier that is merely busy is waited for; the next one is for when this one cannot.
                let after = plan
                if enqueue(at: busy, until: .max) { return }
                resume(after)
                outlook.busy = nil
            } else {
                plan = before
                if let busy = outlook.busy, enqueue(at: busy, until: .max) { return }
                return waitOrGiveUp()
            }
        }
    }

    private func noteLater(_ time: Int64?) {
        guard let time else { return }
        if let soonest = outlook.soonest, soonest.at <= time { return }
        outlook.soonest = (plan, time)
    }

    /// Goes back to a target that the plan has visited.
    private func resume(_ plan: TierPlan) {
        self.plan = plan
        guard let target = plan.target else { return }
        enter(pool: tiers[plan.tier].targets[target].pool)
    }

    /// Nothing can be had at once.
    private func waitOrGiveUp() {
        if fallsBack(for: .overload) { return }
        let now = worker.reactor.now
        let limit = min(now &+ Exchange.holdNanos, answerBy)
        if !outlook.hasHeld, let soonest = outlook.soonest, soonest.at < limit {
            outlook.hasHeld = true
            if enqueue(at: soonest.plan, until: limit) { return }
        }
        gamble()
    }

    /// Tries an endpoint of which nothing good is expected, if this request has not; else the request has failed.
    private func gamble() {
        guard let plan = outlook.lastResort, attempts == attemptsAtModel else { return giveUp() }
        outlook.lastResort = nil
        resume(plan)
        switch worker.findPlace(pool, self, mayPass: true) {
        case .place(let place): send(to: place)
        case .lastResort(let slot, _), .again(let slot, _): send(to: worker.takePlace(pool, slot, of: state))
        case .busy, .later, .none: giveUp()
        }
    }

    // MARK: The queue

    /// Lets the request wait in the queue of a target's pool. Returns whether it does.
    private func enqueue(at plan: TierPlan, until limit: Int64) -> Bool {
        resume(plan)
        let now = worker.reactor.now
        let load = state.loads[pool]
        let stay = QueueStay()
        let request = QueuedRequest(
            tenant: tenant, priority: priority, cost: 1 + body.bytes.count / 64 + min(facts.maxTokens ?? 256, 1 << 30),
            bytes: body.bytes.count, deadline: min(limit, answerBy))
        switch load.enqueue(worker.waiter(self, stay), request, at: now) {
        case .queued:
            self.stay = stay
            phase = .queued
            queuedAt = now
            due.wake = min(min(limit, answerBy), now &+ state.policies[pool].queue.timeoutNanos) &+ 1_000_000
            armTimer()
            worker.keepDispatching()
            load.dispatch(at: now)
            return true
        case .rejected(let reason, let retryAfter):
            worker.poolMetrics(pool, state).queueRejections[reason.metric].add(on: worker.shard)
            noteDrop(reason, retryAfter)
            return false
        }
    }

    /// When waiting must end for the client to hear of it within its deadline.
    private var answerBy: Int64 { deadline == .max ? .max : deadline - 20_000_000 }

    private var tenant: UInt64 {
        if let tenant = hints.tenant { return tenant }
        let peer = origin.peerText
        return stream.map { worker.tenant(of: $0.request, peer: peer) } ?? 0
    }

    private func noteDrop(_ reason: Limits.DropReason, _ retryAfterNanos: Int64) {
        droppedReason = reason.label
        outlook.retryAfterNanos = retryAfterNanos
        flags.insert(.queueFull)
        if priority < 0, reason != .ttlExpired { flags.insert(.shed) }
    }

    /// A place has come free, and it is this request's turn.
    func placeGranted(_ place: Place, stay: QueueStay, by load: PoolLoad) {
        let now = worker.reactor.now
        guard phase == .queued, stay === self.stay, stream != nil else {
            // The client left in the meantime.
            _ = place.record.release(place.claim, .cancelled, at: now)
            return load.leave(at: now)
        }
        leaveQueue()
        // The place was chosen from the state that is in force, which may not be the one this exchange keeps to.
        guard let place = place.moved(to: state) else {
            _ = place.record.release(place.claim, .cancelled, at: now)
            load.leave(at: now)
            return startOver()
        }
        send(to: place)
    }

    /// The queue gave the request up.
    func waitedInVain(_ reason: Limits.DropReason, retryAfterNanos: Int64, stay: QueueStay) {
        guard phase == .queued, stay === self.stay, stream != nil else { return }
        leaveQueue()
        // The pool is gone; those of the state in force may do.
        if reason == .noEndpoints, state !== worker.state { return startOver() }
        worker.poolMetrics(pool, state).queueRejections[reason.metric].add(on: worker.shard)
        noteDrop(reason, retryAfterNanos)
        goOnAfterQueue()
    }

    private func goOnAfterQueue() {
        if outlook.hasHeld || !nextTarget() { return gamble() }
        outlook.busy = nil
        seek()
    }

    /// Ends the stay in the queue, if there is one.
    func leaveQueue() {
        guard let stay else { return }
        self.stay = nil
        due.wake = .max
        let now = worker.reactor.now
        queueNanos += now - queuedAt
        _ = state.loads[pool].remove(stay, at: now)
        worker.poolMetrics(pool, state).queueWait.observe(nanos: Int(now - queuedAt), on: worker.shard)
        worker.queuedExchanges -= 1
    }

    // MARK: Waiting

    /// Waits a moment before what has been tried is tried again.
    func pause(until time: Int64) {
        phase = .pausing
        due.wake = time
        armTimer()
    }

    func armTimer() {
        let next = due.next
        if next != .max { timer.set(next, on: worker.reactor, self) }
    }

    func timerFired() {
        guard timer.isDue(on: worker.reactor, self) else { return }
        let now = worker.reactor.now
        if due.wake <= now { wake() }
        if due.head <= now {
            due.head = .max
            if phase == .holding { sendHead() }
        }
        if due.firstToken <= now {
            due.firstToken = .max
            firstTokenIsLate()
        }
        if due.hedge <= now {
            due.hedge = .max
            sendHedge()
        }
        if phase != .idle { armTimer() }
    }

    private func wake() {
        due.wake = .max
        switch phase {
        case .queued:
            worker.poolMetrics(pool, state).queueRejections[.expired].add(on: worker.shard)
            if !outlook.hasHeld { noteDrop(.ttlExpired, 1_000_000_000) }
            leaveQueue()
            goOnAfterQueue()
        case .pausing:
            // All have been tried; now each may be tried once more.
            tried.removeAll(keepingCapacity: true)
            seek()
        case .idle, .receiving, .waiting, .gatheringError, .holding, .relaying: break
        }
    }

    // MARK: The end of the walk

    /// Nothing is left to try: another model takes over, or the client is told.
    func giveUp() {
        if lastError == nil || lastError?.status ?? 0 >= 429, fallsBack(for: .overload) { return }
        let now = worker.reactor.now
        // That nobody can be reached was known before: there was no need to find it out by this request.
        let isKnownOutage = isGamble && (lastError?.kind == .upstreamFailed || lastError?.kind == .upstreamTimeout)
        if var error = lastError, !isKnownOutage {
            if attempts > 1 { flags.insert(.retriesExhausted) }
            if error.retryAfterSeconds == nil, relay.retryAfter.isEmpty, error.status >= 502 || error.status == 429 {
                error.retryAfterSeconds = seconds(until: outlook.soonest?.at, at: now)
            }
            return fail(error)
        }
        if let retryAfter = outlook.retryAfterNanos {
            return fail(.overloaded(retryAfterSeconds: max(1, Int(retryAfter / 1_000_000_000))))
        }
        if deadline <= now {
            flags.insert(.totalTimeout)
            return fail(.upstreamTimeout)
        }
        if outlook.isFull {
            flags.insert(.queueFull)
            return fail(.overloaded(retryAfterSeconds: seconds(until: outlook.soonest?.at, at: now)))
        }
        flags.insert(.noHealthyEndpoint)
        droppedReason = Limits.DropReason.noEndpoints.label
        let model = model
        fail(.noHealthyEndpoint(model: model.span, retryAfterSeconds: seconds(until: outlook.soonest?.at, at: now)))
    }

    /// Whole seconds, 1...60.
    private func seconds(until time: Int64?, at now: Int64) -> Int {
        guard let time else { return 5 }
        return min(60, max(1, Int((time - now + 999_999_999) / 1_000_000_000)))
    }
}

extension Limits.DropReason {
    /// The same as a label.
    var metric: Telemetry.DropReason {
        switch self {
        case .saturated: .saturated
        case .ttlExpired: .expired
        case .noEndpoints: .noEndpoints
        case .shuttingDown: .shuttingDown
        case .evictedPriority, .evictedQueuePressure: .evicted
        }
    }
}
