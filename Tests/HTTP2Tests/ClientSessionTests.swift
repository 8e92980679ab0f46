import Bytes
import HTTP
import Testing

@testable import HTTP2

/// What a hostile or broken server can send, and what becomes of the request on stream 1.
@Suite struct ClientSessionTests {
    enum Outcome: Equatable {
        /// A response with that status and nothing wrong.
        case response(Int)
        /// The stream ended with that code, without a response.
        case reset(UInt32)
        /// The connection is cut.
        case cut
    }

    struct Row: CustomTestStringConvertible {
        let testDescription: String
        let bytes: [UInt8]
        let outcome: Outcome

        init(_ description: String, _ bytes: [UInt8], _ outcome: Outcome) {
            testDescription = description
            self.bytes = bytes
            self.outcome = outcome
        }

        init(_ description: String, fields: [(String, String)], _ outcome: Outcome) {
            self.init(description, Wire.headers(1, Wire.block(fields)), outcome)
        }
    }

    private static let broken = Outcome.reset(HTTP2Code.protocolError)

    static let rows: [Row] = [
        Row("a plain response", fields: [(":status", "200"), ("content-type", "text/plain")], .response(200)),
        Row(
            "1xx is swallowed",
            Wire.headers(1, Wire.block([(":status", "103"), ("link", "x")]), endStream: false)
                + Wire.headers(1, Wire.block([(":status", "100")]), endStream: false)
                + Wire.headers(1, Wire.block([(":status", "404")])), .response(404)),
        Row("101", Wire.headers(1, Wire.block([(":status", "101")]), endStream: false), broken),
        Row(
            "trailers",
            Wire.headers(1, Wire.block([(":status", "200")]), endStream: false) + Wire.data(1, [1])
                + Wire.headers(1, Wire.field("x-trailer", "1")), .response(200)),
        Row("no status", fields: [("content-type", "text/plain")], broken),
        Row("status 1000", fields: [(":status", "1000")], broken),
        Row("status 999", fields: [(":status", "999")], broken),
        Row("status +20", fields: [(":status", "+20")], broken),
        Row("two statuses", fields: [(":status", "200"), (":status", "200")], broken),
        Row("upper case name", fields: [(":status", "200"), ("X-Test", "1")], broken),
        Row("line feed in a value", fields: [(":status", "200"), ("x-test", "a\nb")], broken),
        Row("connection field", fields: [(":status", "200"), ("connection", "close")], broken),
        Row("transfer-encoding", fields: [(":status", "200"), ("transfer-encoding", "chunked")], broken),
        Row(
            "content-length and less",
            Wire.headers(
                1, Wire.block([(":status", "200"), ("content-length", "5")]),
                endStream: false) + Wire.data(1, [1], endStream: true), broken),
        Row("DATA before the head", Wire.data(1, [1], endStream: true), .cut),
        Row(
            "too many fields",
            Wire.headers(
                1,
                Wire.block([(":status", "200")])
                    + Array(repeatElement(Wire.field("x", "1"), count: 150).joined())),
            .reset(HTTP2Code.enhanceYourCalm)),
        Row(
            "HPACK bomb",
            Wire.headers(
                1,
                Wire.block([(":status", "200")]) + [0x40]
                    + Wire.field("x", String(repeating: "a", count: 4000)).dropFirst()
                    + [UInt8](repeating: 0xBE, count: 10_000)), .cut),
        Row("push", Wire.frame(5, 4, 1, Wire.word(2) + Wire.block(Wire.request)), .cut),
        Row("response to a stream never opened", Wire.headers(3, Wire.block([(":status", "200")])), .cut),
        Row("PING flood", Array(repeatElement(Wire.ping(), count: 101).joined()), .cut),
        Row("SETTINGS flood", Array(repeatElement(Wire.settings, count: 51).joined()), .cut),
        Row(
            "empty DATA flood",
            Wire.headers(1, Wire.block([(":status", "200")]), endStream: false)
                + Array(repeatElement(Wire.data(1, []), count: 101).joined()), .cut),
        Row(
            "CONTINUATION flood",
            Wire.headers(1, Wire.block([(":status", "200")]), endHeaders: false)
                + Array(repeatElement(Wire.continuation(1, [], endHeaders: false), count: 20).joined()), .cut),
        Row(
            "GOAWAY with an error, then the response",
            Wire.goAway(1, 11)
                + Wire.headers(1, Wire.block([(":status", "200")])), .response(200)),
        Row("not HTTP/2", Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8), .cut),
    ]

    @Test("answers of all kinds", arguments: rows, [Int.max, 5])
    func answers(_ row: Row, size: Int) throws {
        let client = TestClient()
        let stream = try #require(client.request())
        #expect(stream.id == 1)
        _ = client.produce()
        if row.testDescription != "not HTTP/2" { client.receive(Wire.settings) }
        var rest = row.bytes[...]
        while !rest.isEmpty {
            client.receive(Array(rest.prefix(size)))
            _ = client.produce()
            rest = rest.dropFirst(size)
        }
        let isCut = if case .close = client.session.verdict { true } else { false }
        switch row.outcome {
        case .response(let status):
            #expect(!isCut)
            guard case .head(1, status, _)? = client.events.first else {
                return #expect(Bool(false), "\(client.events)")
            }
            #expect(client.events.contains(.end(1)))
        case .reset(let code):
            #expect(!isCut)
            #expect(client.events.last == .closed(1, code: code, isUnprocessed: false))
            #expect(!client.events.contains(.end(1)))
        case .cut:
            #expect(isCut)
            #expect(!client.events.contains(.end(1)))
            client.session.abandon()
            #expect(client.session.isIdle)
        }
    }

    @Test("an upload larger than the window waits, and its writer hears when to go on")
    func upload() throws {
        let (client, server) = (TestClient(), TestServer())
        server.consumes = false
        let authority = Array("localhost".utf8)
        let path = Array("/".utf8)
        let made = client.session.request(
            .post, isSecure: true, authority: authority.span, path: path.span, fields: HeaderFields(), endStream: false)
        let stream = try #require(made)
        let block = [UInt8](repeating: 5, count: 400_000)
        stream.write(block.span)
        #expect(stream.isOverHighWater)
        converse(client, server)
        #expect(stream.bufferedBytes == 400_000 - 262_144)
        #expect(!client.events.contains(.drained(1)))
        server.streams[1]?.consumed(200_000)
        converse(client, server)
        #expect(client.events.contains(.drained(1)))
        stream.finish()
        converse(client, server)
        #expect(client.events.last == .closed(1, code: 0, isUnprocessed: false))
    }

    @Test("secrets are never put into HPACK's table")
    func secrets() throws {
        let client = TestClient()
        var fields = HeaderFields()
        fields.append(.authorization, "Bearer secret")
        fields.append(.xAPIKey, "secret")
        fields.append(.apiKey, "secret")
        fields.append(.cookie, "a=0123456789012345678901234567890123456789")
        var sizes: [Int] = []
        for _ in 0..<3 {
            _ = try #require(client.request(fields: fields))
            let frames = SentFrame.parse(client.produce()).filter { $0.type == 1 }
            sizes.append(frames[0].payload.count)
        }
        // Indexed secrets would take one octet each the second time.
        #expect(sizes[2] > 70)
    }
}
