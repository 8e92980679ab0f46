import Bytes
import OpenAI
import Testing

/// How an engine writes its streams.
struct StreamStyle: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let operation: APIOperation
    let engine: EngineKind
    /// The first event, which tells the role; empty if there is none. `@` stands for `id` and `created`.
    let opening: String
    /// An event; `#` stands for the text.
    let event: String
    let ending: String
    let usage: String

    /// A stream of `words` by the engine `name`; `emitted` of them, of all, are its prompt.
    func stream(_ words: [String], by name: String, prompt: Int, finishes: Bool = true) -> String {
        var text = opening
        for word in words { text += event.replacing("#", with: word) }
        if finishes {
            text += ending
            text += usage.replacing("PROMPT", with: "\(prompt)").replacing("COMPLETION", with: "\(words.count)")
                .replacing("TOTAL", with: "\(prompt + words.count)")
            text += "data: [DONE]\n\n"
        }
        return text.replacing("@", with: #""id":"\#(name)","created":\#(name.utf8.count)"#)
    }
}

let styles = [
    StreamStyle(
        testDescription: "vLLM, chat", operation: .chatCompletions, engine: .vllm,
        opening:
            #"data: {@,"object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"usage":null}"#
            + "\n\n",
        event:
            ##"data: {@,"object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"#"},"logprobs":null,"finish_reason":null}],"usage":null}"##
            + "\n\n",
        ending:
            #"data: {@,"object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":""},"logprobs":null,"finish_reason":"stop","stop_reason":null}],"usage":null}"#
            + "\n\n",
        usage:
            #"data: {@,"object":"chat.completion.chunk","model":"m","choices":[],"usage":{"prompt_tokens":PROMPT,"total_tokens":TOTAL,"completion_tokens":COMPLETION,"prompt_tokens_details":{"cached_tokens":90}}}"#
            + "\n\n"),
    StreamStyle(
        testDescription: "llama.cpp, chat", operation: .chatCompletions, engine: .llamacpp,
        opening:
            #"data: {"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}],@,"model":"m","system_fingerprint":"b1","object":"chat.completion.chunk"}"#
            + "\n\n",
        event:
            ##"data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":"#"}}],@,"model":"m","system_fingerprint":"b1","object":"chat.completion.chunk"}"##
            + "\n\n",
        ending:
            #"data: {"choices":[{"finish_reason":"length","index":0,"delta":{}}],@,"model":"m","system_fingerprint":"b1","object":"chat.completion.chunk"}"#
            + "\n\n",
        usage:
            #"data: {"choices":[],@,"model":"m","system_fingerprint":"b1","object":"chat.completion.chunk","usage":{"completion_tokens":COMPLETION,"prompt_tokens":PROMPT,"total_tokens":TOTAL}}"#
            + "\n\n"),
    StreamStyle(
        testDescription: "SGLang, CRLF", operation: .chatCompletions, engine: .sglang,
        opening:
            #"data: {@,"object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"","reasoning_content":null,"tool_calls":null},"logprobs":null,"finish_reason":null,"matched_stop":null}],"usage":null}"#
            + "\r\n\r\n",
        event:
            ##"data: {@,"object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"role":null,"content":"#","reasoning_content":null,"tool_calls":null},"logprobs":null,"finish_reason":null}],"usage":null}"##
            + "\r\n\r\n",
        ending:
            #"data: {@,"object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"role":null,"content":null},"finish_reason":"stop"}],"usage":null}"#
            + "\r\n\r\n",
        usage:
            #"data: {@,"object":"chat.completion.chunk","model":"m","choices":[],"usage":{"prompt_tokens":PROMPT,"total_tokens":TOTAL,"completion_tokens":COMPLETION}}"#
            + "\r\n\r\n"),
    StreamStyle(
        testDescription: "TGI: the role in every event", operation: .chatCompletions, engine: .tgi, opening: "",
        event:
            ##"data: {"object":"chat.completion.chunk",@,"model":"m","system_fingerprint":"3","choices":[{"index":0,"delta":{"role":"assistant","content":"#"},"logprobs":null,"finish_reason":null}],"usage":null}"##
            + "\n\n",
        ending:
            #"data: {"object":"chat.completion.chunk",@,"model":"m","system_fingerprint":"3","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":"stop"}],"usage":null}"#
            + "\n\n",
        usage:
            #"data: {"object":"chat.completion.chunk",@,"model":"m","choices":[],"usage":{"prompt_tokens":PROMPT,"completion_tokens":COMPLETION,"total_tokens":TOTAL}}"#
            + "\n\n"),
    StreamStyle(
        testDescription: "llama.cpp, completions: usage with the end", operation: .completions, engine: .llamacpp,
        opening: "",
        event:
            ##"data: {"choices":[{"text":"#","index":0,"logprobs":null,"finish_reason":null}],@,"model":"m","object":"text_completion"}"##
            + "\n\n",
        ending: "",
        usage:
            #"data: {"choices":[{"text":"","index":0,"logprobs":null,"finish_reason":"length"}],@,"model":"m","object":"text_completion","usage":{"completion_tokens":COMPLETION,"prompt_tokens":PROMPT,"total_tokens":TOTAL}}"#
            + "\n\n"),
]

/// Words with all that JSON escapes, and other than ASCII.
let words = [#" the\n"#, #" \"say\" \\"#, #"\u00e4\ud83d\ude00 größer€"#, " data: {} end"]

/// One exchange over two engines, as the client sees it.
struct Takeover: ~Copyable {
    var scanner: EventStreamScanner
    var output = ByteQueue()
    var continued: ContinuedStream?

    init(strips: Bool = false) {
        scanner = EventStreamScanner(dialect: .completions, stripsUsage: strips, keepsText: true)
    }

    mutating func receive(_ bytes: Span<UInt8>) throws(EventStreamError) {
        var joined = ByteQueue()
        guard continued != nil else { return try scanner.receive(bytes, into: &output) }
        try continued?.receive(bytes, into: &joined)
        try scanner.receive(joined.span, into: &output)
    }

    mutating func takeOver() { continued = scanner.beginContinuation() }

    var text: String { String(decoding: [UInt8](copying: output.span), as: UTF8.self) }
}

let chatBody = octets(
    #"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}],"stream_options":{"include_usage":true}}"#)
let promptBody = octets(
    #"{"model":"m","stream":true,"prompt":"hi","max_tokens":99,"stream_options":{"include_usage":true}}"#)

/// The verdict on a stream that has come so far.
func verdict(
    _ scanner: borrowing EventStreamScanner, _ operation: APIOperation, _ body: [UInt8], _ engine: EngineKind = .vllm
) throws -> ContinuationVerdict {
    var facts = RequestFacts()
    try inspect(body.span, into: &facts)
    return scanner.continuationVerdict(operation, body: body.span, facts: facts, engine: engine)
}

/// Checks the verdict on a stream that has come so far.
func expectVerdict(
    _ expected: ContinuationVerdict, _ scanner: borrowing EventStreamScanner, _ operation: APIOperation,
    _ body: [UInt8], _ engine: EngineKind = .vllm, at place: SourceLocation = #_sourceLocation
) throws {
    let found = try verdict(scanner, operation, body, engine)
    #expect(found == expected, sourceLocation: place)
}

@Suite("Continued stream")
struct ContinuedStreamTests {
    private static let promptTokens = 20

    private func body(_ style: StreamStyle) -> [UInt8] { style.operation == .chatCompletions ? chatBody : promptBody }

    /// The stream as the first engine would have written it, but for what rewriting normalises.
    private func expected(_ style: StreamStyle) -> String {
        style.stream(words, by: "first", prompt: Self.promptTokens)
    }

    @Test("an engine may die behind any byte: the client reads one stream", arguments: styles)
    func cuts(_ style: StreamStyle) throws {
        let whole = expected(style)
        let first = octets(whole)
        let want = ClientView(whole)
        for cut in first.indices {
            var takeover = Takeover()
            try takeover.receive(first.span.extracting(..<cut))
            let emitted = takeover.scanner.emittedTokens
            let hasBegun = !takeover.output.isEmpty
            switch try verdict(takeover.scanner, style.operation, body(style), style.engine) {
            case .possible:
                takeover.takeOver()
                let second = style.stream(
                    [String](words[emitted...]), by: "second!", prompt: Self.promptTokens + emitted)
                try takeover.receive(octets(second).span)
            case .complete: takeover.scanner.writeEnding(style.operation, includesUsage: true, into: &takeover.output)
            case .not(let obstacle): Issue.record("cut at \(cut): \(obstacle)")
            }
            let got = ClientView(takeover.text)
            #expect(got.text == want.text && got.ends == 1, "cut at \(cut)")
            // TGI tells the role in every event; the engine that goes on does not.
            #expect(style.engine == .tgi || got.roles == want.roles, "cut at \(cut)")
            #expect(got.identities.count == 1, "cut at \(cut)")
            #expect(!hasBegun || got.identities == want.identities, "cut at \(cut)")
            if got.completionTokens != nil {
                #expect(got.completionTokens == words.count && got.promptTokens == Self.promptTokens, "cut at \(cut)")
            }
        }
    }

    @Test("the second stream may come in any pieces, with and without stripping", arguments: styles)
    func splits(_ style: StreamStyle) throws {
        let first = octets(style.stream([String](words[..<2]), by: "first", prompt: 9, finishes: false))
        let second = octets(style.stream([String](words[2...]), by: "2nd", prompt: 99))
        for strips in [false, true] {
            var whole = Takeover(strips: strips)
            try whole.receive(first.span)
            whole.takeOver()
            try whole.receive(second.span)
            let want = whole.text
            let summary = whole.scanner.summary
            #expect(summary.isTerminated)
            for split in second.indices {
                var takeover = Takeover(strips: strips)
                try takeover.receive(first.span)
                takeover.takeOver()
                try takeover.receive(second.span.extracting(..<split))
                try takeover.receive(second.span.extracting(split...))
                // A CRLF that is split in the middle leaves an empty line where an event was dropped.
                let got = takeover.text
                #expect(got == want || style.engine == .sglang, "split at \(split)")
                if got != want { #expect(ClientView(got) == ClientView(want), "split at \(split)") }
            }
        }
    }

    @Test("what is kept does not depend on how the first stream came", arguments: styles)
    func pieces(_ style: StreamStyle) throws {
        let first = octets(style.stream(words, by: "first", prompt: 9, finishes: false))
        let request = body(style)
        var facts = RequestFacts()
        try inspect(request.span, into: &facts)
        var results: Set<String> = []
        for size in [1, 2, 7, 100, first.count] {
            var takeover = Takeover()
            for start in stride(from: 0, to: first.count, by: size) {
                try takeover.receive(first.span.extracting(start..<min(start + size, first.count)))
            }
            results.insert(
                written {
                    takeover.scanner.writeContinuation(
                        style.operation, body: request.span, facts: facts, rewrite: BodyRewrite(),
                        engine: style.engine, into: &$0)
                })
            let output = takeover.text
            #expect(octets(output) == first)
        }
        #expect(results.count == 1 && results.first?.contains(words.joined()) == true)
    }

    @Test("three engines one after the other count as one")
    func thrice() throws {
        let style = styles[0]
        var takeover = Takeover()
        try takeover.receive(octets(style.stream([words[0]], by: "a", prompt: 9, finishes: false)).span)
        takeover.takeOver()
        try takeover.receive(octets(style.stream([words[1]], by: "bb", prompt: 9, finishes: false)).span)
        let emitted = takeover.scanner.emittedTokens
        #expect(emitted == 2)
        takeover.takeOver()
        try takeover.receive(octets(style.stream([String](words[2...]), by: "ccc", prompt: 22)).span)
        let view = ClientView(takeover.text)
        #expect(view.text == words.joined() && view.identities.count == 1 && view.roles == 1)
        #expect(view.promptTokens == 20 && view.completionTokens == words.count)
        let total = takeover.scanner.summary.usage?.totalTokens
        #expect(total == 20 + words.count)
    }

    @Test("more cannot come from a cache than the prompt has; nothing is below what was seen")
    func usageBounds() throws {
        var takeover = Takeover()
        let style = styles[0]
        try takeover.receive(octets(style.stream(words, by: "a", prompt: 9, finishes: false)).span)
        takeover.takeOver()
        try takeover.receive(octets(style.stream(["x"], by: "b", prompt: 3)).span)
        let usage = try #require(takeover.scanner.summary.usage)
        #expect(usage.promptTokens == 0 && usage.completionTokens == words.count + 1 && usage.cachedTokens == 0)
    }

    @Test("what the engine was given and sends again in one event is left out")
    func repetition() throws {
        let style = styles[1]
        let text = (0..<16).map { " word\($0)" }
        var takeover = Takeover()
        try takeover.receive(octets(style.stream(text, by: "a", prompt: 9, finishes: false)).span)
        takeover.takeOver()
        try takeover.receive(octets(style.stream([text.joined() + " more", " end"], by: "b", prompt: 9)).span)
        let view = ClientView(takeover.text)
        #expect(view.text == text.joined() + " more end")
    }

    @Test("events that are no chunks pass as they are; several data lines become one")
    func others() throws {
        var takeover = Takeover()
        let style = styles[0]
        try takeover.receive(octets(style.stream(["a"], by: "a", prompt: 9, finishes: false)).span)
        let before = takeover.text
        takeover.takeOver()
        let odd = ": ping\n\ndata: not JSON\n\nevent: x\n\ndata: [1]\n\n"
        try takeover.receive(octets(odd).span)
        let after = takeover.text
        #expect(after == before + odd)
        try takeover.receive(octets("data: {\"id\":\"b\",\ndata: \"choices\":[]}\n\n").span)
        let joined = takeover.text
        #expect(joined == after + #"data: {"id":"a","created":1,"model":"m","choices":[]}"# + "\n\n")
    }

    @Test("an event that never ends is refused")
    func limit() throws {
        var scanner = EventStreamScanner(dialect: .completions, keepsText: true, eventLimit: 100)
        var continued = scanner.beginContinuation()
        var queue = ByteQueue()
        for _ in 0..<10 { try continued.receive(octets("data: xxxx").span, into: &queue) }
        do throws(EventStreamError) {
            try continued.receive(octets("x").span, into: &queue)
            Issue.record("it was taken")
        } catch {
            #expect(error == .eventTooLarge)
        }
    }
}

/// What a client makes of a stream.
struct ClientView: Equatable {
    var text = ""
    var roles = 0
    var ends = 0
    var identities: Set<String> = []
    var promptTokens: Int?
    var completionTokens: Int?

    /// Reads bytes, not characters: this is run thousands of times.
    init(_ stream: String) {
        var content: [UInt8] = []
        for line in Array(stream.utf8).split(whereSeparator: { $0 == 0x0A || $0 == 0x0D }) {
            let data = [UInt8](line)
            guard data.starts(with: Array("data: ".utf8)) else { continue }
            if data == octets("data: [DONE]") {
                ends += 1
                continue
            }
            content += ClientView.value("content", of: data) ?? ClientView.value("text", of: data) ?? []
            if ClientView.value("role", of: data) != nil { roles += 1 }
            let id = String(decoding: ClientView.value("id", of: data) ?? [], as: UTF8.self)
            identities.insert("\(id) \(ClientView.number("created", of: data) ?? -1)")
            promptTokens = ClientView.number("prompt_tokens", of: data) ?? promptTokens
            completionTokens = ClientView.number("completion_tokens", of: data) ?? completionTokens
        }
        text = String(decoding: content, as: UTF8.self)
    }

    /// A string as it stands, escapes and all.
    private static func value(_ key: String, of data: [UInt8]) -> [UInt8]? {
        guard let start = place(of: "\"\(key)\":\"", in: data) else { return nil }
        var end = start
        while data[end] != UInt8(ascii: "\"") { end += data[end] == UInt8(ascii: "\\") ? 2 : 1 }
        return Array(data[start..<end])
    }

    private static func number(_ key: String, of data: [UInt8]) -> Int? {
        guard let start = place(of: "\"\(key)\":", in: data) else { return nil }
        return Int(String(decoding: data[start...].prefix { $0 &- 48 < 10 }, as: UTF8.self))
    }

    /// Index behind the first `text`.
    private static func place(of text: String, in data: [UInt8]) -> Int? {
        let wanted = octets(text)
        var index = 0
        while let next = firstIndex(of: wanted[0], in: data.span, from: index), next + wanted.count <= data.count {
            index = next
            if bytesEqual(data.span.extracting(index..<(index + wanted.count)), wanted.span) {
                return index + wanted.count
            }
            index += 1
        }
        return nil
    }
}
