internal import Synchronization

/// One endpoint's state of health and load, shared by all reactors.
///
/// Picking reads atomics. Taking and giving back a place at an endpoint that works costs an atomic addition or two.
/// The lock is taken only where something changes: failures, the first success after them, half-open requests.
/// All times are nanoseconds of one monotonic clock; those of different threads may differ by a little.
package final class EndpointRecord: Sendable {
    /// What the lock guards.
    internal struct Guarded: Sendable {
        internal var health: EndpointHealth
        internal var random: SplitMix64
    }

    // Written under the lock only, `word` last: who sees it sees the others, too.
    internal let word: Atomic<UInt64>
    internal let fullUntil: Atomic<Int64>
    internal let rampStart: Atomic<Int64>
    internal let rampLength: Atomic<Int64>

    internal let inFlightCount = Atomic<Int>(0)
    internal let limitCount = Atomic<Int>(Int.max)
    internal let latency = PeakLatency()
    /// Successes that changed nothing and that the guarded state does not know of yet.
    internal let uncounted = Atomic<Int>(0)
    internal let guarded: Mutex<Guarded>

    /// - Parameter seed: For the jitter of ejections; another one for each endpoint.
    package init(_ policy: HealthPolicy, at now: Int64, seed: UInt64) {
        let health = EndpointHealth(policy, at: now)
        word = Atomic(health.word.rawValue)
        fullUntil = Atomic(health.fullUntil)
        rampStart = Atomic(health.rampStart)
        rampLength = Atomic(policy.slowStart)
        guarded = Mutex(Guarded(health: health, random: SplitMix64(seed: seed)))
    }

    /// Places taken and not given back: exact.
    package var inFlight: Int { inFlightCount.load(ordering: .relaxed) }

    /// How many places `claim` gives; `Int.max`: any number.
    package var limit: Int { limitCount.load(ordering: .relaxed) }

    /// - Parameter limit: 1 or more. Below what is in flight: nothing is taken back.
    package func setLimit(_ limit: Int) { limitCount.store(max(1, limit), ordering: .relaxed) }

    /// What may be sent to the endpoint. Lock-free.
    package func standing(at now: Int64) -> Standing {
        let word = HealthWord(rawValue: word.load(ordering: .acquiring))
        return word.standing(fullUntil: fullUntil.load(ordering: .relaxed), at: now)
    }

    /// The share of an equal endpoint's requests that it should get, of 1,024: slow start. Lock-free.
    package func weight(at now: Int64) -> Int {
        SlowStart.weight(
            from: rampStart.load(ordering: .relaxed), length: rampLength.load(ordering: .relaxed), at: now)
    }

    /// Time to the first token: a moving mean that rises at once and falls in seconds. Failures count
    /// as 1 s. 0: nothing is known yet. Lock-free.
    package func latencyNanos(at now: Int64) -> Int { latency.nanos(at: now) }

    /// All that picking wants to know, in one call. Lock-free.
    package func reading(at now: Int64) -> EndpointReading {
        EndpointReading(
            standing: standing(at: now), weight: weight(at: now), inFlight: inFlight, limit: limit,
            latencyNanos: latencyNanos(at: now))
    }

    /// Whether a first token would change nothing but the latency. Lock-free.
    package var isBlameless: Bool { HealthWord(rawValue: word.load(ordering: .relaxed)).isUnchangedByToken }

    /// When a request may be sent: now, at the end of being full, or at the end of the ejection. Lock-free.
    ///
    /// - Returns: `nil` if never, as far as is known: draining or gone.
    package func retryAt(_ now: Int64) -> Int64? {
        let word = HealthWord(rawValue: word.load(ordering: .acquiring))
        if word.isDrainingOrGone { return nil }
        let full = max(now, fullUntil.load(ordering: .relaxed))
        if word.isInService { return full }
        // How the one request goes is known long before the patience with it ends.
        return word.isHalfOpenTaken ? max(full, min(word.until, now + 1_000_000_000)) : max(full, word.until)
    }

    /// The state in plain values.
    package func describe(at now: Int64) -> EndpointDescription {
        let health = change { health, _ in health }
        let standing = health.standing(at: now)
        let isEjected = standing == .suspect || standing == .unreachable
        return EndpointDescription(
            standing: standing, lastReason: health.lastReason,
            lastChangeAgoNanos: max(0, now - health.changedAt), inFlight: inFlight, limit: limit,
            weight: health.weight(at: now), latencyNanos: latencyNanos(at: now),
            consecutiveErrors: health.consecutiveErrors, connectFailures: health.connectFailures,
            probeFailures: health.probeFailures, ejections: health.ejections, ejectionLevel: health.level,
            ejectedForNanos: isEjected ? max(0, health.until - now) : 0,
            fullForNanos: max(0, health.fullUntil - now), isHalfOpenTaken: health.isHalfOpenTaken,
            isDraining: health.isDraining, successes: health.successes, failures: health.failures)
    }

    /// Changes the guarded state and publishes what is read without the lock.
    internal func change<Result: Sendable>(
        _ body: (inout EndpointHealth, inout SplitMix64) -> Result
    ) -> Result {
        guarded.withLock { guarded in
            let before = guarded.health.word
            guarded.health.count(successes: uncounted.exchange(0, ordering: .relaxed))
            let result = body(&guarded.health, &guarded.random)
            fullUntil.store(guarded.health.fullUntil, ordering: .relaxed)
            rampStart.store(guarded.health.rampStart, ordering: .relaxed)
            rampLength.store(guarded.health.policy.slowStart, ordering: .relaxed)
            let after = guarded.health.word
            if after != before { word.store(after.rawValue, ordering: .releasing) }
            return result
        }
    }
}
