import Health
import Routing
import Testing

@Suite("How the eligible endpoints share the requests")
struct BalancingTests {
    struct Row: CustomTestStringConvertible {
        let testDescription: String
        let balancing: Balancing
        let pool: [Candidate]
        /// In percent of the picks.
        let shares: [ClosedRange<Int>]
    }

    @Test(
        "a pool that stands still",
        arguments: [
            Row(
                testDescription: "least request: idle ones are equals", balancing: .leastRequest,
                pool: [.of(.ready), .of(.ready), .of(.ready), .of(.ready)],
                shares: [24...26, 24...26, 24...26, 24...26]),
            Row(
                testDescription: "least request: the idle one", balancing: .leastRequest,
                pool: [.of(.ready, inFlight: 1), .of(.ready), .of(.ready, inFlight: 2)],
                shares: [0...0, 100...100, 0...0]),
            Row(
                testDescription: "least request: by weight among the idle", balancing: .leastRequest,
                pool: [.of(.ready), .of(.ready, weight: 256)], shares: [79...81, 19...21]),
            Row(
                testDescription: "least request: a slow start counts requests tenfold", balancing: .leastRequest,
                pool: [.of(.ready, inFlight: 5), .of(.ready, inFlight: 1, weight: 102)], shares: [100...100, 0...0]),
            Row(
                testDescription: "least request: a slow start takes its share of a busy pool", balancing: .leastRequest,
                pool: [.of(.ready, inFlight: 20), .of(.ready, inFlight: 1, weight: 102)], shares: [0...0, 100...100]),
            Row(
                testDescription: "random: by weight", balancing: .random,
                pool: [.of(.ready, inFlight: 9), .of(.ready, weight: 512), .of(.ready, weight: 512)],
                shares: [49...51, 24...26, 24...26]),
            Row(
                testDescription: "random: the probe of a half-open one does not wait", balancing: .random,
                pool: [.of(.ready), .of(.halfOpen, weight: 102)], shares: [49...51, 49...51]),
            Row(
                testDescription: "round robin: exactly in turn", balancing: .roundRobin,
                pool: [.of(.ready, inFlight: 9), .of(.suspect), .of(.ready), .of(.ready), .of(.ready)],
                shares: [25...25, 0...0, 25...25, 25...25, 25...25]),
            Row(
                testDescription: "round robin: by weight", balancing: .roundRobin,
                pool: [.of(.ready), .of(.ready, weight: 102)], shares: [90...91, 9...10]),
            Row(
                testDescription: "p2c: the worst of all never wins", balancing: .p2c,
                pool: [.of(.ready, inFlight: 9), .of(.ready, inFlight: 5), .of(.ready, inFlight: 1)],
                shares: [0...0, 32...35, 65...68]),
            Row(
                testDescription: "p2c: idle ones are equals", balancing: .p2c,
                pool: [.of(.ready), .of(.ready), .of(.ready)],
                shares: [32...35, 32...35, 32...35]),
            Row(
                testDescription: "ewma: twice as fast bears one request more", balancing: .ewma,
                pool: [.of(.ready, inFlight: 1, latencyNanos: 100_000_000), .of(.ready, latencyNanos: 250_000_000)],
                shares: [100...100, 0...0]),
            Row(
                testDescription: "ewma: an unknown one is tried", balancing: .ewma,
                pool: [.of(.ready, inFlight: 1, latencyNanos: 100_000_000), .of(.warming)], shares: [0...0, 100...100]),
            Row(
                testDescription: "ewma: a burst does not follow into the unknown", balancing: .ewma,
                pool: [.of(.ready, inFlight: 1, latencyNanos: 100_000_000), .of(.warming, inFlight: 4)],
                shares: [100...100, 0...0]),
            Row(
                testDescription: "ewma: with nothing known, least request", balancing: .ewma,
                pool: [.of(.ready, inFlight: 1), .of(.ready, inFlight: 2)], shares: [100...100, 0...0]),
            Row(
                testDescription: "ewma: what failed is probed in spite of its latency", balancing: .ewma,
                pool: [
                    .of(.ready, inFlight: 1, latencyNanos: 100_000_000), .of(.halfOpen, latencyNanos: 9_000_000_000),
                ], shares: [0...0, 100...100]),
            Row(
                testDescription: "ewma: near-ties are equals but for their load", balancing: .ewma,
                pool: [.of(.ready, latencyNanos: 100_000_000), .of(.ready, latencyNanos: 101_000_000)],
                shares: [49...51, 49...51]),
        ])
    func shares(_ row: Row) {
        let counts = distribution(row.pool, PickPolicy(balancing: row.balancing), picks: 20_000)
        for (count, share) in zip(counts, row.shares) {
            #expect((share.lowerBound * 200...share.upperBound * 200).contains(count), "\(counts)")
        }
    }

    @Test("round robin by weight never lets an endpoint wait long for its turn")
    func evenRoundRobin() {
        var scratch = PickScratch([.of(.ready), .of(.ready, weight: 512), .of(.ready, weight: 512)])
        var random = SplitMix64(seed: 1)
        var last = [0, 0, 0]
        for turn in 0..<10_000 {
            let result = pick(PickPolicy(balancing: .roundRobin), turn: turn, random: &random, scratch: &scratch)
            guard let position = result.position else { continue }
            #expect(turn - last[position] <= (position == 0 ? 4 : 8))
            last[position] = turn
        }
    }

    @Test("a negative turn is a turn")
    func negativeTurn() {
        var scratch = PickScratch([.of(.ready), .of(.ready), .of(.ready)])
        var random = SplitMix64(seed: 1)
        let result = pick(PickPolicy(balancing: .roundRobin), turn: .min, random: &random, scratch: &scratch)
        #expect(result.position != nil)
    }

    @Test(
        "in flight stays level when every pick is committed at once", arguments: [Balancing.leastRequest, .p2c, .ewma])
    func committed(_ balancing: Balancing) {
        var inFlight = [Int](repeating: 0, count: 8)
        var random = SplitMix64(seed: 9)
        var scratch = PickScratch()
        // A burst: nothing ends.
        for _ in 0..<800 {
            scratch.begin()
            for load in inFlight { scratch.append(.of(.ready, inFlight: load, latencyNanos: 50_000_000)) }
            if let position = pick(PickPolicy(balancing: balancing), random: &random, scratch: &scratch).position {
                inFlight[position] += 1
            }
        }
        let spread = (inFlight.max() ?? 0) - (inFlight.min() ?? 0)
        #expect(spread <= (balancing == .leastRequest ? 2 : 10), "\(inFlight)")
    }
}
