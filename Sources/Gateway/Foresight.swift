internal import Bytes
internal import Health
internal import Limits
internal import OpenAI
internal import Routing
internal import Topology

/// What would be done with a request at this moment.
enum NextStep: Sendable, Equatable {
    case send(pool: String, endpoint: String, model: String)
    /// All endpoints of a tier have as many requests as they may.
    case queue(pool: String, waiting: Int)
    /// Nothing can be had at once; an endpoint may come back in this time.
    case hold(pool: String, forNanos: Int64)
    /// Nothing better is left than an endpoint that is most likely broken.
    case lastResort(pool: String, endpoint: String, model: String)
    /// Another model takes over, for no endpoint of this one can be had.
    case fallback(model: String)
    case reject(status: Int, code: String)
}

/// Walks the way of a request as `Exchange.seek` does, without taking a place anywhere.
struct Foresight {
    private let request: RequestInQuestion
    private let state: GatewayState
    private let seed: UInt64
    private let now: Int64
    /// By slot of the pool, for those that have been looked at.
    private var visits: [Int: Visit] = [:]

    private struct Visit {
        let pick: PickExplanation
        /// Slot of the endpoint that has a place for the request.
        let slot: Int?
        /// What is found where none has.
        let finding: Finding
    }

    init(_ request: RequestInQuestion, _ state: GatewayState, seed: UInt64, at now: Int64) {
        self.request = request
        self.state = state
        self.seed = seed
        self.now = now
        for target in request.tiers.flatMap(\.targets) where visits[target.pool] == nil {
            visits[target.pool] = look(into: target.pool)
        }
    }

    /// The pick in a pool at this moment.
    private func look(into pool: Int) -> Visit {
        let members = state.membersOfPool[pool]
        var scratch = PickScratch()
        for member in members { scratch.append(member.candidate(at: now, isTried: false)) }
        let policy = state.policies[pool].pick
        let random = SplitMix64(seed: seed &+ UInt64(pool))
        let turn = Int(truncatingIfNeeded: seed & 0xFFFF)
        // The same numbers give the same pick twice.
        var (drawn, same) = (random, scratch)
        let result = pick(policy, session: request.hints.session, turn: turn, random: &drawn, scratch: &same)
        let state = state
        var explained = explainPick(
            policy, session: request.hints.session, turn: turn, random: random, scratch: &scratch,
            name: { state.snapshot.endpoints[$0].address.description })
        let load = state.loads[pool]
        let (running, limit) = load.occupancy
        if load.hasWaiting || running >= limit {
            explained.result += load.hasWaiting ? ", after those that wait" : ", but the pool is at its limit"
            return Visit(pick: explained, slot: nil, finding: .busy)
        }
        if case .endpoint(let position) = result {
            return Visit(pick: explained, slot: members[position].slot, finding: .none)
        }
        return Visit(pick: explained, slot: nil, finding: Finding(without: result, members, same, at: now))
    }

    /// The tiers with what each pick would come to.
    func explainTiers() -> [TierExplanation] {
        let (state, visits, request) = (state, visits, request)
        var tiers = Routing.explainTiers(
            request.tiers, session: request.hints.session, random: SplitMix64(seed: seed),
            poolName: { state.snapshot.pools[$0].name }, pick: { visits[$0]?.pick })
        for tier in tiers.indices {
            for (index, target) in request.tiers[tier].targets.enumerated() {
                tiers[tier].targets[index].upstreamModel = request.upstreamModel(target, in: state)
            }
        }
        return tiers
    }

    /// What has been seen on the way.
    private struct Seen {
        var busy: Int?
        var soonest: (pool: Int, at: Int64)?
        var lastResort: (target: Target, slot: Int)?
        var isFull = false
        var isQueueFull = false

        mutating func note(_ time: Int64?, _ pool: Int) {
            guard let time, soonest.map({ time < $0.at }) ?? true else { return }
            soonest = (pool, time)
        }
    }

    /// What would be done.
    func walk() -> NextStep {
        var (plan, random, seen) = (TierPlan(session: request.hints.session), SplitMix64(seed: seed), Seen())
        let tiers = request.tiers
        var tier = 0
        while plan.advance(in: tiers, &random), let index = plan.target {
            if plan.tier != tier {
                if let step = queueing(&seen) { return step }
                tier = plan.tier
            }
            let target = tiers[plan.tier].targets[index]
            guard let visit = visits[target.pool] else { continue }
            if let slot = visit.slot {
                return .send(
                    pool: poolName(target.pool), endpoint: endpointName(slot),
                    model: request.upstreamModel(target, in: state))
            }
            note(visit.finding, target, &seen)
        }
        if let step = queueing(&seen) { return step }
        return waitingOrGivingUp(&seen)
    }

    private func note(_ finding: Finding, _ target: Target, _ seen: inout Seen) {
        switch finding {
        case .busy: if seen.busy == nil { seen.busy = target.pool }
        case .later(let time):
            seen.isFull = true
            seen.note(time, target.pool)
        case .again(_, let time): seen.note(time, target.pool)
        case .lastResort(let slot, let time):
            if seen.lastResort == nil { seen.lastResort = (target, slot) }
            seen.note(time, target.pool)
        case .place, .none: break
        }
    }

    /// The stay in the queue of a tier that is merely busy, if there is one and the queue has room.
    private func queueing(_ seen: inout Seen) -> NextStep? {
        guard let pool = seen.busy else { return nil }
        seen.busy = nil
        guard hasRoom(pool) else {
            seen.isQueueFull = true
            return nil
        }
        let (bands, _) = state.loads[pool].bands(at: now)
        return .queue(pool: poolName(pool), waiting: bands.reduce(0) { $0 + $1.requests })
    }

    /// Whether the queue of a pool would take the request, also by having others make room. Evictions among the
    /// tenants of one band are not foreseen.
    private func hasRoom(_ pool: Int) -> Bool {
        let policy = state.policies[pool].queue
        let (bands, bytes) = state.loads[pool].bands(at: now)
        let share = request.priority < 0 ? policy.sheddableShare : 1
        // Those of lower bands give way.
        let staying = bands.filter { $0.priority >= request.priority }
        let stayingBytes = min(bytes, staying.reduce(0) { $0 + $1.bytes })
        return staying.reduce(0, { $0 + $1.requests }) + 1 <= Int(Double(policy.maxRequests) * share)
            && stayingBytes + request.bodyLength <= Int(Double(policy.maxBytes) * share)
    }

    private func waitingOrGivingUp(_ seen: inout Seen) -> NextStep {
        var limit = now &+ Exchange.holdNanos
        if let timeout = request.hints.timeoutNanos { limit = min(limit, now &+ timeout) }
        if let soonest = seen.soonest, soonest.at < limit, hasRoom(soonest.pool) {
            return .hold(pool: poolName(soonest.pool), forNanos: max(0, soonest.at - now))
        }
        if let (target, slot) = seen.lastResort {
            return .lastResort(
                pool: poolName(target.pool), endpoint: endpointName(slot),
                model: request.upstreamModel(target, in: state))
        }
        let models = state.snapshot.models.models
        var trail = FallbackTrail(model: request.model)
        if case .model(let next) = trail.advance(for: .overload, { models[$0].fallbacks }) {
            return .fallback(model: models[next].name)
        }
        let error: APIError =
            seen.isFull || seen.isQueueFull
            ? .overloaded() : .noHealthyEndpoint(model: Array(request.modelName.utf8).span)
        return .reject(status: error.status, code: error.code ?? "")
    }

    private func poolName(_ slot: Int) -> String { state.snapshot.pools[slot].name }

    private func endpointName(_ slot: Int) -> String { state.snapshot.endpoints[slot].address.description }
}
