import Bytes
import OpenAI
import Testing

private let modelPart = "Content-Disposition: form-data; name=\"model\"\r\n\r\nwhisper\r\n"
private let filePart =
    "Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\nRIFF\r\n--b\r\r\n--\r\n"

/// A body of these parts with the boundary `b`.
private func form(_ parts: String...) -> String {
    parts.map { "--bound\r\n\($0)" }.joined() + "--bound--\r\n"
}

private func facts(_ body: String, source: ModelSource = .body) throws(BodyError) -> MultipartFacts {
    var facts = MultipartFacts()
    try inspectMultipart(octets(body).span, boundary: octets("bound").span, into: &facts, model: source)
    return facts
}

private func field(_ header: String, _ value: String) -> String { "\(header)\r\n\r\n\(value)\r\n" }

private func disposition(_ rest: String) -> String { "Content-Disposition: form-data; \(rest)" }

struct MultipartRow: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let body: String

    init(_ name: String, _ body: String) {
        testDescription = name
        self.body = body
    }
}

@Suite("Multipart")
struct MultipartTests {
    @Test(
        "finds the model",
        arguments: [
            MultipartRow("model first", form(modelPart, filePart)),
            MultipartRow("file first", form(filePart, modelPart)),
            MultipartRow("alone", form(modelPart)),
            MultipartRow("no line end behind the last boundary", String(form(modelPart).dropLast())),
            MultipartRow("name as a token", form(field(disposition("name=model"), "whisper"))),
            MultipartRow(
                "header in lower case", form(field("content-disposition:form-data;name=\"model\"", "whisper"))),
            MultipartRow(
                "more headers", form(field(disposition("name=\"model\"") + "\r\nContent-Type: text/plain", "whisper"))),
            MultipartRow(
                "identity encoding",
                form(field(disposition("name=\"model\"") + "\r\nContent-Transfer-Encoding: 8bit", "whisper"))),
            MultipartRow(
                "a file with quotes in its name",
                form(field(disposition(#"name="file"; filename="a\"b""#), "x"), modelPart)),
            MultipartRow(
                "other fields",
                form(field(disposition("name=\"language\""), ""), modelPart, field(disposition("name=\"x[]\""), "1"))),
        ]
    )
    func finds(_ row: MultipartRow) throws {
        let found = try facts(row.body)
        let range = try #require(found.model)
        #expect(octets(row.body)[range].elementsEqual("whisper".utf8))
        #expect(!found.isStreaming)
    }

    @Test("reads stream, in the spellings of forms")
    func stream() throws {
        for (word, expected) in [
            ("true", true), ("True", true), ("1", true), ("false", false), ("0", false), ("", false),
        ] {
            let found = try facts(form(modelPart, field(disposition("name=\"stream\""), word)))
            #expect(found.isStreaming == expected)
        }
        #expect(throws: BodyError.wrongType("stream", expected: "a boolean")) {
            try facts(form(modelPart, field(disposition("name=\"stream\""), "maybe")))
        }
    }

    @Test("a missing, double or unusable model is told")
    func model() throws {
        #expect(throws: BodyError.missingModel) { try facts(form(filePart)) }
        #expect(throws: BodyError.duplicateKey("model")) { try facts(form(modelPart, filePart, modelPart)) }
        #expect(throws: BodyError.invalidModel) { try facts(form(field(disposition("name=\"model\""), ""))) }
        #expect(throws: BodyError.invalidModel) { try facts(form(field(disposition("name=\"model\""), "a\nb"))) }
        #expect(throws: BodyError.modelTooLong) {
            try facts(form(field(disposition("name=\"model\""), String(repeating: "m", count: 257))))
        }
        #expect(throws: BodyError.modelIsNoString) {
            try facts(form(field(disposition("name=\"model\"; filename=\"m\""), "whisper")))
        }
        #expect(throws: BodyError.modelIsNoString) {
            try facts(
                form(field(disposition("name=\"model\"") + "\r\nContent-Transfer-Encoding: base64", "d2hpc3Blcg==")))
        }
        #expect(try facts(form(filePart), source: .path).model == nil)
    }

    @Test(
        "refuses what could be read in two ways",
        arguments: [
            MultipartRow("nothing", ""),
            MultipartRow("no parts", "--bound--\r\n"),
            MultipartRow("preamble", "x\r\n" + form(modelPart)),
            MultipartRow("line end first", "\r\n" + form(modelPart)),
            MultipartRow("epilogue", form(modelPart) + "x"),
            MultipartRow("a second form behind", form(modelPart) + form(modelPart)),
            MultipartRow("no last boundary", "--bound\r\n" + modelPart),
            MultipartRow("bare line feeds", form(modelPart).replacing("\r\n", with: "\n")),
            MultipartRow("another boundary", form(modelPart).replacing("bound", with: "other")),
            MultipartRow(
                "boundary with more behind it", form(modelPart).replacing("--bound\r\n", with: "--bound \r\n")),
            MultipartRow("no header", "--bound\r\n\r\nwhisper\r\n--bound--\r\n"),
            MultipartRow("no empty line", "--bound\r\nContent-Disposition: form-data; name=\"model\"\r\n--bound--\r\n"),
            MultipartRow("no name", form(field("Content-Disposition: form-data", "x"), modelPart)),
            MultipartRow("no disposition", form(field("Content-Type: text/plain", "x"), modelPart)),
            MultipartRow(
                "two dispositions", form(field(disposition("name=\"a\"") + "\r\n" + disposition("name=\"model\""), "x"))
            ),
            MultipartRow("two names", form(field(disposition("name=\"a\"; name=\"model\""), "x"))),
            MultipartRow("encoded name", form(field(disposition("name*=utf-8''model"), "x"))),
            MultipartRow("backslash in the name", form(field(disposition(#"name="mod\el""#), "x"), modelPart)),
            MultipartRow("open quote", form(field(disposition("name=\"model"), "x"))),
            MultipartRow("rubbish behind the quote", form(field(disposition("name=\"model\"x"), "x"))),
            MultipartRow("no value", form(field(disposition("name="), "x"))),
            MultipartRow("attachment", form(field("Content-Disposition: attachment; name=\"model\"", "x"))),
            MultipartRow("folded line", form(field("Content-Disposition: form-data;\r\n name=\"model\"", "x"))),
            MultipartRow("space before the colon", form(field("Content-Disposition : form-data; name=\"model\"", "x"))),
            MultipartRow("line without colon", form(field(disposition("name=\"model\"") + "\r\nrubbish", "x"))),
            MultipartRow("NUL in a header", form(field(disposition("name=\"mo\u{0}del\""), "x"))),
            MultipartRow("bare CR in a header", form(field(disposition("name=\"a\"\rx: y"), "x"))),
            MultipartRow(
                "long header",
                form(field(disposition("name=\"model\"") + "\r\nX: " + String(repeating: "x", count: 9000), "x"))),
            MultipartRow(
                "many parts",
                "--bound\r\n" + String(repeating: modelPart.replacing("model", with: "x") + "--bound\r\n", count: 300)),
        ]
    )
    func refuses(_ row: MultipartRow) {
        do throws(BodyError) {
            _ = try facts(row.body)
            Issue.record("was read")
        } catch {
            guard case .malformedMultipart = error else {
                Issue.record("told as \(error)")
                return
            }
        }
    }

    @Test("a form cut short at any byte is refused, but for its last line end")
    func everyPrefix() {
        let whole = form(filePart, modelPart)
        for count in 0..<(whole.utf8.count - 2) {
            #expect(throws: BodyError.self, "\(count)") {
                try facts(String(decoding: octets(whole)[..<count], as: UTF8.self))
            }
        }
    }

    @Test("another model is put in its place, or first")
    func rewrite() throws {
        let body = form(filePart, modelPart)
        let found = try facts(body)
        let changed = written {
            found.append(octets(body).span, boundary: octets("bound").span, model: octets("new").span, to: &$0)
        }
        #expect(changed == body.replacing("whisper", with: "new"))
        let bare = form(filePart)
        let none = try facts(bare, source: .path)
        let added = written {
            none.append(octets(bare).span, boundary: octets("bound").span, model: octets("new").span, to: &$0)
        }
        let range = try #require(try facts(added).model)
        #expect(octets(added)[range].elementsEqual("new".utf8))
        #expect(added.hasSuffix(bare))
    }

    @Test(
        "the boundary is found in the content type, or not at all",
        arguments: [
            ("multipart/form-data; boundary=abc", "abc"), ("Multipart/Form-Data;BOUNDARY=\"a b:c\"", "a b:c"),
            ("multipart/form-data; charset=utf-8; boundary=--x", "--x"), ("multipart/form-data; boundary=abc;", "abc"),
            ("multipart/form-data", nil), ("multipart/form-data; boundary=", nil),
            ("multipart/form-data; boundary=\"\"", nil),
            ("multipart/form-data; boundary=a; boundary=b", nil), ("multipart/form-data; boundary=\"a \"", nil),
            ("multipart/form-data; boundary=a\u{7}", nil), ("multipart/mixed; boundary=a", nil),
            ("text/plain; boundary=a", nil),
            ("multipart/form-datax; boundary=a", nil), ("multipart/form-data boundary=a", nil), ("", nil),
            ("multipart/form-data; boundary=a b", nil), ("multipart/form-data; boundary=\"a\\\"b\"", nil),
            ("multipart/form-data; boundary=" + String(repeating: "x", count: 71), nil),
        ] as [(String, String?)]
    )
    func boundary(_ type: String, _ boundary: String?) {
        let found = multipartBoundary(octets(type).span).map { String(decoding: octets(type)[$0], as: UTF8.self) }
        #expect(found == boundary)
    }
}
