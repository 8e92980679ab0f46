import CLinux
import Glibc
import HTTP
import Reactor
import Testing
import Transport

@Suite("HTTP/1.1 server connection", .timeLimit(.minutes(1)))
struct HTTP1ServerTests {
    private let get = "GET /a HTTP/1.1\r\nhost: a\r\n\r\n"

    /// Limits a test can wait for.
    private func quick(_ change: (inout ServerLimits) -> Void) -> ServerLimits {
        var limits = ServerLimits()
        change(&limits)
        return limits
    }

    @Test("one connection serves request after request")
    func keepAlive() throws {
        let server = try TestServer { $0.onEnd = { $0.answer($0.target) } }
        let client = server.connect()
        for index in 0..<20 {
            client.send("GET /\(index) HTTP/1.1\r\nhost: a\r\n\r\n")
            let answer = client.answer()
            #expect(answer.text == "/\(index)")
            #expect(answer.fields["connection"] == nil && answer.fields["date"] != nil)
        }
        #expect(server.run { $0.made } == 1)
        client.close()
        server.stop()
    }

    @Test("what is pipelined is answered in order, though answers are ready in another", arguments: [1, 7, 65536])
    func pipelining(_ piece: Int) throws {
        // Every third answer waits for its turn on the reactor.
        let server = try TestServer { service in
            service.onEnd = { exchange in
                if (Int(exchange.target.dropFirst()) ?? 0) % 3 != 0 { return exchange.answer(exchange.target) }
                exchange.stream?.reactor.remote.submit(nonisolatedAnswer(exchange))
            }
        }
        let client = server.connect()
        let requests = (0..<50).map { "POST /\($0) HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc" }.joined()
        let bytes = Array(requests.utf8)
        for start in stride(from: 0, to: bytes.count, by: piece) {
            client.send(Array(bytes[start..<min(start + piece, bytes.count)]))
        }
        for index in 0..<50 { #expect(client.answer().text == "/\(index)") }
        client.close()
        server.stop()
    }

    @Test("of a long pipeline no more is taken in than is answered")
    func pipelineBound() throws {
        let server = try TestServer { $0.onEnd = { _ in } }
        let client = server.connect()
        let requests = Array(String(repeating: get, count: 20_000).utf8)
        var sent = 0
        while case let count = client.sendAvailable(Array(requests[sent...])), count > 0 { sent += count }
        for index in 0..<20 {
            guard server.wait(for: "request \(index)", until: { $0.exchanges.count == index + 1 }) else { break }
            server.run { $0.exchanges[index].answer() }
            #expect(client.answer().status == 200)
        }
        #expect(server.reactor.metric("penstock_received_bytes_total") <= 300_000)
        client.reset()
        server.stop()
    }

    @Test("a pipeline whose answers are not read stops being answered, and goes on when they are")
    func pipelineBackPressure() throws {
        let body = [UInt8](repeating: 120, count: 20_000)
        let server = try TestServer { $0.onEnd = { $0.answer(body) } }
        let client = Client(port: server.port, receiveBuffer: 65536)
        let requests = Array(String(repeating: get, count: 1500).utf8)
        client.send(requests)
        var seen = -1
        server.wait(for: "the server to stop") { service in
            defer { seen = service.events.count }
            return seen == service.events.count && seen > 0 && server.reactor.metric("penstock_sent_bytes_total") > 0
        }
        let unsent =
            server.run { $0.exchanges.count * 20_000 } - Int(server.reactor.metric("penstock_sent_bytes_total"))
        #expect(unsent <= 200_000, "\(unsent) bytes wait for a client that does not read")
        for _ in 0..<1500 {
            guard client.answer().body.count == 20_000 else {
                Issue.record("an answer is missing")
                break
            }
        }
        client.close()
        server.stop()
    }

    @Test("a body comes whole, however it is framed and cut", arguments: [1, 5, 100_000])
    func bodies(_ piece: Int) throws {
        let server = try TestServer { $0.onEnd = { $0.answer($0.body) } }
        let client = server.connect()
        let text = String(repeating: "0123456789abcdef", count: 40)
        var chunked = "POST /c HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
        chunked += "10;x=y\r\n0123456789abcdef\r\n270\r\n" + text.dropFirst(16) + "\r\n0\r\nt: u\r\n\r\n"
        let fixed = "POST /f HTTP/1.1\r\nhost: a\r\ncontent-length: \(text.count)\r\n\r\n" + text
        for message in [chunked, fixed, chunked] {
            let bytes = Array(message.utf8)
            for start in stride(from: 0, to: bytes.count, by: piece) {
                client.send(Array(bytes[start..<min(start + piece, bytes.count)]))
            }
            #expect(client.answer().text == text)
        }
        client.close()
        server.stop()
    }

    @Test("a client that waits for it is told to continue, once")
    func expectContinue() throws {
        let server = try TestServer { service in
            service.onHead = {
                $0.stream?.sendContinue()
                $0.stream?.sendContinue()
            }
            service.onEnd = { $0.answer($0.body) }
        }
        let client = server.connect()
        client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n")
        #expect(client.answer().status == 100)
        client.send("body")
        #expect(client.answer().text == "body")
        client.send(get)
        #expect(client.answer().status == 200)
        client.close()
        server.stop()
    }

    @Test("a client that was not told to continue is not served another request: its body may or may not come")
    func expectRefused() throws {
        let server = try TestServer { $0.onHead = { $0.answer("no", status: 401) } }
        let client = server.connect()
        client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 30\r\nexpect: 100-continue\r\n\r\n")
        let answer = client.answer()
        #expect(answer.status == 401 && answer.fields["connection"] == "close")
        client.send(get)
        #expect(client.isClosedByPeer)
        #expect(server.events == ["head /"])
        client.close()
        server.stop()
    }

    @Test("a body that is too large is refused before or while it comes, and the client can read why")
    func tooLarge() throws {
        let server = try TestServer(limits: quick { $0.bodyBytes = 1000 })
        let announced = server.connect()
        announced.send("POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 1001\r\n\r\n")
        announced.send([UInt8](repeating: 120, count: 1001))
        let chunked = server.connect()
        chunked.send("POST /c HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3e8\r\n")
        chunked.send([UInt8](repeating: 120, count: 1000))
        chunked.send("\r\n1\r\nx\r\n0\r\n\r\n")
        for client in [announced, chunked] {
            let answer = client.answer()
            #expect(answer.status == 413 && answer.isWhole && answer.fields["connection"] == "close")
            #expect(client.isClosedByPeer)
            client.close()
        }
        #expect(
            server.events == [
                "head /a", "aborted /a refused(status: 413)", "head /c", "aborted /c refused(status: 413)",
            ])
        server.stop()
    }

    @Test("a client that still sends megabytes can read the refusal")
    func refusalDuringUpload() throws {
        let server = try TestServer(limits: quick { $0.bodyBytes = 1000 })
        let client = server.connect()
        client.send("POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 8000000\r\n\r\n")
        client.send([UInt8](repeating: 120, count: 8_000_000))
        #expect(client.answer().status == 413)
        client.close()
        server.stop()
    }

    @Test("an answer before the end of a short body leaves the connection usable")
    func earlyAnswerShort() throws {
        let server = try TestServer { service in
            service.onHead = { if $0.target == "/early" { $0.answer("early") } }
            service.onEnd = { $0.answer("late") }
        }
        let client = server.connect()
        client.send("POST /early HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n01234")
        #expect(client.answer().text == "early")
        client.send("56789" + get)
        #expect(client.answer().text == "late")
        #expect(server.events == ["head /early", "head /a", "end /a"])
        client.close()
        server.stop()
    }

    @Test("an answer before the end of a long body closes, and the client can read it", arguments: [true, false])
    func earlyAnswerLong(_ isChunked: Bool) throws {
        let server = try TestServer { $0.onHead = { $0.answer("early", status: 400) } }
        let client = server.connect()
        client.send("POST / HTTP/1.1\r\nhost: a\r\n")
        client.send(isChunked ? "transfer-encoding: chunked\r\n\r\n3e8\r\n" : "content-length: 500000\r\n\r\n")
        client.send([UInt8](repeating: 120, count: 1000))
        let answer = client.answer()
        #expect(answer.status == 400 && answer.fields["connection"] == "close" && answer.isWhole)
        #expect(client.isClosedByPeer)
        client.close()
        server.stop()
    }

    @Test("HTTP/1.0 is answered and closed, without chunks")
    func oldVersion() throws {
        let server = try TestServer { service in
            service.onEnd = {
                $0.respond(framing: .chunked)
                $0.write("one")
                $0.write("two")
                $0.finish()
            }
        }
        let client = server.connect()
        client.send("GET / HTTP/1.0\r\n\r\n")
        let answer = client.answer()
        #expect(answer.text == "onetwo" && answer.fields["transfer-encoding"] == nil)
        #expect(answer.fields["connection"] == "close")
        client.close()
        server.stop()
    }

    @Test("an answer of HTTP/1.0 that is broken off ends with a reset")
    func oldVersionAborted() throws {
        let server = try TestServer { service in
            service.onEnd = {
                $0.respond(framing: .chunked)
                $0.write("one")
            }
        }
        let client = server.connect()
        client.send("GET / HTTP/1.0\r\n\r\n")
        #expect(client.take(through: "one").hasSuffix("one"))
        server.run { $0.exchanges[0].abort() }
        #expect(client.isClosedByPeer && client.failure == ECONNRESET)
        client.close()
        server.stop()
    }

    @Test("HEAD has the head of GET and no body")
    func head() throws {
        let server = try TestServer { service in
            service.onEnd = {
                $0.respond(framing: $0.target == "/l" ? .length(5) : .chunked)
                $0.write("12345")
                $0.finish()
            }
        }
        let client = server.connect()
        client.send("HEAD /l HTTP/1.1\r\nhost: a\r\n\r\nHEAD /c HTTP/1.1\r\nhost: a\r\n\r\n" + get)
        #expect(client.answer(toHead: true).fields["content-length"] == "5")
        #expect(client.answer(toHead: true).status == 200)
        #expect(client.answer().text == "12345")
        client.close()
        server.stop()
    }

    @Test("a streamed answer is chunked, and one broken off has no last chunk")
    func streamed() throws {
        let server = try TestServer { $0.onEnd = { $0.respond(framing: .chunked) } }
        let client = server.connect()
        client.send(get)
        #expect(client.take(through: "\r\n\r\n").contains("chunked"))
        server.run { $0.exchanges[0].write("first") }
        #expect(client.take(through: "first\r\n") == "5\r\nfirst\r\n")
        server.run { $0.exchanges[0].write("second") }
        #expect(client.take(through: "second\r\n") == "6\r\nsecond\r\n")
        server.run { $0.exchanges[0].abort() }
        #expect(client.isClosedByPeer)
        client.close()
        server.stop()
    }
}

/// A job that answers on the reactor.
func nonisolatedAnswer(_ exchange: TestExchange) -> @Sendable () -> Void {
    // It runs on the reactor that the exchange lives on.
    nonisolated(unsafe) let exchange = exchange
    return { exchange.answer(exchange.target) }
}
