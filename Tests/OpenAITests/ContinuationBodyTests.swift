import Bytes
import OpenAI
import Testing

struct ContinuationRow: CustomTestStringConvertible, Sendable {
    let testDescription: String
    var operation = APIOperation.chatCompletions
    var engine = EngineKind.vllm
    let body: String
    let result: String

    init(_ name: String, _ body: String, _ result: String) { self.init(name, .chatCompletions, .vllm, body, result) }

    init(_ name: String, _ operation: APIOperation, _ engine: EngineKind, _ body: String, _ result: String) {
        testDescription = name
        self.operation = operation
        self.engine = engine
        self.body = body
        self.result = result
    }
}

/// A scanner that has seen these texts.
private func scanner(after texts: [String], _ operation: APIOperation) throws -> EventStreamScanner {
    var scanner = EventStreamScanner(dialect: .completions, keepsText: true)
    var output = ByteQueue()
    for text in texts {
        let choice = operation == .chatCompletions ? #""delta":{"content":"\#(text)"}"# : #""text":"\#(text)""#
        let event = #"data: {"id":"a","choices":[{"index":0,\#(choice),"finish_reason":null}]}"# + "\n\n"
        try scanner.receive(octets(event).span, into: &output)
    }
    return scanner
}

private let flags = #""continue_final_message":true,"add_generation_prompt":false,"#
private let said = #","messages":[{"role":"user","content":"hi"}"#

@Suite("Continuation body")
struct ContinuationBodyTests {
    @Test(
        "the next engine is asked to go on",
        arguments: [
            ContinuationRow(
                "vLLM, chat", #"{"model":"m","stream":true\#(said)],"seed":1}"#,
                #"{\#(flags)"model":"m","stream":true\#(said),{"role":"assistant","content":" a\n b"}],"seed":1}"#),
            ContinuationRow(
                "Ollama: no flags", .chatCompletions, .ollama, #"{"model":"m","stream":true\#(said)]}"#,
                #"{"model":"m","stream":true\#(said),{"role":"assistant","content":" a\n b"}]}"#),
            ContinuationRow(
                "no messages", .chatCompletions, .other, #"{"model":"m","stream":true,"messages":[ ]}"#,
                #"{"model":"m","stream":true,"messages":[ {"role":"assistant","content":" a\n b"}]}"#),
            ContinuationRow(
                "limits are lowered",
                #"{"model":"m","stream":true,"max_tokens":10,"max_completion_tokens":3,"min_tokens":1\#(said)]}"#,
                #"{\#(flags)"model":"m","stream":true,"max_tokens":8,"max_completion_tokens":1,"min_tokens":0\#(said),{"role":"assistant","content":" a\n b"}]}"#
            ),
            ContinuationRow(
                "flags that are there are replaced",
                #"{"model":"m","stream":true,"add_generation_prompt":true,"continue_final_message":false\#(said)]}"#,
                #"{"model":"m","stream":true,"add_generation_prompt":false,"continue_final_message":true\#(said),{"role":"assistant","content":" a\n b"}]}"#
            ),
            ContinuationRow(
                "a message that was open is extended",
                #"{"model":"m","stream":true,"continue_final_message":true,"add_generation_prompt":false\#(said),{"role":"assistant","content":"So"}]}"#,
                #"{"model":"m","stream":true,"continue_final_message":true,"add_generation_prompt":false\#(said),{"role":"assistant","content":"So a\n b"}]}"#
            ),
            ContinuationRow(
                "a message that vLLM closed is followed by another",
                #"{"model":"m","stream":true\#(said),{"role":"assistant","content":"So"}]}"#,
                #"{\#(flags)"model":"m","stream":true\#(said),{"role":"assistant","content":"So"},{"role":"assistant","content":" a\n b"}]}"#
            ),
            ContinuationRow(
                "llama.cpp opens it by itself, and its parts", .chatCompletions, .llamacpp,
                #"{"model":"m","stream":true\#(said),{"content":[{"type":"text","text":"S"},{"text":"o","type":"text"}],"role":"assistant"}]}"#,
                #"{\#(flags)"model":"m","stream":true\#(said),{"content":[{"type":"text","text":"S"},{"text":"o a\n b","type":"text"}],"role":"assistant"}]}"#
            ),
            ContinuationRow(
                "what llama.cpp sent again does not stand there twice", .chatCompletions, .llamacpp,
                #"{"model":"m","stream":true\#(said),{"role":"assistant","content":" a\u000a"}]}"#,
                #"{\#(flags)"model":"m","stream":true\#(said),{"role":"assistant","content":" a\u000a b"}]}"#),
            ContinuationRow(
                "a message with calls is followed by another", .chatCompletions, .llamacpp,
                #"{"model":"m","stream":true\#(said),{"role":"assistant","content":"x","tool_calls":[{}]}]}"#,
                #"{\#(flags)"model":"m","stream":true\#(said),{"role":"assistant","content":"x","tool_calls":[{}]},{"role":"assistant","content":" a\n b"}]}"#
            ),
            ContinuationRow(
                "completions", .completions, .llamacpp, #"{"model":"m","stream":true,"prompt":"x\"","n":1}"#,
                #"{"model":"m","stream":true,"prompt":"x\" a\n b","n":1}"#),
            ContinuationRow(
                "completions without a limit get what is left of the engine's own", .completions, .vllm,
                #"{"model":"m","stream":true,"prompt":"x"}"#,
                #"{"max_tokens":14,"model":"m","stream":true,"prompt":"x a\n b"}"#),
        ])
    func bodies(_ row: ContinuationRow) throws {
        let scanner = try scanner(after: [#" a\n"#, " b"], row.operation)
        let body = octets(row.body)
        var facts = RequestFacts()
        try inspect(body.span, into: &facts)
        try expectVerdict(.possible, scanner, row.operation, body, row.engine)
        var queue = ByteQueue()
        scanner.writeContinuation(
            row.operation, body: body.span, facts: facts, rewrite: BodyRewrite(), engine: row.engine, into: &queue)
        let result = [UInt8](copying: queue.span)
        #expect(String(decoding: result, as: UTF8.self) == row.result)
        let json = try readJSON(result.span)
        #expect(json.kind == .object)
    }

    @Test("it is composed with the rewrite for the engine")
    func rewrite() throws {
        let scanner = try scanner(after: ["a"], .completions)
        let body = octets(#"{"stream":true,"model":"m","prompt":"x","max_tokens":9}"#)
        var facts = RequestFacts()
        try inspect(body.span, into: &facts)
        let result = written {
            scanner.writeContinuation(
                .completions, body: body.span, facts: facts,
                rewrite: BodyRewrite(model: octets("other"), forcesUsage: true), engine: .vllm, into: &$0)
        }
        #expect(
            result
                == #"{"stream_options":{"include_usage":true},"stream":true,"model":"other","prompt":"xa","max_tokens":8}"#
        )
    }

    @Test("a stream that told the role alone is begun anew, whatever was asked for")
    func restart() throws {
        var scanner = EventStreamScanner(dialect: .completions, keepsText: true)
        var output = ByteQueue()
        let opening = #"data: {"id":"a","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"# + "\n\n"
        try scanner.receive(octets(opening).span, into: &output)
        let body = octets(#"{"model":"m","stream":true,"tools":[{}],"messages":[{}]}"#)
        try expectVerdict(.possible, scanner, .chatCompletions, body)
        var facts = RequestFacts()
        try inspect(body.span, into: &facts)
        let result = written {
            scanner.writeContinuation(
                .chatCompletions, body: body.span, facts: facts, rewrite: BodyRewrite(), engine: .vllm, into: &$0)
        }
        #expect(octets(result) == body)
    }

    @Test(
        "requests that cannot be continued",
        arguments: [
            ContinuationRow("tools", #","tools":[{"type":"function"}]"#, "tools"),
            ContinuationRow("functions", #","functions":[{}],"function_call":"auto""#, "tools"),
            ContinuationRow("tools forbidden", #","tools":[{}],"tool_choice":"none""#, "possible"),
            ContinuationRow("no tools", #","tools":[],"tool_choice":"auto""#, "possible"),
            ContinuationRow("log probabilities", #","logprobs":true"#, "logprobs"),
            ContinuationRow("no log probabilities", #","logprobs":false,"top_logprobs":null"#, "possible"),
            ContinuationRow("two answers", #","n":2"#, "choices"),
            ContinuationRow("one answer", #","n":1"#, "possible"),
            ContinuationRow("best of", #","best_of":3"#, "choices"),
            ContinuationRow("JSON", #","response_format":{"type":"json_object"}"#, "structured_output"),
            ContinuationRow("text", #","response_format":{"type":"text"}"#, "possible"),
            ContinuationRow("guided", #","guided_regex":"a+""#, "structured_output"),
            ContinuationRow("grammar, name escaped", #","\u0067rammar":"root ::= x""#, "structured_output"),
            ContinuationRow("grammar, empty", #","grammar":"""#, "possible"),
            ContinuationRow("echo", #","echo":true"#, "echo"),
            ContinuationRow("audio", #","modalities":["text","audio"]"#, "audio"),
            ContinuationRow("nothing left", #","max_tokens":2"#, "complete"),
            ContinuationRow("one left", #","max_tokens":3"#, "possible"),
            ContinuationRow("no stream", #","stream":false"#, "not_streaming"),
        ])
    func verdicts(_ row: ContinuationRow) throws {
        let stream = row.body.contains("stream") ? "" : #","stream":true"#
        let body = octets(#"{"model":"m"\#(stream)\#(said)]\#(row.body)}"#)
        let scanner = try scanner(after: ["a", "b"], .chatCompletions)
        let found = try verdict(scanner, .chatCompletions, body)
        #expect(name(found) == row.result)
    }

    private func name(_ verdict: ContinuationVerdict) -> String {
        switch verdict {
        case .possible: "possible"
        case .complete: "complete"
        case .not(let obstacle): obstacle.label.description
        }
    }

    @Test(
        "prompts", arguments: [(#""x""#, "possible"), (#"["x"]"#, "prompt"), ("[1,2]", "prompt"), ("null", "prompt")])
    func prompts(_ prompt: String, _ result: String) throws {
        let scanner = try scanner(after: ["a"], .completions)
        let body = octets(#"{"model":"m","stream":true,"prompt":\#(prompt)}"#)
        let found = try verdict(scanner, .completions, body, .llamacpp)
        #expect(name(found) == result)
    }

    @Test("the engine's own limit counts where there is none")
    func ownLimit() throws {
        let scanner = try scanner(after: [String](repeating: "a", count: 16), .completions)
        let body = octets(#"{"model":"m","stream":true,"prompt":"x"}"#)
        try expectVerdict(.complete, scanner, .completions, body, .vllm)
        try expectVerdict(.possible, scanner, .completions, body, .llamacpp)
    }

    @Test(
        "streams that cannot be continued",
        arguments: [
            (#"{"index":0,"delta":{"tool_calls":[{"index":0}]}}"#, "tools"),
            (#"{"index":0,"delta":{"reasoning_content":"hm"}}"#, "reasoning"),
            (#"{"index":0,"delta":{"reasoning":"hm","content":null}}"#, "reasoning"),
            (#"{"index":0,"delta":{"refusal":"no"}}"#, "other_output"),
            (#"{"index":1,"delta":{"content":"x"}}"#, "choices"),
            (#"{"index":0,"delta":{"content":"x"},"logprobs":{"content":[]}}"#, "logprobs"),
            (#"{"index":0,"delta":{"content":[{"type":"text"}]}}"#, "other_output"),
            (#"{"index":0,"delta":{"content":"\ud800"}}"#, "unreadable"),
            (#"{"index":0,"delta":{"refusal":null,"tool_calls":[],"reasoning_content":""}}"#, "possible"),
        ])
    func outputs(_ choice: String, _ result: String) throws {
        var scanner = try scanner(after: ["a", "b"], .chatCompletions)
        var output = ByteQueue()
        try scanner.receive(octets(#"data: {"id":"a","choices":[\#(choice)]}"# + "\n\n").span, into: &output)
        let found = try verdict(scanner, .chatCompletions, chatBody)
        #expect(name(found) == result)
    }

    @Test("a second member of the same form as the first is not taken for text")
    func form() throws {
        var scanner = try scanner(after: ["a", "b"], .chatCompletions)
        var output = ByteQueue()
        let event =
            #"data: {"id":"a","choices":[{"index":0,"delta":{"content":"c","reasoning":"d"},"finish_reason":null}]}"#
        try scanner.receive(octets(event + "\n\n").span, into: &output)
        try expectVerdict(.not(.reasoning), scanner, .chatCompletions, chatBody)
    }

    @Test("text that is no JSON string is not handed on")
    func brokenText() throws {
        let scanner = try scanner(after: ["a", #"\x"#], .chatCompletions)
        try expectVerdict(.not(.unreadable), scanner, .chatCompletions, chatBody)
    }

    @Test("text beyond the limit is not kept")
    func long() throws {
        let piece = String(repeating: "a", count: 1 << 18)
        let fits = try scanner(after: [piece, piece, piece, piece], .chatCompletions)
        try expectVerdict(.possible, fits, .chatCompletions, chatBody)
        let tooLong = try scanner(after: [piece, piece, piece, piece, "b"], .chatCompletions)
        try expectVerdict(.not(.textTooLong), tooLong, .chatCompletions, chatBody)
    }

    @Test("streams that are not kept cannot be continued")
    func notKept() throws {
        let plain = EventStreamScanner(dialect: .completions)
        try expectVerdict(.not(.operation), plain, .chatCompletions, chatBody)
        let messages = EventStreamScanner(dialect: .messages, keepsText: true)
        try expectVerdict(.not(.operation), messages, .messages, chatBody)
    }
}

@Suite("Held errors")
struct HeldErrorTests {
    private static let start =
        #"data: {"id":"a","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}"# + "\n\n"
    private static let error = #"data: {"error":{"message":"EngineCore died","code":500}}"# + "\n\n"

    @Test("an error is held back with what follows, split anywhere, and comes out as it was", arguments: [false, true])
    func hold(strips: Bool) throws {
        let stream = octets(Self.start + Self.error + "data: [DONE]\n\n")
        for split in stream.indices {
            var scanner = EventStreamScanner(dialect: .completions, stripsUsage: strips, keepsText: true)
            var output = ByteQueue()
            try scanner.receive(stream.span.extracting(..<split), into: &output)
            try scanner.receive(stream.span.extracting(split...), into: &output)
            let (isHeld, held, isBetween) = (scanner.hasHeldError, scanner.heldError, scanner.isBetweenEvents)
            #expect(isHeld && held == .server && isBetween)
            let before = [UInt8](copying: output.span)
            #expect(before == octets(Self.start))
            try expectVerdict(.possible, scanner, .chatCompletions, chatBody)
            try scanner.release(into: &output)
            let (after, summary) = ([UInt8](copying: output.span), scanner.summary)
            #expect(after == stream)
            #expect(summary.isTerminated && summary.hasError && summary.events == 3)
        }
    }

    @Test("a continuation drops it")
    func drop() throws {
        var takeover = Takeover()
        try takeover.receive(octets(Self.start + Self.error).span)
        takeover.takeOver()
        try takeover.receive(octets(Self.start.replacing("\"a\"}", with: "\"b\"}") + "data: [DONE]\n\n").span)
        let (text, summary) = (takeover.text, takeover.scanner.summary)
        #expect(ClientView(text).text == "ab")
        #expect(!summary.hasError && summary.isTerminated)
    }

    @Test("nothing is held without being asked for")
    func pass() throws {
        var scanner = EventStreamScanner(dialect: .completions)
        var output = ByteQueue()
        let forwarding = try scanner.follow(octets(Self.error + "data: x").span, into: &output)
        let isHeld = scanner.hasHeldError
        #expect(forwarding == .all && !isHeld)
    }
}
