import CLinux
import Glibc
import HTTP
import TLS
import Testing
import Transport

@Suite("HTTP/2 server connection", .timeLimit(.minutes(1)))
struct HTTP2ServerTests {
    private func quick(_ change: (inout ServerLimits) -> Void) -> ServerLimits {
        var limits = ServerLimits()
        change(&limits)
        return limits
    }

    private func filling(_ total: Int) -> (TestService) -> Void {
        let piece = [UInt8](repeating: 120, count: 10_000)
        return { service in
            service.onEnd = { exchange in
                guard exchange.target == "/big" else { return exchange.answer(exchange.target) }
                exchange.respond(framing: .length(total))
                exchange.fill(piece, upTo: total)
            }
            service.onDrained = { $0.fill(piece, upTo: total) }
        }
    }

    @Test("many requests are under way at once and answered in any order")
    func multiplexed() throws {
        let server = try TestServer { $0.onEnd = { _ in } }
        let client = HTTP2Client(port: server.port)
        let ids = (0..<60).map { client.request("/\($0)") }
        server.wait(for: "all requests") { $0.exchanges.count == 60 }
        server.run { service in
            for exchange in service.exchanges.reversed() { exchange.answer(exchange.target) }
        }
        for (index, id) in ids.enumerated() { #expect(client.response(id).text == "/\(index)") }
        client.client.close()
        server.stop()
    }

    @Test("bodies larger than any window go both ways")
    func largeBodies() throws {
        let server = try TestServer { $0.onEnd = { $0.answer($0.body) } }
        let client = HTTP2Client(port: server.port)
        let body = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let id = client.request("/", .post, body: body)
        #expect(client.response(id).body == body)
        client.client.close()
        server.stop()
    }

    @Test("a stream that is not read holds up no other, and its producer")
    func stalledStream() throws {
        let server = try TestServer(setUp: filling(5_000_000))
        let client = HTTP2Client(port: server.port)
        let stalled = client.request("/big")
        client.stalled = [stalled]
        client.run { client.responses[stalled]?.body.count == 65535 }
        for _ in 0..<20 { #expect(client.response(client.request("/x")).text == "/x") }
        #expect(server.run { $0.written } < 65535 + 100_000)
        client.release(stalled)
        #expect(client.response(stalled).body.count == 5_000_000)
        client.client.close()
        server.stop()
    }

    @Test("a stream whose client takes nothing of it for the write timeout is reset; the connection goes on")
    func streamStall() throws {
        let server = try TestServer(limits: quick { $0.writeTimeout = millis(500) }, setUp: filling(5_000_000))
        let client = HTTP2Client(port: server.port)
        let stalled = client.request("/big")
        client.stalled = [stalled]
        _ = client.response(stalled)
        #expect(client.resets(stalled) == [8])
        #expect(server.events.last == "aborted /big clientStalled")
        #expect(client.response(client.request("/x")).text == "/x")
        client.client.close()
        server.stop()
    }

    @Test("a stream that is taken slowly but steadily is not reset")
    func slowStream() throws {
        let server = try TestServer(limits: quick { $0.writeTimeout = millis(1500) }, setUp: filling(400_000))
        let client = HTTP2Client(port: server.port)
        let slow = client.request("/big")
        client.stalled = [slow]
        // Paced by the clock: half a window each 200 ms, so that what waits looks the same each second.
        while client.responses[slow]?.closeCode == nil, client.responses[slow]?.hasEnded == false {
            let had = client.responses[slow]?.body.count ?? 0
            client.run { client.responses[slow]?.body.count != had || client.responses[slow]?.closeCode != nil }
            usleep(200_000)
            client.credit(slow, 33_000)
        }
        #expect(client.responses[slow]?.body.count == 400_000)
        client.client.close()
        server.stop()
    }

    @Test(
        "a client that does not read at all bounds what is produced for it, plain and with TLS",
        arguments: [false, true])
    func unreadConnection(_ isSecure: Bool) throws {
        let contexts = try TestCertificate.contexts([.h2])
        let server = try TestServer(tls: isSecure ? contexts.server : nil, setUp: filling(60_000_000))
        let client = HTTP2Client(
            port: server.port, tls: isSecure ? TLSEngine(client: contexts.client, serverName: "a.test") : nil,
            window: 1 << 30, receiveBuffer: 8192)
        let big = client.request("/big")
        var seen = (-1, -1.0)
        // A slow reader: each time a little, so that the socket becomes writable many times.
        for _ in 0..<300 { client.client.receive() }
        server.wait(for: "the producer to stop") { service in
            defer { seen = (service.written, server.reactor.metric("penstock_sent_bytes_total")) }
            return seen == (service.written, server.reactor.metric("penstock_sent_bytes_total")) && seen.0 > 0
        }
        #expect(server.run { $0.written } - Int(server.reactor.metric("penstock_sent_bytes_total")) < 400_000)
        #expect(client.response(big).body.count == 60_000_000)
        client.client.close()
        server.stop()
    }

    @Test("nothing is read from a client that leaves its answers unread, and reading goes on when it reads")
    func readingPaused() throws {
        let server = try TestServer(setUp: filling(60_000_000))
        let client = HTTP2Client(port: server.port, window: 1 << 30, receiveBuffer: 8192)
        let upload = client.request("/up", .post, ends: false)
        let big = client.request("/big")
        var seen = -1
        server.wait(for: "the producer to stop") { service in
            defer { seen = service.written }
            return seen == service.written && seen > 0
        }
        for _ in 0..<10 {
            client.write(upload, [UInt8](repeating: 121, count: 10_000))
            server.run { _ in }
            server.run { _ in }
        }
        // The first may be what wakes the connection and lets it find its output full.
        #expect(server.run { $0.bodyBytes } <= 10_000)
        #expect(client.response(big).body.count == 60_000_000)
        server.wait(for: "the upload") { $0.bodyBytes == 100_000 }
        client.write(upload, [], ends: true)
        #expect(client.response(upload).text == "/up")
        client.client.close()
        server.stop()
    }

    @Test("a client that resets a stream is noticed at once, before and during the answer", arguments: [false, true])
    func reset(_ hasBegun: Bool) throws {
        let server = try TestServer { service in
            service.onEnd = { if hasBegun { $0.respond(framing: .chunked) } }
        }
        let client = HTTP2Client(port: server.port)
        let id = client.request("/a"), other = client.request("/b")
        server.wait(for: "end /b")
        if hasBegun { client.run { client.responses[id]?.status == 200 } }
        let began = monotonicNow()
        client.cancel(id)
        server.wait(for: "aborted /a clientGone")
        #expect(monotonicNow() - began < millis(1000))
        server.run { service in
            if !hasBegun { service.exchanges[1].respond(framing: .chunked) }
            service.exchanges[1].write("still here")
            service.exchanges[1].finish()
        }
        #expect(client.response(other).text == "still here")
        client.client.close()
        server.stop()
    }

    @Test("a client that closes or resets the connection aborts all its requests", arguments: [false, true])
    func connectionGone(_ isReset: Bool) throws {
        let server = try TestServer { $0.onEnd = { _ in } }
        let client = HTTP2Client(port: server.port)
        for index in 0..<5 { _ = client.request("/\(index)") }
        server.wait(for: "end /4")
        if isReset { client.client.reset() } else { client.client.close() }
        server.wait(for: "all aborts") { $0.events.filter { $0.hasSuffix("clientGone") }.count == 5 }
        server.stop()
    }

    @Test("a body that is too large is answered 413, announced or not, and the connection goes on")
    func tooLarge() throws {
        let server = try TestServer(limits: quick { $0.bodyBytes = 1000 })
        let client = HTTP2Client(port: server.port)
        let body = [UInt8](repeating: 120, count: 20_000)
        #expect(client.response(client.request("/a", .post, body: body, length: 20_000)).status == 413)
        #expect(client.response(client.request("/b", .post, body: body)).status == 413)
        #expect(client.response(client.request("/c", .post, body: Array(body[..<1000]))).status == 200)
        #expect(server.events.contains("end /c") && !server.events.contains("end /a"))
        client.client.close()
        server.stop()
    }

    @Test("a body that becomes too large after the answer has begun resets the stream")
    func tooLargeAfterHead() throws {
        let server = try TestServer(limits: quick { $0.bodyBytes = 1000 }) { service in
            service.onHead = { $0.respond(framing: .chunked) }
        }
        let client = HTTP2Client(port: server.port)
        let id = client.request("/a", .post, body: [UInt8](repeating: 120, count: 2000), ends: false)
        #expect(client.response(id).closeCode == 8)
        client.client.close()
        server.stop()
    }

    @Test("an answer that is broken off ends with INTERNAL_ERROR after what was written")
    func abort() throws {
        let server = try TestServer { service in
            service.onEnd = {
                $0.respond(framing: .chunked)
                $0.write("first")
                $0.abort()
            }
        }
        let client = HTTP2Client(port: server.port)
        let response = client.response(client.request("/a"))
        #expect(response.text == "first" && response.closeCode == 2 && !response.hasEnded)
        client.client.close()
        server.stop()
    }

    @Test("a client that waits to be told sends its body when it is")
    func expectContinue() throws {
        let server = try TestServer { service in
            service.onHead = { $0.stream?.sendContinue() }
            service.onEnd = { $0.answer($0.body) }
        }
        let client = HTTP2Client(port: server.port)
        let id = client.request("/a", .post, length: 4, ends: false, expect: true)
        client.run { client.frames.contains { $0.type == 1 && $0.id == UInt32(id) } }
        client.write(id, Array("body".utf8), ends: true)
        #expect(client.response(id).text == "body")
        client.client.close()
        server.stop()
    }

    @Test("HEAD has no body")
    func head() throws {
        let server = try TestServer()
        let client = HTTP2Client(port: server.port)
        let response = client.response(client.request("/a", .head))
        #expect(response.status == 200 && response.body.isEmpty && response.hasEnded)
        client.client.close()
        server.stop()
    }
}
