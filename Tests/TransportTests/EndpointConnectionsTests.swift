import CLinux
import Glibc
import HTTP
import Reactor
import TLS
import Testing
import Transport

@Suite("Connections to an endpoint", .timeLimit(.minutes(1)))
struct EndpointConnectionsTests {
    /// A port that refuses.
    private func closedPort() throws -> UInt16 {
        let listener = try Sockets.listen(on: SocketAddress(literal: "127.0.0.1", port: 0)!, sharesPort: false)
        defer { close(listener) }
        return SocketAddress(localOf: listener)!.port
    }

    @Test("as many connections as calls, no more than allowed; who waits is served in order")
    func maximum() throws {
        let upstream = try FakeUpstream()
        let pool = try TestPool(port: upstream.port) { $0.maxConnections = 2 }
        let calls = (0..<6).map { pool.start("/\($0)") }
        let peers = [try upstream.accept(), try upstream.accept()]
        #expect(pool.connectionCount == 2)
        #expect(upstream.isAlone)
        var order: [String] = []
        for round in 0..<3 {
            for peer in peers {
                order.append(peer.request())
                peer.send("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n\(round)")
            }
        }
        for call in calls { #expect(pool.finish(call) == ["head 200", "end"]) }
        #expect(order.count == 6 && Set(order).count == 6)
        pool.stop()
    }

    @Test("the queue is bounded, and a call that gives up makes room")
    func queueBound() throws {
        let upstream = try FakeUpstream()
        let pool = try TestPool(port: upstream.port) {
            $0.maxConnections = 1
            $0.maxPending = 2
        }
        let first = pool.start()
        let peer = try upstream.accept()
        peer.request()
        let second = pool.start(), third = pool.start(), fourth = pool.start()
        #expect(pool.finish(fourth) == ["failed queue_full"])
        pool.run { second.call.cancel() }
        let fifth = pool.start()
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        peer.serve()
        peer.serve()
        for call in [first, third, fifth] { #expect(pool.finish(call) == ["head 200", "end"]) }
        #expect(pool.run { second.events.isEmpty })
        pool.stop()
    }

    @Test("a call waits for a connection no longer than the connect timeout, or its own deadline if that is earlier")
    func queueTimeout() throws {
        let upstream = try FakeUpstream()
        let pool = try TestPool(port: upstream.port) {
            $0.maxConnections = 1
            $0.timeouts.connect = millis(600)
        }
        let first = pool.start()
        let peer = try upstream.accept()
        peer.request()
        let began = monotonicNow()
        let patient = pool.start()
        let hasty = pool.start { $0.call.deadline = monotonicNow() + millis(100) }
        #expect(pool.finish(hasty) == ["failed total_timeout"])
        #expect(monotonicNow() - began < millis(500))
        #expect(pool.finish(patient) == ["failed connect_timeout"])
        #expect(monotonicNow() - began >= millis(600))
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        #expect(pool.finish(first) == ["head 200", "end"])
        pool.stop()
    }

    @Test("a refused connection fails the calls that wait, each once, at once")
    func refused() throws {
        let pool = try TestPool(port: closedPort())
        let calls = (0..<5).map { pool.start("/\($0)") }
        for call in calls { #expect(pool.finish(call) == ["failed connect_failed"]) }
        #expect(pool.connectionCount == 0)
        pool.stop()
    }

    @Test("a connection that cannot be made fails nobody but those it was for")
    func openingFails() throws {
        // A listener that is never accepted from, with a full queue.
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        _ = SocketAddress(literal: "127.0.0.1", port: 0)!.withSockaddr { bind(listener, $0, $1) }
        listen(listener, 0)
        let address = SocketAddress(localOf: listener)!
        let fill = try (0..<4).map { _ in try Sockets.connect(to: address) }
        let pool = try TestPool(port: address.port) { $0.timeouts.connect = millis(400) }
        let first = pool.start()
        try TestTimer(pool.reactor, millis: 250).wait()
        let began = monotonicNow()
        let second = pool.start()
        #expect(pool.finish(first) == ["failed connect_timeout"])
        #expect(pool.finish(second) == ["failed connect_timeout"])
        #expect(monotonicNow() - began >= millis(390), "the second had its own time")
        pool.reactor.wait(for: "the attempts to end") { _ in pool.connections.connectionCount == 0 }
        pool.stop()
        for descriptor in fill + [listener] { close(descriptor) }
    }

    @Test("a name that has no address fails the call")
    func unresolved() throws {
        let pool = try TestPool(port: 1) { $0.host = "nothing.invalid" }
        #expect(pool.finish(pool.start()).last == "failed unresolved")
        pool.stop()
    }

    @Test("an unused connection is closed after its time")
    func idleTimeout() throws {
        let upstream = try FakeUpstream()
        let pool = try TestPool(port: upstream.port) { $0.idleTimeout = millis(150) }
        let call = pool.start()
        let peer = try upstream.accept()
        peer.serve()
        pool.finish(call)
        #expect(peer.isClosedByPeer)
        #expect(pool.connectionCount == 0)
        pool.stop()
    }

    @Test("a call may start another from any of its callbacks")
    func startFromCallback() throws {
        let upstream = try FakeUpstream()
        let pool = try TestPool(port: upstream.port) { $0.maxConnections = 1 }
        let second = TestCall("/second")
        let first = pool.start("/first") { $0.onEnd = { _ in pool.connections.start(second.call) } }
        let peer = try upstream.accept()
        peer.serve()
        pool.finish(first)
        #expect(peer.request().hasPrefix("GET /second"))
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        #expect(pool.finish(second) == ["head 200", "end"])
        pool.stop()
    }

    @Test("a closed pool lets calls under way finish, fails those that wait, and takes no more")
    func close_() throws {
        let upstream = try FakeUpstream()
        let pool = try TestPool(port: upstream.port) { $0.maxConnections = 2 }
        let idle = pool.start("/idle")
        let idlePeer = try upstream.accept()
        let running = pool.start("/running")
        let peer = try upstream.accept()
        peer.request()
        idlePeer.serve()
        pool.finish(idle)
        // Takes the idle one; the next has to wait.
        let other = pool.start("/other")
        idlePeer.request()
        let waiting = pool.start("/waiting")
        pool.run { pool.connections.close() }
        #expect(pool.finish(waiting) == ["failed refused"])
        #expect(pool.finish(pool.start("/late")) == ["failed refused"])
        for peer in [peer, idlePeer] {
            peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            #expect(peer.isClosedByPeer)
        }
        for call in [running, other] { #expect(pool.finish(call) == ["head 200", "end"]) }
        pool.stop()
    }

    @Test("a pool closed while it connects leaves nothing behind")
    func closeWhileOpening() throws {
        let upstream = try FakeUpstream()
        let pool = try TestPool(port: upstream.port)
        let call = pool.reactor.run { _ in
            let call = TestCall()
            pool.connections.start(call.call)
            pool.connections.close()
            return call
        }
        #expect(pool.finish(call) == ["failed refused"])
        #expect(pool.connectionCount == 0)
        pool.stop()
    }

    @Test("a TLS upstream that is none fails the call as such", arguments: ["HTTP/1.1 400 Bad\r\n\r\n", "", "x"])
    func notTLS(_ greeting: String) throws {
        let upstream = try FakeUpstream()
        let contexts = try TestCertificate.contexts([.http1])
        let pool = try TestPool(port: upstream.port) { $0.tls = contexts.client }
        let call = pool.start()
        let peer = try upstream.accept()
        peer.send(greeting)
        peer.shutdownOutput()
        #expect(pool.finish(call) == ["failed tls_failed"])
        peer.close()
        #expect(pool.connectionCount == 0)
        pool.stop()
    }

    @Test("a TLS handshake that does not end runs into the connect timeout")
    func handshakeTimeout() throws {
        let upstream = try FakeUpstream()
        let contexts = try TestCertificate.contexts([.http1])
        let pool = try TestPool(port: upstream.port) {
            $0.tls = contexts.client
            $0.timeouts.connect = millis(200)
        }
        let call = pool.start()
        let peer = try upstream.accept()
        #expect(pool.finish(call) == ["failed connect_timeout"])
        _ = peer.takeAll()
        #expect(peer.failure != EAGAIN)
        pool.reactor.wait(for: "the attempt to end") { _ in pool.connections.connectionCount == 0 }
        pool.stop()
    }
}
