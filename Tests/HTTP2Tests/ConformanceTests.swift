import Testing

@testable import HTTP2

/// What must answer frames that break a rule.
enum Answer: Equatable {
    /// GOAWAY with that code, and the verdict to close.
    case goAway(UInt32)
    /// RST_STREAM with that code for stream 1, and the connection stays.
    case reset(UInt32)
    /// The request reached the delegate.
    case served
    /// Refused by our own rules with that status; the connection stays.
    case rejected(Int)
}

struct ConformanceCase: CustomTestStringConvertible {
    let testDescription: String
    let bytes: [UInt8]
    let answer: Answer

    init(_ description: String, _ bytes: [UInt8], _ answer: Answer) {
        testDescription = description
        self.bytes = bytes
        self.answer = answer
    }

    /// A request with changed fields on stream 1.
    init(_ description: String, fields: [(String, String?)], _ answer: Answer) {
        self.init(description, Wire.headers(1, Wire.request(fields)), answer)
    }
}

/// The rules of RFC 9113 and RFC 7541 that h2spec checks, case by case, and those of our own.
@Suite struct ConformanceTests {
    private static let connectionError = Answer.goAway(HTTP2Code.protocolError)
    private static let streamError = Answer.reset(HTTP2Code.protocolError)
    private static let closedError = Answer.goAway(HTTP2Code.streamClosed)
    private static let sizeError = Answer.goAway(HTTP2Code.frameSizeError)
    private static let compressionError = Answer.goAway(HTTP2Code.compressionError)
    private static let flowError = Answer.goAway(HTTP2Code.flowControlError)
    private static let block = Wire.block(Wire.request)
    private static let opened = Wire.headers(1, endStream: false)

    static let frames: [ConformanceCase] = [
        ConformanceCase("4.1 unknown type", Wire.frame(0x16, 0, 0, [1]) + Wire.headers(1), .served),
        ConformanceCase(
            "4.1 undefined flags", Wire.frame(6, 0x16, 0, [0, 0, 0, 0, 0, 0, 0, 0]) + Wire.headers(1), .served),
        ConformanceCase(
            "4.1 reserved bit", Wire.frame(6, 0, 0x8000_0000, [0, 0, 0, 0, 0, 0, 0, 0]) + Wire.headers(1), .served),
        ConformanceCase(
            "4.2 largest DATA", opened + Wire.data(1, [UInt8](repeating: 0, count: 16_384), endStream: true), .served),
        ConformanceCase("4.2 DATA too large", opened + Wire.data(1, [UInt8](repeating: 0, count: 16_385)), sizeError),
        ConformanceCase(
            "4.2 HEADERS too large", Wire.headers(1, block + [UInt8](repeating: 0, count: 16_385)), sizeError),
        ConformanceCase("4.3 bad index", Wire.headers(1, [0x80]), compressionError),
        ConformanceCase("4.3 index beyond the table", Wire.headers(1, block + [0xC6]), compressionError),
        ConformanceCase(
            "4.3 PRIORITY inside a block",
            Wire.headers(1, block, endHeaders: false) + Wire.priority(1, on: 0)
                + Wire.continuation(1, [], endHeaders: true), connectionError),
        ConformanceCase(
            "4.3 HEADERS of another stream inside a block", Wire.headers(1, block, endHeaders: false) + Wire.headers(3),
            connectionError),
        ConformanceCase("5.1 idle: DATA", Wire.data(1, [1]), connectionError),
        ConformanceCase("5.1 idle: RST_STREAM", Wire.reset(1), connectionError),
        ConformanceCase("5.1 idle: WINDOW_UPDATE", Wire.windowUpdate(1, 100), connectionError),
        ConformanceCase("5.1 idle: CONTINUATION", Wire.continuation(1, block, endHeaders: true), connectionError),
        ConformanceCase("5.1 half-closed: DATA", Wire.headers(1) + Wire.data(1, [1], endStream: true), closedError),
        ConformanceCase("5.1 half-closed: HEADERS", Wire.headers(1) + Wire.headers(1), closedError),
        ConformanceCase(
            "5.1 half-closed: CONTINUATION", Wire.headers(1) + Wire.continuation(1, block, endHeaders: true),
            connectionError),
        ConformanceCase("5.1 reset: DATA", opened + Wire.reset(1) + Wire.data(1, [1]), closedError),
        ConformanceCase("5.1 reset: HEADERS", opened + Wire.reset(1) + Wire.headers(1), closedError),
        ConformanceCase(
            "5.1 reset: CONTINUATION", opened + Wire.reset(1) + Wire.continuation(1, block, endHeaders: true),
            connectionError),
        ConformanceCase("5.1.1 even id", Wire.headers(2), connectionError),
        ConformanceCase("5.1.1 lower id", Wire.headers(5) + Wire.headers(3), connectionError),
        ConformanceCase(
            "5.3.1 HEADERS depends on itself", Wire.frame(1, 0x25, 1, Wire.word(1) + [255] + block), connectionError),
        ConformanceCase("5.3.1 PRIORITY depends on itself", Wire.priority(2, on: 2), connectionError),
        ConformanceCase("5.4.1 bad PING", Wire.frame(6, 0, 3, [0, 0, 0, 0, 0, 0, 0, 0]), connectionError),
        ConformanceCase(
            "5.5 unknown type inside a block", Wire.headers(1, block, endHeaders: false) + Wire.frame(0x16, 0, 0, [1]),
            connectionError),
        ConformanceCase("6.1 DATA on the connection", Wire.data(0, [1]), connectionError),
        ConformanceCase("6.1 padding beyond DATA", opened + Wire.frame(0, 9, 1, [5, 1, 2]), connectionError),
        ConformanceCase("6.2 HEADERS on the connection", Wire.headers(0), connectionError),
        ConformanceCase("6.2 padding beyond HEADERS", Wire.frame(1, 0xD, 1, [255, 1, 2]), connectionError),
        ConformanceCase("6.3 PRIORITY on the connection", Wire.priority(0, on: 1), connectionError),
        ConformanceCase("6.3 PRIORITY of 4 octets", Wire.frame(2, 0, 1, [0, 0, 0, 0]), sizeError),
        ConformanceCase("6.4 RST_STREAM on the connection", Wire.reset(0), connectionError),
        ConformanceCase("6.4 RST_STREAM of 3 octets", opened + Wire.frame(3, 0, 1, [0, 0, 0]), sizeError),
        ConformanceCase("6.5 SETTINGS ACK with payload", Wire.frame(4, 1, 0, [0]), sizeError),
        ConformanceCase("6.5 SETTINGS on a stream", Wire.frame(4, 0, 1, [0, 3, 0, 0, 0, 100]), connectionError),
        ConformanceCase("6.5 SETTINGS of 3 octets", Wire.frame(4, 0, 0, [0, 3, 0]), sizeError),
        ConformanceCase("6.5.2 ENABLE_PUSH 2", Wire.setting(2, 2), connectionError),
        ConformanceCase("6.5.2 INITIAL_WINDOW_SIZE too large", Wire.setting(4, 0x8000_0000), flowError),
        ConformanceCase("6.5.2 MAX_FRAME_SIZE too small", Wire.setting(5, 16_383), connectionError),
        ConformanceCase("6.5.2 MAX_FRAME_SIZE too large", Wire.setting(5, 16_777_216), connectionError),
        ConformanceCase("6.5.2 unknown setting", Wire.setting(0xFF, 1) + Wire.headers(1), .served),
        ConformanceCase("6.7 PING of 6 octets", Wire.frame(6, 0, 0, [0, 0, 0, 0, 0, 0]), sizeError),
        ConformanceCase("6.7 PING ACK unasked", Wire.ping(1) + Wire.headers(1), .served),
        ConformanceCase("6.8 GOAWAY on a stream", Wire.frame(7, 0, 1, Wire.word(0) + Wire.word(0)), connectionError),
        ConformanceCase("6.9 WINDOW_UPDATE 0 on the connection", Wire.windowUpdate(0, 0), connectionError),
        ConformanceCase("6.9 WINDOW_UPDATE 0 on a stream", opened + Wire.windowUpdate(1, 0), connectionError),
        ConformanceCase("6.9 WINDOW_UPDATE of 3 octets", Wire.frame(8, 0, 0, [0, 0, 1]), sizeError),
        ConformanceCase(
            "6.9.1 connection window above 2^31-1",
            Wire.windowUpdate(0, 0x7FFF_FFFF) + Wire.windowUpdate(0, 0x7FFF_FFFF), flowError),
        ConformanceCase(
            "6.9.1 stream window above 2^31-1", opened + Wire.windowUpdate(1, 0x7FFF_FFFF),
            .reset(HTTP2Code.flowControlError)),
        ConformanceCase(
            "6.10 CONTINUATION after the end of a block",
            Wire.headers(1) + Wire.continuation(1, block, endHeaders: true), connectionError),
        ConformanceCase(
            "6.10 CONTINUATION of another stream",
            Wire.headers(1, block, endHeaders: false) + Wire.continuation(3, [], endHeaders: true), connectionError),
        ConformanceCase(
            "6.10 CONTINUATIONs",
            Wire.headers(1, Array(block.prefix(9)), endHeaders: false)
                + Wire.continuation(1, Array(block[9..<12]), endHeaders: false)
                + Wire.continuation(1, Array(block[12...]), endHeaders: true), .served),
        ConformanceCase("7 unknown error code in RST_STREAM", opened + Wire.reset(1, 0xFF) + Wire.headers(3), .served),
        ConformanceCase(
            "8.2 PUSH_PROMISE from a client", opened + Wire.frame(5, 4, 1, Wire.word(2) + block), connectionError),
        ConformanceCase("HPACK 4.2 table size update at the end", Wire.headers(1, block + [0x20]), compressionError),
        ConformanceCase(
            "HPACK 5.2 EOS in a Huffman string",
            Wire.headers(1, block + [0x00, 0x85, 0xF2, 0xB2, 0x4A, 0x84, 0xFF, 0x84, 0xFF, 0xFF, 0xFF, 0xFF]),
            compressionError),
        ConformanceCase(
            "HPACK 5.2 padding of more than 7 bits",
            Wire.headers(1, block + [0x00, 0x85, 0xF2, 0xB2, 0x4A, 0x84, 0xFF, 0x84, 0x49, 0x50, 0x9F, 0xFF]),
            compressionError),
        ConformanceCase(
            "HPACK 5.2 padding with zeros",
            Wire.headers(1, block + [0x00, 0x85, 0xF2, 0xB2, 0x4A, 0x84, 0xFF, 0x83, 0x49, 0x50, 0x90]),
            compressionError),
        ConformanceCase(
            "HPACK 6.3 table size above the limit", Wire.headers(1, [0x3F, 0xE2, 0x1F] + block), compressionError),
    ]

    static let messages: [ConformanceCase] = [
        ConformanceCase(
            "8.1 second HEADERS without END_STREAM", opened + Wire.headers(1, Wire.field("x-t", "1"), endStream: false),
            streamError),
        ConformanceCase(
            "8.1 trailers", opened + Wire.data(1, [1]) + Wire.headers(1, Wire.field("x-trailer", "1")), .served),
        ConformanceCase("8.1.2 upper case name", fields: [("X-TEST", "ok")], streamError),
        ConformanceCase("8.1.2.1 unknown pseudo-field", fields: [(":test", "ok")], streamError),
        ConformanceCase("8.1.2.1 pseudo-field of responses", fields: [(":status", "200")], streamError),
        ConformanceCase(
            "8.1.2.1 pseudo-field as trailer", opened + Wire.headers(1, Wire.field(":method", "200")), streamError),
        ConformanceCase(
            "8.1.2.1 pseudo-field after a field", Wire.headers(1, Wire.field("x-test", "ok") + block), streamError),
        ConformanceCase("8.1.2.2 connection", fields: [("connection", "keep-alive")], streamError),
        ConformanceCase("8.1.2.2 te other than trailers", fields: [("te", "trailers, deflate")], streamError),
        ConformanceCase("8.1.2.2 te: trailers", fields: [("te", "trailers")], .served),
        ConformanceCase("8.1.2.2 transfer-encoding", fields: [("transfer-encoding", "chunked")], streamError),
        ConformanceCase("8.1.2.3 empty :path", fields: [(":path", "")], streamError),
        ConformanceCase("8.1.2.3 no :method", fields: [(":method", nil)], streamError),
        ConformanceCase("8.1.2.3 no :scheme", fields: [(":scheme", nil)], streamError),
        ConformanceCase("8.1.2.3 no :path", fields: [(":path", nil)], streamError),
        ConformanceCase("8.1.2.3 two :method", Wire.headers(1, Wire.field(":method", "POST") + block), streamError),
        ConformanceCase("8.1.2.3 two :scheme", Wire.headers(1, Wire.field(":scheme", "http") + block), streamError),
        ConformanceCase("8.1.2.3 two :path", Wire.headers(1, Wire.field(":path", "/") + block), streamError),
        ConformanceCase(
            "8.1.2.6 content-length above DATA",
            Wire.headers(1, Wire.request([("content-length", "5")]), endStream: false)
                + Wire.data(1, [1], endStream: true), streamError),
        ConformanceCase(
            "8.1.2.6 content-length below DATA",
            Wire.headers(1, Wire.request([("content-length", "1")]), endStream: false) + Wire.data(1, [1])
                + Wire.data(1, [1], endStream: true), streamError),
        ConformanceCase("8.1.2.6 content-length without body", fields: [("content-length", "1")], streamError),
        ConformanceCase("content-length with a sign", fields: [("content-length", "+0")], streamError),
        ConformanceCase(
            "two content-lengths", fields: [("content-length", "0"), ("content-length", "0")], streamError),
        ConformanceCase("line feed in a value", fields: [("x-test", "a\nb")], streamError),
        ConformanceCase("NUL in a value", fields: [("x-test", "a\0b")], streamError),
        ConformanceCase("white space around a value", fields: [("x-test", " a")], streamError),
        ConformanceCase("space in :path", fields: [(":path", "/a b")], streamError),
        ConformanceCase("fragment in :path", fields: [(":path", "/a#b")], .rejected(400)),
        ConformanceCase("non-ASCII in :path", fields: [(":path", "/ä")], .rejected(400)),
        ConformanceCase("* for POST", fields: [(":path", "*")], streamError),
        ConformanceCase(
            ":path of 9,000 octets", fields: [(":path", "/" + String(repeating: "a", count: 9000))], .rejected(414)),
        ConformanceCase("user in :authority", fields: [(":authority", "a@b")], .rejected(400)),
        ConformanceCase("comma in :authority", fields: [(":authority", "a,b")], .rejected(400)),
        ConformanceCase("bad port in :authority", fields: [(":authority", "a:70000")], .rejected(400)),
        ConformanceCase("unbalanced bracket in :authority", fields: [(":authority", "[::1")], .rejected(400)),
        ConformanceCase("IPv6 in :authority", fields: [(":authority", "[::1]:4000")], .served),
        ConformanceCase("host like :authority", fields: [("host", "localhost:4000")], .served),
        ConformanceCase("host unlike :authority", fields: [("host", "evil")], .rejected(400)),
        ConformanceCase("host instead of :authority", fields: [(":authority", nil), ("host", "localhost")], .served),
        ConformanceCase("neither host nor :authority", fields: [(":authority", nil)], streamError),
        ConformanceCase("unknown scheme", fields: [(":scheme", "ftp")], .rejected(400)),
        ConformanceCase("unknown method", fields: [(":method", "BREW")], .rejected(501)),
        ConformanceCase(
            "CONNECT", Wire.headers(1, Wire.block([(":method", "CONNECT"), (":authority", "a:1")])), .rejected(501)),
        ConformanceCase("expectation of something else", fields: [("expect", "magic")], .rejected(417)),
        ConformanceCase("http2-settings is dropped", fields: [("http2-settings", "AAMAAABk")], .served),
    ]

    @Test("frames", arguments: frames, [Int.max, 5])
    func frame(_ row: ConformanceCase, size: Int) { check(row, size: size) }

    @Test("messages", arguments: messages, [Int.max, 5])
    func message(_ row: ConformanceCase, size: Int) { check(row, size: size) }

    private func check(_ row: ConformanceCase, size: Int) {
        let server = TestServer()
        server.answer = nil
        _ = server.exchange(Wire.greeting + Wire.settingsAcknowledgement)
        var sent: [SentFrame] = []
        var rest = row.bytes[...]
        while !rest.isEmpty {
            sent += server.exchange(Array(rest.prefix(size)))
            rest = rest.dropFirst(size)
        }
        let away = sent.first { $0.type == 7 }
        let reset = sent.first { $0.type == 3 && $0.id == 1 }
        switch row.answer {
        case .goAway(let code):
            #expect(away?.code == code)
            guard case .close = server.session.verdict else { return #expect(Bool(false), "goes on") }
        case .reset(let code):
            #expect(away == nil && reset?.code == code)
            #expect(server.session.verdict == .ok && server.session.isIdle)
        case .served:
            #expect(away == nil && server.session.verdict == .ok)
            #expect(server.requests >= 1)
            #expect(server.events.contains { if case .end = $0 { true } else { false } })
        case .rejected(let status):
            #expect(server.events.first == .rejected(1, status: status))
            #expect(server.requests == 0 && away == nil && server.session.verdict == .ok)
        }
    }

    @Test("what comes for a stream after it has closed ends the connection")
    func closedStreams() {
        for late in [Wire.data(1, [1], endStream: true), Wire.headers(1)] {
            let server = TestServer()
            _ = server.exchange(Wire.greeting + Wire.headers(1))
            #expect(server.session.isIdle)
            let sent = server.exchange(late)
            #expect(sent.first { $0.type == 7 }?.code == HTTP2Code.streamClosed)
            #expect(server.session.verdict == .close(.closedStream))
        }
    }

    @Test("a bad preface is answered with GOAWAY", arguments: [1, Int.max])
    func preface(size: Int) {
        let server = TestServer()
        let bytes = Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
        var sent: [SentFrame] = []
        for start in stride(from: 0, to: bytes.count, by: min(size, bytes.count)) {
            sent += server.exchange(Array(bytes[start..<min(bytes.count, start + min(size, bytes.count))]))
        }
        #expect(sent.last?.type == 7)
        #expect(sent.last?.code == HTTP2Code.protocolError)
        #expect(server.session.verdict == .close(.badPreface))
    }

    @Test("a preface without SETTINGS ends the connection")
    func noSettings() {
        let server = TestServer()
        let sent = server.exchange(Wire.preface + Wire.ping())
        #expect(sent.contains { $0.type == 7 && $0.code == HTTP2Code.protocolError })
    }

    @Test("streams above the limit are refused before the client knows it, and end the connection after")
    func concurrency() {
        let tooMany = Array((0...100).map { Wire.headers(UInt32(2 * $0 + 1)) }.joined())
        let early = TestServer()
        early.answer = nil
        let refused = early.exchange(Wire.greeting + tooMany)
        #expect(refused.filter { $0.type == 3 }.map(\.code) == [HTTP2Code.refusedStream])
        #expect(early.requests == 100 && early.session.verdict == .ok)
        let late = TestServer()
        late.answer = nil
        let sent = late.exchange(Wire.greeting) + late.exchange(Wire.settingsAcknowledgement + tooMany)
        #expect(sent.contains { $0.type == 7 && $0.code == HTTP2Code.protocolError })
        #expect(late.session.verdict == .close(.protocolViolation))
    }

    @Test("a window of the client's choice is obeyed")
    func windows() {
        let server = TestServer()
        server.answer = 10
        var sent = server.exchange(Wire.greeting + Wire.setting(4, 1) + Wire.headers(1))
        #expect(sent.filter { $0.type == 0 }.map(\.payload.count) == [1])
        sent = server.exchange(Wire.setting(4, 3))
        #expect(sent.filter { $0.type == 0 }.map(\.payload.count) == [2])
        sent = server.exchange(Wire.windowUpdate(1, 7))
        #expect(sent.filter { $0.type == 0 }.map(\.payload.count) == [7])
        #expect(server.session.isIdle)
    }
}
