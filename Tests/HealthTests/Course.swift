@testable import Health
import Testing

/// One thing that happens to an endpoint.
enum Step: Sendable {
    /// An attempt that began now ends now.
    case ends(AttemptOutcome)
    /// The same, so many times.
    case many(Int, AttemptOutcome)
    /// The one request to the half-open endpoint.
    case halfOpenEnds(AttemptOutcome)
    /// An answer of the kind of `full` that says for how many seconds.
    case full(Double)
    case firstToken
    case halfOpenFirstToken
    case probe(ProbeResult)
    /// Active probes without an answer.
    case silence(Int)
    case wait(Double)
    case drain
    case undrain
    case remove
}

/// Drives an `EndpointHealth` along a script, with a clock and randomness of its own.
struct Course {
    var health: EndpointHealth
    var now: Int64 = 5_000_000_000
    var random = SplitMix64(seed: 7)
    var changes: [HealthChange] = []

    init(_ policy: HealthPolicy = HealthPolicy()) { health = EndpointHealth(policy, at: now) }

    var standing: Standing { health.standing(at: now) }
    var weight: Int { health.weight(at: now) }

    mutating func run(_ steps: Step...) { run(steps) }

    mutating func run(_ steps: [Step]) {
        for step in steps { run(step) }
    }

    private mutating func run(_ step: Step) {
        switch step {
        case .ends(let outcome): observe(outcome, health.claim)
        case .many(let count, let outcome): for _ in 0..<count { observe(outcome, health.claim) }
        case .halfOpenEnds(let outcome):
            if let claim = health.claimHalfOpen(at: now) { observe(outcome, claim) }
        case .full(let seconds): observe(.full, health.claim, retryAfter: Int64(seconds * 1e9))
        case .firstToken: note(health.answered(health.claim, at: now))
        case .halfOpenFirstToken:
            if let claim = health.claimHalfOpen(at: now) { note(health.answered(claim, at: now)) }
        case .probe(let result): note(health.probed(result, at: now, random: &random))
        case .silence(let count): for _ in 0..<count { run(.probe(.silent)) }
        case .wait(let seconds): now += Int64(seconds * 1e9)
        case .drain: note(health.drain(at: now))
        case .undrain: note(health.undrain(at: now))
        case .remove: note(health.remove(at: now))
        }
    }

    mutating func observe(_ outcome: AttemptOutcome, _ claim: Claim, retryAfter: Int64 = 0) {
        note(health.observe(outcome, of: claim, retryAfterNanos: retryAfter, at: now, random: &random))
    }

    /// Takes the one request to the half-open endpoint, and says which.
    mutating func takeHalfOpen() throws -> Claim {
        let claim = health.claimHalfOpen(at: now)
        return try #require(claim)
    }

    /// Whether the one request may be taken; takes it then.
    mutating func takesHalfOpen() -> Bool { health.claimHalfOpen(at: now) != nil }

    mutating func answered(_ claim: Claim) { note(health.answered(claim, at: now)) }

    private mutating func note(_ change: HealthChange?) {
        if let change { changes.append(change) }
    }
}

/// Seconds as the room wants them.
func seconds(_ value: Double) -> Int64 { Int64(value * 1e9) }
