import Health
import Routing
import Testing

@Suite("What a pick comes to")
struct PickTests {
    struct Row: CustomTestStringConvertible {
        let testDescription: String
        let pool: [Candidate]
        let result: PickResult
    }

    @Test(
        "who may be asked, and what is left when nobody may",
        arguments: [
            Row(testDescription: "no endpoint", pool: [], result: .none),
            Row(testDescription: "ready", pool: [.of(.ready)], result: .endpoint(0)),
            Row(testDescription: "never seen", pool: [.of(.warming)], result: .endpoint(0)),
            Row(testDescription: "half-open", pool: [.of(.suspect), .of(.halfOpen)], result: .endpoint(1)),
            Row(testDescription: "draining and gone", pool: [.of(.draining), .of(.gone)], result: .none),
            Row(testDescription: "draining beside ready", pool: [.of(.draining), .of(.ready)], result: .endpoint(1)),
            Row(testDescription: "suspect beside ready", pool: [.of(.suspect), .of(.ready)], result: .endpoint(1)),
            Row(
                testDescription: "unreachable beside ready", pool: [.of(.unreachable), .of(.ready)],
                result: .endpoint(1)),
            Row(testDescription: "full beside ready", pool: [.of(.full), .of(.ready)], result: .endpoint(1)),
            Row(testDescription: "all full", pool: [.of(.full), .of(.full)], result: .saturated),
            Row(
                testDescription: "full beside suspect: busy is no panic", pool: [.of(.full), .of(.suspect)],
                result: .saturated),
            Row(testDescription: "at its limit", pool: [.of(.ready, inFlight: 4, limit: 4)], result: .saturated),
            Row(
                testDescription: "past a limit that was lowered", pool: [.of(.ready, inFlight: 9, limit: 4)],
                result: .saturated),
            Row(testDescription: "below its limit", pool: [.of(.ready, inFlight: 3, limit: 4)], result: .endpoint(0)),
            Row(testDescription: "tried beside ready", pool: [.tried(.ready), .of(.ready)], result: .endpoint(1)),
            Row(testDescription: "tried beside busy", pool: [.tried(.ready), .of(.full)], result: .saturated),
            Row(testDescription: "only suspect left: panic", pool: [.of(.suspect)], result: .endpoint(0)),
            Row(
                testDescription: "suspect beside unreachable: panic", pool: [.of(.unreachable), .of(.suspect)],
                result: .endpoint(1)),
            Row(
                testDescription: "a new suspect before a second try", pool: [.tried(.ready), .of(.suspect)],
                result: .lastResort(1)),
            Row(
                testDescription: "a second try before the unreachable", pool: [.tried(.ready), .of(.unreachable)],
                result: .again(0)),
            Row(
                testDescription: "a suspect before waiting", pool: [.tried(.full), .of(.suspect)],
                result: .lastResort(1)),
            Row(testDescription: "tried and full", pool: [.tried(.full)], result: .saturated),
            Row(testDescription: "tried and suspect", pool: [.tried(.suspect)], result: .again(0)),
            Row(testDescription: "all unreachable", pool: [.of(.unreachable)], result: .lastResort(0)),
            Row(
                testDescription: "one not tried", pool: [.tried(.unreachable), .of(.unreachable)],
                result: .lastResort(1)),
            Row(testDescription: "tried and unreachable", pool: [.tried(.unreachable)], result: .again(0)),
            Row(
                testDescription: "a suspect at its limit", pool: [.of(.suspect, inFlight: 1, limit: 1)],
                result: .lastResort(0)),
        ])
    func result(_ row: Row) {
        for balancing in Balancing.allCases {
            for session in [nil, 7 as UInt64?] {
                let policy = PickPolicy(balancing: balancing, hasAffinity: true)
                #expect(picked(row.pool, policy, session: session) == row.result, "\(balancing.label)")
            }
        }
    }

    @Test("the verdict of each candidate is kept")
    func verdicts() {
        let pool: [Candidate] = [
            .of(.ready), .tried(.ready), .of(.suspect), .of(.unreachable), .of(.full), .of(.draining), .of(.gone),
            .of(.ready, inFlight: 1, limit: 1), .tried(.gone), .of(.warming),
        ]
        var scratch = PickScratch(pool)
        var random = SplitMix64(seed: 1)
        _ = pick(PickPolicy(), random: &random, scratch: &scratch)
        #expect(
            pool.indices.map { scratch.verdict(at: $0) } == [
                .eligible, .tried, .suspect, .unreachable, .full, .draining, .gone, .atLimit, .gone, .eligible,
            ])
    }

    @Test("fallbacks come best first, each once, those lost to others marked")
    func fallbacks() {
        var scratch = PickScratch([
            .of(.ready, inFlight: 3), .of(.ready, inFlight: 1), .of(.halfOpen), .of(.full), .of(.ready, inFlight: 2),
        ])
        var random = SplitMix64(seed: 1)
        #expect(pick(PickPolicy(), random: &random, scratch: &scratch) == .endpoint(2))
        var order: [Int] = []
        while let next = scratch.nextFallback() { order.append(next) }
        #expect(order == [1, 4, 0])
        #expect(scratch.verdict(at: 2) == .probeTaken)
        #expect(scratch.verdict(at: 1) == .atLimit)
        #expect(scratch.nextFallback() == nil)
    }

    @Test("every policy ranks all eligible endpoints, each once", arguments: Balancing.allCases)
    func rankAll(_ balancing: Balancing) {
        var random = SplitMix64(seed: 3)
        for seed in 0..<200 {
            var scratch = PickScratch((0..<9).map { .of(.ready, inFlight: ($0 * seed) % 5) } + [.of(.suspect)])
            let first = pick(PickPolicy(balancing: balancing), turn: seed, random: &random, scratch: &scratch)
            let order = scratch.rankAll()
            #expect(order.first == first.position)
            #expect(order.sorted() == Array(0..<9))
        }
    }

    @Test("nothing is chosen where nothing is eligible, and nothing follows")
    func nothing() {
        var scratch = PickScratch([.of(.full)])
        var random = SplitMix64(seed: 1)
        #expect(pick(PickPolicy(), random: &random, scratch: &scratch) == .saturated)
        #expect(scratch.nextFallback() == nil)
        #expect(scratch.rankAll().isEmpty)
    }

    @Test("in a panic suspects get their share of first attempts, and no retries while a sound one is left")
    func panic() {
        let pool: [Candidate] = [.of(.ready, inFlight: 50), .of(.suspect), .of(.suspect), .of(.suspect)]
        for balancing in Balancing.allCases {
            let counts = distribution(pool, PickPolicy(balancing: balancing), picks: 8000)
            #expect((900...1100).contains(counts[1] + counts[2] + counts[3]), "\(balancing.label) \(counts)")
            let retried = distribution([.tried(.suspect)] + pool, PickPolicy(balancing: balancing), picks: 1000)
            #expect(retried == [0, 1000, 0, 0, 0], "\(balancing.label) \(retried)")
        }
        #expect(distribution([.of(.ready), .of(.suspect)], PickPolicy(), picks: 1000) == [1000, 0])
    }

    @Test("in a panic the sound ones are the fallbacks of a suspect before other suspects")
    func panicFallbacks() {
        var random = SplitMix64(seed: 5)
        let policy = PickPolicy(panicShare: 1)
        for _ in 0..<50 {
            var scratch = PickScratch([.of(.suspect), .of(.ready, inFlight: 9), .of(.suspect), .of(.suspect)])
            let first = pick(policy, random: &random, scratch: &scratch)
            #expect(first.position != 1)
            #expect(scratch.isPanic)
            #expect(scratch.nextFallback() == 1)
            #expect(scratch.rankAll().count == 4)
        }
    }

    @Test("random pools: the rules hold, whatever the policy, and the seed decides")
    func properties() {
        var random = SplitMix64(seed: 11)
        var scratch = PickScratch()
        for round in 0..<100_000 {
            let pool = (0..<random.below(12)).map { _ in Candidate.drawn(&random) }
            let policy = PickPolicy(balancing: Balancing.allCases[round % 5], hasAffinity: random.below(2) == 0)
            let session = random.below(2) == 0 ? random.next() : nil
            scratch.begin()
            for candidate in pool { scratch.append(candidate) }
            var (one, other) = (random, random)
            let result = pick(policy, session: session, turn: round, random: &one, scratch: &scratch)
            let again = pick(policy, session: session, turn: round, random: &other, scratch: &scratch)
            guard result == again, one == other else {
                Issue.record("the same seed gave \(result) and \(again)")
                return
            }
            if let broken = brokenRule(pool, result, isPanic: scratch.isPanic) {
                Issue.record("\(broken): \(result) of \(pool)")
                return
            }
        }
    }

    /// The rule that `result` breaks; `nil` if none. Written from the rules, not from the code.
    private func brokenRule(_ pool: [Candidate], _ result: PickResult, isPanic: Bool) -> String? {
        let sound: Set<Standing> = [.ready, .warming, .halfOpen]
        let usable = pool.filter { !$0.isTried && sound.contains($0.standing) && $0.inFlight < $0.limit }
        let chosen = result.position.map { pool[$0] }
        if let chosen, chosen.standing == .draining || chosen.standing == .gone { return "asked one that leaves" }
        if let chosen, chosen.standing == .full { return "asked one that is full" }
        switch result {
        case .endpoint:
            guard let chosen else { return "no endpoint" }
            if chosen.isTried { return "asked a tried one" }
            if chosen.inFlight >= chosen.limit { return "passed a limit" }
            if chosen.standing == .unreachable { return "asked an unreachable one" }
            if chosen.standing == .suspect, !isPanic { return "asked a suspect" }
        case .again, .lastResort, .saturated, .none:
            if !usable.isEmpty { return "gave up with an endpoint left" }
        }
        if case .again = result, pool.contains(where: { !$0.isTried && $0.standing == .suspect }) {
            return "a second try before a first"
        }
        if result == .none, pool.contains(where: { $0.standing != .gone && $0.standing != .draining }) { return "none" }
        return nil
    }
}
