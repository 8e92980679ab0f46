import Dispatch
@testable import Health
import Synchronization
import Testing

@Suite struct EndpointRecordTests {
    private let start = seconds(100)

    private func makeRecord(_ policy: HealthPolicy = HealthPolicy()) -> EndpointRecord {
        EndpointRecord(policy, at: start, seed: 3)
    }

    private func end(_ record: EndpointRecord, _ outcome: AttemptOutcome, _ count: Int = 1, at now: Int64) {
        for _ in 0..<count { _ = record.release(record.claimAnyway(at: now), outcome, at: now) }
    }

    @Test("what is read without the lock is what the state machine says, after any event")
    func mirrors() {
        let record = makeRecord()
        var random = SplitMix64(seed: 11)
        var now = start
        for _ in 0..<20_000 {
            now += Int64.random(in: 0...800_000_000, using: &random)
            switch Int.random(in: 0..<10, using: &random) {
            case 0: _ = record.probed(.healthy, at: now)
            case 1: _ = record.probed(.silent, at: now)
            case 2: record.drain(at: now)
            case 3: record.undrain(at: now)
            default:
                if let claim = record.claim(at: now) {
                    let outcome = AttemptOutcome.allCases.randomElement(using: &random) ?? .success
                    _ = record.release(claim, outcome, at: now)
                }
            }
            let health = record.guarded.withLock { $0.health }
            #expect(record.standing(at: now) == health.standing(at: now))
            #expect(record.weight(at: now) == health.weight(at: now))
            #expect(record.describe(at: now).standing == record.reading(at: now).standing)
        }
    }

    @Test("a place is given under the limit only, or anyway")
    func limit() throws {
        let record = makeRecord()
        record.setLimit(2)
        let first = try #require(record.claim(at: start))
        _ = try #require(record.claim(at: start))
        #expect(record.claim(at: start) == nil)
        _ = record.claimAnyway(at: start)
        #expect(record.inFlight == 3)
        _ = record.release(first, .cancelled, at: start)
        #expect(record.claim(at: start) == nil)
        record.setLimit(Int.max)
        #expect(record.claim(at: start) != nil)
        #expect(record.inFlight == 3)
    }

    @Test("no place is given at an endpoint that is full, ejected, draining or gone")
    func closed() {
        let record = makeRecord()
        end(record, .full, at: start)
        #expect(record.claim(at: start) == nil)
        #expect(record.retryAt(start) == start + seconds(1))
        #expect(record.claim(at: start + seconds(1)) != nil)
        let ejected = makeRecord()
        end(ejected, .broken, 5, at: start)
        #expect(ejected.claim(at: start) == nil)
        #expect(ejected.retryAt(start).map { $0 > start + seconds(0.79) && $0 < start + seconds(1.21) } == true)
        #expect(ejected.retryAt(start + seconds(2)) == start + seconds(2))
        ejected.drain(at: start)
        #expect(ejected.claim(at: start + seconds(9)) == nil)
        #expect(ejected.retryAt(start) == nil)
        ejected.remove(at: start)
        #expect(ejected.standing(at: start) == .gone)
        #expect(ejected.inFlight == 0)
    }

    @Test("a half-open endpoint at its limit keeps its one request for later")
    func halfOpenAtLimit() throws {
        let record = makeRecord()
        record.setLimit(1)
        let old = try #require(record.claim(at: start))
        end(record, .broken, 5, at: start)
        #expect(record.claim(at: start + seconds(2)) == nil)
        #expect(record.standing(at: start + seconds(2)) == .halfOpen)
        _ = record.release(old, .success, at: start + seconds(2))
        let claim = try #require(record.claim(at: start + seconds(2)))
        #expect(claim.isProbe)
        #expect(record.standing(at: start + seconds(2)) == .suspect)
        #expect(record.retryAt(start + seconds(2)) == start + seconds(3))
    }

    @Test("a request sent anyway to a half-open endpoint is its one request")
    func anyway() {
        let record = makeRecord()
        end(record, .broken, 5, at: start)
        let later = start + seconds(2)
        #expect(record.claimAnyway(at: later).isProbe)
        #expect(!record.claimAnyway(at: later).isProbe)
        #expect(record.claim(at: later) == nil)
    }

    @Test(
        "an endpoint that fails every request for a minute gets a dozen of them, and serves soon after",
        arguments: [AttemptOutcome.connectFailed, .serverError, .timeout, .broken, .garbage])
    func cost(_ outcome: AttemptOutcome) throws {
        let record = makeRecord()
        end(record, .success, 100, at: start)
        var attempts = 0
        var now = start
        while now < start + seconds(60) {
            now += seconds(0.01)
            guard let claim = record.claim(at: now) else { continue }
            attempts += 1
            _ = record.release(claim, outcome, at: now)
        }
        #expect(attempts <= 12)
        var isServing = false
        while !isServing, now < start + seconds(66) {
            now += seconds(2)
            _ = record.probed(.healthy, at: now)
            guard let claim = record.claim(at: now) else { continue }
            _ = record.release(claim, .success, at: now)
            isServing = record.standing(at: now) == .ready
        }
        #expect(isServing)
    }

    @Test("failures and refusals count as a second of latency, cancelled requests as nothing")
    func penalty() {
        for outcome in AttemptOutcome.allCases {
            let record = makeRecord()
            end(record, outcome, at: start)
            let isPenalty = outcome != .success && outcome != .cancelled
            #expect(abs(record.latencyNanos(at: start) - (isPenalty ? 1_000_000_000 : 0)) < 2_000)
        }
    }

    @Test("a changed policy is in force at once and forgets nothing")
    func update() {
        let record = makeRecord()
        end(record, .success, at: start)
        end(record, .serverError, 3, at: start)
        #expect(record.weight(at: start) == 102)
        var policy = HealthPolicy()
        policy.consecutiveErrors = 4
        policy.slowStart = 0
        record.update(policy)
        #expect(record.weight(at: start) == 1024)
        end(record, .serverError, at: start)
        #expect(record.standing(at: start) == .suspect)
    }

    @Test("a description has all in plain values")
    func description() {
        let record = makeRecord()
        end(record, .success, 3, at: start)
        end(record, .serverError, 5, at: start + seconds(1))
        _ = record.claimAnyway(at: start + seconds(1))
        let found = record.describe(at: start + seconds(1.5))
        #expect(found.standing == .suspect && found.lastReason == .consecutiveErrors)
        #expect(found.lastChangeAgoNanos == seconds(0.5))
        #expect(found.inFlight == 1 && found.limit == Int.max)
        #expect(found.weight == 102 && found.latencyNanos > 900_000_000)
        #expect(found.ejections == 1 && found.ejectionLevel == 1)
        #expect((seconds(0.29)...seconds(0.71)).contains(found.ejectedForNanos) && found.fullForNanos == 0)
        #expect(found.successes == 3 && found.failures == 5)
    }
}
