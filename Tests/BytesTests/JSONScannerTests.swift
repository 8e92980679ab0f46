import Bytes
import Testing

/// A text with a name, so that a failure says which.
struct JSONRow: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let bytes: [UInt8]
    let error: JSONError.Kind?

    init(_ name: String, _ text: String, _ error: JSONError.Kind? = nil) {
        self.init(name, Array(text.utf8), error)
    }

    init(_ name: String, _ bytes: [UInt8], _ error: JSONError.Kind? = nil) {
        testDescription = name
        self.bytes = bytes
        self.error = error
    }
}

private func kindOfError(_ bytes: [UInt8]) -> JSONError.Kind? {
    do throws(JSONError) {
        _ = try readJSON(bytes.span)
        return nil
    } catch {
        return error.kind
    }
}

private func inString(_ bytes: [UInt8]) -> [UInt8] { [0x22] + bytes + [0x22] }

private func nested(_ depth: Int, _ open: String, _ close: String) -> String {
    String(repeating: open, count: depth) + "0" + String(repeating: close, count: depth)
}

@Suite("JSON scanner")
struct JSONScannerTests {
    @Test(
        "accepts what RFC 8259 allows",
        arguments: [
            JSONRow("object", #"{"a":1,"b":[true,false,null],"c":{"d":"e"}}"#),
            JSONRow("empty object", "{}"),
            JSONRow("empty array", "[ ]"),
            JSONRow("white space everywhere", " \t\r\n{ \"a\" :\n[ 1 , 2 ] }\r\n "),
            JSONRow("string alone", #""x""#),
            JSONRow("word alone", "null"),
            JSONRow("negative zero", "-0"),
            JSONRow("fraction and exponent", "-1.25E+10"),
            JSONRow("largest double", "1.7976931348623157e308"),
            JSONRow("underflow is zero, and finite", "1e-999"),
            JSONRow("100 digits", String(repeating: "9", count: 100)),
            JSONRow("all escapes", #""\"\\\/\b\f\n\r\t\u0041\u00e9\uD83D\uDE00""#),
            JSONRow("escaped NUL", #""\u0000""#),
            JSONRow("DEL in a string", inString([0x7F])),
            JSONRow("two, three and four byte characters", "\"\u{e9}\u{4e2d}\u{10FFFF}\""),
            JSONRow("characters at the edges of the surrogates", "\"\u{D7FF}\u{E000}\""),
            JSONRow("128 levels of arrays", nested(128, "[", "]")),
            JSONRow("128 levels of objects", nested(128, "{\"a\":", "}")),
            JSONRow("the same name twice", #"{"a":1,"a":2}"#),
            JSONRow("long string", "\"" + String(repeating: "x", count: 5000) + "\""),
        ]
    )
    func accepts(_ row: JSONRow) {
        #expect(kindOfError(row.bytes) == nil)
    }

    @Test(
        "refuses what engines would read in different ways",
        arguments: [
            JSONRow("nothing", "", .unexpectedEnd),
            JSONRow("white space alone", "  ", .unexpectedEnd),
            JSONRow("open object", "{", .unexpectedEnd),
            JSONRow("open member", #"{"a""#, .unexpectedEnd),
            JSONRow("open string", #""abc"#, .unexpectedEnd),
            JSONRow("open escape", "\"\\", .unexpectedEnd),
            JSONRow("open word", "tru", .unexpectedEnd),
            JSONRow("wrong word", "trux", .unexpectedByte),
            JSONRow("NaN", "NaN", .unexpectedByte),
            JSONRow("Infinity", "-Infinity", .invalidNumber),
            JSONRow("comma at the end of an array", "[1,]", .unexpectedByte),
            JSONRow("comma at the end of an object", #"{"a":1,}"#, .unexpectedByte),
            JSONRow("comma alone", "[,]", .unexpectedByte),
            JSONRow("two commas", "[1,,2]", .unexpectedByte),
            JSONRow("no comma", "[1 2]", .unexpectedByte),
            JSONRow("no colon", #"{"a" 1}"#, .unexpectedByte),
            JSONRow("two colons", #"{"a"::1}"#, .unexpectedByte),
            JSONRow("name without quotes", "{a:1}", .unexpectedByte),
            JSONRow("number as a name", "{1:1}", .unexpectedByte),
            JSONRow("single quotes", "{'a':1}", .unexpectedByte),
            JSONRow("array closed as an object", "[1}", .unexpectedByte),
            JSONRow("object closed as an array", #"{"a":1]"#, .unexpectedByte),
            JSONRow("comment", "/* */{}", .unexpectedByte),
            JSONRow("byte order mark", [0xEF, 0xBB, 0xBF, 0x7B, 0x7D], .unexpectedByte),
            JSONRow("UTF-16", [0xFF, 0xFE, 0x7B, 0x00, 0x7D, 0x00], .unexpectedByte),
            JSONRow("form feed as white space", "\u{0C}{}", .unexpectedByte),
            JSONRow("NUL behind the value", "{}\u{0}", .trailingBytes),
            JSONRow("two values", "{}{}", .trailingBytes),
            JSONRow("closing bracket too many", "[]]", .trailingBytes),
            JSONRow("leading zero", "01", .invalidNumber),
            JSONRow("negative leading zero", "-01", .invalidNumber),
            JSONRow("plus sign", "+1", .unexpectedByte),
            JSONRow("point first", ".5", .unexpectedByte),
            JSONRow("point last", "1.", .unexpectedEnd),
            JSONRow("point and then a letter", "[1.e5]", .invalidNumber),
            JSONRow("exponent without digits", "[1e]", .invalidNumber),
            JSONRow("exponent with a sign alone", "[1e+]", .invalidNumber),
            JSONRow("minus alone", "[-]", .invalidNumber),
            JSONRow("hexadecimal", "0x10", .trailingBytes),
            JSONRow("infinite", "1e999", .numberTooLarge),
            JSONRow("just infinite", "1.8e308", .numberTooLarge),
            JSONRow("infinite by leading digits", "100000000000000000000e290", .numberTooLarge),
            JSONRow("exponent with many digits", "1e00000000000000000000000000000999", .numberTooLarge),
            JSONRow("101 digits", String(repeating: "9", count: 101), .numberTooLarge),
            JSONRow("line feed in a string", "\"a\nb\"", .controlCharacter),
            JSONRow("NUL in a string", inString([0x61, 0x00]), .controlCharacter),
            JSONRow("0x1F behind plain text", inString(Array(repeating: 0x61, count: 100) + [0x1F]), .controlCharacter),
            JSONRow("unknown escape", #""\x41""#, .invalidEscape),
            JSONRow("escape with three digits", #""\u004""#, .invalidEscape),
            JSONRow("escape with a sign", #""\u+041""#, .invalidEscape),
            JSONRow("high half alone", #""\ud83d""#, .invalidEscape),
            JSONRow("low half alone", #""\ude00""#, .invalidEscape),
            JSONRow("halves in the wrong order", #""\ude00\ud83d""#, .invalidEscape),
            JSONRow("high half and a letter", #""\ud83dx""#, .invalidEscape),
            JSONRow("129 levels of arrays", nested(129, "[", "]"), .tooDeep),
            JSONRow("129 levels of objects", nested(129, "{\"a\":", "}"), .tooDeep),
            JSONRow("a million levels", String(repeating: "[", count: 1_000_000), .tooDeep),
        ]
    )
    func refuses(_ row: JSONRow) {
        #expect(kindOfError(row.bytes) == row.error)
    }

    @Test(
        "refuses bytes that are not UTF-8",
        arguments: [
            JSONRow("continuation alone", [0x80]),
            JSONRow("overlong slash", [0xC0, 0xAF]),
            JSONRow("overlong letter", [0xC1, 0xA1]),
            JSONRow("overlong in three", [0xE0, 0x9F, 0xBF]),
            JSONRow("overlong in four", [0xF0, 0x8F, 0xBF, 0xBF]),
            JSONRow("surrogate", [0xED, 0xA0, 0x80]),
            JSONRow("beyond U+10FFFF", [0xF4, 0x90, 0x80, 0x80]),
            JSONRow("0xF5", [0xF5, 0x80, 0x80, 0x80]),
            JSONRow("0xFF", [0xFF]),
            JSONRow("two bytes, one missing", [0xC3]),
            JSONRow("three bytes, one missing", [0xE4, 0xB8]),
            JSONRow("four bytes, one missing", [0xF0, 0x9F, 0x98]),
            JSONRow("lead instead of continuation", [0xE4, 0xE4, 0xB8]),
            JSONRow("valid, then not", Array("中文".utf8) + [0xE4, 0xB8, 0x20]),
        ]
    )
    func refusesInvalidUTF8(_ row: JSONRow) {
        #expect(kindOfError(inString(row.bytes)) == .invalidUTF8)
        #expect(isUTF8(row.bytes.span) == false)
    }

    @Test("agrees with the standard library on every sequence of two lead bytes")
    func everyPair() {
        for first in UInt8(0x80)...0xFF {
            for second in UInt8(0x80)...0xFF {
                for tail: [UInt8] in [[], [0x80], [0x80, 0x80], [0xBF, 0xBF]] {
                    let bytes = [first, second] + tail
                    let expected = String(validating: bytes, as: UTF8.self) != nil
                    #expect(isUTF8(bytes.span) == expected, "\(bytes)")
                }
            }
        }
    }

    @Test("finds a special byte at every place of a long string")
    func everyPlace() {
        for length in 0..<140 {
            for special: UInt8 in [0x22, 0x5C, 0x01, 0xC3] {
                var bytes: [UInt8] = [0x22] + Array(repeating: 0x7E, count: length)
                switch special {
                case 0x22: bytes += [0x22]
                case 0x5C: bytes += [0x5C, 0x6E, 0x22]
                case 0xC3: bytes += [0xC3, 0xA9, 0x22]
                default: bytes += [special, 0x22]
                }
                #expect(kindOfError(bytes) == (special == 0x01 ? .controlCharacter : nil))
            }
        }
    }

    @Test("a value cut short at any byte is refused")
    func everyPrefix() {
        let whole = Array(#"{"a":[1,-2.5e+3,true,null,"x\u00e9\ud83d\ude00é中😀"],"b":{"c":{}}}"#.utf8)
        #expect(kindOfError(whole) == nil)
        for count in 0..<whole.count { #expect(kindOfError(Array(whole[..<count])) != nil) }
    }
}
