import CLinux
import Glibc
import HTTP
import Testing
import Transport

/// How HTTP/2 connections from clients end.
@Suite("HTTP/2 server connection, endings", .timeLimit(.minutes(1)))
struct HTTP2ServerEndingTests {
    private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    private func quick(_ change: (inout ServerLimits) -> Void) -> ServerLimits {
        var limits = ServerLimits()
        change(&limits)
        return limits
    }

    @Test("draining says first that the end is near, then where, and lets what runs finish")
    func drain() throws {
        let server = try TestServer { $0.onEnd = { _ in } }
        let client = HTTP2Client(port: server.port)
        let first = client.request("/1"), second = client.request("/2")
        server.wait(for: "end /2")
        server.run { _ in server.server.drain() }
        client.run { client.goAways.count == 2 }
        #expect(client.goAways.map(\.lastStream) == [UInt32(Int32.max), UInt32(second)])
        #expect(client.goAways.allSatisfy { $0.code == 0 })
        server.run { service in service.exchanges.forEach { $0.answer($0.target) } }
        #expect(client.response(first).text == "/1" && client.response(second).text == "/2")
        client.runToEnd()
        #expect(client.client.failure == 0)
        client.client.close()
        server.stop()
    }

    @Test("a drained connection without requests ends, even if its client answers nothing", arguments: [true, false])
    func drainIdle(_ answers: Bool) throws {
        let server = try TestServer()
        let client = HTTP2Client(port: server.port)
        #expect(client.response(client.request("/a")).text == "ok")
        server.run { _ in server.server.drain() }
        if answers {
            client.runToEnd()
            #expect(client.goAways.count == 2)
        } else {
            #expect(!client.client.takeAll().isEmpty)
        }
        client.client.close()
        server.stop()
    }

    @Test("a connection that comes after the shutdown was announced has its first request answered, then is told to go")
    func announced() throws {
        let server = try TestServer()
        server.run { _ in server.server.announceShutdown() }
        let client = HTTP2Client(port: server.port)
        client.run { client.frames.contains { $0.type == Frame.settings } }
        #expect(client.goAways.isEmpty)
        #expect(client.response(client.request("/a")).text == "ok")
        client.runToEnd()
        #expect(client.goAways.first?.code == 0)
        client.client.close()
        server.stop()
    }

    @Test("closing all aborts what runs and says goodbye")
    func closeAll() throws {
        let server = try TestServer { $0.onEnd = { _ in } }
        let client = HTTP2Client(port: server.port)
        _ = client.request("/a")
        server.wait(for: "end /a")
        server.run { _ in server.server.closeAll() }
        client.runToEnd()
        #expect(client.goAways.count == 1)
        #expect(server.events.last == "aborted /a shutdown")
        client.client.close()
        server.stop()
    }

    enum Silence: CaseIterable { case halfPreface, noAcknowledgement, openHeaderBlock }

    @Test("a client that begins and does not go on is cut after the header timeout", arguments: Silence.allCases)
    func headerTimeout(_ silence: Silence) throws {
        let server = try TestServer(limits: quick { $0.headerTimeout = millis(500) })
        let client = server.connect()
        switch silence {
        case .halfPreface: client.send(Array(Self.preface[..<10]))
        case .noAcknowledgement: client.send(Self.preface + Frame.make(Frame.settings, 0, 0))
        case .openHeaderBlock:
            client.send(Self.preface + Frame.make(Frame.settings, 0, 0) + Frame.make(Frame.settings, 1, 0))
            // Method GET, and no end of the block.
            client.send(Frame.make(1, 1, 1, [0x82]))
        }
        let began = monotonicNow()
        _ = client.takeAll()
        #expect(client.failure != EAGAIN && monotonicNow() - began < millis(4000))
        client.close()
        #expect(server.reactor.metric("penstock_connections_cut_total") == 1)
        server.stop()
    }

    @Test("a client that does not read its answer is not cut for what we leave unread of it")
    func unreadIsNotLate() throws {
        let piece = [UInt8](repeating: 120, count: 10_000)
        let server = try TestServer(limits: quick { $0.bodyIdleTimeout = millis(300) }) { service in
            service.onEnd = { exchange in
                guard exchange.target == "/big" else { return exchange.answer() }
                exchange.respond(framing: .chunked)
                exchange.fill(piece, upTo: 10_000_000)
            }
            service.onDrained = { $0.fill(piece, upTo: 10_000_000) }
        }
        let client = HTTP2Client(port: server.port, window: 1 << 30, receiveBuffer: 8192)
        #expect(client.response(client.request("/first")).text == "ok")
        let upload = client.request("/up", .post, ends: false), big = client.request("/big")
        var seen = -1
        server.wait(for: "the producer to stop") { service in
            defer { seen = service.written }
            return seen == service.written && seen > 0
        }
        client.write(upload, [UInt8](repeating: 121, count: 50_000))
        client.write(upload, [UInt8](repeating: 121, count: 50_000), ends: true)
        // Longer than the timeout, which is looked at each second.
        try TestTimer(server.reactor, millis: 2200).wait()
        #expect(client.response(big).body.count == 10_000_000)
        #expect(client.response(upload).text == "ok")
        client.client.close()
        server.stop()
    }

    @Test("an idle connection is told to go and closed, not one with a request")
    func idleTimeout() throws {
        let server = try TestServer(limits: quick { $0.idleTimeout = millis(500) }) { $0.onEnd = { _ in } }
        let busy = HTTP2Client(port: server.port), idle = HTTP2Client(port: server.port)
        let id = busy.request("/a")
        server.wait(for: "end /a")
        idle.runToEnd()
        #expect(idle.goAways.count == 1 && idle.goAways.first?.code == 0)
        server.run { $0.exchanges[0].answer() }
        #expect(busy.response(id).text == "ok")
        busy.client.close()
        server.stop()
    }

    @Test("a body that stalls is answered 408 and the connection goes on")
    func bodyTimeout() throws {
        let server = try TestServer(limits: quick { $0.bodyIdleTimeout = millis(300) })
        let client = HTTP2Client(port: server.port)
        let id = client.request("/a", .post, body: [1, 2], length: 10, ends: false)
        #expect(client.response(id).status == 408)
        #expect(server.events.last?.hasPrefix("aborted /a") == true)
        #expect(client.response(client.request("/b")).text == "ok")
        client.client.close()
        server.stop()
    }

    @Test("a connection that takes nothing for the write timeout is cut")
    func writeStall() throws {
        let piece = [UInt8](repeating: 120, count: 10_000)
        let server = try TestServer(limits: quick { $0.writeTimeout = millis(500) }) { service in
            service.onEnd = {
                $0.respond(framing: .chunked)
                $0.fill(piece, upTo: 60_000_000)
            }
            service.onDrained = { $0.fill(piece, upTo: 60_000_000) }
        }
        let client = HTTP2Client(port: server.port, window: 1 << 30, receiveBuffer: 8192)
        _ = client.request("/a")
        server.wait(for: "aborted /a clientStalled")
        client.client.close()
        server.stop()
    }

    @Test("a client that breaks the protocol is told by GOAWAY and closed")
    func protocolError() throws {
        let server = try TestServer { $0.onEnd = { _ in } }
        let client = HTTP2Client(port: server.port)
        _ = client.request("/a")
        server.wait(for: "end /a")
        // DATA on stream 0.
        client.client.send(Frame.make(0, 0, 0, [1]))
        client.runToEnd()
        #expect(client.goAways.first?.code == 1)
        #expect(server.events.last == "aborted /a clientGone")
        client.client.close()
        server.stop()
    }
}
