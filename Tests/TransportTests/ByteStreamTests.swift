import Bytes
import CLinux
import Glibc
import Reactor
import TLS
import Telemetry
import Testing
import Transport

/// Records what a byte stream tells it. On the reactor.
private final class Listener: ByteStreamDelegate {
    var received: [UInt8] = []
    var deliveries = 0
    var ends = 0
    var drains = 0
    var deadlines = 0
    var failures: [StreamFailure] = []
    var isEstablished = false
    var onReceived: () -> Void = {}

    func received(_ bytes: Span<UInt8>) {
        received.append(copying: bytes)
        deliveries += 1
        onReceived()
    }

    func established() { isEstablished = true }
    func inputEnded() { ends += 1 }
    func drained() { drains += 1 }
    func prepareOutput() -> Bool { false }
    func deadlinePassed() { deadlines += 1 }
    func failed(_ failure: StreamFailure) { failures.append(failure) }
}

/// A byte stream, its listener, and the socket at the other end.
private struct Line {
    let reactor: TestReactor
    nonisolated(unsafe) let stream: ByteStream
    nonisolated(unsafe) let listener: Listener
    let peer: Client

    init(tls: (server: TLSServerContext, client: TLSClientContext)? = nil) throws {
        let reactor = try TestReactor()
        var ends: [Int32] = [0, 0]
        precondition(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
        var size: Int32 = 16384
        setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        let descriptor = ends[0]
        let (stream, listener) = reactor.run { loop in
            let listener = Listener()
            let meter = TrafficMeter(
                reactor.metrics.connections(.client, .http1), on: reactor.metrics.shard(reactor: 1))
            let engine = tls.map { TLSEngine(server: $0.server) }
            let stream = try! ByteStream(
                descriptor, peer: nil, tls: engine, meter: meter, on: loop, delegate: listener)
            return (stream, listener)
        }
        (self.reactor, self.stream, self.listener) = (reactor, stream, listener)
        peer = Client(ends[1], tls: tls.map { TLSEngine(client: $0.client, serverName: "a.test") })
    }

    @discardableResult
    func run<Result>(_ body: @escaping () -> Result) -> Result { reactor.run { _ in body() } }

    func wait(for what: String, location: SourceLocation = #_sourceLocation, _ condition: @escaping () -> Bool) {
        reactor.wait(for: what, location: location) { _ in condition() }
    }

    func write(_ count: Int) {
        run {
            stream.output.append([UInt8](repeating: 120, count: count))
            stream.touch()
        }
    }

    /// Waits until the kernel takes no more.
    func waitUntilBlocked() {
        var seen = -1
        reactor.wait(for: "the writer to stop") { _ in
            defer { seen = stream.unsent }
            return seen == stream.unsent && seen > 0
        }
    }

    func stop(location: SourceLocation = #_sourceLocation) {
        run {
            stream.close()
            // What the test set holds this line.
            listener.onReceived = {}
        }
        reactor.stop(location: location)
    }
}

@Suite("Byte stream", .timeLimit(.minutes(1)))
struct ByteStreamTests {
    private static func line(_ isSecure: Bool) throws -> Line {
        try Line(tls: isSecure ? TestCertificate.contexts([.http1]) : nil)
    }

    @Test("what a slow reader leaves is sent when it reads, and the writer told once", arguments: [false, true])
    func slowReader(_ isSecure: Bool) throws {
        let line = try Self.line(isSecure)
        line.write(1_000_000)
        line.waitUntilBlocked()
        #expect(line.run { line.stream.isFull && line.listener.drains == 0 })
        #expect(line.peer.take(1_000_000).count == 1_000_000)
        line.wait(for: "the writer to be told") { line.listener.drains == 1 }
        #expect(line.run { line.stream.unsent } == 0)
        line.stop()
    }

    @Test("a body goes out after what was written before it, in one piece with it", arguments: [false, true])
    func body(_ isSecure: Bool) throws {
        let line = try Self.line(isSecure)
        let bytes = (0..<500_000).map { UInt8(truncatingIfNeeded: $0 &* 11) }
        line.run {
            let body = RequestBody()
            body.bytes.append(bytes)
            line.stream.output.append("head")
            line.stream.send(body)
        }
        line.waitUntilBlocked()
        line.run {
            line.stream.send(RequestBody())
        }
        #expect(line.peer.take(4) == Array("head".utf8))
        #expect(line.peer.take(500_000) == bytes)
        line.wait(for: "all to be sent") { line.stream.unsent == 0 }
        line.stop()
    }

    @Test("closing when sent sends everything first; closing loses it", arguments: [false, true])
    func closing(_ waits: Bool) throws {
        let line = try Line()
        line.write(500_000)
        line.waitUntilBlocked()
        line.run { if waits { line.stream.closeWhenSent() } else { line.stream.close() } }
        #expect(line.run { line.stream.isOpen } == waits)
        let got = line.peer.takeAll().count
        #expect(waits ? got == 500_000 : got < 500_000)
        line.wait(for: "the end") { !line.stream.isOpen }
        #expect(line.run { line.listener.failures.isEmpty })
        line.stop()
    }

    @Test("a peer that takes nothing for the write timeout fails the stream; one that takes a little does not")
    func writeStall() throws {
        let line = try Line()
        line.run { line.stream.writeTimeout = millis(300) }
        line.write(500_000)
        for _ in 0..<5 {
            // Paced by the clock, below the timeout.
            try TestTimer(line.reactor, millis: 150).wait()
            _ = line.peer.take(60_000)
        }
        #expect(line.run { line.listener.failures.isEmpty })
        line.wait(for: "the stall") { !line.listener.failures.isEmpty }
        #expect(line.run { line.listener.failures } == [.writeStalled])
        line.stop()
    }

    @Test("after the end of output the peer's bytes still come", arguments: [false, true])
    func halfClose(_ isSecure: Bool) throws {
        let line = try Self.line(isSecure)
        line.write(300_000)
        line.run { line.stream.endOutputWhenSent() }
        #expect(line.peer.takeAll().count == 300_000)
        line.peer.send("last words")
        line.wait(for: "them") { line.listener.received == Array("last words".utf8) }
        line.peer.close()
        line.wait(for: "the end") { line.listener.ends > 0 || !line.listener.failures.isEmpty }
        line.stop()
    }

    @Test("nothing comes while reading is paused, and not within the call that resumes it", arguments: [false, true])
    func pause(_ isSecure: Bool) throws {
        let line = try Self.line(isSecure)
        line.run { line.listener.onReceived = { line.stream.pauseReading() } }
        line.peer.send([UInt8](repeating: 1, count: 100))
        line.wait(for: "the first") { line.listener.deliveries == 1 }
        line.peer.send([UInt8](repeating: 2, count: 100))
        line.run {}
        #expect(line.run { line.listener.received.count } == 100)
        let within = line.run {
            line.stream.resumeReading()
            return line.listener.received.count
        }
        #expect(within == 100)
        line.wait(for: "the second") { line.listener.received.count == 200 }
        line.stop()
    }

    @Test("the peer's end is told while reading is paused, also if it came with the bytes that paused it")
    func endWhilePaused() throws {
        let line = try Line()
        let together = try Line()
        for line in [line, together] {
            line.run { line.listener.onReceived = { line.stream.pauseReading() } }
        }
        line.peer.send("x")
        line.wait(for: "the byte") { line.listener.deliveries == 1 }
        line.peer.close()
        line.wait(for: "the end") { line.listener.ends > 0 }
        together.run {
            // Both are there before the reactor looks.
            together.peer.send("x")
            together.peer.close()
        }
        together.wait(for: "the end") { together.listener.ends > 0 && together.listener.deliveries == 1 }
        line.stop()
        together.stop()
    }

    @Test("what waited when the peer closed is read to the end before the end is told")
    func endAfterBytes() throws {
        let line = try Line()
        line.run {
            // As much as waits in the socket, and more than one turn reads.
            _ = line.peer.sendAvailable([UInt8](repeating: 1, count: 150_000))
            line.peer.close()
        }
        line.wait(for: "the end") { line.listener.ends > 0 }
        #expect(line.run { line.listener.received.count } > 0)
        #expect(line.run { line.listener.received.count } == Int(line.reactor.metric("penstock_received_bytes_total")))
        line.stop()
    }

    @Test("a peer that resets fails the stream, once")
    func reset() throws {
        let server = try Sockets.listen(on: SocketAddress(literal: "127.0.0.1", port: 0)!, sharesPort: false)
        defer { close(server) }
        let peer = Client(port: SocketAddress(localOf: server)!.port)
        let reactor = try TestReactor()
        let made = reactor.run { loop in
            guard case .connection(let descriptor, let address) = Sockets.accept(server) else { fatalError("none") }
            let listener = Listener()
            let meter = TrafficMeter(
                reactor.metrics.connections(.client, .http1), on: reactor.metrics.shard(reactor: 1))
            return (
                try! ByteStream(descriptor, peer: address, tls: nil, meter: meter, on: loop, delegate: listener),
                listener
            )
        }
        peer.reset()
        reactor.wait(for: "the failure") { _ in made.1.failures == [.system(ECONNRESET)] }
        #expect(reactor.run { _ in !made.0.isOpen })
        reactor.stop()
    }

    @Test("deadlines fire once at their time, move, and are taken back")
    func deadlines() throws {
        let line = try Line(), other = try Line()
        line.reactor.run { loop in
            line.stream.setDeadline(loop.now + millis(10))
            line.stream.setDeadline(loop.now + millis(100))
        }
        other.reactor.run { loop in
            other.stream.setDeadline(loop.now + millis(20))
            other.stream.clearDeadline()
        }
        line.wait(for: "the deadline") { line.listener.deadlines == 1 }
        line.reactor.run { line.stream.setDeadline($0.now + millis(20)) }
        line.wait(for: "the next") { line.listener.deadlines == 2 }
        #expect(other.run { other.listener.deadlines } == 0)
        line.stop()
        other.stop()
    }

    @Test(
        "a detached stream sends what waits and closes, and closes at its limit if the peer does not read",
        arguments: [false, true])
    func detached(_ reads: Bool) throws {
        let line = try Line()
        line.write(500_000)
        line.waitUntilBlocked()
        line.run { line.stream.detach(within: millis(reads ? 20_000 : 150)) }
        if reads {
            #expect(line.peer.takeAll().count == 500_000)
        }
        line.wait(for: "the end") { !line.stream.isOpen }
        #expect(line.run { line.listener.failures.isEmpty && line.listener.drains == 0 })
        line.stop()
    }
}
