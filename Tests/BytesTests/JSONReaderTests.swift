import Bytes
import Testing

private func members(_ text: String) throws(JSONError) -> [String] {
    let bytes = Array(text.utf8)
    var reader = JSONMemberReader()
    var found: [String] = []
    while let member = try reader.next(bytes.span) {
        let key = String(decoding: bytes[member.key], as: UTF8.self)
        found.append("\(key)=\(String(decoding: bytes[member.value.range], as: UTF8.self))")
    }
    return found
}

private func elements(_ text: String) throws(JSONError) -> [String] {
    let bytes = Array(text.utf8)
    var reader = JSONElementReader()
    var found: [String] = []
    while let element = try reader.next(bytes.span) {
        found.append(String(decoding: bytes[element.range], as: UTF8.self))
    }
    return found
}

@Suite("JSON readers")
struct JSONReaderTests {
    @Test("members come in order with the ranges of their values")
    func membersInOrder() throws {
        #expect(
            try members(#" { "a" : 1 , "b" :{"a":2}, "c":"x\"y" ,"d":[ ], "":null} "#)
                == ["a=1", #"b={"a":2}"#, #"c="x\"y""#, "d=[ ]", "=null"])
        #expect(try members("{}") == [])
        #expect(try members(" {\n} ") == [])
    }

    @Test("elements come in order")
    func elementsInOrder() throws {
        #expect(try elements(#"[1, "a",[2,3] ,{}]"#) == ["1", #""a""#, "[2,3]", "{}"])
        #expect(try elements("[ ]") == [])
    }

    @Test("a value of another kind is told apart from broken JSON")
    func wrongKind() {
        #expect(throws: JSONError(.wrongKind, at: 0)) { try members("[]") }
        #expect(throws: JSONError(.wrongKind, at: 1)) { try members(" null") }
        #expect(throws: JSONError(.wrongKind, at: 0)) { try elements("{}") }
    }

    @Test(
        "mistakes between members are found",
        arguments: [
            "{", "{\"a\"}", "{\"a\":1", "{\"a\":1,}", "{\"a\":1 \"b\":2}", "{\"a\":1}x", "{,}", "{1:2}", "{}}", "",
        ])
    func mistakes(_ text: String) {
        #expect(throws: JSONError.self) { try members(text) }
    }

    @Test("128 levels fit, with the object of the reader the first of them")
    func depth() throws {
        let arrays = { (count: Int) in
            "{\"a\":" + String(repeating: "[", count: count) + String(repeating: "]", count: count) + "}"
        }
        #expect(try members(arrays(127)).count == 1)
        #expect(throws: JSONError.self) { try members(arrays(128)) }
    }

    @Test("after the end there is nothing")
    func afterTheEnd() throws {
        let bytes = Array("{\"a\":1}".utf8)
        var reader = JSONMemberReader()
        #expect(try reader.next(bytes.span) != nil)
        #expect(try reader.next(bytes.span) == nil)
        #expect(try reader.next(bytes.span) == nil)
        #expect(reader.contentStart == 1)
    }

    @Test("names with escapes are compared by what they say")
    func escapedKey() throws {
        let bytes = Array(#"{"mod\u0065l":1}"#.utf8)
        var reader = JSONMemberReader()
        let member = try #require(try reader.next(bytes.span))
        #expect(member.keyHasEscapes)
        #expect(isKey(member, "model", in: bytes.span) == true)
        #expect(isKey(member, "modal", in: bytes.span) == false)
    }

    @Test(
        "escapes are resolved",
        arguments: [
            (#"tiny"#, "tiny"), (#"\u0074iny"#, "tiny"), (#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
            (#"\u00e9\u4E2D"#, "é中"), (#"\ud83d\ude00!"#, "😀!"), (#"\ud83d"#, "\u{FFFD}"), ("é\\u0041", "éA"), ("", ""),
        ]
    )
    func decode(_ content: String, _ text: String) {
        #expect(decodeJSONText(Array(content.utf8).span) == Array(text.utf8))
    }

    @Test(
        "whole numbers are read, others are none",
        arguments: [
            ("0", 0), ("42", 42), ("9223372036854775807", Int.max), ("9223372036854775808", nil), ("-1", nil),
            ("1.0", nil), ("1e3", nil), ("\"1\"", nil), ("null", nil),
        ] as [(String, Int?)]
    )
    func integers(_ text: String, _ number: Int?) throws {
        let bytes = Array(text.utf8)
        let value = try readJSON(bytes.span)
        #expect(jsonInteger(value, in: bytes.span) == number)
    }
}
