/// What follows a failed attempt.
package enum RetryVerdict: Sendable, Equatable {
    /// At once, at another endpoint of the pool.
    case elsewhere
    /// At once, at the next target of the tier, or the next tier.
    case nextTarget
    /// In this pool, but not before this time.
    case wait(until: Int64)
    /// The failure is the answer.
    case giveUp(GiveUpReason)
}

/// Why a request is not tried again.
package enum GiveUpReason: UInt8, Sendable, CaseIterable {
    case answerBegun, clientGone, requestFault, notRetryable, attempts, deadline, budget, nothingLeft

    /// For logs, metrics and explanations.
    package var label: StaticString {
        switch self {
        case .answerBegun: "answer_begun"
        case .clientGone: "client_gone"
        case .requestFault: "request_fault"
        case .notRetryable: "not_retryable"
        case .attempts: "attempts"
        case .deadline: "deadline"
        case .budget: "budget"
        case .nothingLeft: "nothing_left"
        }
    }
}

/// How matters stand after a failed attempt.
package struct RetrySituation: Sendable, Equatable {
    package var failure: AttemptFailure
    /// In all, this one counted in.
    package var attemptsMade: Int
    /// Whether the client has been sent a byte.
    package var isAnswerBegun: Bool
    package var place: AttemptPlace
    /// `TierPlan.hasNext`.
    package var hasNextTarget: Bool
    /// When the client must have its answer; `Int64.max`: never.
    package var deadline: Int64

    package init(
        failure: AttemptFailure, attemptsMade: Int, isAnswerBegun: Bool = false, place: AttemptPlace,
        hasNextTarget: Bool, deadline: Int64 = .max
    ) {
        self.failure = failure
        self.attemptsMade = attemptsMade
        self.isAnswerBegun = isAnswerBegun
        self.place = place
        self.hasNextTarget = hasNextTarget
        self.deadline = deadline
    }
}

extension RetryPolicy {
    /// What follows a failed attempt: at once elsewhere, if anything is there; a wait only if nothing else is; and
    /// never a wait after the last attempt.
    ///
    /// - Parameters:
    ///   - now: On the clock of the deadline, nanoseconds.
    ///   - withdraw: Takes one attempt from the retry budget. Called once at most, and only if all else allows.
    package func verdict(
        _ situation: RetrySituation, at now: Int64, _ random: inout SplitMix64, withdraw: () -> Bool
    ) -> RetryVerdict {
        if let reason = obstacle(situation, at: now) { return .giveUp(reason) }
        let verdict = nextPlace(situation, at: now, &random)
        if case .giveUp = verdict { return verdict }
        return withdraw() ? verdict : .giveUp(.budget)
    }

    private func obstacle(_ situation: RetrySituation, at now: Int64) -> GiveUpReason? {
        if situation.failure == .cancelled { return .clientGone }
        if situation.isAnswerBegun { return .answerBegun }
        switch situation.failure {
        case .contextLength, .contentPolicy: return .requestFault
        case .status(let status) where !statuses.contains(status): return .notRetryable
        case .status, .connect, .broken, .timeout, .garbage, .modelMissing, .authentication, .cancelled: break
        }
        if situation.attemptsMade >= attempts { return .attempts }
        return situation.deadline <= now ? .deadline : nil
    }

    private func nextPlace(
        _ situation: RetrySituation, at now: Int64, _ random: inout SplitMix64
    ) -> RetryVerdict {
        // The endpoints of a pool share the credential, so that another of them would say the same.
        let isPoolFault = situation.failure == .authentication
        if situation.place == .elsewhere, !isPoolFault { return .elsewhere }
        if situation.hasNextTarget { return .nextTarget }
        // What the endpoint lacks now it will lack in a moment.
        if isPoolFault { return .giveUp(.nothingLeft) }
        var until = now + backoff(attemptsMade: situation.attemptsMade, &random)
        switch situation.place {
        case .sameAgain where situation.failure == .modelMissing: return .giveUp(.nothingLeft)
        case .nowhere: return .giveUp(.nothingLeft)
        case .notBefore(let time): until = max(until, time)
        case .sameAgain, .elsewhere: break
        }
        return until < situation.deadline ? .wait(until: until) : .giveUp(.deadline)
    }
}
