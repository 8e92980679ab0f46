@testable import Health
import Testing

@Suite struct ProbeTests {
    typealias Row = EndpointHealthTests.Row

    @Test(
        "what active probes change",
        arguments: [
            Row("a new endpoint answers", [.probe(.healthy)], .ready, .firstAnswer),
            Row("a new endpoint does not", [.probe(.silent)], .unreachable, .probesFailed),
            Row("a new endpoint still loads", [.probe(.refused(status: 503))], .unreachable, .probesFailed),
            Row("one that works misses two", [.ends(.success), .silence(2)], .ready, .firstAnswer),
            Row("one that works misses three", [.ends(.success), .silence(3)], .unreachable, .probesFailed),
            Row(
                "an answered request between",
                [.ends(.success), .silence(2), .ends(.success)]
                    + [.silence(2)], .ready, .firstAnswer),
            Row(
                "a first token between", [.ends(.success), .silence(2), .firstToken, .silence(2)],
                .ready, .firstAnswer),
            Row(
                "a healthy probe between",
                [.ends(.success), .silence(2), .probe(.healthy), .silence(2)], .ready, .firstAnswer),
            Row("another model", [.ends(.success), .probe(.missingModel)], .unreachable, .modelMissing),
            Row(
                "back after silence", [.probe(.silent), .wait(0.1), .probe(.healthy)], .ready, .probeHealthy),
            Row(
                "back after failed connects", [.many(3, .connectFailed), .probe(.healthy)], .ready, .probeHealthy),
            Row("not back after errors", [.many(5, .broken), .probe(.healthy)], .suspect, .consecutiveErrors),
            Row(
                "a suspect falls silent", [.many(5, .broken), .silence(3)], .unreachable, .probesFailed),
            Row(
                "a suspect falls silent and comes back", [.many(5, .broken), .silence(3), .probe(.healthy)],
                .ready, .probeHealthy),
            Row(
                "a suspect missed one and answers", [.many(5, .broken), .probe(.silent), .probe(.healthy)],
                .halfOpen, .consecutiveErrors),
        ]
    )
    func probes(_ row: Row) {
        var course = Course()
        course.run(row.steps)
        #expect(course.standing == row.standing)
        #expect(course.health.lastReason == row.reason)
    }

    @Test("failed probes keep requests off, but for one in a minute")
    func extended() {
        var course = Course()
        course.run(.ends(.success), .silence(3))
        var halfOpen = 0
        for _ in 0..<300 {
            course.run(.wait(2))
            if course.standing == .halfOpen {
                halfOpen += 1
                course.run(.halfOpenEnds(.connectFailed))
            }
            course.run(.probe(.silent))
            #expect(course.standing == .unreachable)
        }
        #expect((8...10).contains(halfOpen))
    }

    @Test("when the prober stops, the endpoint is half open soon")
    func noMoreProbes() {
        var course = Course()
        course.run(.ends(.success), .silence(5), .wait(5.9))
        #expect(course.standing == .unreachable)
        course.run(.wait(0.2))
        #expect(course.standing == .halfOpen)
    }

    @Test("healthy probes shorten a long wait to a few seconds, and do not end it at once")
    func shortened() {
        var course = Course()
        course.run(.many(5, .serverError))
        for _ in 0..<8 { course.run(.wait(61), .halfOpenEnds(.serverError)) }
        #expect(course.health.until - course.now > seconds(45))
        var waited = 0.0
        while course.standing != .halfOpen {
            course.run(.wait(0.1))
            waited += 0.1
            if Int((waited * 10).rounded()).isMultiple(of: 20) { course.run(.probe(.healthy)) }
        }
        #expect(waited > 3 && waited < 9)
    }

    @Test("a probe does not disturb the half-open request")
    func probeWhileHalfOpen() throws {
        for result in [ProbeResult.healthy, .silent, .missingModel] {
            var course = Course()
            course.run(.many(5, .broken), .wait(2))
            let claim = try course.takeHalfOpen()
            course.run(.probe(result), .wait(1))
            #expect(course.takesHalfOpen() == false)
            course.observe(.success, claim)
            #expect(course.standing == .ready)
        }
    }
}
