import CLinux
import Glibc
import HTTP
import Reactor
import TLS
import Testing
import Transport

/// Our HTTP/2 client against our own server, and against frames made by hand.
@Suite("HTTP/2 client connection", .timeLimit(.minutes(1)))
struct HTTP2ClientConnectionTests {
    /// A server and a pool that speaks HTTP/2 to it.
    private func pair(
        isSecure: Bool = false, limits: ServerLimits = ServerLimits(),
        _ change: (inout EndpointSettings) -> Void = { _ in },
        setUp: @escaping (TestService) -> Void = { _ in }
    ) throws -> (TestServer, TestPool) {
        let contexts = try TestCertificate.contexts([.h2])
        let server = try TestServer(limits: limits, tls: isSecure ? contexts.server : nil, setUp: setUp)
        let pool = try TestPool(port: server.port) {
            if isSecure { $0.tls = contexts.client } else { $0.upstreamProtocol = .http2 }
            change(&$0)
        }
        return (server, pool)
    }

    private func stop(_ server: TestServer, _ pool: TestPool, location: SourceLocation = #_sourceLocation) {
        pool.stop(location: location)
        server.stop(location: location)
    }

    @Test("a burst of calls shares one connection, by prior knowledge or ALPN", arguments: [false, true])
    func many(_ isSecure: Bool) throws {
        let (server, pool) = try pair(isSecure: isSecure, setUp: { $0.onEnd = { $0.answer($0.target) } })
        if isSecure { pool.finish(pool.start("/first")) }
        let calls = (0..<80).map { pool.start("/\($0)") }
        for (index, call) in calls.enumerated() {
            #expect(pool.finish(call) == ["head 200", "end"])
            #expect(pool.run { call.text } == "/\(index)")
        }
        #expect(server.run { _ in server.server.connectionCount } == 1)
        stop(server, pool)
    }

    @Test("large bodies go both ways")
    func large() throws {
        let (server, pool) = try pair(setUp: { $0.onEnd = { $0.answer($0.body) } })
        let body = (0..<4_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let call = pool.start("/", method: .post, body: body)
        #expect(pool.finish(call) == ["head 200", "end"])
        #expect(pool.run { call.body } == body)
        stop(server, pool)
    }

    @Test("cancelling resets the stream at once and leaves the others", arguments: 0..<3)
    func cancel(_ stage: Int) throws {
        let (server, pool) = try pair(setUp: { service in
            service.onEnd = { if stage > 0 { $0.respond(framing: .chunked) } }
        })
        let call = pool.start("/a"), other = pool.start("/b")
        server.wait(for: "end /b")
        if stage > 0 { pool.reactor.wait(for: "the head") { _ in call.status == 200 } }
        if stage > 1 { pool.run { call.call.pause() } }
        pool.run { call.call.cancel() }
        server.wait(for: "aborted /a clientGone")
        server.run { service in
            if stage == 0 { service.exchanges[1].respond(framing: .chunked) }
            service.exchanges[1].finish()
        }
        #expect(pool.finish(other) == ["head 200", "end"])
        #expect(pool.run { !call.isDone })
        stop(server, pool)
    }

    @Test("calls above the server's limit of streams wait their turn, and go on when one is cancelled")
    func streamLimit() throws {
        var limits = ServerLimits()
        limits.concurrentStreams = 2
        let (server, pool) = try pair(limits: limits, { $0.maxConnections = 1 }, setUp: { $0.onEnd = { _ in } })
        let warm = pool.start("/warm")
        server.wait(for: "end /warm")
        server.run { $0.exchanges[0].answer() }
        pool.finish(warm)
        let calls = (0..<5).map { pool.start("/\($0)") }
        server.wait(for: "end /1")
        #expect(server.run { $0.exchanges.count } == 3)
        pool.run { calls[0].call.cancel() }
        server.wait(for: "end /2")
        server.run { $0.exchanges[2].answer() }
        #expect(pool.finish(calls[1]) == ["head 200", "end"])
        server.wait(for: "end /3")
        server.run { service in service.exchanges[3...].forEach { $0.answer() } }
        server.wait(for: "end /4")
        server.run { $0.exchanges[5].answer() }
        for call in calls[2...] { #expect(pool.finish(call) == ["head 200", "end"]) }
        #expect(pool.connectionCount == 1)
        stop(server, pool)
    }

    @Test("a consumer that pauses stops its stream and no other")
    func backPressure() throws {
        let piece = [UInt8](repeating: 120, count: 10_000)
        let (server, pool) = try pair(setUp: { service in
            service.onEnd = { exchange in
                guard exchange.target == "/big" else { return exchange.answer() }
                exchange.respond(framing: .length(10_000_000))
                exchange.fill(piece, upTo: 10_000_000)
            }
            service.onDrained = { $0.fill(piece, upTo: 10_000_000) }
        })
        let big = pool.start("/big") { $0.onBody = { $0.call.pause() } }
        pool.reactor.wait(for: "some of it") { _ in big.body.count > 0 }
        for _ in 0..<20 { #expect(pool.finish(pool.start("/x")) == ["head 200", "end"]) }
        #expect(server.run { $0.written } < 600_000)
        pool.reactor.run { _ in
            big.onBody = { _ in }
            big.call.resume()
        }
        #expect(pool.finish(big) == ["head 200", "end"])
        #expect(pool.run { big.body.count } == 10_000_000)
        stop(server, pool)
    }

    @Test("a call that pauses again after its deadline timer ran is still alive")
    func pausedLong() throws {
        let (server, pool) = try pair(
            { $0.timeouts.idle = millis(100) }, setUp: { $0.onEnd = { $0.respond(framing: .chunked) } })
        let call = pool.start { $0.onBody = { $0.call.pause() } }
        server.wait(for: "end /")
        for _ in 0..<3 {
            let had = pool.run { call.body.count }
            server.run { $0.exchanges[0].write("piece") }
            pool.reactor.wait(for: "the piece") { _ in call.body.count > had }
            try TestTimer(pool.reactor, millis: 250).wait()
        }
        #expect(pool.run { !call.isDone })
        pool.run { call.call.resume() }
        #expect(pool.finish(call) == ["head 200", "failed idle_timeout"])
        stop(server, pool)
    }

    @Test("timeouts reset the stream and tell which they were", arguments: ["first_byte", "idle", "total"])
    func timeout(_ which: String) throws {
        let (server, pool) = try pair(
            {
                if which == "first_byte" { $0.timeouts.firstByte = millis(150) }
                if which == "idle" { $0.timeouts.idle = millis(150) }
            }, setUp: { service in service.onEnd = { if which == "idle" { $0.respond(framing: .chunked) } } })
        let call = pool.start("/a") { if which == "total" { $0.call.deadline = monotonicNow() + millis(150) } }
        #expect(pool.finish(call).last == "failed \(which)_timeout")
        server.wait(for: "aborted /a clientGone")
        #expect(pool.connectionCount == 1)
        stop(server, pool)
    }

    @Test("an answer that is broken off fails the call after what came of it")
    func broken() throws {
        let (server, pool) = try pair(setUp: { service in
            service.onEnd = {
                $0.respond(framing: .chunked)
                $0.write("first")
                $0.abort()
            }
        })
        let call = pool.start()
        #expect(pool.finish(call) == ["head 200", "failed broken"])
        #expect(pool.run { call.text } == "first")
        stop(server, pool)
    }

    @Test("an upstream that drains finishes what runs; later calls take another connection")
    func drained() throws {
        let (server, pool) = try pair(setUp: { $0.onEnd = { _ in } })
        let call = pool.start("/a")
        server.wait(for: "end /a")
        server.run { _ in server.server.drain() }
        server.run { $0.exchanges[0].answer() }
        #expect(pool.finish(call) == ["head 200", "end"])
        pool.reactor.wait(for: "the connection to end") { _ in pool.connections.connectionCount == 0 }
        stop(server, pool)
    }

    @Test("streams above the last of a GOAWAY are refused unseen; a connection that dies resets the others")
    func goAway() throws {
        let upstream = try FakeUpstream()
        let pool = try TestPool(port: upstream.port) { $0.upstreamProtocol = .http2 }
        let first = pool.start("/1"), second = pool.start("/2")
        let peer = try upstream.accept()
        _ = peer.take(24)
        peer.send(Frame.make(Frame.settings, 0, 0))
        var raw: [UInt8] = []
        var requests = 0
        while requests < 2, !peer.hasEnded {
            peer.receive()
            raw += peer.take(peer.inbox.count)
            requests += Frame.take(from: &raw).filter { $0.type == 1 }.count
        }
        peer.send(Frame.make(Frame.goAway, 0, 0, Frame.word(1) + Frame.word(0)))
        #expect(pool.finish(second) == ["failed refused"])
        #expect(pool.run { !first.isDone })
        let third = pool.start("/3")
        let other = try upstream.accept()
        peer.close()
        #expect(pool.finish(first) == ["failed reset"])
        other.reset()
        #expect(["failed reset", "failed refused"].contains(pool.finish(third).last))
        pool.stop()
    }

    @Test("an upstream that answers before it has read the body, and never reads it, leaves no stream open")
    func earlyAnswer() throws {
        let (server, pool) = try pair(setUp: { $0.onHead = { $0.answer("early", status: 400) } })
        for _ in 0..<5 {
            let call = pool.start("/", method: .post, body: [UInt8](repeating: 120, count: 1_000_000))
            #expect(pool.finish(call) == ["head 400", "end"])
        }
        pool.run { pool.connections.close() }
        pool.reactor.wait(for: "the connection to end") { _ in pool.connections.connectionCount == 0 }
        stop(server, pool)
    }

    @Test("an upstream that speaks no HTTP/2 fails the call", arguments: ["HTTP/1.1 400 Bad\r\n\r\n", ""])
    func noHTTP2(_ greeting: String) throws {
        let upstream = try FakeUpstream()
        let pool = try TestPool(port: upstream.port) { $0.upstreamProtocol = .http2 }
        let call = pool.start()
        let peer = try upstream.accept()
        peer.send(greeting)
        peer.shutdownOutput()
        #expect(pool.finish(call).last?.hasPrefix("failed") == true)
        _ = peer.takeAll()
        #expect(pool.connectionCount == 0)
        pool.stop()
    }

    @Test("a server that vanishes fails all calls on it")
    func vanishes() throws {
        let (server, pool) = try pair(setUp: { $0.onEnd = { _ in } })
        let calls = (0..<10).map { pool.start("/\($0)") }
        server.wait(for: "end /9")
        server.run { _ in server.server.closeAll() }
        for call in calls { #expect(pool.finish(call).last?.hasPrefix("failed") == true) }
        pool.reactor.wait(for: "the connection to end") { _ in pool.connections.connectionCount == 0 }
        stop(server, pool)
    }
}
