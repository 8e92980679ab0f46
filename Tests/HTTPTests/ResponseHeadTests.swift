import Bytes
import HTTP
import Testing

@Suite("Response head")
struct ResponseHeadTests {
    struct Row: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var line = "HTTP/1.1 200 OK"
        var fields = ""
        var method = HTTP.Method.post
        var status = 200
        var framing = BodyFraming.none
        var keepsAlive = true
    }

    /// Reads a response whose head arrives in two pieces.
    private static func read(_ text: String, to method: HTTP.Method = .post, cut: Int = 0) throws -> Held<ResponseHead>?
    {
        let bytes = octets(text)
        var scanner = HTTP1HeadScanner(for: .response)
        var head = ResponseHead()
        for end in [cut, bytes.count] {
            let piece = bytes.span.extracting(0..<end)
            guard let headEnd = try scanner.scan(piece, limits: HTTP1Limits()) else { continue }
            let text = bytes.span.extracting(scanner.leadingBytes..<headEnd)
            try parseResponseHead(text, requestMethod: method, limits: HTTP1Limits(), into: &head)
            return Held(head)
        }
        return nil
    }

    @Test(
        "what is read",
        arguments: [
            Row(testDescription: "length", fields: "Content-Length: 5\r\n", framing: .length(5)),
            Row(testDescription: "length 0", fields: "Content-Length: 0\r\n"),
            Row(testDescription: "chunked", fields: "Transfer-Encoding: chunked\r\n", framing: .chunked),
            Row(testDescription: "neither", framing: .untilClose, keepsAlive: false),
            Row(
                testDescription: "close", fields: "Content-Length: 5\r\nConnection: close\r\n", framing: .length(5),
                keepsAlive: false),
            Row(
                testDescription: "HTTP/1.0", line: "HTTP/1.0 200 OK", fields: "Content-Length: 5\r\n",
                framing: .length(5), keepsAlive: false),
            Row(
                testDescription: "HTTP/1.0 that stays", line: "HTTP/1.0 200 OK",
                fields: "Content-Length: 5\r\nConnection: keep-alive\r\n",
                framing: .length(5)),
            Row(
                testDescription: "HTTP/1.0 that stays, without length", line: "HTTP/1.0 200 OK",
                fields: "Connection: keep-alive\r\n",
                framing: .untilClose, keepsAlive: false),
            Row(testDescription: "HEAD with length", fields: "Content-Length: 5\r\n", method: .head),
            Row(testDescription: "HEAD with chunked", fields: "Transfer-Encoding: chunked\r\n", method: .head),
            Row(testDescription: "HEAD with neither", method: .head),
            Row(testDescription: "204", line: "HTTP/1.1 204 No Content", status: 204),
            Row(
                testDescription: "204 with length 0", line: "HTTP/1.1 204 No Content", fields: "Content-Length: 0\r\n",
                status: 204),
            Row(
                testDescription: "204 that announces a body", line: "HTTP/1.1 204 No Content",
                fields: "Content-Length: 5\r\n",
                status: 204, keepsAlive: false),
            Row(
                testDescription: "204 that announces chunks", line: "HTTP/1.1 204 No Content",
                fields: "Transfer-Encoding: chunked\r\n",
                status: 204, keepsAlive: false),
            Row(
                testDescription: "304 with length", line: "HTTP/1.1 304 Not Modified", fields: "Content-Length: 5\r\n",
                status: 304),
            Row(testDescription: "100", line: "HTTP/1.1 100 Continue", status: 100),
            Row(testDescription: "103", line: "HTTP/1.1 103 Early Hints", fields: "Link: x\r\n", status: 103),
            Row(testDescription: "no reason", line: "HTTP/1.1 200 ", fields: "Content-Length: 0\r\n"),
            Row(testDescription: "no reason and no space", line: "HTTP/1.1 200", fields: "Content-Length: 0\r\n"),
            Row(
                testDescription: "reason beyond ASCII", line: "HTTP/1.1 200 \u{E9}\t.", fields: "Content-Length: 0\r\n"),
            Row(testDescription: "599", line: "HTTP/1.1 599 x", fields: "Content-Length: 0\r\n", status: 599),
            Row(testDescription: "Upgrade alone is harmless", fields: "Upgrade: h2c\r\nContent-Length: 0\r\n"),
        ]
    )
    func reads(_ row: Row) throws {
        let text = "\(row.line)\r\n\(row.fields)\r\n"
        for cut in 0...octets(text).count {
            let read = try #require(try ResponseHeadTests.read(text, to: row.method, cut: cut))
            #expect(read.head.status == row.status)
            #expect(read.head.framing == row.framing)
            #expect(read.head.keepsAlive == row.keepsAlive)
        }
    }

    struct Refusal: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var line = "HTTP/1.1 200 OK"
        var fields = ""
        let error: HTTP1Error
    }

    @Test(
        "what is refused",
        arguments: [
            Refusal(testDescription: "another protocol", line: "ICY 200 OK", error: .malformedStatusLine),
            Refusal(testDescription: "HTTP/0.9", line: "<html>", error: .malformedStatusLine),
            Refusal(testDescription: "HTTP/2.0", line: "HTTP/2.0 200 OK", error: .malformedStatusLine),
            Refusal(testDescription: "HTTP/1.2", line: "HTTP/1.2 200 OK", error: .malformedStatusLine),
            Refusal(testDescription: "lower case", line: "http/1.1 200 OK", error: .malformedStatusLine),
            Refusal(testDescription: "no status", line: "HTTP/1.1", error: .malformedStatusLine),
            Refusal(testDescription: "status of two digits", line: "HTTP/1.1 20 OK", error: .malformedStatusLine),
            Refusal(testDescription: "status of four digits", line: "HTTP/1.1 1000 OK", error: .malformedStatusLine),
            Refusal(
                testDescription: "status of four digits without reason", line: "HTTP/1.1 2000",
                error: .malformedStatusLine),
            Refusal(testDescription: "status 099", line: "HTTP/1.1 099 OK", error: .malformedStatusLine),
            Refusal(testDescription: "status 000", line: "HTTP/1.1 000 OK", error: .malformedStatusLine),
            Refusal(testDescription: "status 600", line: "HTTP/1.1 600 OK", error: .malformedStatusLine),
            Refusal(testDescription: "status with sign", line: "HTTP/1.1 +20 OK", error: .malformedStatusLine),
            Refusal(testDescription: "status in letters", line: "HTTP/1.1 2OO OK", error: .malformedStatusLine),
            Refusal(testDescription: "two spaces", line: "HTTP/1.1  200 OK", error: .malformedStatusLine),
            Refusal(testDescription: "tab", line: "HTTP/1.1\t200 OK", error: .malformedStatusLine),
            Refusal(testDescription: "text behind the status", line: "HTTP/1.1 200-OK", error: .malformedStatusLine),
            Refusal(testDescription: "space before", line: " HTTP/1.1 200 OK", error: .malformedStatusLine),
            Refusal(testDescription: "an empty line before", line: "\r\nHTTP/1.1 200 OK", error: .malformedStatusLine),
            Refusal(testDescription: "101", line: "HTTP/1.1 101 Switching Protocols", error: .switchingProtocols),
            Refusal(testDescription: "NUL in the reason", line: "HTTP/1.1 200 O\u{0}K", error: .controlCharacter),
            Refusal(
                testDescription: "carriage return in the reason", line: "HTTP/1.1 200 O\rK", error: .controlCharacter),
            Refusal(testDescription: "NUL in a value", fields: "X: a\u{0}b\r\n", error: .controlCharacter),
            Refusal(testDescription: "carriage return in a value", fields: "X: a\rb\r\n", error: .controlCharacter),
            Refusal(testDescription: "line feed behind a value", fields: "X: a\nY: b\r\n", error: .controlCharacter),
            Refusal(testDescription: "folded field", fields: "X: a\r\n b\r\n", error: .foldedField),
            Refusal(testDescription: "space before the colon", fields: "X : a\r\n", error: .malformedFieldName),
            Refusal(testDescription: "no colon", fields: "X\r\n", error: .malformedFieldName),
            Refusal(
                testDescription: "two lengths", fields: "Content-Length: 5\r\nContent-Length: 6\r\n",
                error: .repeatedContentLength),
            Refusal(
                testDescription: "two equal lengths", fields: "Content-Length: 5\r\nContent-Length: 5\r\n",
                error: .repeatedContentLength),
            Refusal(
                testDescription: "list of lengths", fields: "Content-Length: 5, 5\r\n", error: .malformedContentLength),
            Refusal(
                testDescription: "negative length", fields: "Content-Length: -1\r\n", error: .malformedContentLength),
            Refusal(
                testDescription: "length beyond 2^64", fields: "Content-Length: 99999999999999999999\r\n",
                error: .malformedContentLength),
            Refusal(
                testDescription: "length and chunked", fields: "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                error: .ambiguousFraming),
            Refusal(
                testDescription: "chunked twice", fields: "Transfer-Encoding: chunked, chunked\r\n",
                error: .malformedTransferEncoding),
            Refusal(
                testDescription: "gzip", fields: "Transfer-Encoding: gzip\r\n", error: .unsupportedTransferEncoding),
            Refusal(
                testDescription: "too many fields", fields: String(repeating: "X: y\r\n", count: 101),
                error: .tooManyFields),
            Refusal(
                testDescription: "head too large", fields: "X: " + String(repeating: "a", count: 32_768) + "\r\n",
                error: .headTooLarge),
            Refusal(
                testDescription: "status line too large", line: "HTTP/1.1 200 " + String(repeating: "a", count: 32_768),
                error: .headTooLarge),
        ]
    )
    func refuses(_ row: Refusal) {
        let text = "\(row.line)\r\n\(row.fields)\r\n"
        #expect(throws: row.error) { try ResponseHeadTests.read(text) }
        let length = octets(text).count
        for cut in stride(from: 0, through: length, by: max(1, length / 300)) {
            #expect(throws: HTTP1Error.self) { try ResponseHeadTests.read(text, cut: cut) }
        }
    }

    @Test("chunked in HTTP/1.0 is refused")
    func chunkedHTTP10() {
        #expect(throws: HTTP1Error.ambiguousFraming) {
            try ResponseHeadTests.read("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        }
    }

    @Test("garbage is refused at its first wrong octet, not when a line ends", arguments: ["{", "HTTP/2", "HTTX"])
    func garbage(_ text: String) {
        #expect(throws: HTTP1Error.malformedStatusLine) { try ResponseHeadTests.read(text) }
    }

    @Test("fields that Connection names go")
    func namedFields() throws {
        let read = try #require(
            try ResponseHeadTests.read(
                "HTTP/1.1 200 OK\r\nServer: x\r\nX-Hop: 1\r\nConnection: x-hop\r\nContent-Length: 0\r\n\r\n"))
        #expect(lines(of: read.head.fields) == ["server: x", "connection: x-hop", "content-length: 0"])
    }
}
