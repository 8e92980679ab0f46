internal import Bytes
internal import Health
internal import HTTP
internal import Reactor
internal import Routing
internal import Topology

/// What looking for a place in a pool comes to.
enum Finding {
    /// It is taken.
    case place(Place)
    /// All that would do have as many requests as they may.
    case busy
    /// All that would do have said that they are full, or are being tried by another request: not before this time.
    case later(Int64?)
    /// Only what has been tried is left: this endpoint; `nil` if it may be tried again after a pause, else when.
    case again(slot: Int, Int64?)
    /// Only what is most likely broken is left: this endpoint, and when it is worth a try.
    case lastResort(slot: Int, Int64?)
    /// Nothing at all.
    case none
}

extension GatewayWorker {
    /// Picks an endpoint of a pool for a request and takes a place there, before anything else can happen.
    ///
    /// - Parameter mayPass: Whether the request may go before those that wait: it has waited already.
    func findPlace(_ pool: Int, _ exchange: Exchange, mayPass: Bool) -> Finding {
        let load = exchange.state.loads[pool]
        if !mayPass, load.hasWaiting { return .busy }
        guard load.enter() else { return .busy }
        let now = reactor.now
        let members = exchange.state.membersOfPool[pool]
        scratch.begin()
        for member in members {
            let isTried = exchange.tried.contains(Int32(truncatingIfNeeded: member.slot))
            scratch.append(member.candidate(at: now, isTried: isTried))
        }
        let result = pick(
            exchange.state.policies[pool].pick, session: exchange.hints.session, turn: takeTurn(inPool: pool),
            random: &random, scratch: &scratch)
        if case .endpoint(let position) = result, let place = claim(position, members, at: now) {
            return .place(place)
        }
        load.leave(at: now)
        switch result {
        case .endpoint: return .busy
        case .saturated:
            let isBusy = members.indices.contains { scratch.verdict(at: $0) == .atLimit }
            return isBusy ? .busy : .later(retryTime(members, at: now))
        case .again(let position):
            let isSound = scratch.candidate(at: position).standing == .ready
            return .again(slot: members[position].slot, isSound ? nil : retryTime(members, at: now))
        case .lastResort(let position):
            return .lastResort(slot: members[position].slot, retryTime(members, at: now))
        case .none: return .none
        }
    }

    /// Takes a place at the endpoint at `position`, or at the next best if others were faster.
    private func claim(_ position: Int, _ members: [EndpointMember], at now: Int64) -> Place? {
        var position = position
        while true {
            let member = members[position]
            if scratch.verdict(at: position) == .panic {
                return Place(slot: member.slot, record: member.record, claim: member.record.claimAnyway(at: now))
            }
            if let claim = member.record.claim(at: now) {
                return Place(slot: member.slot, record: member.record, claim: claim)
            }
            guard let next = scratch.nextFallback() else { return nil }
            position = next
        }
    }

    /// Takes a place at an endpoint whatever its standing.
    func takePlace(_ pool: Int, _ slot: Int) -> Place {
        _ = state.loads[pool].enter()
        let record = state.members[slot].record
        return Place(slot: slot, record: record, claim: record.claimAnyway(at: reactor.now))
    }

    /// When the first of a pool's endpoints may be asked.
    private func retryTime(_ members: [EndpointMember], at now: Int64) -> Int64? {
        var soonest: Int64?
        for member in members {
            if let time = member.record.retryAt(now) { soonest = min(soonest ?? .max, time) }
        }
        return soonest
    }

    /// The exchange as the queue of a pool needs it.
    func waiter(_ exchange: Exchange) -> Waiter {
        Waiter(
            exchange: ReactorBound(exchange, on: reactor), stay: exchange.stay, tried: exchange.tried,
            generation: exchange.state.snapshot.generation)
    }

    /// Who a request is counted to where it does not say: its credential, else its address.
    func tenant(of request: borrowing RequestHead, peer: [UInt8]) -> UInt64 {
        let fields = request.fields
        for field in fields.fields where field.name.isCredential && field.name != .cookie {
            return stableHash(fields.bytes.span.extracting(field.valueRange), seed: tenantSeed)
        }
        return stableHash(peer.span, seed: tenantSeed)
    }
}
