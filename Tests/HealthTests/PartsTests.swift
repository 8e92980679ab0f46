@testable import Health
import Testing

@Suite struct PartsTests {
    @Test(
        "weight in slow start",
        arguments: [
            (SlowStart.waiting, 0.0, 102), (SlowStart.settled, 0, 1024), (seconds(100), -1, 102),
            (seconds(100), 0, 102),
            (seconds(100), 1, 194), (seconds(100), 5, 563), (seconds(100), 9.99, 1023), (seconds(100), 10, 1024),
            (seconds(100), 1e6, 1024),
        ])
    func slowStart(beginning: Int64, after: Double, weight: Int) {
        #expect(SlowStart.weight(from: beginning, length: seconds(10), at: seconds(100 + after)) == weight)
        #expect(SlowStart.weight(from: beginning, length: 0, at: seconds(100 + after)) == 1024)
    }

    @Test("weights are within bounds and never fall in slow start")
    func slowStartBounds() {
        for length in [1, 2, 921, 922, 923, 1000, 5_000_000, 10_000_000_000] as [Int64] {
            var last = 0
            for step in 0...1000 {
                let weight = SlowStart.weight(from: 0, length: length, at: length * Int64(step) / 1000)
                #expect((102...1024).contains(weight) && weight >= last)
                last = weight
            }
            #expect(last == 1024)
        }
    }

    @Test("the mean of latencies rises at once and falls by half in 7 s")
    func latency() {
        let latency = PeakLatency()
        #expect(latency.nanos(at: seconds(1)) == 0)
        latency.observe(nanos: 100_000_000, at: seconds(1))
        #expect(isNear(latency.nanos(at: seconds(1)), 100_000_000))
        latency.observe(nanos: 2_000_000_000, at: seconds(1))
        #expect(isNear(latency.nanos(at: seconds(1)), 2_000_000_000))
        // A clock that is behind changes nothing.
        #expect(isNear(latency.nanos(at: seconds(0.5)), 2_000_000_000))
        #expect(isNear(latency.nanos(at: seconds(7.931)), 1_000_000_000))
        #expect(isNear(latency.nanos(at: seconds(14.863)), 500_000_000))
        latency.observe(nanos: 0, at: seconds(7.931))
        #expect(isNear(latency.nanos(at: seconds(7.931)), 1_000_000_000))
        #expect(latency.nanos(at: seconds(10_000)) == 1)
        latency.observe(nanos: Int.max, at: seconds(10_000))
        #expect(latency.nanos(at: seconds(10_000)) > 4_000_000_000_000)
    }

    @Test("the mean converges to steady latencies from above")
    func steadyLatency() {
        let latency = PeakLatency()
        latency.observe(nanos: 5_000_000_000, at: 0)
        for step in 1...1200 { latency.observe(nanos: 200_000_000, at: seconds(Double(step) * 0.1)) }
        #expect(isNear(latency.nanos(at: seconds(120)), 200_000_000))
    }

    private func isNear(_ value: Int, _ expected: Int) -> Bool {
        abs(Double(value) / Double(expected) - 1) < 0.01
    }

    @Test("a word keeps all that it is made of")
    func word() {
        for phase in [HealthWord.Phase.active, .warming, .suspect, .unreachable] {
            for bits in 0..<32 {
                let word = HealthWord(
                    phase, isDraining: bits & 1 != 0, isGone: bits & 2 != 0, hasStrikes: bits & 4 != 0,
                    hasFullStreak: bits & 8 != 0, isHalfOpenTaken: bits & 16 != 0, generation: 0xA5,
                    until: Int64.max)
                #expect(word.generation == 0xA5)
                #expect(word.until == Int64.max & ~0xFFFF)
                #expect(word.isInService == (phase == .active || phase == .warming))
                #expect(word.isDrainingOrGone == (bits & 3 != 0))
                #expect(word.isBlameless == (phase == .active && bits == 0))
                #expect(word.isHalfOpenTaken == (bits & 16 != 0))
                let standing = word.standing(fullUntil: 0, at: 1)
                let expected: [HealthWord.Phase: Standing] = [
                    .active: .ready, .warming: .warming, .suspect: .suspect, .unreachable: .unreachable,
                ]
                #expect(standing == (bits & 2 != 0 ? .gone : bits & 1 != 0 ? .draining : expected[phase]))
            }
        }
        #expect(HealthWord.coarse(-5) == 0)
    }

    @Test("the window forgets, and knows the share of what it reaches back to")
    func window() {
        var window = OutcomeWindow(at: 0)
        window.add(successes: 99)
        let full = window.addFailure(at: seconds(10), window: seconds(10))
        #expect(full.attempts == 100)
        // 5 s later half of the 99 still counts.
        let later = window.addFailure(at: seconds(15), window: seconds(10))
        #expect(later.attempts == 51.5)
        #expect(later.failedShare == 2 / 51.5)
        let muchLater = window.addFailure(at: seconds(1000), window: seconds(10))
        #expect(muchLater.attempts < 1.1)
    }

    @Test("labels are words of their own")
    func labels() {
        #expect(Set(Standing.allCases.map(\.label.description)).count == Standing.allCases.count)
        #expect(Set(AttemptOutcome.allCases.map(\.label.description)).count == AttemptOutcome.allCases.count)
        #expect(Set(HealthReason.allCases.map(\.label.description)).count == HealthReason.allCases.count)
    }
}
