import Testing

@testable import Limits

@Suite struct AdaptiveLimitTests {
    /// An engine that serves `slots` at once: who comes beyond waits for one to end.
    struct Engine: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var slots: Int
        var prefillNanos = 50.0e6
        /// How long an answer takes.
        var answerNanos = 2.0e9
        /// Others' requests at the engine.
        var foreign = 0

        func ttft(inFlight: Int, _ random: inout SeededRandom) -> Int64 {
            let waiting = Double(max(0, inFlight + foreign - slots))
            let wait = waiting * answerNanos / Double(slots)
            // One prompt in twenty is long.
            let prefill = prefillNanos * (random.chance(5) ? 20 : Double.random(in: 0.7...1.3, using: &random))
            return Int64(prefill + wait * Double.random(in: 0.8...1.2, using: &random))
        }
    }

    /// `rounds` first tokens with as many requests in flight as `demand` and the limit allow.
    private func run(
        _ limit: inout AdaptiveLimit, _ engine: Engine, demand: Int, rounds: Int, from start: Int64 = 0,
        _ random: inout SeededRandom
    ) -> Int64 {
        var now = start
        for _ in 0..<rounds {
            let inFlight = max(1, min(demand, limit.limit))
            now += Int64(engine.answerNanos) / Int64(min(inFlight, engine.slots))
            let old = limit.limit
            let changed = limit.observe(
                ttftNanos: engine.ttft(inFlight: inFlight, &random), inFlight: inFlight, at: now)
            if limit.limit != changed ?? old || changed == old || !(4...1_000).contains(limit.limit) {
                Issue.record("said \(changed ?? -1), is \(limit.limit), was \(old)")
            }
        }
        return now
    }

    static let engines = [
        Engine(testDescription: "8 slots", slots: 8),
        Engine(testDescription: "64 slots", slots: 64),
        Engine(testDescription: "256 slots", slots: 256),
        Engine(testDescription: "64 slots and slow prefill", slots: 64, prefillNanos: 1.0e9),
    ]

    @Test("under more load than it can take the limit settles near what the engine serves at once", arguments: engines)
    func settles(_ engine: Engine) {
        var random = SeededRandom(1)
        var limit = AdaptiveLimit()
        var now = run(&limit, engine, demand: engine.slots / 4, rounds: 200, &random)
        now = run(&limit, engine, demand: 10_000, rounds: 20_000, from: now, &random)
        var seen: [Int] = []
        for _ in 0..<100 {
            now = run(&limit, engine, demand: 10_000, rounds: 100, from: now, &random)
            seen.append(limit.limit)
        }
        let mean = seen.reduce(0, +) / seen.count
        #expect(mean >= engine.slots * 3 / 4 && mean <= engine.slots * 2 + 4, "limits \(seen)")
    }

    @Test("within load it can take nothing is held back: a restart finds the limit in seconds")
    func growsFast() {
        var random = SeededRandom(2)
        let engine = Engine(testDescription: "", slots: 256)
        var limit = AdaptiveLimit()
        let now = run(&limit, engine, demand: 200, rounds: 500, &random)
        #expect(limit.limit >= 200)
        #expect(now < 20 * second)
    }

    @Test("a limit that is not used does not grow")
    func idle() {
        var random = SeededRandom(3)
        var limit = AdaptiveLimit()
        _ = run(&limit, Engine(testDescription: "", slots: 64), demand: 6, rounds: 5_000, &random)
        #expect(limit.limit == 20)
    }

    @Test("a load that is not ours does not take the limit down for ever", arguments: [1.8, 3, 30])
    func workloadChanges(_ factor: Double) {
        var random = SeededRandom(4)
        var engine = Engine(testDescription: "", slots: 64)
        var limit = AdaptiveLimit()
        var now = run(&limit, engine, demand: 50, rounds: 5_000, &random)
        #expect(limit.limit >= 50)
        engine.prefillNanos *= factor
        now = run(&limit, engine, demand: 50, rounds: 5_000, from: now, &random)
        now = run(&limit, engine, demand: 50, rounds: 5_000, from: now, &random)
        #expect(limit.limit >= 40, "limit \(limit.limit)")
    }

    @Test("an engine that loses slots is relieved, and one that gets them back is used again")
    func slotsChange() {
        var random = SeededRandom(5)
        var engine = Engine(testDescription: "", slots: 64)
        var limit = AdaptiveLimit()
        var now = run(&limit, engine, demand: 1_000, rounds: 10_000, &random)
        engine.slots = 16
        now = run(&limit, engine, demand: 1_000, rounds: 5_000, from: now, &random)
        #expect((10...40).contains(limit.limit), "limit \(limit.limit)")
        engine.slots = 64
        _ = run(&limit, engine, demand: 1_000, rounds: 20_000, from: now, &random)
        #expect((48...100).contains(limit.limit), "limit \(limit.limit)")
    }

    @Test("an engine that says it is full is believed, once in a window")
    func refused() {
        var limit = AdaptiveLimit()
        #expect(limit.refused(inFlight: 10) == 9)
        #expect(limit.refused(inFlight: 5) == nil)
        #expect(limit.limit == 9)
        for step in 0..<20 { _ = limit.observe(ttftNanos: 1, inFlight: 1, at: Int64(step) * second) }
        #expect(limit.refused(inFlight: 1) == 4)
    }

    @Test("one long prompt in twenty changes nothing")
    func outliers() {
        var limit = AdaptiveLimit()
        var now: Int64 = 0
        for step in 0..<10_000 {
            now += second / 20
            _ = limit.observe(ttftNanos: step % 20 == 7 ? 60 * second : second / 10, inFlight: limit.limit, at: now)
        }
        #expect(limit.limit == 1_000)
    }

    @Test("prompts of very different lengths do not take the limit down")
    func heavyTail() {
        var random = SeededRandom(6)
        var limit = AdaptiveLimit()
        var now: Int64 = 0
        var least = Int.max
        for step in 0..<40_000 {
            now += second / 100
            // 25 ms...6.4 s, each octave as likely as in six throws of a coin.
            let octaves = (random.next() & 63).nonzeroBitCount + Int.random(in: 0...2, using: &random)
            let inFlight = min(100, limit.limit)
            _ = limit.observe(ttftNanos: 25_000_000 << octaves, inFlight: inFlight, at: now)
            if step > 10_000 { least = min(least, limit.limit) }
        }
        #expect(least >= 100)
    }
}
