import Routing
import Testing
import Topology

@Suite("The walk through tiers")
struct TierPlanTests {
    private func tier(_ weights: Int...) -> Tier {
        Tier(targets: weights.enumerated().map { Target(pool: $0.offset, weight: $0.element) })
    }

    /// Every place a plan visits.
    private func walk(_ tiers: [Tier], session: UInt64? = nil, seed: UInt64 = 1) -> [[Int]] {
        var plan = TierPlan(session: session)
        var random = SplitMix64(seed: seed)
        var places: [[Int]] = []
        while plan.hasNext(in: tiers) {
            guard plan.advance(in: tiers, &random), let target = plan.target else {
                Issue.record("hasNext said otherwise")
                break
            }
            places.append([plan.tier, target])
            #expect(plan.visitedCount == places.count)
        }
        #expect(plan.advance(in: tiers, &random) == false)
        return places
    }

    @Test("tier after tier, and nothing twice")
    func order() {
        let tiers = [tier(1), tier(5, 5, 0), tier(1)]
        for seed in 0..<100 {
            let places = walk(tiers, seed: UInt64(seed))
            #expect(places.map { $0[0] } == [0, 1, 1, 1, 2])
            #expect(Set(places).count == 5)
            // Weight 0 comes last in its tier.
            #expect(places[3] == [1, 2])
        }
        #expect(walk([]).isEmpty)
    }

    @Test("weight 0 everywhere: in order")
    func allSpare() {
        #expect(walk([tier(0, 0, 0)]) == [[0, 0], [0, 1], [0, 2]])
    }

    @Test("the first target is drawn by weight, with and without a session")
    func weights() {
        let tiers = [tier(95, 5)]
        var random = SplitMix64(seed: 3)
        for hasSession in [false, true] {
            var canary = 0
            for _ in 0..<20_000 {
                var plan = TierPlan(session: hasSession ? random.next() : nil)
                _ = plan.advance(in: tiers, &random)
                canary += plan.target == 1 ? 1 : 0
            }
            #expect((900...1100).contains(canary))
        }
    }

    @Test("a session stays, and a greater canary only adds sessions")
    func stable() {
        for session in 0..<2000 {
            let small = walk([tier(95, 5)], session: UInt64(session), seed: 1)[0]
            #expect(walk([tier(95, 5)], session: UInt64(session), seed: 2)[0] == small)
            let large = walk([tier(80, 20)], session: UInt64(session), seed: 3)[0]
            if small == [0, 1] { #expect(large == small) }
        }
    }

    @Test("a failed target's sessions are spread over the others by weight")
    func spread() {
        var counts = [0, 0, 0]
        for session in 0..<9000 {
            let places = walk([tier(1_000_000, 2, 1)], session: UInt64(session) &* 31)
            counts[places[1][1]] += 1
        }
        #expect((5700...6300).contains(counts[1]), "\(counts)")
        #expect((2700...3300).contains(counts[2]), "\(counts)")
    }

    @Test("the draws of two tiers are independent")
    func independent() {
        var both = 0
        for session in 0..<10_000 {
            let places = walk([tier(1, 1), tier(1, 1)], session: UInt64(session))
            both += places[0][1] == places[2][1] ? 1 : 0
        }
        #expect((4800...5200).contains(both))
    }

    @Test("the greatest weights do not overflow, and 64 targets are all visited")
    func large() {
        let wide = Tier(targets: (0..<64).map { Target(pool: $0, weight: 1_000_000) })
        #expect(Set(walk([wide, wide])).count == 128)
        let wider = Tier(targets: (0..<70).map { Target(pool: $0, weight: 1) })
        #expect(walk([wider]).count == TierPlan.targetLimit)
    }
}
