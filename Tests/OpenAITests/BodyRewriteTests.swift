import Bytes
import OpenAI
import Testing

private func rewritten(
    _ body: String, model: String? = nil, forcesUsage: Bool = false, source: ModelSource = .bodyIfAny
) throws -> String {
    let bytes = octets(body)
    var facts = RequestFacts()
    try inspect(bytes.span, into: &facts, model: source)
    let rewrite = BodyRewrite(model: model.map(octets), forcesUsage: forcesUsage)
    return written { rewrite.append(bytes.span, facts, to: &$0) }
}

struct RewriteRow: CustomTestStringConvertible, Sendable {
    var testDescription: String { body }
    let body: String
    let result: String
}

@Suite("Body rewrite")
struct BodyRewriteTests {
    @Test(
        "only the model's value changes",
        arguments: [
            RewriteRow(body: #"{"model":"a","x":1}"#, result: #"{"model":"new","x":1}"#),
            RewriteRow(
                body: #" { "x" : [ 1 ] , "model" : "\u0061" } "#, result: #" { "x" : [ 1 ] , "model" : "new" } "#),
            RewriteRow(body: #"{"model":null}"#, result: #"{"model":"new"}"#),
            RewriteRow(body: #"{"x":1}"#, result: #"{"model":"new","x":1}"#),
            RewriteRow(body: "{ }", result: #"{"model":"new" }"#),
        ]
    )
    func model(_ row: RewriteRow) throws {
        #expect(try rewritten(row.body, model: "new") == row.result)
    }

    @Test("a name is written so that it stays one string")
    func escapes() throws {
        #expect(try rewritten(#"{"model":"a"}"#, model: "q\"\\\n") == #"{"model":"q\"\\\n"}"#)
    }

    @Test(
        "usage is asked for where it was not",
        arguments: [
            RewriteRow(
                body: #"{"model":"a","stream":true}"#,
                result: #"{"stream_options":{"include_usage":true},"model":"a","stream":true}"#),
            RewriteRow(
                body: #"{"stream":true,"stream_options":null,"model":"a"}"#,
                result: #"{"stream":true,"stream_options":{"include_usage":true},"model":"a"}"#),
            RewriteRow(
                body: #"{"stream":true,"stream_options":{},"model":"a"}"#,
                result: #"{"stream":true,"stream_options":{"include_usage":true},"model":"a"}"#),
            RewriteRow(
                body: #"{"stream":true,"stream_options":{ "x":1}}"#,
                result: #"{"stream":true,"stream_options":{"include_usage":true, "x":1}}"#),
            RewriteRow(
                body: #"{"stream":true,"stream_options":{"include_usage":false,"x":1}}"#,
                result: #"{"stream":true,"stream_options":{"include_usage":true,"x":1}}"#),
            RewriteRow(
                body: #"{"stream":true,"stream_options":{"include_usage":true}}"#,
                result: #"{"stream":true,"stream_options":{"include_usage":true}}"#),
            RewriteRow(body: #"{"stream":false}"#, result: #"{"stream":false}"#),
            RewriteRow(body: "{}", result: "{}"),
        ]
    )
    func usage(_ row: RewriteRow) throws {
        #expect(try rewritten(row.body, forcesUsage: true) == row.result)
    }

    @Test(
        "both at once, in either order",
        arguments: [
            RewriteRow(
                body: #"{"stream":true,"model":"a"}"#,
                result: #"{"stream_options":{"include_usage":true},"stream":true,"model":"new"}"#),
            RewriteRow(
                body: #"{"stream":true}"#,
                result: #"{"model":"new","stream_options":{"include_usage":true},"stream":true}"#),
            RewriteRow(
                body: #"{"stream":true,"model":"a","stream_options":{}}"#,
                result: #"{"stream":true,"model":"new","stream_options":{"include_usage":true}}"#),
            RewriteRow(
                body: #"{"stream":true,"stream_options":{},"model":"a"}"#,
                result: #"{"stream":true,"stream_options":{"include_usage":true},"model":"new"}"#),
            RewriteRow(
                body: #"{"stream":true,"stream_options":null}"#,
                result: #"{"model":"new","stream":true,"stream_options":{"include_usage":true}}"#),
        ]
    )
    func both(_ row: RewriteRow) throws {
        let result = try rewritten(row.body, model: "new", forcesUsage: true)
        #expect(result == row.result)
        let bytes = octets(result)
        var facts = RequestFacts()
        try inspect(bytes.span, into: &facts)
        #expect(facts.wantsUsage)
    }

    @Test("says when nothing changes")
    func unchanged() throws {
        let body = octets(#"{"model":"a","stream":true,"stream_options":{"include_usage":true}}"#)
        var facts = RequestFacts()
        try inspect(body.span, into: &facts)
        #expect(BodyRewrite(forcesUsage: true).leavesUnchanged(facts) == true)
        #expect(BodyRewrite(model: octets("b")).leavesUnchanged(facts) == false)
        let plain = octets(#"{"model":"a","stream":true}"#)
        try inspect(plain.span, into: &facts)
        #expect(BodyRewrite(forcesUsage: true).leavesUnchanged(facts) == false)
        #expect(BodyRewrite().leavesUnchanged(facts) == true)
    }
}
