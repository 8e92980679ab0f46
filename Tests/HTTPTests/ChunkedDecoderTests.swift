import Bytes
import HTTP
import Testing

@Suite("Chunked body")
struct ChunkedDecoderTests {
    private static let body =
        "5\r\nhello\r\n01 ; a = \"b\\\"\" ;c\r\n,\r\nA;x=y\r\n0123456789\r\n0;last\r\nX-One: 1\r\nTwo:\r\n\r\nnext"

    @Test("any two cuts give the same body and the same end")
    func cuts() throws {
        let bytes = octets(ChunkedDecoderTests.body)
        for first in 0...bytes.count {
            for second in first...bytes.count {
                var offset = 0
                let body = try decodeChunks(bytes, from: &offset, ends: [first, second, bytes.count])
                #expect(body.map(latin) == "hello,0123456789")
                #expect(latin(Array(bytes[offset...])) == "next")
            }
        }
    }

    @Test("nothing is read beyond the end, however often it is asked")
    func end() throws {
        let bytes = octets("0\r\n\r\n0\r\n\r\n")
        var decoder = ChunkedDecoder(limits: HTTP1Limits())
        var offset = 0
        for _ in 0..<3 {
            let event = try decoder.decode(bytes.span, at: &offset)
            #expect(event == .end)
            #expect(offset == 5)
        }
        #expect(decoder.hasEnded)
    }

    @Test("the data of a chunk is a range of the input")
    func ranges() throws {
        let bytes = octets("3\r\nabc\r\n1\r\nd\r\n")
        var decoder = ChunkedDecoder(limits: HTTP1Limits())
        var offset = 0
        for expected in [ChunkedEvent.data(3..<6), .data(11..<12), .needMore] {
            let event = try decoder.decode(bytes.span, at: &offset)
            #expect(event == expected)
        }
        #expect(offset == bytes.count)
        #expect(!decoder.hasEnded)
    }

    @Test("limits are those given")
    func limits() {
        var limits = HTTP1Limits()
        limits.chunkExtensionBytes = 2
        limits.chunkExtensionTotalBytes = 4
        limits.trailerBytes = 8
        let rows: [(String, HTTP1Error?)] = [
            ("1;\r\n", .malformedChunk), ("0;\r", .malformedChunk), ("1;aa\r\n", .chunkExtensionTooLong),
            ("0\r\nX: y\r\n\r\n", nil), ("0\r\nX: yz\r\n\r\n", .trailersTooLarge), ("0\r\n\r\n", nil),
        ]
        for (text, expected) in rows {
            var error: HTTP1Error?
            let bytes = octets(text)
            do throws(HTTP1Error) {
                var offset = 0
                _ = try decodeChunks(bytes, from: &offset, ends: [bytes.count], limits: limits)
            } catch let thrown {
                error = thrown
            }
            #expect(error == expected, "\(text.debugDescription)")
        }
    }

    @Test("a flood of one-octet chunks is read whole")
    func flood() throws {
        var bytes: [UInt8] = []
        for _ in 0..<20_000 { bytes += octets("1\r\nx\r\n") }
        bytes += octets("0\r\n\r\n")
        var offset = 0
        #expect(try decodeChunks(bytes, from: &offset, ends: [bytes.count])?.count == 20_000)
    }
}
