extension AdmissionOrder {
    /// The request whose turn it is, charged to its tenant; the caller removes it. `nil` if none waits.
    @usableFromInline internal mutating func take(at now: Int64) -> Int? {
        if byPriority.isEmpty { return nil }
        let band = nextBand(at: now)
        let flow = turn(in: band)
        let slot = flows[flow].queue.first
        flows[flow].deficit -= entries[slot].request.cost
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

    /// The flow to serve: deficit round robin (Shreedhar and Varghese 1995) over the tenants of a band.
    ///
    /// On its visit a flow may take a quantum more: the mean cost of what waits in the band, so that a visit is about
    /// one request. It keeps the turn while that lasts, and takes the rest to its next visit.
    private mutating func turn(in band: Int) -> Int {
        if bands[band].flows == 1 { return onlyTurn(in: band) }
        let quantum = quantum(of: band)
        var visits = 0
        while true {
            let flow = bands[band].ring.first
            if !bands[band].isVisiting {
                flows[flow].deficit += quantum
                bands[band].isVisiting = true
            }
            if flows[flow].deficit >= entries[flows[flow].queue.first].request.cost { return flow }
            bands[band].ring.rotate(&ringLinks)
            bands[band].isVisiting = false
            visits += 1
            if visits == bands[band].flows {
                skipRounds(in: band, quantum)
                visits = 0
            }
        }
    }

    /// Without anyone to share with there is nothing to save up or to owe.
    private mutating func onlyTurn(in band: Int) -> Int {
        let flow = bands[band].ring.first
        flows[flow].deficit = entries[flows[flow].queue.first].request.cost
        bands[band].isVisiting = true
        return flow
    }

    /// Gives every flow the quanta of all rounds in which none of them could be served, at once.
    private mutating func skipRounds(in band: Int, _ quantum: Int) {
        var rounds = Int.max
        var flow = bands[band].ring.head
        while flow >= 0 {
            let missing = entries[flows[Int(flow)].queue.first].request.cost - flows[Int(flow)].deficit
            rounds = min(rounds, (missing - 1) / quantum)
            flow = ringLinks[Int(flow)].next
        }
        if rounds <= 0 { return }
        flow = bands[band].ring.head
        while flow >= 0 {
            flows[Int(flow)].deficit += rounds * quantum
            flow = ringLinks[Int(flow)].next
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
