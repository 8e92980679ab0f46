import Dispatch
@testable import Health
import Synchronization
import Testing

/// What several reactors do to the same endpoints at once.
@Suite struct SharingTests {
    /// Counters of a record that the tests keep for themselves.
    private final class Witness: Sendable {
        let record: EndpointRecord
        let number: Int64
        let inFlight = Atomic<Int>(0)
        let successes = Atomic<Int>(0)
        let failures = Atomic<Int>(0)
        /// Half-open requests that run, per time out of service.
        let halfOpen = Mutex<[UInt8: Int]>([:])
        let doubles = Atomic<Int>(0)
        let ejections = Atomic<Int>(0)
        let halfOpens = Atomic<Int>(0)

        init(number: Int) {
            self.number = Int64(number)
            var policy = HealthPolicy()
            policy.halfOpenPatience = seconds(1e6)
            record = EndpointRecord(policy, at: seconds(1), seed: UInt64(number))
        }

        func began(_ claim: Claim) {
            inFlight.wrappingAdd(1, ordering: .relaxed)
            guard claim.isProbe else { return }
            halfOpens.wrappingAdd(1, ordering: .relaxed)
            let running = halfOpen.withLock { running in
                running[claim.generation, default: 0] += 1
                return running[claim.generation, default: 0]
            }
            if running > 1 { doubles.wrappingAdd(1, ordering: .relaxed) }
        }

        func ends(_ claim: Claim, _ outcome: AttemptOutcome) {
            inFlight.wrappingSubtract(1, ordering: .relaxed)
            if outcome == .success { successes.wrappingAdd(1, ordering: .relaxed) }
            if outcome.isFailure { failures.wrappingAdd(1, ordering: .relaxed) }
            if claim.isProbe { halfOpen.withLock { $0[claim.generation, default: 0] -= 1 } }
        }
    }

    /// One reactor's share of the events.
    private struct Reactor {
        var random: SplitMix64
        var running: [(Witness, Claim)] = []
        var leastInFlight = 0

        mutating func step(_ witnesses: [Witness], at now: Int64) {
            guard let witness = witnesses.randomElement(using: &random) else { return }
            let record = witness.record
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<40:
                guard let claim = record.claim(at: now) else { return }
                begin(witness, claim)
            case 40..<45: begin(witness, record.claimAnyway(at: now))
            case 45..<90: endOne(at: now)
            case 90..<95: firstToken(at: now)
            case 95, 96: note(record.probed(.healthy, at: now), witness)
            case 97: note(record.probed(.silent, at: now), witness)
            case 98 where Int.random(in: 0..<20, using: &random) == 0: record.drain(at: now)
            default: record.undrain(at: now)
            }
            leastInFlight = min(leastInFlight, record.inFlight)
        }

        private mutating func begin(_ witness: Witness, _ claim: Claim) {
            witness.began(claim)
            running.append((witness, claim))
        }

        private mutating func firstToken(at now: Int64) {
            guard let (witness, claim) = running.randomElement(using: &random) else { return }
            note(witness.record.firstToken(claim, afterNanos: 1_000_000, at: now), witness)
        }

        mutating func endOne(at now: Int64, _ fixed: AttemptOutcome? = nil) {
            guard !running.isEmpty else { return }
            let (witness, claim) = running.remove(at: Int.random(in: 0..<running.count, using: &random))
            let outcome = fixed ?? anyOutcome(of: witness, at: now)
            witness.ends(claim, outcome)
            note(witness.record.release(claim, outcome, at: now), witness)
        }

        /// Each endpoint is broken for 30 s of 90 s, and then still answers now and then.
        private mutating func anyOutcome(of witness: Witness, at now: Int64) -> AttemptOutcome {
            let isBroken = (now / seconds(30) + witness.number).isMultiple(of: 3)
            let fails = Int.random(in: 0..<100, using: &random) < (isBroken ? 90 : 5)
            return fails ? AttemptOutcome.allCases.randomElement(using: &random) ?? .broken : .success
        }

        private func note(_ change: HealthChange?, _ witness: Witness) {
            if change?.isEjection == true { witness.ejections.wrappingAdd(1, ordering: .relaxed) }
        }
    }

    @Test("a million events of four threads: counts are exact, and every endpoint comes back", .timeLimit(.minutes(1)))
    func events() {
        let witnesses = (0..<16).map { Witness(number: $0) }
        let clock = Atomic<Int64>(seconds(1))
        DispatchQueue.concurrentPerform(iterations: 4) { thread in
            var reactor = Reactor(random: SplitMix64(seed: UInt64(thread) + 99))
            for _ in 0..<250_000 {
                let pause = Int64.random(in: 0...20_000_000, using: &reactor.random)
                reactor.step(witnesses, at: clock.wrappingAdd(pause, ordering: .relaxed).newValue)
            }
            while !reactor.running.isEmpty { reactor.endOne(at: clock.load(ordering: .relaxed), .cancelled) }
            #expect(reactor.leastInFlight == 0)
        }
        let now = clock.load(ordering: .relaxed)
        var ejections = 0
        var halfOpens = 0
        for witness in witnesses {
            let record = witness.record
            record.undrain(at: now)
            let found = record.describe(at: now)
            #expect(record.inFlight == 0 && witness.inFlight.load(ordering: .relaxed) == 0)
            #expect(found.successes == witness.successes.load(ordering: .relaxed))
            #expect(found.failures == witness.failures.load(ordering: .relaxed))
            #expect(witness.doubles.load(ordering: .relaxed) == 0)
            let later = now + seconds(61)
            guard let claim = record.claim(at: later) else {
                Issue.record("still \(record.standing(at: later))")
                continue
            }
            _ = record.release(claim, .success, at: later)
            #expect(record.standing(at: later) == .ready)
            ejections += found.ejections
            halfOpens += witness.halfOpens.load(ordering: .relaxed)
        }
        // Or else nothing was put to the test.
        #expect(ejections > 1_000 && halfOpens > 500)
    }

    @Test("of eight threads, one gets the half-open request", .timeLimit(.minutes(1)))
    func oneHalfOpen() {
        let record = EndpointRecord(HealthPolicy(), at: 0, seed: 1)
        var now: Int64 = seconds(1)
        for round in 0..<500 {
            for _ in 0..<5 { _ = record.release(record.claimAnyway(at: now), .serverError, at: now) }
            now += seconds(61)
            let time = now
            let taken = Mutex<[Claim]>([])
            DispatchQueue.concurrentPerform(iterations: 8) { _ in
                if let claim = record.claim(at: time) { taken.withLock { $0.append(claim) } }
            }
            let claims = taken.withLock { $0 }
            #expect(claims.count == 1 && record.inFlight == 1, "round \(round)")
            for claim in claims { _ = record.release(claim, .success, at: time) }
        }
    }

    @Test("no thread passes the limit", .timeLimit(.minutes(1)))
    func limit() {
        let record = EndpointRecord(HealthPolicy(), at: 0, seed: 1)
        record.setLimit(5)
        let running = Atomic<Int>(0)
        let most = Atomic<Int>(0)
        let given = Atomic<Int>(0)
        DispatchQueue.concurrentPerform(iterations: 8) { _ in
            for _ in 0..<50_000 {
                guard let claim = record.claim(at: 1) else { continue }
                most.max(running.wrappingAdd(1, ordering: .relaxed).newValue, ordering: .relaxed)
                given.wrappingAdd(1, ordering: .relaxed)
                running.wrappingSubtract(1, ordering: .relaxed)
                _ = record.release(claim, .success, at: 1)
            }
        }
        #expect(most.load(ordering: .relaxed) <= 5)
        #expect(record.inFlight == 0)
        #expect(record.describe(at: 1).successes == given.load(ordering: .relaxed))
    }
}
