@testable import Health
import Testing

@Suite struct FullTests {
    @Test(
        "how long an endpoint is full",
        arguments: [(0.0, 1.0), (3, 3), (0.25, 0.25), (60, 60), (3600, 60)])
    func length(retryAfter: Double, wait: Double) {
        var course = Course()
        course.run(.ends(.success), .full(retryAfter))
        #expect(course.standing == .full)
        course.run(.wait(wait - 0.001))
        #expect(course.standing == .full)
        course.run(.wait(0.001))
        #expect(course.standing == .ready)
    }

    @Test("without Retry-After the time doubles up to 10 s while refusals go on")
    func doubling() {
        var course = Course()
        course.run(.ends(.success))
        for expected in [1.0, 2, 4, 8, 10, 10] {
            course.run(.many(20, .full))
            #expect(course.health.fullUntil - course.now == seconds(expected))
            course.run(.wait(expected))
        }
        course.run(.ends(.success), .ends(.full))
        #expect(course.health.fullUntil - course.now == seconds(1))
    }

    @Test("an older answer does not end the time that a newer refusal asks for")
    func successWhileFull() {
        var course = Course()
        course.run(.ends(.success), .full(5), .wait(1), .ends(.success), .ends(.full))
        #expect(course.standing == .full)
        #expect(course.health.fullUntil - course.now == seconds(4))
    }

    @Test("full is no failure: it neither ejects nor clears failures")
    func notBroken() {
        var course = Course()
        course.run(.ends(.success), .many(4, .serverError), .many(100, .full), .wait(1))
        #expect(course.standing == .ready)
        course.run(.ends(.serverError))
        #expect(course.standing == .suspect)
    }

    @Test("a suspect that is full is not half open before it has room")
    func fullSuspect() {
        var course = Course()
        course.run(.many(5, .serverError), .full(5), .wait(0.5))
        #expect(course.standing == .suspect)
        course.run(.wait(1))
        #expect(course.standing == .full)
        course.run(.wait(3.5))
        #expect(course.standing == .halfOpen)
    }
}
