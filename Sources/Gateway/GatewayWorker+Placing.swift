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
        guard load.enter() else { return .busy }
        let now = reactor.now
        let members = exchange.state.membersOfPool[pool]
        scratch.fill(members, tried: exchange.tried, at: now)
        let result = pick(
            exchange.state.policies[pool].pick, session: exchange.hints.session, turn: takeTurn(inPool: pool),
            random: &random, scratch: &scratch)
        guard case .endpoint(let position) = result else {
            load.leave(at: now)
            return Finding(without: result, members, scratch, at: now)
        }
        // Those that wait go first; what is free goes to the first of them in a moment.
        if mayPass || !load.hasWaiting {
            if let place = scratch.claim(position, members, at: now) { return .place(place) }
            load.leave(at: now)
            // Others were faster: to the last place, or to the one request that tries an ejected endpoint.
            return Finding(without: .saturated, members, scratch, at: now)
        }
        load.leave(at: now)
        return .busy
    }

    /// Takes a place at a sound endpoint that the request has not tried, whatever the limits: the client has part of
    /// its answer, so that it cannot wait, and it had a place until a moment ago.
    func findPlaceForRest(_ pool: Int, _ exchange: Exchange) -> Place? {
        let now = reactor.now
        let members = exchange.state.membersOfPool[pool]
        scratch.fill(members, tried: exchange.tried, ignoresLimits: true, at: now)
        let result = pick(
            exchange.state.policies[pool].pick, turn: takeTurn(inPool: pool), random: &random, scratch: &scratch)
        guard case .endpoint(let position) = result else { return nil }
        exchange.state.loads[pool].enterAnyway()
        let member = members[position]
        return Place(slot: member.slot, record: member.record, claim: member.record.claimAnyway(at: now))
    }

    /// Takes a place at an endpoint whatever its standing.
    func takePlace(_ pool: Int, _ slot: Int, of state: GatewayState) -> Place {
        state.loads[pool].enterAnyway()
        let record = state.members[slot].record
        return Place(slot: slot, record: record, claim: record.claimAnyway(at: reactor.now), isGamble: true)
    }

    /// The exchange as the queue of a pool needs it.
    func waiter(_ exchange: Exchange, _ stay: QueueStay) -> Waiter {
        Waiter(
            exchange: ReactorBound(exchange, on: reactor), stay: stay, tried: exchange.tried,
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
