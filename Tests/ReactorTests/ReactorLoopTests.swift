import CLinux
import Dispatch
import Glibc
import Reactor
import Synchronization
import Testing

/// Counts what it is told.
private final class Listener: SocketHandler, RoundHandler, TimerHandler {
    var log: [String] = []
    var onReady: (() -> Void)?
    var onRoundEnd: (() -> Void)?
    var onTimer: (() -> Void)?

    func socketReady(_ readiness: Readiness) {
        log.append("ready")
        onReady?()
    }

    func roundEnded() {
        log.append("end")
        onRoundEnd?()
    }

    func timerFired() {
        log.append("timer")
        onTimer?()
    }
}

/// A timer whose deadline moves.
private final class Moving: TimerHandler {
    var deadline = MovingDeadline()
    var due: [Int64] = []
    let reactor: Reactor
    init(_ reactor: Reactor) { self.reactor = reactor }

    func set(inMillis millis: Int64) { deadline.set(reactor.now + millis * 1_000_000, on: reactor, self) }

    func timerFired() {
        if deadline.isDue(on: reactor, self) { due.append(reactor.now) }
    }
}

@Suite("Reactor", .timeLimit(.minutes(1)))
struct ReactorLoopTests {
    @Test("jobs from many threads all run, on the reactor, those of one thread in order")
    func submit() throws {
        let reactor = try TestReactor()
        defer { reactor.stop() }
        let seen = Mutex<[[Int]]>(Array(repeating: [], count: 8))
        let remote = reactor.run { $0.remote }
        DispatchQueue.concurrentPerform(iterations: 8) { thread in
            for job in 0..<2000 {
                remote.submit { seen.withLock { $0[thread].append(job) } }
            }
        }
        reactor.run { $0.preconditionOnReactor() }
        #expect(seen.withLock { $0 } == Array(repeating: Array(0..<2000), count: 8))
    }

    @Test("a job that submits another is followed by it")
    func submitFromJob() throws {
        let reactor = try TestReactor()
        defer { reactor.stop() }
        let count = Mutex(0)
        reactor.run { reactor in
            let remote = reactor.remote
            @Sendable func next(_ left: Int) {
                count.withLock { $0 += 1 }
                if left > 0 { remote.submit { next(left - 1) } }
            }
            next(500)
        }
        reactor.wait(for: "the chain") { _ in count.withLock { $0 == 501 } }
    }

    @Test("a reactor that has gone to sleep wakes for a job and for a timer")
    func parked() throws {
        let reactor = try TestReactor()
        defer { reactor.stop() }
        // Longer than the reactor lingers.
        let late = reactor.run { reactor in
            let listener = Listener()
            _ = reactor.schedule(listener, at: reactor.now + 600_000_000)
            return listener
        }
        let started = DispatchTime.now()
        reactor.wait(for: "the timer") { _ in !late.log.isEmpty }
        #expect(DispatchTime.now().uptimeNanoseconds - started.uptimeNanoseconds >= 550_000_000)
        reactor.run { $0.preconditionOnReactor() }
    }

    @Test("the end of a round comes after its events, and again for what is asked there")
    func roundEnd() throws {
        let reactor = try TestReactor()
        defer { reactor.stop() }
        let listener = Listener()
        reactor.run { reactor in
            listener.onRoundEnd = {
                if listener.log.count < 4 { reactor.callAtRoundEnd(listener) }
            }
            reactor.callAtRoundEnd(listener)
            listener.log.append("job")
        }
        let log = reactor.run { _ in
            listener.onRoundEnd = nil
            return listener.log
        }
        #expect(log == ["job", "end", "end", "end"])
    }

    @Test("a handler that wants to be called again is, without a new event")
    func again() throws {
        let reactor = try TestReactor()
        defer { reactor.stop() }
        let listener = Listener()
        reactor.run { reactor in
            listener.onReady = { if listener.log.count < 100 { reactor.callAgain(listener) } }
            reactor.callAgain(listener)
        }
        reactor.wait(for: "a hundred calls") { _ in listener.log.count == 100 }
        reactor.run { _ in listener.onReady = nil }
    }

    @Test("events of a descriptor that was forgotten in the same round reach nobody")
    func unregistered() throws {
        let reactor = try TestReactor()
        defer { reactor.stop() }
        var ends: [[Int32]] = []
        for _ in 0..<2 {
            var pair: [Int32] = [0, 0]
            #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0)
            ends.append(pair)
        }
        let listeners = [Listener(), Listener()]
        let pairs = ends
        reactor.run { reactor in
            var slots: [Int32] = []
            for index in 0..<2 { slots.append(try! reactor.register(pairs[index][0], listeners[index])) }
            let registered = slots
            for index in 0..<2 {
                listeners[index].onReady = {
                    // Whoever comes first takes the other off.
                    reactor.unregister(registered[1 - index], descriptor: pairs[1 - index][0])
                    listeners[1 - index].onReady = nil
                }
            }
            for pair in pairs { _ = write(pair[1], "x", 1) }
        }
        reactor.wait(for: "one of them") { _ in listeners.contains { !$0.log.isEmpty } }
        reactor.run { _ in }
        #expect(reactor.run { _ in listeners.map(\.log.count).sorted() } == [0, 1])
        reactor.run { _ in listeners.forEach { $0.onReady = nil } }
        for pair in pairs { for end in pair { close(end) } }
    }

    @Test("a stopped reactor calls nobody, lets sockets be taken off, and goes away")
    func stop() throws {
        weak var gone: Reactor?
        let listener = Listener()
        var pair: [Int32] = [0, 0]
        #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0)
        let ends = pair
        do {
            let reactor = try TestReactor()
            let stopped = DispatchSemaphore(value: 0)
            reactor.run { reactor in
                gone = reactor
                let slot = try! reactor.register(ends[0], listener)
                let token = reactor.schedule(listener, at: reactor.now + 1_000_000)
                reactor.callAtRoundEnd(listener)
                listener.log.removeAll()
                reactor.stop()
                reactor.unregister(slot, descriptor: ends[0])
                reactor.cancel(token)
                reactor.queue.async { stopped.signal() }
            }
            #expect(stopped.wait(timeout: .now() + 10) == .success)
        }
        let deadline = DispatchTime.now() + 10
        while gone != nil, DispatchTime.now() < deadline { usleep(1000) }
        #expect(gone == nil)
        #expect(listener.log.isEmpty)
        for end in ends { close(end) }
    }
}

@Suite("Moving deadline", .timeLimit(.minutes(1)))
struct MovingDeadlineTests {
    private func moving(_ reactor: TestReactor) -> Moving { reactor.run { Moving($0) } }

    @Test("fires once, not before the last time it was moved to")
    func later() throws {
        let reactor = try TestReactor()
        defer { reactor.stop() }
        let moving = moving(reactor)
        let expected = reactor.run { reactor in
            moving.set(inMillis: 10)
            moving.set(inMillis: 60)
            return reactor.now + 60_000_000
        }
        reactor.wait(for: "it") { _ in !moving.due.isEmpty }
        #expect(reactor.run { _ in moving.due[0] } >= expected)
        #expect(reactor.run { _ in moving.due.count } == 1)
    }

    @Test("fires early if it is moved to an earlier time")
    func earlier() throws {
        let reactor = try TestReactor()
        defer { reactor.stop() }
        let moving = moving(reactor)
        reactor.run { _ in
            moving.set(inMillis: 3_600_000)
            moving.set(inMillis: 10)
        }
        reactor.wait(for: "it") { _ in moving.due.count == 1 }
    }

    @Test("does not fire once cleared or cancelled, and can be set again")
    func cleared() throws {
        let reactor = try TestReactor()
        defer { reactor.stop() }
        let moving = moving(reactor), other = self.moving(reactor)
        reactor.run { reactor in
            moving.set(inMillis: 5)
            moving.deadline.clear()
            moving.set(inMillis: 20)
            moving.deadline.cancel(on: reactor)
            other.set(inMillis: 50)
        }
        reactor.wait(for: "the other") { _ in other.due.count == 1 }
        #expect(reactor.run { _ in moving.due.isEmpty })
        reactor.run { _ in moving.set(inMillis: 5) }
        reactor.wait(for: "it") { _ in moving.due.count == 1 }
    }

    @Test("can be set to never, and to a time again")
    func never() throws {
        let reactor = try TestReactor()
        defer { reactor.stop() }
        let moving = moving(reactor)
        reactor.run { reactor in
            moving.deadline.set(.max, on: reactor, moving)
            moving.deadline.set(.max / 2, on: reactor, moving)
            moving.deadline.set(.max, on: reactor, moving)
            moving.set(inMillis: 5)
        }
        reactor.wait(for: "it") { _ in moving.due.count == 1 }
    }
}
