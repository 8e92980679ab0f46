@testable import Health
import Testing

@Suite struct DrainTests {
    @Test("draining hides what else an endpoint is, and gone hides draining")
    func order() {
        var course = Course()
        course.run(.many(5, .broken), .drain)
        #expect(course.standing == .draining)
        course.run(.undrain)
        #expect(course.standing == .suspect)
        course.run(.drain, .remove, .undrain)
        #expect(course.standing == .gone)
    }

    @Test("an endpoint that was drained begins as a new one")
    func undrained() {
        var course = Course()
        course.run(.ends(.success), .wait(20))
        #expect(course.weight == 1024)
        course.run(.drain, .undrain)
        #expect(course.standing == .warming)
        #expect(course.weight == 102)
        course.run(.undrain)
        #expect(course.changes.count == 3)
    }

    @Test("what happens while draining is remembered and not reported")
    func whileDraining() {
        var course = Course()
        course.run(.ends(.success), .drain, .many(5, .broken), .probe(.silent))
        #expect(course.changes.count == 2)
        course.run(.undrain)
        #expect(course.standing == .suspect)
    }
}
