import Bytes
import HTTP
import Testing

@testable import HTTP2

@Suite struct SessionPairTests {
    @Test("a request without body gets its response")
    func plainRequest() throws {
        let (client, server) = (TestClient(), TestServer())
        server.answer = 1024
        var fields = HeaderFields()
        fields.append(.userAgent, "test")
        fields.append(name: "X-Custom", value: "one")
        fields.append(.connection, "keep-alive")
        let stream = try #require(client.request(.get, fields: fields))
        let id = stream.id
        converse(client, server)
        #expect(
            server.events == [
                .head(id, method: .get, target: "/v1/models", authority: "localhost:4000", framing: .none),
                .end(id), .closed(id, code: 0),
            ])
        #expect(server.fields[id]?.text(of: .userAgent) == "test")
        #expect(server.fields[id]?.text(of: "x-custom") == "one")
        #expect(server.fields[id]?.text(of: .connection) == nil)
        #expect(
            client.events == [
                .head(id, status: 200, framing: .length(1024)), .end(id),
                .closed(id, code: 0, isUnprocessed: false),
            ])
        #expect(client.received[id]?.count == 1024)
        #expect(client.session.isIdle && server.session.isIdle)
        #expect(client.session.settingsAcknowledged && server.session.settingsAcknowledged)
    }

    @Test("each request keeps its own request id, though HPACK's table has the first one alone")
    func requestIDs() throws {
        let (client, server) = (TestClient(), TestServer())
        for text in ["first", "second", "third", "first"] {
            var fields = HeaderFields()
            fields.append(.xRequestID, value: Array(text.utf8).span)
            let id = try #require(client.request(.get, fields: fields)).id
            converse(client, server)
            #expect(server.fields[id]?.text(of: .xRequestID) == text)
        }
    }

    @Test("bodies of all sizes arrive whole, both ways", arguments: [0, 1, 16_383, 16_384, 65_536, 1_000_000])
    func bodies(count: Int) throws {
        let (client, server) = (TestClient(), TestServer())
        server.answer = max(1, count)
        let body = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let id = try #require(client.request(body: body)).id
        converse(client, server)
        var got: [UInt8] = []
        for case .data(_, let bytes) in server.events { got += bytes }
        #expect(got == body)
        #expect(client.received[id]?.count == max(1, count))
        #expect(client.events.last == .closed(id, code: 0, isUnprocessed: false))
        #expect(
            server.events.first.map { if case .head(_, _, _, _, .length(count)) = $0 { true } else { false } } == true)
    }

    @Test("a hundred streams at once, and as many again")
    func manyStreams() {
        let (client, server) = (TestClient(), TestServer())
        server.answer = 5000
        for _ in 0..<10 {
            for _ in 0..<100 { _ = client.request(body: [1, 2, 3]) }
            #expect(client.session.availableStreams == 0)
            #expect(client.request() == nil)
            converse(client, server)
            #expect(client.session.availableStreams == 100)
        }
        #expect(client.received.count == 1000)
        #expect(client.received.values.allSatisfy { $0.count == 5000 })
    }

    @Test("what is not consumed stalls the sender, what is consumed lets it go on")
    func requestFlowControl() throws {
        var limits = HTTP2Limits()
        limits.streamWindow = 65_535
        let (client, server) = (TestClient(), TestServer(limits))
        server.consumes = false
        converse(client, server)
        let stream = try #require(client.request(body: [UInt8](repeating: 1, count: 200_000)))
        converse(client, server)
        func received() -> Int {
            server.events.reduce(0) { if case .data(_, let bytes) = $1 { $0 + bytes.count } else { $0 } }
        }
        #expect(received() == 65_535)
        #expect(stream.bufferedBytes == 200_000 - 65_535)
        server.streams[stream.id]?.consumed(65_535)
        converse(client, server)
        #expect(received() == 131_070)
        server.streams[stream.id]?.consumed(65_535)
        converse(client, server)
        #expect(received() == 196_605)
        server.streams[stream.id]?.consumed(65_535)
        converse(client, server)
        #expect(received() == 200_000)
    }

    @Test("a slow reader of one response does not stop the others")
    func responseFlowControl() throws {
        let (client, server) = (TestClient(), TestServer())
        client.consumes = false
        server.answer = 4_000_000
        var slow: [HTTP2ClientStream] = []
        for _ in 0..<8 { slow.append(try #require(client.request())) }
        converse(client, server)
        for stream in slow { #expect(client.received[stream.id]?.count == 256 * 1024) }
        client.consumes = true
        server.answer = 2_000_000
        let quick = try #require(client.request()).id
        converse(client, server)
        #expect(client.received[quick]?.count == 2_000_000)
        for stream in slow {
            stream.consumed(256 * 1024)
            client.consumes = true
        }
        converse(client, server)
        for stream in slow { #expect(client.received[stream.id]?.count == 4_000_000) }
    }

    @Test("a writer above the high-water mark hears when it may go on")
    func drained() throws {
        let (client, server) = (TestClient(), TestServer())
        client.consumes = false
        server.answer = nil
        let block = [UInt8](repeating: 9, count: 100_000)
        server.onHead = { stream in
            stream.respond(status: 200, fields: HeaderFields())
            stream.write(block.span)
            stream.write(block.span)
            stream.write(block.span)
            #expect(stream.isOverHighWater && stream.bufferedBytes == 300_000)
        }
        let stream = try #require(client.request())
        converse(client, server)
        let served = try #require(server.streams[stream.id])
        // The window is 256 KiB; the rest is above the low-water mark.
        #expect(served.bufferedBytes == 300_000 - 262_144)
        #expect(served.isOverHighWater)
        stream.consumed(200_000)
        converse(client, server)
        #expect(!served.isOverHighWater)
        #expect(server.count { $0 == .drained(stream.id) } == 1)
        served.finish()
        converse(client, server)
        #expect(client.received[stream.id]?.count == 300_000)
        #expect(client.events.contains(.end(stream.id)))
    }

    @Test("a writer may write again when it hears that it may go on")
    func writesWhenDrained() throws {
        let (client, server) = (TestClient(), TestServer())
        server.answer = nil
        let block = [UInt8](repeating: 9, count: 70_000)
        var left = 20
        let write: (HTTP2ServerStream) -> Void = { stream in
            left -= 1
            stream.write(block.span)
            if left == 0 { stream.finish() }
        }
        server.onHead = { stream in
            stream.respond(status: 200, fields: HeaderFields())
            write(stream)
        }
        server.onDrained = { stream in if left > 0 { write(stream) } }
        let id = try #require(client.request()).id
        converse(client, server)
        #expect(client.received[id]?.count == 1_400_000)
        #expect(client.events.contains(.end(id)))
    }

    @Test("output stops at the limit and goes on where it stopped")
    func outputLimit() throws {
        let (client, server) = (TestClient(), TestServer())
        server.answer = 200_000
        let id = try #require(client.request()).id
        server.receive(client.produce())
        var rounds = 0
        while server.session.wantsWrite {
            var output = ByteQueue()
            server.session.produce(into: &output, limit: 20_000)
            #expect(output.count < 20_000 + 16_384 + 9)
            client.receive(Array(copying: output.span))
            server.receive(client.produce())
            rounds += 1
        }
        #expect(rounds >= 6)
        #expect(client.received[id]?.count == 200_000)
        #expect(client.events.last == .closed(id, code: 0, isUnprocessed: false))
    }

    @Test("chunks written one by one leave one by one, without delay")
    func streaming() throws {
        let (client, server) = (TestClient(), TestServer())
        server.answer = nil
        server.onHead = { $0.respond(status: 200, fields: HeaderFields()) }
        let id = try #require(client.request()).id
        converse(client, server)
        let stream = try #require(server.streams[id])
        for index in 1...5 {
            let event = Array("data: \(index)\n\n".utf8)
            stream.write(event.span)
            let frames = SentFrame.parse(server.produce())
            #expect(frames == [SentFrame(type: 0, flags: 0, id: UInt32(id), payload: event)])
        }
        stream.finish()
        #expect(SentFrame.parse(server.produce()) == [SentFrame(type: 0, flags: 1, id: UInt32(id), payload: [])])
    }

    @Test("a cancelled request is reset on the wire, and its stream does nothing more")
    func clientCancels() throws {
        let (client, server) = (TestClient(), TestServer())
        server.answer = nil
        let stream = try #require(client.request(body: [1]))
        converse(client, server)
        let served = try #require(server.streams[stream.id])
        stream.reset()
        converse(client, server)
        #expect(server.events.last == .closed(stream.id, code: HTTP2Code.cancel))
        #expect(client.events == [.closed(stream.id, code: HTTP2Code.cancel, isUnprocessed: false)])
        #expect(served.isClosed && stream.isClosed)
        served.respond(status: 200, fields: HeaderFields())
        let late: [UInt8] = [1]
        served.write(late.span)
        served.finish()
        served.reset(HTTP2Code.internalError)
        stream.reset()
        #expect(server.produce().isEmpty && client.produce().isEmpty)
    }

    @Test("a request cancelled before it was sent is closed as unprocessed")
    func cancelledEarly() throws {
        let (client, server) = (TestClient(), TestServer())
        let stream = try #require(client.request(body: [1]))
        stream.reset()
        converse(client, server)
        #expect(client.events == [.closed(stream.id, code: HTTP2Code.cancel, isUnprocessed: true)])
        #expect(server.requests == 0)
        _ = try #require(client.request())
        converse(client, server)
        #expect(server.requests == 1)
    }

    @Test("a response that breaks off reaches the client as a reset")
    func serverResets() throws {
        let (client, server) = (TestClient(), TestServer())
        server.answer = nil
        server.onHead = { stream in
            let bytes: [UInt8] = [1, 2, 3]
            stream.respond(status: 200, fields: HeaderFields())
            stream.write(bytes.span)
        }
        let id = try #require(client.request()).id
        converse(client, server)
        server.streams[id]?.reset(HTTP2Code.internalError)
        converse(client, server)
        #expect(client.received[id] == [1, 2, 3])
        #expect(client.events.last == .closed(id, code: HTTP2Code.internalError, isUnprocessed: false))
        #expect(!client.events.contains(.end(id)))
    }

    @Test("a response that is broken off arrives up to there", arguments: [0, 3, 1_000_000])
    func breaksOff(count: Int) throws {
        let (client, server) = (TestClient(), TestServer())
        server.answer = nil
        let bytes = [UInt8](repeating: 7, count: count)
        server.onHead = { stream in
            stream.respond(status: 200, fields: HeaderFields())
            stream.write(bytes.span)
            stream.breakOff()
            stream.write(bytes.span)
            stream.finish()
        }
        let id = try #require(client.request()).id
        converse(client, server)
        #expect(client.received[id, default: []].count == count)
        #expect(client.events.first == .head(id, status: 200, framing: .chunked))
        #expect(client.events.last == .closed(id, code: HTTP2Code.internalError, isUnprocessed: false))
        #expect(!client.events.contains(.end(id)))
        #expect(server.events.last == .closed(id, code: HTTP2Code.internalError))
    }

    @Test("a response before the end of the request declines the rest of it")
    func earlyResponse() throws {
        let (client, server) = (TestClient(), TestServer())
        server.answer = nil
        server.onHead = { $0.respond(status: 413, fields: HeaderFields(), endStream: true) }
        let id = try #require(client.request(body: [UInt8](repeating: 0, count: 1_000_000))).id
        converse(client, server)
        #expect(client.events.first == .head(id, status: 413, framing: .none))
        #expect(client.events.last == .closed(id, code: HTTP2Code.noError, isUnprocessed: false))
        #expect(server.session.isIdle && server.session.verdict == .ok)
        // The connection's window has not shrunk.
        server.onHead = nil
        server.answer = 10
        for _ in 0..<20 { _ = client.request(body: [UInt8](repeating: 0, count: 200_000)) }
        converse(client, server)
        #expect(client.session.isIdle && server.session.isIdle)
    }

    @Test("100 Continue is sent, and swallowed by the client")
    func interim() throws {
        let (client, server) = (TestClient(), TestServer())
        server.answer = 3
        server.onHead = { stream in
            #expect(stream.request.expectsContinue == true)
            stream.respondContinue()
        }
        var fields = HeaderFields()
        fields.append(.expect, "100-continue")
        let id = try #require(client.request(fields: fields, body: [1])).id
        converse(client, server)
        #expect(client.events.first == .head(id, status: 200, framing: .length(3)))
    }

    @Test("cookie crumbs become one field, and the length is known")
    func fields() throws {
        let (client, server) = (TestClient(), TestServer())
        var fields = HeaderFields()
        fields.append(.cookie, "a=1")
        fields.append(.cookie, "b=2")
        fields.append(.authorization, "Bearer key")
        let id = try #require(client.request(fields: fields, body: [1, 2])).id
        converse(client, server)
        #expect(server.fields[id]?.text(of: .cookie) == "a=1; b=2")
        #expect(server.fields[id]?.count(of: .cookie) == 1)
        #expect(server.fields[id]?.text(of: .contentLength) == "2")
    }

    @Test("a stream that nobody holds is used again, one that is held is not")
    func pooling() throws {
        let pool = HTTP2StreamPool<HTTP2ServerStream>()
        let (client, server) = (TestClient(), TestServer(pool: pool))
        server.holds = false
        var seen: Set<ObjectIdentifier> = []
        server.onHead = { seen.insert(ObjectIdentifier($0)) }
        for _ in 0..<50 {
            _ = client.request()
            converse(client, server)
        }
        #expect(seen.count == 1)
        var held: [HTTP2ServerStream] = []
        server.onHead = { held.append($0) }
        for _ in 0..<10 {
            _ = client.request()
            converse(client, server)
        }
        #expect(Set(held.map { ObjectIdentifier($0) }).count == 10)
        for stream in held { #expect(stream.isClosed) }
    }
}
