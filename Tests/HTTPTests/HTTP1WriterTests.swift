import Bytes
import HTTP
import Testing

@Suite("HTTP/1.1 writer")
struct HTTP1WriterTests {
    private static func written(_ write: (inout ByteQueue) -> Void) -> String {
        var queue = ByteQueue()
        write(&queue)
        var copy: [UInt8] = []
        copy.append(copying: queue.span)
        return latin(copy)
    }

    struct Row: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var status = 200
        var method = HTTP.Method.post
        var framing = BodyFraming.none
        var keepsAlive = true
        var date = ""
        let text: String
    }

    @Test(
        "response heads",
        arguments: [
            Row(testDescription: "length", framing: .length(12), text: "HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n"),
            Row(
                testDescription: "chunked", framing: .chunked,
                text: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
            Row(
                testDescription: "until close", framing: .untilClose,
                text: "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"),
            Row(testDescription: "no body", text: "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
            Row(testDescription: "no body to HEAD", method: .head, text: "HTTP/1.1 200 OK\r\n\r\n"),
            Row(
                testDescription: "length to HEAD", method: .head, framing: .length(3),
                text: "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n"),
            Row(
                testDescription: "last of the connection", framing: .length(1), keepsAlive: false,
                text: "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\n"),
            Row(testDescription: "204", status: 204, text: "HTTP/1.1 204 No Content\r\n\r\n"),
            Row(testDescription: "304", status: 304, text: "HTTP/1.1 304 Not Modified\r\n\r\n"),
            Row(testDescription: "103", status: 103, text: "HTTP/1.1 103 \r\n\r\n"),
            Row(
                testDescription: "date", date: "Thu, 01 Jan 1970 00:00:00 GMT",
                text: "HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\ncontent-length: 0\r\n\r\n"),
            Row(testDescription: "status out of use", status: 418, text: "HTTP/1.1 418 \r\ncontent-length: 0\r\n\r\n"),
        ]
    )
    func responseHead(_ row: Row) {
        var head = ResponseHead()
        head.status = row.status
        head.framing = row.framing
        head.keepsAlive = row.keepsAlive
        let text = HTTP1WriterTests.written {
            HTTP1Writer.responseHead(head, to: row.method, date: octets(row.date).span, into: &$0)
        }
        #expect(text == row.text)
    }

    @Test("every status has a line that our own parser reads")
    func statusLines() throws {
        for status in 200...599 {
            var head = ResponseHead()
            let text = HTTP1WriterTests.written {
                HTTP1Writer.statusLine(status, into: &$0)
                HTTP1Writer.endHead(into: &$0)
            }
            try parseResponseHead(octets(text).span, requestMethod: .get, limits: HTTP1Limits(), into: &head)
            #expect(head.status == status)
        }
    }

    @Test("fields of framing, connection and host are written by us alone, all others as they came")
    func responseFields() throws {
        var head = ResponseHead()
        let received = """
            HTTP/1.1 200 OK\r
            Content-Length: 5\r
            X-One: 1\r
            Date: then\r
            Connection: keep-alive\r
            Keep-Alive: timeout=5\r
            X-Two:2\r
            X-Three:   3  \r
            X-Four:\t4\r
            X-Five: 5\r
            \r

            """
        try parseResponseHead(octets(received).span, requestMethod: .get, limits: HTTP1Limits(), into: &head)
        head.fields.append(.retryAfter, "1")
        let text = HTTP1WriterTests.written {
            HTTP1Writer.responseHead(head, to: .get, date: octets("now").span, into: &$0)
        }
        #expect(
            text == """
                HTTP/1.1 200 OK\r
                x-one: 1\r
                x-two: 2\r
                x-three: 3\r
                x-four: 4\r
                x-five: 5\r
                retry-after: 1\r
                date: now\r
                content-length: 5\r
                \r

                """)
    }

    @Test("request heads")
    func requestHead() {
        var fields = HeaderFields()
        fields.append(name: "Host", value: "evil")
        fields.append(name: "X-A", value: "b")
        fields.append(name: "Transfer-Encoding", value: "gzip")
        fields.append(name: "Accept", value: "*/*")
        func written(_ method: HTTP.Method, _ framing: BodyFraming) -> String {
            HTTP1WriterTests.written {
                HTTP1Writer.requestHead(
                    method, target: octets("/v1?x").span, authority: octets("h:1").span, fields: fields,
                    framing: framing, into: &$0)
            }
        }
        #expect(
            written(.post, .length(3))
                == "POST /v1?x HTTP/1.1\r\nhost: h:1\r\nx-a: b\r\naccept: */*\r\ncontent-length: 3\r\n\r\n")
        #expect(
            written(.post, .chunked)
                == "POST /v1?x HTTP/1.1\r\nhost: h:1\r\nx-a: b\r\naccept: */*\r\ntransfer-encoding: chunked\r\n\r\n")
        #expect(
            written(.post, .none)
                == "POST /v1?x HTTP/1.1\r\nhost: h:1\r\nx-a: b\r\naccept: */*\r\ncontent-length: 0\r\n\r\n")
        #expect(written(.get, .none) == "GET /v1?x HTTP/1.1\r\nhost: h:1\r\nx-a: b\r\naccept: */*\r\n\r\n")
    }

    @Test("field lines")
    func fieldLines() {
        let text = HTTP1WriterTests.written {
            HTTP1Writer.field(.server, "penstock", into: &$0)
            HTTP1Writer.field(.contentLength, decimal: 1_234_567, into: &$0)
            HTTP1Writer.field(.retryAfter, octets("9").span, into: &$0)
            HTTP1Writer.field(name: octets("x-y").span, octets("z").span, into: &$0)
        }
        #expect(text == "server: penstock\r\ncontent-length: 1234567\r\nretry-after: 9\r\nx-y: z\r\n")
    }

    @Test("chunks are what our own decoder reads", arguments: [1, 9, 10, 15, 16, 255, 256, 4096, 70_000])
    func chunks(_ size: Int) throws {
        let body = [UInt8](repeating: 0x78, count: size)
        let text = HTTP1WriterTests.written {
            HTTP1Writer.chunk(body.span, into: &$0)
            HTTP1Writer.chunk([UInt8]().span, into: &$0)
            HTTP1Writer.chunkHeader(1, into: &$0)
            $0.append("y")
            HTTP1Writer.chunkEnd(into: &$0)
            HTTP1Writer.lastChunk(into: &$0)
        }
        #expect(text.hasPrefix(String(size, radix: 16) + "\r\n"))
        var offset = 0
        let bytes = octets(text)
        #expect(try decodeChunks(bytes, from: &offset, ends: [bytes.count]) == body + [0x79])
        #expect(offset == bytes.count)
    }

    @Test("the interim response")
    func interim() {
        #expect(HTTP1WriterTests.written { HTTP1Writer.continueResponse(into: &$0) } == "HTTP/1.1 100 Continue\r\n\r\n")
    }
}
