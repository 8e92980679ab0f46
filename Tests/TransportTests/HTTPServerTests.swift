import CLinux
import Glibc
import HTTP
import TLS
import Testing
import Transport

@Suite("HTTP server", .timeLimit(.minutes(1)))
struct HTTPServerTests {
    private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    private let get = "GET /a HTTP/1.1\r\nhost: a\r\n\r\n"

    private func limits(_ change: (inout ServerLimits) -> Void) -> ServerLimits {
        var limits = ServerLimits()
        change(&limits)
        return limits
    }

    private func secure(_ protocols: [ALPNProtocol], offered: [ALPNProtocol]) throws -> (TestServer, () -> TLSEngine) {
        let contexts = try TestCertificate.contexts(protocols)
        let client = try TLSClientContext(verification: .off, protocols: offered)
        return (try TestServer(tls: contexts.server), { TLSEngine(client: client, serverName: "a.test") })
    }

    @Test("the protocol is found out from the first bytes, one at a time", arguments: [true, false])
    func detection(_ isHTTP2: Bool) throws {
        let server = try TestServer()
        let client = server.connect()
        let bytes = isHTTP2 ? Self.preface + Frame.make(Frame.settings, 0, 0) : Array(get.utf8)
        for byte in bytes {
            client.send([byte])
            // Seen by the server before the next one goes.
            let sent = server.run { _ in server.reactor.metric("penstock_received_bytes_total") }
            server.wait(for: "the byte") { _ in server.reactor.metric("penstock_received_bytes_total") >= sent }
        }
        if isHTTP2 {
            #expect(client.take(9)[3] == Frame.settings)
        } else {
            #expect(client.answer().text == "ok")
        }
        client.close()
        server.stop()
    }

    @Test("a listener without HTTP/2 takes its preface for a bad request")
    func withoutHTTP2() throws {
        let server = try TestServer(protocols: [.http1])
        let client = server.connect()
        client.send(Self.preface)
        let answer = client.answer()
        #expect(answer.status == 0 || answer.status >= 400)
        _ = client.takeAll()
        client.close()
        server.stop()
    }

    @Test("a listener without HTTP/1.1 answers HTTP/1.1 with the end")
    func withoutHTTP1() throws {
        let server = try TestServer(protocols: [.http2])
        let client = server.connect()
        client.send(get)
        _ = client.takeAll()
        #expect(client.failure != EAGAIN)
        client.close()
        let other = HTTP2Client(port: server.port)
        #expect(other.response(other.request("/a")).text == "ok")
        other.client.close()
        server.stop()
    }

    @Test("a connection above the limit is answered 503, and one that frees its place is followed by another")
    func overLimit() throws {
        let server = try TestServer(limits: limits { $0.connections = 2 })
        let first = server.connect(), second = server.connect()
        for client in [first, second] {
            client.send(get)
            #expect(client.answer().status == 200)
        }
        let third = server.connect()
        let answer = third.answer()
        #expect(answer.status == 503 && answer.isWhole && answer.fields["connection"] == "close")
        #expect(third.isClosedByPeer)
        #expect(server.reactor.metric("penstock_connection_refusals_total") == 1)
        first.close()
        server.wait(for: "the place") { _ in server.server.connectionCount == 1 }
        let fourth = server.connect()
        fourth.send(get)
        #expect(fourth.answer().status == 200)
        second.close()
        fourth.close()
        server.stop()
    }

    @Test("places of connections that came and went are used again")
    func places() throws {
        let server = try TestServer()
        for round in 0..<5 {
            let clients = (0..<8).map { _ in server.connect() }
            for (index, client) in clients.enumerated() {
                switch (index + round) % 4 {
                case 0: client.send(get)
                case 1: client.send("\u{1}\u{2}\r\n")
                case 2: client.send(Self.preface)
                default: break
                }
                if index % 2 == 0 { client.close() } else { client.reset() }
            }
        }
        server.wait(for: "all to go") { _ in server.server.connectionCount == 0 }
        let client = server.connect()
        client.send(get)
        #expect(client.answer().status == 200)
        client.close()
        server.stop()
    }

    @Test(
        "with TLS, ALPN decides; without ALPN, the first bytes do",
        arguments: [[ALPNProtocol.h2, .http1], [.http1], [.h2], []])
    func negotiation(_ offered: [ALPNProtocol]) throws {
        let (server, engine) = try secure([.h2, .http1], offered: offered)
        if offered.first == .h2 {
            let client = HTTP2Client(port: server.port, tls: engine())
            #expect(client.client.alpn == .h2)
            #expect(client.response(client.request("/a")).text == "ok")
            client.client.close()
        } else {
            let client = Client(port: server.port, tls: engine())
            #expect(client.alpn == offered.first)
            client.send(get)
            #expect(client.answer().text == "ok")
            client.close()
        }
        if offered.isEmpty {
            let client = HTTP2Client(port: server.port, tls: engine())
            #expect(client.response(client.request("/a")).text == "ok")
            client.client.close()
        }
        server.stop()
    }

    @Test("large bodies go both ways through TLS, and pauses keep their order", arguments: [ALPNProtocol.http1, .h2])
    func tlsBodies(_ version: ALPNProtocol) throws {
        let contexts = try TestCertificate.contexts([version])
        let server = try TestServer(tls: contexts.server) { $0.onEnd = { $0.answer($0.body) } }
        let engine = TLSEngine(client: contexts.client, serverName: "a.test")
        let body = (0..<2_000_000).map { UInt8(truncatingIfNeeded: $0 &* 17) }
        if version == .h2 {
            let client = HTTP2Client(port: server.port, tls: engine)
            #expect(client.response(client.request("/", .post, body: body)).body == body)
            client.client.close()
        } else {
            let client = Client(port: server.port, tls: engine)
            let head = Array("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: \(body.count)\r\n\r\n".utf8)
            // Two in one go: the second waits, decrypted or not, while the first is answered.
            client.send(head + body + Array(get.utf8))
            #expect(client.answer().body == body)
            #expect(client.answer().status == 200)
            client.close()
        }
        server.stop()
    }

    @Test("a client that goes away during its request is noticed through TLS", arguments: [true, false])
    func tlsGone(_ isReset: Bool) throws {
        let contexts = try TestCertificate.contexts([.http1])
        let server = try TestServer(tls: contexts.server) { $0.onEnd = { _ in } }
        let client = Client(port: server.port, tls: TLSEngine(client: contexts.client, serverName: "a.test"))
        client.send(get)
        server.wait(for: "end /a")
        if isReset { client.reset() } else { client.close() }
        server.wait(for: "aborted /a clientGone")
        server.stop()
    }

    @Test("who speaks no TLS where TLS is spoken is closed and counted")
    func plainOnTLS() throws {
        let (server, _) = try secure([.http1], offered: [])
        let client = server.connect()
        client.send(get)
        #expect(client.isClosedByPeer)
        server.wait(for: "the count") { _ in server.reactor.metric("penstock_connection_refusals_total") == 1 }
        client.close()
        server.stop()
    }

    @Test("a TLS client that begins no handshake is closed after the handshake timeout")
    func handshakeTimeout() throws {
        let contexts = try TestCertificate.contexts()
        let server = try TestServer(limits: limits { $0.handshakeTimeout = millis(200) }, tls: contexts.server)
        let client = server.connect()
        client.send([22, 3, 1])
        #expect(client.isClosedByPeer)
        client.close()
        server.stop()
    }
}
