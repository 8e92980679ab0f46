extension EndpointHealth {
    /// Takes the endpoint out of service, for twice as long as the last time if that was not long ago.
    internal mutating func eject(
        _ phase: HealthWord.Phase, _ reason: HealthReason, at now: Int64, random: inout some RandomNumberGenerator
    ) -> HealthChange? {
        let before = standingInTrial(at: now)
        // A failure after a good while has nothing to do with those before.
        if isInService && now - inServiceSince >= max(policy.window, lastEjection) { level = 0 }
        let doubled = policy.ejection << Int64(level)
        let base = min(max(doubled, policy.ejection), policy.maxEjection)
        let jitter = base / 5
        lastEjection = min(base - jitter + Int64.random(in: 0...(2 * jitter), using: &random), policy.maxEjection)
        self.phase = phase
        generation &+= 1
        level = min(level + 1, 16)
        ejections += 1
        ejectedAt = now
        until = HealthWord.coarse(now + lastEjection)
        isHalfOpenTaken = false
        rampStart = SlowStart.waiting
        clearCounts(at: now)
        return changed(from: before, reason, at: now)
    }

    /// Brings the endpoint back into service.
    ///
    /// - Parameter isProven: Whether a request was answered as a whole. If not, the next failure ejects again.
    internal mutating func recover(_ reason: HealthReason, isProven: Bool, at now: Int64) -> HealthChange? {
        let before = standingInTrial(at: now)
        phase = .active
        inServiceSince = now
        generation &+= 1
        isHalfOpenTaken = false
        rampStart = now
        clearCounts(at: now)
        probeFailures = 0
        isOnParole = !isProven
        return changed(from: before, reason, at: now)
    }

    /// As `standing(at:)`, but half open while the one request runs: that is what a verdict on it changes.
    private func standingInTrial(at now: Int64) -> Standing {
        isHalfOpenTaken && !isDraining && !isGone ? .halfOpen : standing(at: now)
    }

    private mutating func clearCounts(at now: Int64) {
        isOnParole = false
        consecutiveErrors = 0
        connectFailures = 0
        window = OutcomeWindow(at: now)
    }

    /// Makes a suspect unreachable; the end of its ejection stays.
    internal mutating func cutOff(_ reason: HealthReason, at now: Int64) -> HealthChange? {
        let before = standing(at: now)
        phase = .unreachable
        return changed(from: before, reason, at: now)
    }

    /// The one request is over without a verdict.
    internal mutating func endHalfOpen(at now: Int64) {
        isHalfOpenTaken = false
        until = HealthWord.coarse(now)
    }

    /// - Returns: The change, unless the standing is as before and it is no new ejection either.
    internal mutating func changed(from before: Standing, _ reason: HealthReason, at now: Int64) -> HealthChange? {
        let after = standing(at: now)
        guard before != after else { return nil }
        lastReason = reason
        changedAt = now
        let end =
            switch after {
            case .suspect, .unreachable: until
            case .full: fullUntil
            case .ready, .warming, .halfOpen, .draining, .gone: now
            }
        return HealthChange(from: before, to: after, reason: reason, forNanos: max(0, end - now))
    }

    /// Nothing new is sent to the endpoint; what runs may finish.
    package mutating func drain(at now: Int64) -> HealthChange? {
        let before = standing(at: now)
        isDraining = true
        return changed(from: before, .drained, at: now)
    }

    /// Ends draining. An endpoint in service begins as a new one: who drains an engine mostly restarts it.
    package mutating func undrain(at now: Int64) -> HealthChange? {
        guard isDraining else { return nil }
        let before = standing(at: now)
        isDraining = false
        if isInService {
            phase = .warming
            rampStart = SlowStart.waiting
        }
        return changed(from: before, .undrained, at: now)
    }

    /// Takes the endpoint out of its pool for good.
    package mutating func remove(at now: Int64) -> HealthChange? {
        let before = standing(at: now)
        isGone = true
        return changed(from: before, .removed, at: now)
    }
}
