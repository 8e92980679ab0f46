extension AdmissionOrder {
    /// The request whose turn it is, charged to its tenant; the caller removes it. `nil` if none waits.
    @usableFromInline internal mutating func take(at now: Int64) -> Int? {
        if byPriority.isEmpty { return nil }
        let band = nextBand(at: now)
        let flow = turn(in: band)
        let slot = flows[flow].queue.first
        flows[flow].deficit -= entries[slot].request.cost
        if flows[flow].isNew && flows[flow].deficit <= 0 { moveToRing(flow) }
        drain.count(1)
        return slot
    }

    /// The band to serve: the highest with requests, but for one turn in `promotionTurns`.
    ///
    /// That turn goes to a lower band whose oldest request has waited `promotionShare` of the timeout; among several,
    /// to the one whose last promotion is longest ago. So a band that waits gets at least
    /// 1 / (promotionTurns × bands that wait) of all turns, and what is above keeps the rest.
    private mutating func nextBand(at now: Int64) -> Int {
        let top = byPriority[0]
        if turnsSincePromotion < policy.promotionTurns - 1 {
            turnsSincePromotion += 1
            return top
        }
        if byPriority.count < 2 || now < noneDueBefore { return top }
        guard let band = bandDueForPromotion(at: now) else { return top }
        turnsSincePromotion = 0
        promotions += 1
        bands[band].promoted = promotions
        return band
    }

    private mutating func bandDueForPromotion(at now: Int64) -> Int? {
        let arrivedBefore = now - policy.promotionNanos
        var found: Int?
        var oldest = now
        for (place, band) in byPriority.enumerated() {
            let arrived = entries[bands[band].queue.first].request.enqueuedAt
            oldest = min(oldest, arrived)
            if place == 0 || arrived > arrivedBefore { continue }
            if let best = found, bands[best].promoted <= bands[band].promoted { continue }
            found = band
        }
        // Whatever comes from now on is younger: no need to look again before the oldest of these is due.
        if found == nil { noneDueBefore = oldest + policy.promotionNanos }
        return found
    }

    /// Takes note that a band's first request is now one that came at `arrived`, not just now.
    internal mutating func promotionMayBeDue(toArrival arrived: Int64) {
        noneDueBefore = min(noneDueBefore, arrived + policy.promotionNanos)
    }

    /// The flow to serve: deficit round robin (Shreedhar and Varghese 1995) over the tenants of a band, newcomers
    /// first (RFC 8290, 4.2).
    ///
    /// A newcomer has a quantum, the mean cost of what waits in the band: about one request. Its last request may
    /// cost more than is left: then it owes the rest to the ring, at whose end it stands afterwards. So who uses less
    /// than its share need not wait for those who use more.
    private mutating func turn(in band: Int) -> Int {
        if bands[band].flows + bands[band].marks == 1 { return onlyTurn(in: band) }
        if !bands[band].newcomers.isEmpty && (bands[band].newTurns == 0 || !isRingDue(in: band)) {
            return newTurn(in: band)
        }
        bands[band].newTurns = 0
        if bands[band].flows > bands[band].newFlows { return ringTurn(in: band) }
        let quantum = quantum(of: band)
        for _ in 0..<bands[band].marks { pass(bands[band].ring.first, quantum) }
        return newTurn(in: band)
    }

    /// Without anyone to share with there is nothing to save up or to owe.
    private mutating func onlyTurn(in band: Int) -> Int {
        let isNew = !bands[band].newcomers.isEmpty
        let flow = isNew ? bands[band].newcomers.first : bands[band].ring.first
        flows[flow].deficit = entries[flows[flow].queue.first].request.cost
        bands[band].isVisiting = !isNew
        bands[band].newTurns = 0
        return flow
    }

    private mutating func newTurn(in band: Int) -> Int {
        if bands[band].newTurns == 0 {
            let inRing = bands[band].flows - bands[band].newFlows
            bands[band].newTurnsAtMost = max(8, bands[band].flows / max(1, inRing))
        }
        bands[band].newTurns += 1
        return bands[band].newcomers.first
    }

    /// Whether newcomers have had as many turns in a row as they may: 8, or as many as there are flows for each that
    /// waited in the ring, if that is more. Else tenants never seen before, one after the other, would starve it.
    private func isRingDue(in band: Int) -> Bool { bands[band].newTurns >= bands[band].newTurnsAtMost }

    /// On its visit a flow of the ring may take a quantum more. It keeps the turn while that lasts, and takes the rest
    /// to its next visit.
    private mutating func ringTurn(in band: Int) -> Int {
        let quantum = quantum(of: band)
        var visits = 0
        while true {
            let flow = bands[band].ring.first
            if flows[flow].requests == 0 {
                pass(flow, quantum)
            } else {
                if !bands[band].isVisiting {
                    flows[flow].deficit += quantum
                    bands[band].isVisiting = true
                }
                if flows[flow].deficit >= entries[flows[flow].queue.first].request.cost { return flow }
                bands[band].ring.rotate(&ringLinks)
                bands[band].isVisiting = false
            }
            visits += 1
            if visits >= bands[band].flows - bands[band].newFlows + bands[band].marks {
                skipRounds(in: band, quantum)
                visits = 0
            }
        }
    }

    /// The ring's visit to a mark, the first in it: one that owes something pays, any other goes.
    private mutating func pass(_ mark: Int, _ quantum: Int) {
        if flows[mark].deficit >= 0 { return forget(mark) }
        flows[mark].deficit = min(0, flows[mark].deficit + quantum)
        bands[flows[mark].band].ring.rotate(&ringLinks)
    }

    /// Gives every flow the quanta of all rounds in which none of them could be served, at once.
    private mutating func skipRounds(in band: Int, _ quantum: Int) {
        var rounds = Int.max
        var next = bands[band].ring.head
        while next >= 0 {
            let flow = Int(next)
            next = ringLinks[flow].next
            if flows[flow].requests == 0 { continue }
            let missing = entries[flows[flow].queue.first].request.cost - flows[flow].deficit
            rounds = min(rounds, (missing - 1) / quantum)
        }
        if rounds <= 0 { return }
        next = bands[band].ring.head
        while next >= 0 {
            let flow = Int(next)
            next = ringLinks[flow].next
            flows[flow].deficit += rounds * quantum
            if flows[flow].requests > 0 { continue }
            // A mark goes at the first visit at which it owes nothing any more.
            if flows[flow].deficit >= quantum {
                forget(flow)
            } else {
                flows[flow].deficit = min(0, flows[flow].deficit)
            }
        }
    }

    /// What a flow of the band gets on a visit.
    internal func quantum(of band: Int) -> Int { max(1, bands[band].cost / max(1, bands[band].requests)) }

    /// Nanoseconds, 1...60 s, until what is served before a new request of `priority` has been taken.
    @usableFromInline internal func retryAfterNanos(priority: Int32, at now: Int64) -> Int64 {
        var ahead = requests
        for band in byPriority[firstBelow(priority)...] { ahead -= bands[band].requests }
        var drain = drain
        drain.advance(to: now, isBusy: requests > 0)
        return drain.nanos(for: ahead + 1)
    }

    /// Moves the drain rate's clock. Called before requests are added or removed.
    @usableFromInline internal mutating func advance(to now: Int64) { drain.advance(to: now, isBusy: requests > 0) }
}
