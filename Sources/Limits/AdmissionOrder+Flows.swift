/// Where the flows of a band stand: among its newcomers, in its ring, or in its ring as a mark.
extension AdmissionOrder {
    /// Marks a band keeps. A flow that is emptied beyond that is forgotten at once.
    internal static let maxMarks = 1024

    /// Leaves a mark where a flow had its last request, until the ring comes to it and it owes nothing.
    ///
    /// Until then the tenant is no newcomer: who sends one request at a time would else be before all others with
    /// every one of them. What is left of its quantum is lost: who has nothing waiting saves nothing up. A band goes
    /// with its last request, and its marks with it.
    internal mutating func emptied(_ flow: Int, in band: Int) {
        bands[band].flows -= 1
        bands[band].marks += 1
        flows[flow].deficit = min(0, flows[flow].deficit)
        if flows[flow].isNew {
            moveToRing(flow)
        } else if bands[band].isVisiting && bands[band].ring.first == flow {
            bands[band].ring.rotate(&ringLinks)
            bands[band].isVisiting = false
        }
        if bands[band].flows == 0 {
            while !bands[band].ring.isEmpty { forget(bands[band].ring.first) }
            byPriority.remove(at: firstBelow(bands[band].priority) - 1)
            freeBands.append(Int32(band))
        } else if bands[band].marks > AdmissionOrder.maxMarks {
            forget(flow)
        }
    }

    /// Makes a mark a flow again, with its place in the ring and with what it owes.
    internal mutating func revive(_ flow: Int) {
        bands[flows[flow].band].marks -= 1
        bands[flows[flow].band].flows += 1
    }

    /// Drops a mark: the next request of its tenant makes a newcomer of it.
    internal mutating func forget(_ flow: Int) {
        leaveRing(flow)
        bands[flows[flow].band].marks -= 1
        flowOf[flows[flow].key] = nil
        freeFlows.append(Int32(flow))
    }

    /// Puts a newcomer behind all others.
    internal mutating func moveToRing(_ flow: Int) {
        let band = flows[flow].band
        bands[band].newcomers.remove(flow, &ringLinks)
        bands[band].newFlows -= 1
        bands[band].ring.append(flow, &ringLinks)
        flows[flow].isNew = false
    }

    /// Puts a flow before all others.
    internal mutating func moveToNewcomers(_ flow: Int) {
        let band = flows[flow].band
        if flows[flow].isNew {
            bands[band].newcomers.remove(flow, &ringLinks)
        } else {
            leaveRing(flow)
            bands[band].newFlows += 1
            flows[flow].isNew = true
        }
        bands[band].newcomers.prepend(flow, &ringLinks)
    }

    private mutating func leaveRing(_ flow: Int) {
        let band = flows[flow].band
        if bands[band].ring.first == flow { bands[band].isVisiting = false }
        bands[band].ring.remove(flow, &ringLinks)
    }
}
