internal import Synchronization

extension EndpointRecord {
    /// Takes a place for a request: the commit of a pick.
    ///
    /// - Returns: `nil` if the endpoint is at its limit, full, ejected, draining or gone, or another request was
    ///   faster to a half-open one: try the next.
    package func claim(at now: Int64) -> Claim? {
        let word = HealthWord(rawValue: word.load(ordering: .acquiring))
        switch word.standing(fullUntil: fullUntil.load(ordering: .relaxed), at: now) {
        case .ready, .warming:
            return takePlace() ? Claim(generation: word.generation, isProbe: false) : nil
        case .halfOpen:
            return claimHalfOpen(at: now)
        case .suspect, .unreachable, .full, .draining, .gone:
            return nil
        }
    }

    /// Takes a place whatever the limit and the standing: in panic, and when nothing else is left.
    package func claimAnyway(at now: Int64) -> Claim {
        inFlightCount.wrappingAdd(1, ordering: .relaxed)
        let word = HealthWord(rawValue: word.load(ordering: .acquiring))
        if word.standing(fullUntil: fullUntil.load(ordering: .relaxed), at: now) == .halfOpen,
            let claim = change({ health, _ in health.claimHalfOpen(at: now) })
        {
            return claim
        }
        return Claim(generation: word.generation, isProbe: false)
    }

    private func claimHalfOpen(at now: Int64) -> Claim? {
        change { health, _ in
            guard health.standing(at: now) == .halfOpen, takePlace() else { return nil }
            return health.claimHalfOpen(at: now)
        }
    }

    /// Not one place too many, also when threads meet.
    private func takePlace() -> Bool {
        let limit = limitCount.load(ordering: .relaxed)
        var current = inFlightCount.load(ordering: .relaxed)
        while current < limit {
            let (done, original) = inFlightCount.weakCompareExchange(
                expected: current, desired: current + 1, ordering: .relaxed)
            if done { return true }
            current = original
        }
        return false
    }

    /// Takes in the time from sending the request to the first token (or byte) of its answer.
    ///
    /// - Returns: The change if this brought the endpoint back: a half-open one does not wait for the whole answer.
    package func firstToken(_ claim: Claim, afterNanos: Int, at now: Int64) -> HealthChange? {
        latency.observe(nanos: afterNanos, at: now)
        let word = HealthWord(rawValue: word.load(ordering: .acquiring))
        if word.isUnchangedByToken || word.generation != claim.generation { return nil }
        return change { health, _ in health.answered(claim, at: now) }
    }

    /// Gives the place back and takes in how the attempt ended. Once for each claim.
    ///
    /// A success at an endpoint without blame takes no lock.
    ///
    /// - Parameter retryAfterNanos: Of `.full`: what the endpoint asks for; 0: it does not say.
    /// - Returns: What this changed, for log and metrics.
    package func release(
        _ claim: Claim, _ outcome: AttemptOutcome, retryAfterNanos: Int64 = 0, at now: Int64
    ) -> HealthChange? {
        let (before, _) = inFlightCount.wrappingSubtract(1, ordering: .relaxed)
        precondition(before > 0, "a place is given back once")
        if outcome == .success && countQuietly(claim, at: now) || outcome == .cancelled && !claim.isProbe { return nil }
        if outcome.isFailure || outcome == .full { latency.observe(nanos: PeakLatency.penaltyNanos, at: now) }
        return change { health, random in
            health.observe(outcome, of: claim, retryAfterNanos: retryAfterNanos, at: now, random: &random)
        }
    }

    /// - Returns: Whether the success has nothing to change, and is counted.
    private func countQuietly(_ claim: Claim, at now: Int64) -> Bool {
        let word = HealthWord(rawValue: word.load(ordering: .relaxed))
        let isQuiet =
            word.isBlameless
            || word.hasOnlyFullStreak && now < fullUntil.load(ordering: .relaxed)
            || word.generation != claim.generation && !claim.isProbe
        if isQuiet { uncounted.wrappingAdd(1, ordering: .relaxed) }
        return isQuiet
    }

    /// Takes in what an active probe found.
    package func probed(_ result: ProbeResult, at now: Int64) -> HealthChange? {
        change { health, random in health.probed(result, at: now, random: &random) }
    }

    /// Nothing new from now on; what runs may finish.
    @discardableResult
    package func drain(at now: Int64) -> HealthChange? {
        change { health, _ in health.drain(at: now) }
    }

    /// Ends draining.
    @discardableResult
    package func undrain(at now: Int64) -> HealthChange? {
        change { health, _ in health.undrain(at: now) }
    }

    /// Takes the endpoint out of its pool for good. What runs still counts and is given back.
    @discardableResult
    package func remove(at now: Int64) -> HealthChange? {
        change { health, _ in health.remove(at: now) }
    }

    /// Puts a changed configuration in force; what was learnt stays.
    package func update(_ policy: HealthPolicy) {
        change { health, _ in health.policy = policy }
    }
}
