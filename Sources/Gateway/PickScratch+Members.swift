internal import Health
internal import Routing

/// Between picking, which knows numbers, and the records of endpoints, which they are read from.
extension PickScratch {
    /// Reads what picking wants to know of a pool's endpoints.
    ///
    /// - Parameters:
    ///   - tried: Slots of endpoints that have failed the request.
    ///   - ignoresLimits: Whether an endpoint with as many requests as it may have is a candidate, too.
    mutating func fill(
        _ members: [EndpointMember], tried: [Int32], ignoresLimits: Bool = false, at now: Int64
    ) {
        begin()
        for member in members {
            let isTried = tried.contains(Int32(truncatingIfNeeded: member.slot))
            var candidate = member.candidate(at: now, isTried: isTried)
            if ignoresLimits { candidate.limit = .max }
            append(candidate)
        }
    }

    /// Takes a place at the endpoint at `position`, or at the next best if other requests were faster.
    ///
    /// - Parameter mayGamble: Whether a suspect will do.
    mutating func claim(_ position: Int, _ members: [EndpointMember], mayGamble: Bool = true, at now: Int64) -> Place? {
        var position = position
        while true {
            let (slot, record) = (members[position].slot, members[position].record)
            if verdict(at: position) == .panic {
                guard mayGamble else { return nil }
                return Place(slot: slot, record: record, claim: record.claimAnyway(at: now), isGamble: true)
            }
            if let claim = record.claim(at: now) { return Place(slot: slot, record: record, claim: claim) }
            guard let next = nextFallback() else { return nil }
            position = next
        }
    }
}
