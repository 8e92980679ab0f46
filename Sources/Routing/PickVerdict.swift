/// What a pick found of one endpoint.
package enum Verdict: UInt8, Sendable, CaseIterable {
    /// Takes part.
    case eligible
    /// Suspect, and takes part because too few others are left.
    case panic
    /// This request has been there.
    case tried
    /// Answers failed; waits for its time of ejection to end.
    case suspect
    /// Cannot be reached.
    case unreachable
    /// Said itself that it is full.
    case full
    /// As many requests as it may have are in flight.
    case atLimit
    /// Another request took the one probe.
    case probeTaken
    /// Accepts nothing new.
    case draining
    /// No longer configured.
    case gone

    /// For logs and explanations.
    package var label: StaticString {
        switch self {
        case .eligible: "eligible"
        case .panic: "eligible in panic"
        case .tried: "tried"
        case .suspect: "suspect"
        case .unreachable: "unreachable"
        case .full: "full"
        case .atLimit: "at its limit"
        case .probeTaken: "probe taken"
        case .draining: "draining"
        case .gone: "gone"
        }
    }
}

/// What a pick comes to. Positions are those of `PickScratch.candidates`.
package enum PickResult: Sendable, Equatable {
    /// Claim this one; if another request was faster, `PickScratch.nextFallback()`. A claim that respects the standing
    /// is refused where the verdict is `.panic`, and in the last resorts below: those are claimed whatever it is.
    case endpoint(Int)
    /// Those that would do are full or at their limit: another pool, or wait.
    case saturated
    /// Nothing better is left in this pool: not tried yet, but suspect or unreachable. After other pools.
    case lastResort(Int)
    /// All that could answer has been tried: the best of them once more, after a back-off and after other pools.
    case again(Int)
    /// The pool has no endpoint that may ever be asked.
    case none

    /// The chosen endpoint, if there is one.
    package var position: Int? {
        switch self {
        case .endpoint(let position), .lastResort(let position), .again(let position): position
        case .saturated, .none: nil
        }
    }

    /// For logs and explanations.
    package var label: StaticString {
        switch self {
        case .endpoint: "endpoint"
        case .saturated: "saturated"
        case .lastResort: "last resort"
        case .again: "again"
        case .none: "none"
        }
    }
}
