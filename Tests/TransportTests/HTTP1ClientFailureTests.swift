import CLinux
import Glibc
import HTTP
import Reactor
import TLS
import Testing
import Transport

/// What a call hears when its connection dies, time runs out, or the answer is none.
@Suite("HTTP/1.1 client connection, failures", .timeLimit(.minutes(1)))
struct HTTP1ClientFailureTests {
    private func timeouts(_ change: @escaping (inout UpstreamTimeouts) -> Void) -> (inout EndpointSettings) -> Void {
        { change(&$0.timeouts) }
    }

    enum Death: CaseIterable { case close, reset, tlsWithoutFarewell }

    @Test("a connection that dies as it is used again is tried once more on a fresh one", arguments: Death.allCases)
    func stale(_ death: Death) throws {
        let contexts = try TestCertificate.contexts([.http1])
        let upstream = try FakeUpstream(tls: death == .tlsWithoutFarewell ? contexts.server : nil)
        let pool = try TestPool(port: upstream.port) { if death == .tlsWithoutFarewell { $0.tls = contexts.client } }
        let first = pool.start()
        let peer = try upstream.accept()
        peer.serve()
        pool.finish(first)
        let second = pool.start("/again")
        #expect(peer.request().hasPrefix("GET /again"))
        if death == .reset { peer.reset() } else { peer.close() }
        let fresh = try upstream.accept()
        #expect(fresh.request().hasPrefix("GET /again"))
        fresh.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        #expect(pool.finish(second) == ["head 200", "end"])
        #expect(pool.run { !second.call.usedIdleConnection })
        pool.stop()
    }

    @Test("a fresh connection that dies before the answer fails the call, which is not tried again")
    func freshDies() throws {
        let upstream = try FakeUpstream()
        let pool = try TestPool(port: upstream.port)
        let first = pool.start()
        let peer = try upstream.accept()
        peer.serve()
        pool.finish(first)
        let second = pool.start()
        peer.request()
        peer.close()
        let fresh = try upstream.accept()
        fresh.request()
        fresh.close()
        #expect(pool.finish(second) == ["failed reset"])
        let third = pool.start()
        let other = try upstream.accept()
        other.request()
        other.reset()
        #expect(pool.finish(third) == ["failed reset"])
        #expect(upstream.isAlone)
        pool.stop()
    }

    @Test(
        "a reused connection that dies after the first byte of an answer is not tried again", arguments: [true, false])
    func diesAfterHead(_ hasWholeHead: Bool) throws {
        let upstream = try FakeUpstream()
        let pool = try TestPool(port: upstream.port)
        let first = pool.start()
        let peer = try upstream.accept()
        peer.serve()
        pool.finish(first)
        let second = pool.start()
        peer.request()
        peer.send(hasWholeHead ? "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01234" : "HTTP/1.1 20")
        peer.close()
        #expect(pool.finish(second).last == (hasWholeHead ? "failed broken" : "failed reset"))
        #expect(upstream.isAlone)
        pool.stop()
    }

    @Test("an idle connection that the upstream closes is dropped without a call's knowing")
    func idleClosed() throws {
        let upstream = try FakeUpstream()
        let pool = try TestPool(port: upstream.port)
        let first = pool.start()
        let peer = try upstream.accept()
        peer.serve()
        pool.finish(first)
        #expect(pool.connectionCount == 1)
        peer.close()
        pool.reactor.wait(for: "the close") { _ in pool.connections.connectionCount == 0 }
        let second = pool.start()
        try upstream.accept().serve()
        #expect(pool.finish(second) == ["head 200", "end"])
        pool.stop()
    }

    @Test("bytes on an idle connection, and bytes after an answer, end it")
    func unsolicited() throws {
        let upstream = try FakeUpstream()
        let pool = try TestPool(port: upstream.port)
        let first = pool.start()
        let peer = try upstream.accept()
        peer.serve()
        pool.finish(first)
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwrong")
        #expect(peer.isClosedByPeer)
        let second = pool.start()
        let other = try upstream.accept()
        other.request()
        other.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n")
        pool.finish(second)
        #expect(pool.run { second.text } == "ok")
        #expect(other.isClosedByPeer)
        pool.stop()
    }

    enum Wait: CaseIterable { case firstByte, restOfHead, idle, total, paused }

    @Test("each timeout ends the call and the connection", arguments: Wait.allCases)
    func timeout(_ wait: Wait) throws {
        let upstream = try FakeUpstream()
        let pool = try TestPool(port: upstream.port) {
            $0.timeouts.firstByte = wait == .firstByte ? millis(150) : millis(20_000)
            $0.timeouts.idle = wait == .idle || wait == .restOfHead ? millis(150) : millis(20_000)
        }
        let call = pool.start {
            if wait == .total || wait == .paused { $0.call.deadline = monotonicNow() + millis(200) }
            if wait == .paused { $0.onBody = { $0.call.pause() } }
        }
        let peer = try upstream.accept()
        peer.request()
        switch wait {
        case .firstByte, .total: break
        case .restOfHead: peer.send("HTTP/1.1 200")
        case .idle, .paused: peer.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01")
        }
        let expected =
            switch wait {
            case .firstByte, .restOfHead: "failed first_byte_timeout"
            case .idle: "failed idle_timeout"
            case .total, .paused: "failed total_timeout"
            }
        #expect(pool.finish(call).last == expected)
        #expect(peer.isClosedByPeer)
        pool.stop()
    }

    @Test("a paused call does not run into the idle timeout, and does once it goes on")
    func pausedIsNotIdle() throws {
        let upstream = try FakeUpstream()
        let pool = try TestPool(port: upstream.port, timeouts { $0.idle = millis(100) })
        let call = pool.start { $0.onBody = { $0.call.pause() } }
        let peer = try upstream.accept()
        peer.request()
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01")
        let later = try TestTimer(pool.reactor, millis: 400)
        later.wait()
        #expect(pool.run { !call.isDone })
        pool.run { call.call.resume() }
        #expect(pool.finish(call) == ["head 200", "failed idle_timeout"])
        pool.stop()
    }

    @Test("a call that takes over a connection waits for its own first byte")
    func takeover() throws {
        let upstream = try FakeUpstream()
        let pool = try TestPool(port: upstream.port) {
            $0.maxConnections = 1
            $0.timeouts.idle = millis(150)
        }
        let first = pool.start(), second = pool.start()
        let peer = try upstream.accept()
        peer.serve()
        pool.finish(first)
        peer.request()
        try TestTimer(pool.reactor, millis: 400).wait()
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        #expect(pool.finish(second) == ["head 200", "end"])
        pool.stop()
    }

    @Test(
        "answers that break the protocol fail the call and end the connection",
        arguments: [
            "SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", "HTTP/1.1 1000 OK\r\n\r\n",
            "HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n", "HTTP/1.1 200 OK\r\na: b\rc\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx: " + String(repeating: "y", count: 40_000) + "\r\n\r\n",
            String(repeating: "HTTP/1.1 102 Processing\r\n\r\n", count: 17),
            "HTTP/1.1 200 OK\r\n" + String(repeating: "a: b\r\n", count: 101) + "\r\n",
        ])
    func malformed(_ text: String) throws {
        let upstream = try FakeUpstream()
        let pool = try TestPool(port: upstream.port)
        let call = pool.start()
        let peer = try upstream.accept()
        peer.request()
        peer.send(text)
        #expect(pool.finish(call) == ["failed malformed"])
        #expect(peer.isClosedByPeer)
        pool.stop()
    }
}
