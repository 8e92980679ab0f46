import Bytes
import HTTP
import Testing

@Suite("Request head")
struct RequestHeadTests {
    private static func parse(_ text: String, limits: HTTP1Limits = HTTP1Limits()) throws -> Held<RequestHead> {
        var head = RequestHead()
        try parseRequestHead(octets(text).span, limits: limits, into: &head)
        return Held(head)
    }

    struct Row: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var version = "HTTP/1.1"
        let fields: String
        var keepsAlive = true
        var framing = BodyFraming.none
        var expectsContinue = false
    }

    @Test(
        "framing, persistence and expectation",
        arguments: [
            Row(testDescription: "nothing said", fields: ""),
            Row(testDescription: "close", fields: "Connection: close\r\n", keepsAlive: false),
            Row(testDescription: "close among others", fields: "Connection: x, CLOSE\r\n", keepsAlive: false),
            Row(
                testDescription: "close in a second line", fields: "Connection: x\r\nConnection: close\r\n",
                keepsAlive: false),
            Row(testDescription: "keep-alive", fields: "Connection: keep-alive\r\n"),
            Row(testDescription: "HTTP/1.0 closes", version: "HTTP/1.0", fields: "", keepsAlive: false),
            Row(
                testDescription: "HTTP/1.0 closes all the same", version: "HTTP/1.0",
                fields: "Connection: keep-alive\r\n", keepsAlive: false),
            Row(testDescription: "length", fields: "Content-Length: 7\r\n", framing: .length(7)),
            Row(testDescription: "length 0 is no body", fields: "Content-Length: 0\r\n"),
            Row(testDescription: "chunked", fields: "Transfer-Encoding: chunked\r\n", framing: .chunked),
            Row(
                testDescription: "expectation", fields: "Expect: 100-continue\r\nContent-Length: 7\r\n",
                framing: .length(7), expectsContinue: true),
            Row(testDescription: "expectation without body", fields: "Expect: 100-continue\r\n"),
            Row(
                testDescription: "expectation of HTTP/1.0", version: "HTTP/1.0",
                fields: "Expect: 100-continue\r\nContent-Length: 7\r\n", keepsAlive: false, framing: .length(7)),
        ]
    )
    func connection(_ row: Row) throws {
        let read = try RequestHeadTests.parse("POST / \(row.version)\r\nHost: a\r\n\(row.fields)\r\n")
        #expect(read.head.keepsAlive == row.keepsAlive)
        #expect(read.head.framing == row.framing)
        #expect(read.head.expectsContinue == row.expectsContinue)
    }

    @Test("fields keep their order, names become lower case, values lose the blanks around them, Host goes")
    func fields() throws {
        let read = try RequestHeadTests.parse(
            "GET / HTTP/1.1\r\nX-One:  1 \t\r\nHOST: a\r\nAuthorization: Bearer x\r\nx-ONE:\r\nAccept: */*\r\n\r\n")
        #expect(lines(of: read.head.fields) == ["x-one: 1", "authorization: Bearer x", "x-one: ", "accept: */*"])
        #expect(read.head.fields.fields.map(\.name) == [.other, .authorization, .other, .accept])
        #expect(read.head.fields.listSize == 6 + 13 + 8 + 5 + 6 + 3 + 4 * 32)
    }

    @Test("fields that Connection names go, but never those of body, host and credentials")
    func namedFields() throws {
        let read = try RequestHeadTests.parse(
            """
            POST / HTTP/1.1\r
            Host: a\r
            X-Hop: 1\r
            Content-Type: text/plain\r
            Content-Digest: d\r
            Connection: x-hop, CONTENT-TYPE, content-digest, Authorization, cookie\r
            Authorization: Bearer x\r
            Cookie: c\r
            X-API-Key: k\r
            Keep-Alive: timeout=5\r
            connection: Keep-Alive, x-api-key, x-late\r
            Content-Length: 1\r
            X-Late: 1\r
            \r

            """)
        #expect(
            read.head.fields.fields.map(\.name) == [
                .contentType, .other, .connection, .authorization, .cookie, .xAPIKey, .connection, .contentLength,
            ])
        #expect(read.head.framing == .length(1))
    }

    @Test("a head used again holds nothing of the request before")
    func reuse() throws {
        let read = try RequestHeadTests.parse(
            "POST /long/target HTTP/1.0\r\nHost: long.example\r\nX: y\r\nContent-Length: 5\r\n\r\n")
        try parseRequestHead(octets("GET /b HTTP/1.1\r\nHost: c\r\n\r\n").span, limits: HTTP1Limits(), into: &read.head)
        #expect(read.head.method == .get)
        #expect(read.head.version == .http11)
        #expect(read.head.target == octets("/b"))
        #expect(read.head.authority == octets("c"))
        #expect(read.head.fields.count == 0)
        #expect(read.head.framing == .none)
        #expect(read.head.keepsAlive == true)
    }

    @Test("fields that are emptied and filled again hold what was put in last, and nothing else")
    func fieldsReuse() {
        var fields = HeaderFields()
        for round in 0..<3 {
            fields.removeAll()
            fields.append(name: "X-Long-\(round)", value: String(repeating: "v", count: 400 - 199 * round))
            fields.append(.contentType, "application/json")
            fields.append(.accept, value: Span())
            var copy = HeaderFields()
            copy.append(.xRequestID, value: octets("id").span)
            for field in fields.fields { copy.append(field, of: fields) }
            let long = "x-long-\(round): \(String(repeating: "v", count: 400 - 199 * round))"
            #expect(lines(of: fields) == [long, "content-type: application/json", "accept: "])
            #expect(lines(of: copy) == ["x-request-id: id", long, "content-type: application/json", "accept: "])
        }
    }

    @Test("what is not exactly one head is refused", arguments: ["", "\r\n", "GET / HTTP/1.1", "GET / HTTP/1.1\r\n"])
    func noHead(_ text: String) {
        #expect(throws: HTTP1Error.self) { try RequestHeadTests.parse(text) }
        #expect(throws: HTTP1Error.controlCharacter) {
            try RequestHeadTests.parse("GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n")
        }
    }

    @Test("each reason has a status of refusal")
    func statuses() {
        #expect(HTTP1Error.malformedHost.status == 400)
        #expect(HTTP1Error.requestLineTooLong.status == 414)
        #expect(HTTP1Error.unsupportedExpectation.status == 417)
        #expect(HTTP1Error.headTooLarge.status == 431)
        #expect(HTTP1Error.tooManyFields.status == 431)
        #expect(HTTP1Error.unknownMethod.status == 501)
        #expect(HTTP1Error.unsupportedTransferEncoding.status == 501)
        #expect(HTTP1Error.unsupportedVersion.status == 505)
    }
}

/// The fields as lines.
func lines(of fields: HeaderFields) -> [String] {
    fields.fields.map { latin(Array(fields.bytes[$0.nameRange])) + ": " + latin(Array(fields.bytes[$0.valueRange])) }
}
