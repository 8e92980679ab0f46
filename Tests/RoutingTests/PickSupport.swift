import Health
import Routing

extension Candidate {
    static func of(
        _ standing: Standing, inFlight: Int = 0, limit: Int = .max, weight: Int = 1024, latencyNanos: Int = 0,
        identity: UInt64 = 0
    ) -> Candidate {
        Candidate(
            slot: 0, standing: standing, weight: weight, inFlight: inFlight, limit: limit, latencyNanos: latencyNanos,
            identity: identity)
    }

    static func tried(_ standing: Standing) -> Candidate {
        var candidate = Candidate.of(standing)
        candidate.isTried = true
        return candidate
    }

    /// Any candidate.
    static func drawn(_ random: inout SplitMix64) -> Candidate {
        var candidate = Candidate.of(
            Standing.allCases[random.below(Standing.allCases.count)], inFlight: random.below(5),
            limit: random.below(3) == 0 ? 1 + random.below(4) : .max, weight: 1 + random.below(1024),
            latencyNanos: random.below(2) * random.below(1_000_000_000), identity: random.next())
        candidate.isTried = random.below(4) == 0
        return candidate
    }
}

extension PickScratch {
    init(_ pool: [Candidate]) {
        self.init()
        for candidate in pool { append(candidate) }
    }
}

func picked(_ pool: [Candidate], _ policy: PickPolicy, session: UInt64? = nil, seed: UInt64 = 1) -> PickResult {
    var scratch = PickScratch(pool)
    var random = SplitMix64(seed: seed)
    return pick(policy, session: session, random: &random, scratch: &scratch)
}

/// How often each of a pool that does not change is picked.
func distribution(_ pool: [Candidate], _ policy: PickPolicy, picks: Int) -> [Int] {
    var scratch = PickScratch(pool)
    var random = SplitMix64(seed: 42)
    var counts = pool.map { _ in 0 }
    for turn in 0..<picks {
        guard case .endpoint(let position) = pick(policy, turn: turn, random: &random, scratch: &scratch) else {
            continue
        }
        counts[position] += 1
    }
    return counts
}
