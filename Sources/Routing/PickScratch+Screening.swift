internal import Health

extension PickScratch {
    /// Gives each candidate its verdict and ranks those that may be chosen.
    mutating func screen() -> Census {
        (settledCount, isScored, isPanic) = (0, false, false)
        var census = Census()
        var entries = entries.mutableSpan
        for position in 0..<entries.count {
            let verdict = entries[position].candidate.screened(&census)
            entries[position].verdict = verdict
            // Written whether or not it counts: no branch to mispredict.
            entries[census.eligible].ranked = Int32(truncatingIfNeeded: position)
            census.eligible &+= verdict == .eligible ? 1 : 0
        }
        rankedCount = census.eligible
        return census
    }

    /// Lets the suspects this request has not tried take part behind the others.
    mutating func admitSuspects() {
        isPanic = true
        for position in entries.indices
        where entries[position].verdict == .suspect && !entries[position].candidate.isAtLimit {
            entries[position].verdict = .panic
            rank(position)
        }
    }

    /// Lets a candidate take part behind the others.
    mutating func rank(_ position: Int) {
        entries[rankedCount].ranked = Int32(truncatingIfNeeded: position)
        rankedCount += 1
    }
}

extension Candidate {
    /// What this candidate may do by itself; counted.
    @inline(__always)
    fileprivate func screened(_ census: inout Census) -> Verdict {
        census.tried &+= isTried ? 1 : 0
        switch standing {
        case .ready, .warming, .halfOpen:
            census.sound &+= 1
            return isTried ? .tried : isAtLimit ? .atLimit : .eligible
        case .full:
            // Full is not broken: it counts as sound, so that a busy pool does not turn to its suspects.
            census.sound &+= 1
            return isTried ? .tried : .full
        case .suspect:
            census.suspect &+= 1
            return isTried ? .tried : .suspect
        case .unreachable: return isTried ? .tried : .unreachable
        case .draining: return .draining
        case .gone: return .gone
        }
    }
}
