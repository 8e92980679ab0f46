import CLinux
import Glibc
import HTTP
import Testing
import Transport

/// How exchanges and connections end that do not go as planned.
@Suite("HTTP/1.1 server connection, endings", .timeLimit(.minutes(1)))
struct HTTP1ServerEndingTests {
    private let get = "GET /a HTTP/1.1\r\nhost: a\r\n\r\n"

    private func quick(_ change: (inout ServerLimits) -> Void) -> ServerLimits {
        var limits = ServerLimits()
        change(&limits)
        return limits
    }

    enum Leave: CaseIterable { case close, shutdown, reset }
    enum Stage: CaseIterable { case body, waiting, streaming, together }

    @Test("a client that goes away is noticed at once, whatever is going on", arguments: Stage.allCases, Leave.allCases)
    func clientGone(_ stage: Stage, _ leave: Leave) throws {
        let server = try TestServer { service in
            service.onEnd = {
                if stage == .streaming {
                    $0.respond(framing: .chunked)
                    $0.write("first")
                }
            }
        }
        let client = server.connect()
        switch stage {
        case .body:
            client.send("POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n01234")
            server.wait(for: "the body") { $0.bodyBytes == 5 }
        case .waiting:
            client.send(get)
            server.wait(for: "end /a")
        case .streaming:
            client.send(get)
            _ = client.take(through: "first")
        case .together:
            client.send(get)
        }
        let left = monotonicNow()
        switch leave {
        case .close: client.close()
        case .shutdown: client.shutdownOutput()
        case .reset: client.reset()
        }
        // A reset may overtake the request.
        if stage != .together || leave != .reset {
            server.wait(for: "aborted /a clientGone")
            #expect(monotonicNow() - left < millis(1000))
        }
        server.stop()
    }

    @Test("a client that goes while its pipelined requests wait is noticed")
    func goneWithPipeline() throws {
        let server = try TestServer { $0.onEnd = { _ in } }
        let client = server.connect()
        client.send(get + get + get)
        server.wait(for: "end /a")
        client.close()
        server.wait(for: "aborted /a clientGone")
        server.stop()
    }

    @Test("a head that comes too slowly is answered 408; a client that says nothing is closed")
    func headerTimeout() throws {
        let server = try TestServer(limits: quick { $0.headerTimeout = millis(150) })
        let silent = server.connect()
        let slow = server.connect()
        slow.send("GET / HT")
        let answer = slow.answer()
        #expect(answer.status == 408 && answer.isWhole)
        #expect(slow.isClosedByPeer)
        #expect(silent.isClosedByPeer)
        #expect(server.events.isEmpty)
        server.stop()
    }

    @Test("a body that stalls, or drips for too long, is answered 408", arguments: [true, false])
    func bodyTimeout(_ stalls: Bool) throws {
        let server = try TestServer(
            limits: quick {
                $0.bodyIdleTimeout = millis(stalls ? 150 : 5000)
                $0.bodyTimeout = millis(stalls ? 5000 : 150)
            })
        let client = server.connect()
        client.send("POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n01")
        let answer = client.answer()
        #expect(answer.status == 408 && answer.isWhole)
        #expect(client.isClosedByPeer)
        #expect(server.events == ["head /a", "aborted /a refused(status: 408)"])
        server.stop()
    }

    @Test("an idle connection is closed after its time, and not while a request runs")
    func idleTimeout() throws {
        let server = try TestServer(limits: quick { $0.idleTimeout = millis(150) }) { service in
            service.onEnd = { _ in }
        }
        let busy = server.connect()
        busy.send(get)
        server.wait(for: "end /a")
        let idle = server.connect()
        idle.send("GET /b HTTP/1.1\r\nhost: a\r\n\r\n")
        server.wait(for: "end /b")
        server.run { $0.exchanges[1].answer() }
        #expect(idle.answer().status == 200)
        #expect(idle.isClosedByPeer)
        server.run { $0.exchanges[0].answer() }
        #expect(busy.answer().status == 200)
        server.stop()
    }

    @Test("a client that takes nothing of its answer is cut after the write timeout")
    func writeStall() throws {
        let server = try TestServer(limits: quick { $0.writeTimeout = millis(200) }) { service in
            let piece = [UInt8](repeating: 120, count: 10_000)
            service.onEnd = {
                $0.respond(framing: .chunked)
                $0.fill(piece, upTo: 50_000_000)
            }
            service.onDrained = { $0.fill(piece, upTo: 50_000_000) }
        }
        let client = Client(port: server.port, receiveBuffer: 8192)
        client.send(get)
        server.wait(for: "aborted /a clientStalled")
        #expect(server.run { $0.written } < 20_000_000)
        client.close()
        server.stop()
    }

    @Test("malformed requests are refused, the client can read it, and nothing of what follows is served")
    func malformed() throws {
        let server = try TestServer()
        for (head, status) in [
            ("GET / HTTP/1.1\r\n\r\n", 400), ("BREW / HTTP/1.1\r\nhost: a\r\n\r\n", 501),
            ("GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nhost: a\r\nx: " + String(repeating: "y", count: 40_000) + "\r\n\r\n", 431),
        ] {
            let client = server.connect()
            client.send(head + get + get)
            let answer = client.answer()
            #expect(answer.status == status && answer.isWhole && answer.fields["connection"] == "close")
            #expect(client.isClosedByPeer)
            client.close()
        }
        #expect(server.events.isEmpty)
        server.stop()
    }

    @Test("a broken chunk in mid-body is refused and the handler told")
    func brokenChunk() throws {
        let server = try TestServer()
        let client = server.connect()
        client.send("POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabcX\r\n")
        #expect(client.answer().status == 400)
        #expect(server.events == ["head /a", "aborted /a refused(status: 400)"])
        client.close()
        server.stop()
    }

    @Test("draining finishes what runs, says so, and closes what is idle")
    func drain() throws {
        let server = try TestServer { $0.onEnd = { _ in } }
        let idle = server.connect(), busy = server.connect(), reading = server.connect(), silent = server.connect()
        for client in [idle, busy] { client.send(get) }
        server.wait(for: "both") { $0.exchanges.count == 2 }
        server.run { $0.exchanges.forEach { $0.answer("first") } }
        for client in [idle, busy] { #expect(client.answer().text == "first") }
        busy.send("GET /busy HTTP/1.1\r\nhost: a\r\n\r\n")
        server.wait(for: "end /busy")
        reading.send("GET /reading HT")
        server.wait(for: "four connections") { _ in server.server.connectionCount == 4 }
        server.run { _ in server.server.drain() }
        #expect(idle.isClosedByPeer && silent.isClosedByPeer)
        reading.send("TP/1.1\r\nhost: a\r\n\r\n")
        server.wait(for: "end /reading")
        server.run { service in service.exchanges.suffix(2).forEach { $0.answer("last") } }
        for client in [busy, reading] {
            let answer = client.answer()
            #expect(answer.text == "last" && answer.fields["connection"] == "close")
            #expect(client.isClosedByPeer)
        }
        server.stop()
    }

    @Test("draining does not cut an answer that is on its way")
    func drainWhileSending() throws {
        let body = [UInt8](repeating: 120, count: 8_000_000)
        let server = try TestServer { service in service.onEnd = { $0.answer(body) } }
        let client = Client(port: server.port, receiveBuffer: 8192)
        client.send(get)
        server.wait(for: "end /a")
        server.run { _ in server.server.drain() }
        #expect(client.answer().body.count == body.count)
        client.close()
        server.stop()
    }

    @Test("a connection that comes after the shutdown was announced has its first request answered, and no second")
    func announced() throws {
        let server = try TestServer()
        server.run { _ in server.server.announceShutdown() }
        let client = server.connect()
        client.send(get)
        let answer = client.answer()
        #expect(answer.status == 200 && answer.fields["connection"] == "close")
        #expect(client.isClosedByPeer)
        client.close()
        server.stop()
    }

    @Test("closing all aborts what runs")
    func closeAll() throws {
        let server = try TestServer { $0.onEnd = { _ in } }
        let client = server.connect(), other = server.connect()
        client.send(get)
        server.wait(for: "end /a")
        server.run { _ in server.server.closeAll() }
        #expect(client.isClosedByPeer && other.isClosedByPeer)
        #expect(server.events.last == "aborted /a shutdown")
        server.stop()
    }

    @Test("an answer of any size comes whole to a slow reader, and the producer waits meanwhile")
    func largeAnswer() throws {
        let server = try TestServer { service in
            let piece = [UInt8](repeating: 120, count: 30_000)
            service.onEnd = {
                $0.respond(framing: .length(20_000_000))
                $0.fill(piece, upTo: 20_000_000)
            }
            service.onDrained = { $0.fill(piece, upTo: 20_000_000) }
        }
        let client = Client(port: server.port, receiveBuffer: 8192)
        client.send(get)
        server.wait(for: "the producer to stop") { service in
            service.written - Int(server.reactor.metric("penstock_sent_bytes_total")) > 0
        }
        #expect(server.run { $0.written } - Int(server.reactor.metric("penstock_sent_bytes_total")) < 200_000)
        let answer = client.answer()
        #expect(answer.body.count == 20_000_000 && answer.isWhole)
        client.send(get)
        client.close()
        server.stop()
    }

    @Test(
        "a producer that pauses is told to go on even if all it wrote left at once",
        arguments: [60_000, 70_000, 200_000])
    func drainedAfterOneWrite(_ size: Int) throws {
        let server = try TestServer { service in
            service.onEnd = {
                $0.respond(framing: .chunked)
                $0.write([UInt8](repeating: 120, count: size))
                if $0.stream?.isFull != true { $0.finish() }
            }
            service.onDrained = { $0.finish() }
        }
        let client = server.connect()
        client.send(get)
        #expect(client.answer().body.count == size)
        client.close()
        server.stop()
    }
}
