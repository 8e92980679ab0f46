/// Keeps traffic off an endpoint that fails, lets one request find out whether it works again, and brings it back
/// slowly.
///
/// - `warming` to `ready`: the first token, answer or healthy probe.
/// - In service to `suspect`: failures in a row, a share of failures, one failure soon after it came back.
/// - In service or `suspect` to `unreachable`: failed connects or active probes in a row.
/// - Ejected to `halfOpen`: by time; a healthy probe makes that shorter.
/// - `halfOpen` to `ready`: its one request has a first token or an answer. To ejected, for longer: it fails.
/// - `unreachable` to `ready`: also a healthy probe. Both: also an answer to a request sent in panic.
///
/// Pure: no clock, no I/O, no lock. Time, in nanoseconds of a monotonic clock, and randomness are passed in; the
/// caller acts on the changes that come back. `EndpointRecord` shares one between threads.
package struct EndpointHealth: Sendable {
    package internal(set) var policy: HealthPolicy
    internal var phase = HealthWord.Phase.warming
    internal var isDraining = false
    internal var isGone = false
    /// Counts the times in and out of service, so that an attempt begun before an ejection says nothing after it.
    internal var generation: UInt8 = 0
    /// End of the ejection; of the patience with the one request while that runs.
    internal var until: Int64 = 0
    internal var isHalfOpenTaken = false
    /// Came back on a first token or an active probe, and has not answered one request as a whole yet.
    internal var isOnParole = false

    internal var consecutiveErrors = 0
    internal var connectFailures = 0
    internal var probeFailures = 0
    internal var window: OutcomeWindow

    internal var fullUntil: Int64 = 0
    /// How often in a row it was full.
    internal var fullStreak = 0
    internal var rampStart = SlowStart.waiting

    internal var inServiceSince: Int64
    internal var ejectedAt: Int64 = 0
    internal var lastEjection: Int64 = 0
    /// Ejections that follow each other soon.
    internal var level = 0
    internal var ejections = 0
    internal var successes = 0
    internal var failures = 0
    internal var lastReason = HealthReason.new
    internal var changedAt: Int64

    package init(_ policy: HealthPolicy, at now: Int64) {
        self.policy = policy
        window = OutcomeWindow(at: now)
        inServiceSince = now
        changedAt = now
    }

    /// What may be sent to the endpoint.
    package func standing(at now: Int64) -> Standing { word.standing(fullUntil: fullUntil, at: now) }

    /// The share of an equal endpoint's requests that it should get, of 1,024: slow start.
    package func weight(at now: Int64) -> Int {
        SlowStart.weight(from: rampStart, length: policy.slowStart, at: now)
    }

    /// The claim of a request that is sent now.
    package var claim: Claim { Claim(generation: generation, isProbe: false) }

    /// Takes the one request that a half-open endpoint may get.
    ///
    /// - Returns: `nil` if the endpoint is not half open, or another was faster.
    package mutating func claimHalfOpen(at now: Int64) -> Claim? {
        guard standing(at: now) == .halfOpen else { return nil }
        isHalfOpenTaken = true
        until = HealthWord.coarse(now + policy.halfOpenPatience)
        return Claim(generation: generation, isProbe: true)
    }

    internal var word: HealthWord {
        HealthWord(
            phase, isDraining: isDraining, isGone: isGone,
            hasStrikes: consecutiveErrors > 0 || connectFailures > 0 || probeFailures > 0 || isOnParole,
            hasFullStreak: fullStreak > 0, isHalfOpenTaken: isHalfOpenTaken, generation: generation, until: until)
    }

    internal var isInService: Bool { phase == .active || phase == .warming }

    /// Counts successes that changed nothing, so that the share of failures is right.
    internal mutating func count(successes: Int) {
        self.successes += successes
        window.add(successes: successes)
    }

    /// The first token of an answer came: the endpoint works, though the answer may still break.
    package mutating func answered(_ claim: Claim, at now: Int64) -> HealthChange? {
        guard claim.generation == generation else { return nil }
        guard isInService else {
            return speaksForReturn(claim, at: now) ? recover(claim.answerReason, isProven: false, at: now) : nil
        }
        connectFailures = 0
        probeFailures = 0
        return phase == .warming ? firstAnswer(at: now) : nil
    }

    /// Takes in how an attempt ended.
    ///
    /// - Parameters:
    ///   - claim: What was given when the attempt began.
    ///   - retryAfterNanos: Of `.full`: how long the endpoint wants to be left alone; 0: it does not say.
    ///   - random: For the jitter of an ejection.
    /// - Returns: What changed, if anything.
    package mutating func observe(
        _ outcome: AttemptOutcome, of claim: Claim, retryAfterNanos: Int64 = 0, at now: Int64,
        random: inout some RandomNumberGenerator
    ) -> HealthChange? {
        if outcome == .success { count(successes: 1) }
        if outcome.isFailure { failures += 1 }
        guard concernsNow(claim) else { return nil }
        if !isInService {
            return observeEjected(outcome, claim, retryAfterNanos: retryAfterNanos, at: now, random: &random)
        }
        switch outcome {
        case .cancelled: return nil
        case .success: return succeeded(at: now)
        case .full: return saidFull(retryAfterNanos: retryAfterNanos, at: now)
        case .connectFailed, .serverError, .timeout, .broken, .garbage:
            return failed(outcome, at: now, random: &random)
        }
    }

    /// Whether the attempt began in this time in or out of service. The one request that brought the endpoint back
    /// also belongs to the time that it began.
    private func concernsNow(_ claim: Claim) -> Bool {
        claim.generation == generation
            || claim.isProbe && isInService && isOnParole && claim.generation &+ 1 == generation
    }

    private mutating func succeeded(at now: Int64) -> HealthChange? {
        consecutiveErrors = 0
        connectFailures = 0
        // What answers requests is in service, whatever it answers on the path of the probes.
        probeFailures = 0
        isOnParole = false
        if now >= fullUntil { fullStreak = 0 }
        guard phase == .warming else { return nil }
        return firstAnswer(at: now)
    }

    internal mutating func firstAnswer(at now: Int64) -> HealthChange? {
        let before = standing(at: now)
        phase = .active
        rampStart = now
        return changed(from: before, .firstAnswer, at: now)
    }

    private mutating func failed(
        _ outcome: AttemptOutcome, at now: Int64, random: inout some RandomNumberGenerator
    ) -> HealthChange? {
        let recent = window.addFailure(at: now, window: policy.window)
        consecutiveErrors += 1
        connectFailures = outcome == .connectFailed ? connectFailures + 1 : 0
        let phase = outcome == .connectFailed ? HealthWord.Phase.unreachable : .suspect
        if isOnParole { return eject(phase, .relapsed, at: now, random: &random) }
        if policy.connectFailures > 0 && connectFailures >= policy.connectFailures {
            return eject(.unreachable, .connectFailures, at: now, random: &random)
        }
        if policy.consecutiveErrors > 0 && consecutiveErrors >= policy.consecutiveErrors {
            return eject(.suspect, .consecutiveErrors, at: now, random: &random)
        }
        if recent.attempts >= Double(policy.minimumRequests) && recent.failedShare >= policy.errorRatio {
            return eject(.suspect, .errorRatio, at: now, random: &random)
        }
        return nil
    }

    private mutating func saidFull(retryAfterNanos: Int64, at now: Int64) -> HealthChange? {
        let before = standing(at: now)
        connectFailures = 0
        noteFull(retryAfterNanos: retryAfterNanos, at: now)
        return changed(from: before, .saidFull, at: now)
    }

    /// The end of being full only moves away; a hundred requests refused at once are one refusal.
    private mutating func noteFull(retryAfterNanos: Int64, at now: Int64) {
        if now >= fullUntil || fullStreak == 0 { fullStreak += 1 }
        let doubled = policy.full << Int64(min(fullStreak - 1, 20))
        let wait = retryAfterNanos > 0 ? min(retryAfterNanos, policy.maxRetryAfter) : min(doubled, policy.maxFull)
        fullUntil = max(fullUntil, now + wait)
    }

    /// Whether an answer to this claim ends the ejection.
    ///
    /// Answers in panic do so once the ejection is as old as the first one is long, or else an endpoint that fails
    /// every other request would go in and out with each.
    private func speaksForReturn(_ claim: Claim, at now: Int64) -> Bool {
        claim.isProbe || now - ejectedAt >= policy.ejection
    }

    private mutating func observeEjected(
        _ outcome: AttemptOutcome, _ claim: Claim, retryAfterNanos: Int64, at now: Int64,
        random: inout some RandomNumberGenerator
    ) -> HealthChange? {
        switch outcome {
        case .success:
            return speaksForReturn(claim, at: now) ? recover(claim.answerReason, isProven: true, at: now) : nil
        case .cancelled:
            // The next request may try at once.
            if claim.isProbe { endHalfOpen(at: now) }
            return nil
        case .full:
            noteFull(retryAfterNanos: retryAfterNanos, at: now)
            return claim.isProbe ? recover(.halfOpenAnswered, isProven: false, at: now) : nil
        case .connectFailed:
            if claim.isProbe { return eject(.unreachable, .halfOpenFailed, at: now, random: &random) }
            connectFailures += 1
            guard phase == .suspect, policy.connectFailures > 0, connectFailures >= policy.connectFailures else {
                return nil
            }
            return cutOff(.connectFailures, at: now)
        case .serverError, .timeout, .broken, .garbage:
            connectFailures = 0
            return claim.isProbe ? eject(.suspect, .halfOpenFailed, at: now, random: &random) : nil
        }
    }
}

extension Claim {
    fileprivate var answerReason: HealthReason { isProbe ? .halfOpenAnswered : .panicAnswered }
}
