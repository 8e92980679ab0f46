internal import Health

/// What can still be done when no candidate is eligible, best first.
///
/// An endpoint not tried yet goes before a second try, and a second try at a sound one before suspects that have
/// failed this very request; the unreachable come last, for nothing is known to listen there.
private enum Recourse: CaseIterable {
    case waitForRoom, suspect, repeatSound, waitAfterTrying, repeatSuspect, unreachable, repeatUnreachable

    func admits(_ candidate: Candidate) -> Bool {
        let isFull = candidate.standing == .full
        switch self {
        case .waitForRoom: return !candidate.isTried && (isFull || (candidate.isSound && candidate.isAtLimit))
        case .suspect: return !candidate.isTried && candidate.standing == .suspect
        case .repeatSound: return candidate.isTried && candidate.isSound && !candidate.isAtLimit
        case .waitAfterTrying: return candidate.isTried && (isFull || (candidate.isSound && candidate.isAtLimit))
        case .repeatSuspect: return candidate.isTried && candidate.standing == .suspect
        case .unreachable: return !candidate.isTried && candidate.standing == .unreachable
        case .repeatUnreachable: return candidate.isTried && candidate.standing == .unreachable
        }
    }
}

extension PickScratch {
    /// The best of what is left when nobody is eligible.
    mutating func recourse(_ request: PickRequest, _ random: inout SplitMix64) -> PickResult {
        for recourse in Recourse.allCases {
            rankedCount = 0
            for position in entries.indices where recourse.admits(entries[position].candidate) { rank(position) }
            guard rankedCount > 0 else { continue }
            switch recourse {
            case .waitForRoom, .waitAfterTrying:
                rankedCount = 0
                return .saturated
            case .suspect, .unreachable: return .lastResort(choose(in: 0..<rankedCount, request, &random))
            case .repeatSound, .repeatSuspect, .repeatUnreachable:
                return .again(choose(in: 0..<rankedCount, request, &random))
            }
        }
        return .none
    }
}

extension Candidate {
    fileprivate var isSound: Bool {
        switch standing {
        case .ready, .warming, .halfOpen: true
        case .suspect, .unreachable, .full, .draining, .gone: false
        }
    }
}
