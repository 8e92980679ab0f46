import Bytes
import OpenAI
import Testing

/// What inspecting a body gave.
private struct Inspection {
    var facts = RequestFacts()
    var error: BodyError?
    var model = ""

    init(_ body: [UInt8], model source: ModelSource = .body) {
        do throws(BodyError) {
            try inspect(body.span, into: &facts, model: source)
            model = String(decoding: [UInt8](copying: facts.model(in: body.span)), as: UTF8.self)
        } catch {
            self.error = error
        }
    }

    init(_ body: String, model source: ModelSource = .body) { self.init(octets(body), model: source) }
}

private func slice(_ body: String, _ range: Range<Int>?) -> String? {
    range.map { String(decoding: octets(body)[$0], as: UTF8.self) }
}

struct BodyErrorRow: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let body: [UInt8]
    let error: BodyError

    init(_ name: String, _ body: String, _ error: BodyError) {
        self.init(name, Array(body.utf8), error)
    }

    init(_ name: String, _ body: [UInt8], _ error: BodyError) {
        testDescription = name
        self.body = body
        self.error = error
    }
}

@Suite("Body inspector")
struct BodyInspectorTests {
    @Test("reads the facts of an ordinary chat body")
    func ordinary() {
        let body = #"""
            {"model":"tiny","messages":[{"role":"user","content":"hi \"you\""}],"stream":true,"n":2,
             "stream_options":{"include_usage":true},"max_tokens":64,"user":"u-1","safety_identifier":"s-1"}
            """#
        let found = Inspection(body)
        #expect(found.error == nil)
        #expect(found.model == "tiny")
        #expect(slice(body, found.facts.modelValue) == #""tiny""#)
        #expect(found.facts.isStreaming)
        #expect(found.facts.wantsUsage)
        #expect(found.facts.maxTokens == 64)
        #expect(found.facts.choices == 2)
        #expect(slice(body, found.facts.user) == "u-1")
        #expect(slice(body, found.facts.safetyIdentifier) == "s-1")
        #expect(found.facts.contentStart == 1)
        #expect(!found.facts.isEmpty)
        #expect(found.facts.decodedModel.isEmpty)
    }

    @Test("finds the model behind two megabytes of messages, and not the one inside metadata")
    func late() {
        let text = String(repeating: "lorem ipsum ", count: 180_000)
        let found = Inspection(#"{"metadata":{"model":"wrong"},"messages":["\#(text)"],"model":"right"}"#)
        #expect(found.model == "right")
    }

    @Test(
        "a model with escapes is what the escapes say",
        arguments: [
            (#"{"model":"\u0074iny"}"#, "tiny"), (#"{"mod\u0065l":"tiny"}"#, "tiny"), (#"{"model":"a\/b"}"#, "a/b"),
            (#"{"model":"\ud83d\ude00"}"#, "😀"), (#"{"model":"é"}"#, "é"), (#"{ "model" : "x y" }"#, "x y"),
        ]
    )
    func escapes(_ body: String, _ model: String) {
        #expect(Inspection(body).model == model)
    }

    @Test(
        "the largest of several limits' names wins, whatever the order",
        arguments: [
            (#""max_tokens":1,"max_completion_tokens":2"#, 2), (#""max_completion_tokens":2,"max_tokens":1"#, 2),
            (#""max_output_tokens":3,"max_tokens":1"#, 3), (#""max_tokens":null"#, nil), (#""max_tokens":-1"#, nil),
            (#""max_tokens":1.5"#, nil), (#""max_tokens":"7""#, nil),
            (#""max_tokens":7,"max_completion_tokens":null"#, 7),
        ] as [(String, Int?)]
    )
    func maxTokens(_ members: String, _ limit: Int?) {
        let found = Inspection(#"{"model":"m",\#(members)}"#)
        #expect(found.error == nil)
        #expect(found.facts.maxTokens == limit)
    }

    @Test(
        "stream and stream_options may be null",
        arguments: [
            (#""stream":null"#, RequestFacts.StreamOptions.absent), (#""stream":false"#, .absent),
            (#""stream_options":null"#, .null(30..<34)),
            (#""stream_options":{}"#, .object(contentStart: 31, isEmpty: true, includeUsage: nil)),
            (#""stream_options":{"x":1}"#, .object(contentStart: 31, isEmpty: false, includeUsage: nil)),
            (
                #""stream_options":{"include_usage":false}"#,
                .object(contentStart: 31, isEmpty: false, includeUsage: 47..<52)
            ),
            (
                #""stream_options":{"include_usage":null}"#,
                .object(contentStart: 31, isEmpty: false, includeUsage: 47..<51)
            ),
        ]
    )
    func streamOptions(_ members: String, _ options: RequestFacts.StreamOptions) {
        let found = Inspection(#"{"model":"m",\#(members)}"#)
        #expect(found.error == nil)
        #expect(found.facts.streamOptions == options)
        #expect(!found.facts.isStreaming)
        #expect(!found.facts.wantsUsage)
    }

    @Test(
        "refuses, and says why",
        arguments: [
            BodyErrorRow("no model", "{}", .missingModel),
            BodyErrorRow("no model among others", #"{"models":"m","Model":"m"}"#, .missingModel),
            BodyErrorRow("null", #"{"model":null}"#, .missingModel),
            BodyErrorRow("number", #"{"model":3}"#, .modelIsNoString),
            BodyErrorRow("object", #"{"model":{}}"#, .modelIsNoString),
            BodyErrorRow("array", #"{"model":["m"]}"#, .modelIsNoString),
            BodyErrorRow("true", #"{"model":true}"#, .modelIsNoString),
            BodyErrorRow("empty", #"{"model":""}"#, .invalidModel),
            BodyErrorRow("line feed", #"{"model":"a\nb"}"#, .invalidModel),
            BodyErrorRow("NUL", #"{"model":"a\u0000"}"#, .invalidModel),
            BodyErrorRow("DEL", #"{"model":"a\u007f"}"#, .invalidModel),
            BodyErrorRow("257 bytes", #"{"model":"\#(String(repeating: "m", count: 257))"}"#, .modelTooLong),
            BodyErrorRow("very long", #"{"model":"\#(String(repeating: "m", count: 100_000))"}"#, .modelTooLong),
            BodyErrorRow("two models", #"{"model":"a","model":"b"}"#, .duplicateKey("model")),
            BodyErrorRow("two models, one in disguise", #"{"model":"a","m\u006fdel":"b"}"#, .duplicateKey("model")),
            BodyErrorRow("two equal models", #"{"model":"a","x":1,"model":"a"}"#, .duplicateKey("model")),
            BodyErrorRow("null, then a model", #"{"model":null,"model":"a"}"#, .duplicateKey("model")),
            BodyErrorRow("two streams", #"{"stream":true,"stream":false}"#, .duplicateKey("stream")),
            BodyErrorRow("two max_tokens", #"{"max_tokens":1,"max_tokens":2}"#, .duplicateKey("max_tokens")),
            BodyErrorRow("two users", #"{"user":"a","user":"b"}"#, .duplicateKey("user")),
            BodyErrorRow(
                "two include_usage", #"{"stream_options":{"include_usage":true,"include_usage":true}}"#,
                .duplicateKey("stream_options.include_usage")),
            BodyErrorRow("stream a text", #"{"stream":"true"}"#, .wrongType("stream", expected: "a boolean")),
            BodyErrorRow("stream a number", #"{"stream":1}"#, .wrongType("stream", expected: "a boolean")),
            BodyErrorRow(
                "stream_options a list", #"{"stream_options":[]}"#, .wrongType("stream_options", expected: "an object")),
            BodyErrorRow(
                "include_usage a text", #"{"stream_options":{"include_usage":"yes"}}"#,
                .wrongType("stream_options.include_usage", expected: "a boolean")),
            BodyErrorRow("array", "[]", .notAnObject),
            BodyErrorRow("null body", " null ", .notAnObject),
            BodyErrorRow("text body", #""x""#, .notAnObject),
            BodyErrorRow("number body", "1", .notAnObject),
            BodyErrorRow("nothing", "", .notJSON(JSONError(.unexpectedEnd, at: 0))),
            BodyErrorRow("word", "model", .notJSON(JSONError(.unexpectedByte, at: 0))),
            BodyErrorRow("broken array", "[1,", .notJSON(JSONError(.unexpectedEnd, at: 3))),
            BodyErrorRow("comma at the end", #"{"model":"m",}"#, .notJSON(JSONError(.unexpectedByte, at: 13))),
            BodyErrorRow("rubbish behind", #"{"model":"m"}{}"#, .notJSON(JSONError(.trailingBytes, at: 13))),
            BodyErrorRow(
                "infinite", #"{"model":"m","temperature":1e999}"#, .notJSON(JSONError(.numberTooLarge, at: 27))),
            BodyErrorRow(
                "a hundred and one digits", #"{"seed":\#(String(repeating: "1", count: 101))}"#,
                .notJSON(JSONError(.numberTooLarge, at: 8))),
            BodyErrorRow(
                "too deep", #"{"a":\#(String(repeating: "[", count: 200))"#, .notJSON(JSONError(.tooDeep, at: 132))),
            BodyErrorRow(
                "invalid UTF-8 in the model", octets(#"{"model":"a"#) + [0xFF] + octets(#""}"#),
                .notJSON(JSONError(.invalidUTF8, at: 11))),
            BodyErrorRow(
                "invalid UTF-8 elsewhere", octets(#"{"x":""#) + [0xED, 0xA0, 0x80] + octets(#""}"#),
                .notJSON(JSONError(.invalidUTF8, at: 6))),
        ]
    )
    func refuses(_ row: BodyErrorRow) {
        #expect(Inspection(row.body).error == row.error)
        // Where no model is needed, all other mistakes stay mistakes.
        if row.error != .missingModel { #expect(Inspection(row.body, model: .path).error == row.error) }
    }

    @Test("where the model may be absent, null is the same as absent")
    func optionalModel() {
        for body in ["{}", #"{"model":null}"#, #"{"input":"x"}"#] {
            let found = Inspection(body, model: .bodyIfAny)
            #expect(found.error == nil)
            #expect(!found.facts.hasModel)
            #expect(found.model == "")
        }
        #expect(Inspection("{ }", model: .path).facts.isEmpty)
    }

    @Test("facts do not outlast the body they are of")
    func reused() throws {
        var facts = RequestFacts()
        let first = octets(#"{"model":"\u0061","stream":true,"user":"u","n":3}"#)
        try inspect(first.span, into: &facts)
        let second = octets(#"{"model":"b"}"#)
        try inspect(second.span, into: &facts)
        var fresh = RequestFacts()
        try inspect(second.span, into: &fresh)
        #expect(facts == fresh)
    }

    @Test("every error names its parameter and reads like OpenAI's")
    func words() {
        let missing = APIError(BodyError.missingModel)
        #expect(missing.status == 400)
        #expect(missing.param == "model")
        #expect(missing.code == "missing_required_parameter")
        #expect(missing.message == "Missing required parameter: 'model'.")
        let broken = APIError(BodyError.notJSON(JSONError(.invalidUTF8, at: 7)))
        #expect(broken.message == "We could not parse the JSON body of your request: invalid UTF-8 at byte 7.")
        #expect(broken.type == "invalid_request_error")
        #expect(APIError(BodyError.duplicateKey("stream")).param == "stream")
    }
}
