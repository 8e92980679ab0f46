import Bytes
import Testing

private func written(_ bytes: [UInt8]) -> String {
    var queue = ByteQueue()
    queue.append(jsonString: bytes.span)
    return String(decoding: [UInt8](copying: queue.span), as: UTF8.self)
}

@Suite("JSON writer")
struct JSONWriterTests {
    @Test(
        "escapes what could break a line or a string",
        arguments: [
            ("plain", #""plain""#), ("", #""""#), ("a\"b\\c/", #""a\"b\\c/""#),
            ("\n\r\t\u{0}\u{1F}", #""\n\r\t\u0000\u001f""#),
            ("\u{7F}", #""\u007f""#), ("\u{85}", #""\u0085""#), ("\u{2028}\u{2029}", #""\u2028\u2029""#),
            ("é中😀\u{a0}", "\"é中😀\u{a0}\""), ("\u{2027}\u{202A}", "\"\u{2027}\u{202A}\""),
        ]
    )
    func escapes(_ text: String, _ json: String) {
        #expect(written(Array(text.utf8)) == json)
    }

    @Test("what is not UTF-8 becomes a replacement character, byte by byte")
    func invalid() {
        #expect(written([0x61, 0xFF, 0x62]) == #""a\ufffdb""#)
        #expect(written([0xED, 0xA0, 0x80]) == #""\ufffd\ufffd\ufffd""#)
        #expect(written([0xE2, 0x80]) == #""\ufffd\ufffd""#)
        #expect(written([0xC2]) == #""\ufffd""#)
    }

    @Test("any bytes come out as a JSON string in one line, and text comes back the same")
    func anyBytes() throws {
        var generator = SplitMix(state: 7)
        for _ in 0..<2000 {
            let bytes = (0..<Int.random(in: 0..<80, using: &generator)).map { _ in
                UInt8.random(in: .min ... .max, using: &generator)
            }
            let json = Array(written(bytes).utf8)
            let value = try readJSON(json.span)
            #expect(value.kind == .string)
            #expect(json.allSatisfy { $0 >= 0x20 && $0 != 0x7F })
            let expected = Array(String(decoding: bytes, as: UTF8.self).utf8)
            // The standard library merges some broken sequences into one replacement; valid text is the same.
            if isUTF8(bytes.span) { #expect(jsonText(value, in: json.span) == expected) }
        }
    }

    @Test("a literal is escaped too")
    func literal() {
        var queue = ByteQueue()
        queue.append(jsonString: "a\"b\n")
        #expect(text(queue.span) == #""a\"b\n""#)
    }
}

/// A small generator with a seed, so that a failure comes again.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
