@testable import Health
import Testing

@Suite struct EndpointHealthTests {
    struct Row: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let steps: [Step]
        let standing: Standing
        let reason: HealthReason

        init(_ testDescription: String, _ steps: [Step], _ standing: Standing, _ reason: HealthReason) {
            self.testDescription = testDescription
            self.steps = steps
            self.standing = standing
            self.reason = reason
        }
    }

    @Test(
        "what takes an endpoint out of service",
        arguments: [
            Row("nothing yet", [], .warming, .new),
            Row("a first answer", [.ends(.success)], .ready, .firstAnswer),
            Row("a first token", [.firstToken], .ready, .firstAnswer),
            Row("a client that left", [.ends(.cancelled)], .warming, .new),
            Row("four errors", [.ends(.success), .many(4, .serverError)], .ready, .firstAnswer),
            Row("five errors", [.ends(.success), .many(5, .serverError)], .suspect, .consecutiveErrors),
            Row("five errors of a new one", [.many(5, .serverError)], .suspect, .consecutiveErrors),
            Row("five timeouts", [.many(5, .timeout)], .suspect, .consecutiveErrors),
            Row("five breaks", [.many(5, .broken)], .suspect, .consecutiveErrors),
            Row("five times garbage", [.many(5, .garbage)], .suspect, .consecutiveErrors),
            Row(
                "five of different kinds",
                [.ends(.connectFailed), .ends(.serverError), .ends(.timeout), .ends(.broken), .ends(.garbage)],
                .suspect, .consecutiveErrors),
            Row(
                "an answer between errors", [.many(4, .serverError), .ends(.success), .many(4, .broken)],
                .ready, .firstAnswer),
            Row(
                "a client that left between errors", [.many(3, .timeout), .ends(.cancelled), .many(2, .timeout)],
                .suspect, .consecutiveErrors),
            Row("two failed connects", [.many(2, .connectFailed)], .warming, .new),
            Row("three failed connects", [.many(3, .connectFailed)], .unreachable, .connectFailures),
            Row(
                "an error between failed connects",
                [.many(2, .connectFailed), .ends(.serverError), .ends(.connectFailed)], .warming, .new),
            Row("a hundred times full", [.ends(.success), .many(100, .full)], .full, .saidFull),
            Row(
                "half of many failing", [.ends(.success), .wait(1)] + every(other: 20), .suspect, .errorRatio),
            Row(
                "a third of many failing", [.many(100, .success), .wait(1)] + every(other: 40), .ready, .firstAnswer),
            Row(
                "half of few failing", [.ends(.success)] + every(other: 18), .ready, .firstAnswer),
            Row(
                "half of many failing, slowly",
                [.ends(.success)]
                    + (0..<40).flatMap { _ in [.wait(3), .ends(.serverError), .ends(.success)] as [Step] },
                .ready, .firstAnswer),
        ]
    )
    func ejection(_ row: Row) {
        var course = Course()
        course.run(row.steps)
        #expect(course.standing == row.standing)
        #expect(course.health.lastReason == row.reason)
    }

    private static func every(other count: Int) -> [Step] {
        (0..<count).map { .ends($0.isMultiple(of: 2) ? .serverError : .success) }
    }

    @Test(
        "what brings an endpoint back",
        arguments: [
            Row("time alone: half open", [.many(5, .broken), .wait(1.2)], .halfOpen, .consecutiveErrors),
            Row("too little time", [.many(5, .broken), .wait(0.79)], .suspect, .consecutiveErrors),
            Row("time alone, cut off", [.many(3, .connectFailed), .wait(1.2)], .halfOpen, .connectFailures),
            Row(
                "a half-open answer", [.many(5, .broken), .wait(2), .halfOpenEnds(.success)], .ready,
                .halfOpenAnswered),
            Row(
                "a half-open first token", [.many(5, .broken), .wait(2), .halfOpenFirstToken], .ready,
                .halfOpenAnswered),
            Row(
                "a half-open refusal: full", [.many(5, .broken), .wait(2), .halfOpenEnds(.full)], .full,
                .halfOpenAnswered),
            Row(
                "a half-open client that leaves", [.many(5, .broken), .wait(2), .halfOpenEnds(.cancelled)],
                .halfOpen, .consecutiveErrors),
            Row(
                "a half-open failure", [.many(5, .broken), .wait(2), .halfOpenEnds(.timeout)], .suspect,
                .halfOpenFailed),
            Row(
                "a half-open failed connect", [.many(5, .broken), .wait(2), .halfOpenEnds(.connectFailed)],
                .unreachable, .halfOpenFailed),
            Row(
                "a half-open error of one cut off",
                [.many(3, .connectFailed), .wait(2), .halfOpenEnds(.serverError)], .suspect, .halfOpenFailed),
            Row(
                "an answer in panic", [.many(5, .broken), .wait(1), .ends(.success)], .ready, .panicAnswered),
            Row(
                "an answer in panic, too soon", [.many(5, .broken), .wait(0.5), .ends(.success)], .suspect,
                .consecutiveErrors),
            Row(
                "failures in panic", [.many(5, .broken), .wait(0.5), .many(50, .broken)], .suspect,
                .consecutiveErrors),
            Row(
                "failed connects in panic", [.many(5, .broken), .wait(0.5), .many(3, .connectFailed)],
                .unreachable, .connectFailures),
            Row(
                "a failure after a first token: relapse",
                [.many(5, .broken), .wait(2), .halfOpenFirstToken, .ends(.broken)], .suspect, .relapsed),
            Row(
                "a failure after a whole answer",
                [.many(5, .broken), .wait(2), .halfOpenEnds(.success), .ends(.broken)], .ready, .halfOpenAnswered),
            Row(
                "a failed connect after a probe: relapse",
                [.many(3, .connectFailed), .probe(.healthy), .ends(.connectFailed)], .unreachable, .relapsed),
        ]
    )
    func recovery(_ row: Row) {
        var course = Course()
        course.run(row.steps)
        #expect(course.standing == row.standing)
        #expect(course.health.lastReason == row.reason)
    }

    @Test("ejections double up to a minute, with jitter, and begin anew after a good while")
    func backOff() {
        var course = Course()
        course.run(.many(5, .serverError))
        var lengths: [Int64] = [course.health.lastEjection]
        for _ in 0..<9 {
            course.run(.wait(61), .halfOpenEnds(.serverError))
            lengths.append(course.health.lastEjection)
        }
        for (index, length) in lengths.enumerated() {
            let base = min(60.0, Double(1 << index))
            #expect(length >= seconds(base * 0.8) && length <= min(seconds(base * 1.2), seconds(60)))
        }
        #expect(Set(lengths.suffix(4)).count == 4)
        course.run(.wait(61), .halfOpenEnds(.success), .wait(40), .many(5, .serverError))
        #expect(course.health.lastEjection >= seconds(48))
        course.run(.wait(61), .halfOpenEnds(.success), .wait(61), .many(5, .serverError))
        #expect(course.health.lastEjection <= seconds(1.2))
    }

    @Test("an attempt begun before an ejection says nothing after it")
    func oldClaims() {
        var course = Course()
        course.run(.ends(.success))
        let old = course.health.claim
        course.run(.many(5, .broken), .wait(2))
        course.observe(.success, old)
        #expect(course.standing == .halfOpen)
        course.run(.halfOpenEnds(.success))
        for _ in 0..<40 { course.observe(.timeout, old) }
        #expect(course.standing == .ready)
        #expect(course.health.failures == 45)
    }

    @Test("a half-open request that breaks after its first token ejects again, for longer")
    func breaksAfterFirstToken() throws {
        var course = Course()
        course.run(.many(5, .broken), .wait(2))
        let claim = try course.takeHalfOpen()
        #expect(course.standing == .suspect)
        #expect(course.takesHalfOpen() == false)
        course.answered(claim)
        #expect(course.standing == .ready)
        course.observe(.broken, claim)
        #expect(course.changes.last?.reason == .relapsed)
        #expect(course.health.lastEjection >= seconds(1.6))
    }

    @Test("another request may try when the half-open one shows nothing for long")
    func patience() throws {
        var policy = HealthPolicy()
        policy.halfOpenPatience = seconds(5)
        var course = Course(policy)
        course.run(.many(5, .broken), .wait(2))
        _ = try course.takeHalfOpen()
        course.run(.wait(4.9))
        #expect(course.takesHalfOpen() == false)
        course.run(.wait(0.2), .halfOpenEnds(.success))
        #expect(course.standing == .ready)
    }

    @Test("0 turns a rule off, and a share above 1")
    func rulesOff() {
        var policy = HealthPolicy()
        policy.consecutiveErrors = 0
        policy.connectFailures = 0
        policy.probeFailures = 0
        policy.errorRatio = 1.1
        var course = Course(policy)
        course.run(
            .ends(.success), .many(100, .serverError), .many(100, .connectFailed), .probe(.silent),
            .probe(.missingModel))
        #expect(course.standing == .ready)
    }

    @Test("a change says from what, to what, why and for how long")
    func changes() {
        var course = Course()
        course.run(.ends(.success), .many(5, .timeout), .wait(2), .halfOpenEnds(.timeout), .wait(3))
        course.run(.halfOpenEnds(.success), .full(3), .drain, .drain, .undrain, .remove, .remove)
        let expected: [(Standing, Standing, HealthReason)] = [
            (.warming, .ready, .firstAnswer), (.ready, .suspect, .consecutiveErrors),
            (.halfOpen, .suspect, .halfOpenFailed), (.halfOpen, .ready, .halfOpenAnswered),
            (.ready, .full, .saidFull), (.full, .draining, .drained), (.draining, .full, .undrained),
            (.full, .gone, .removed),
        ]
        #expect(course.changes.map(\.from) == expected.map(\.0))
        #expect(course.changes.map(\.to) == expected.map(\.1))
        #expect(course.changes.map(\.reason) == expected.map(\.2))
        #expect(course.changes.map(\.isEjection) == expected.map { $0.1 == .suspect })
        #expect(course.changes[4].forNanos == seconds(3))
        #expect(course.changes[0].forNanos == 0)
    }
}
