import Bytes
import OpenAI
import Testing

/// What came of a stream fed in pieces.
private struct Relay: Equatable {
    var output: [UInt8] = []
    var summary = EventStreamSummary()
    var endsCleanly = false
    var error: EventStreamError?

    init(_ pieces: [[UInt8]], _ dialect: EventDialect = .completions, strips: Bool = false, limit: Int = 1 << 20) {
        var scanner = EventStreamScanner(dialect: dialect, stripsUsage: strips, eventLimit: limit)
        for piece in pieces {
            do throws(EventStreamError) {
                var queue = ByteQueue()
                switch try scanner.follow(piece.span, into: &queue) {
                case .all:
                    #expect(queue.count == 0)
                    output += piece
                case .appended: output += [UInt8](copying: queue.span)
                }
            } catch {
                self.error = error
                break
            }
        }
        summary = scanner.summary
        endsCleanly = scanner.endsCleanly
    }

    init(_ text: String, _ dialect: EventDialect = .completions, strips: Bool = false) {
        self.init([octets(text)], dialect, strips: strips)
    }

    var text: String { String(decoding: output, as: UTF8.self) }
}

private func chunk(_ content: String, finish: String = "null", extra: String = "") -> String {
    #"data: {"id":"c-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"\#(content)"},"finish_reason":\#(finish)}]\#(extra)}"#
        + "\n\n"
}

private let usageChunk =
    #"data: {"id":"c-1","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":5,"total_tokens":16,"prompt_tokens_details":{"cached_tokens":8}}}"#
    + "\n\n"
private let done = "data: [DONE]\n\n"
private let ordinary = chunk("Hel") + chunk("lo") + chunk("", finish: #""stop""#)

private var usage: Usage {
    var usage = Usage()
    (usage.promptTokens, usage.completionTokens, usage.totalTokens, usage.cachedTokens) = (11, 5, 16, 8)
    return usage
}

struct StreamRow: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let text: String
    let stripped: String
    var dialect = EventDialect.completions

    init(_ name: String, _ text: String, stripped: String? = nil, _ dialect: EventDialect = .completions) {
        testDescription = name
        self.text = text
        self.stripped = stripped ?? text
        self.dialect = dialect
    }
}

private let streams = [
    StreamRow("ordinary", ordinary + done),
    StreamRow("with usage", ordinary + usageChunk + done, stripped: ordinary + done),
    StreamRow("usage behind the end", ordinary + done + usageChunk, stripped: ordinary + done),
    StreamRow("usage first", usageChunk + ordinary, stripped: ordinary),
    StreamRow(
        "usage twice in a row", chunk("a") + usageChunk + usageChunk + chunk("b"), stripped: chunk("a") + chunk("b")),
    StreamRow("nothing but usage", usageChunk, stripped: ""),
    StreamRow(
        "comments and empty lines", ": hi\n\n\n\n" + ordinary + ": ping\n" + usageChunk + ":\n\n" + done,
        stripped: ": hi\n\n\n\n" + ordinary + ":\n\n" + done),
    StreamRow("null usage", chunk("a", extra: #","usage":null"#) + done, stripped: chunk("a") + done),
    StreamRow(
        "null usage of the last chunk", chunk("", finish: "\"stop\"", extra: #","usage":null"#) + done,
        stripped: chunk("", finish: "\"stop\"") + done),
    StreamRow("null usage not at the end", chunk("a", extra: #","usage":null,"x":1"#) + done),
    StreamRow("usage with choices", chunk("a", extra: #","usage":{"prompt_tokens":1}"#) + done),
    StreamRow("a token that is the word usage", chunk("usage") + chunk("error") + chunk("finish_reason") + done),
    StreamRow("escaped quotes", chunk(#"\"usage\":{\"prompt_tokens\":9}"#) + done),
    StreamRow(
        "no space behind the colon", "data:{\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\ndata:[DONE]\n\n",
        stripped: "data:[DONE]\n\n"),
    StreamRow(
        "data in two lines", "data: {\"choices\":[],\ndata: \"usage\":{\"prompt_tokens\":1}}\n\n" + done, stripped: done
    ),
    StreamRow(
        "name behind data in two lines", "data: {}\ndata: {}\n: \(String(repeating: "x", count: 200))\nevent: x\n\n"),
    StreamRow("not JSON", "data: {\"usage\":\n\ndata: x \"usage\" \"error\"\n\n" + done),
    StreamRow("other fields", "id: 1\nretry: 5\nevent\ndata\ndata: x\n\n"),
    StreamRow("end in the middle", ordinary + "data: {\"choi", stripped: ordinary),
    StreamRow("messages", messagesStream, .messages),
    StreamRow("responses", responsesStream, .responses),
    StreamRow("anything", "event: x\ndata: {}\n\n", .other),
]

private let messagesStream = """
    event: message_start
    data: {"type":"message_start","message":{"id":"m","usage":{"input_tokens":7,"cache_read_input_tokens":3,"output_tokens":1}}}

    event: ping
    data: {"type":"ping"}

    event: content_block_delta
    data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}

    event: message_delta
    data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}

    event: message_stop
    data: {"type":"message_stop"}


    """

private let responsesStream = """
    event: response.created
    data: {"type":"response.created","response":{"usage":null,"error":null}}

    event: response.output_text.delta
    data: {"type":"response.output_text.delta","delta":"usage"}

    event: response.completed
    data: {"type":"response.completed","response":{"usage":{"input_tokens":4,"input_tokens_details":{"cached_tokens":2},"output_tokens":6,"output_tokens_details":{"reasoning_tokens":1},"total_tokens":10}}}


    """

@Suite("Event stream")
struct EventStreamTests {
    @Test("bytes pass unchanged, and usage alone is taken out", arguments: streams)
    func relays(_ row: StreamRow) {
        #expect(Relay(row.text, row.dialect).text == row.text)
        #expect(Relay(row.text, row.dialect, strips: true).text == row.stripped)
    }

    @Test("where the stream is split makes no difference", arguments: streams)
    func everySplit(_ row: StreamRow) {
        for newline in ["\n", "\r\n", "\r"] {
            let bytes = octets(row.text.replacing("\n", with: newline))
            for strips in [false, true] {
                let whole = Relay([bytes], row.dialect, strips: strips)
                #expect(whole.text == (strips ? row.stripped : row.text).replacing("\n", with: newline))
                #expect(Relay(bytes.map { [$0] }, row.dialect, strips: strips) == whole, "byte by byte")
                for place in 0...bytes.count {
                    let split = Relay([Array(bytes[..<place]), Array(bytes[place...])], row.dialect, strips: strips)
                    #expect(split == whole, "at \(place) with \(newline.debugDescription)")
                }
            }
        }
    }

    @Test("random splits make no difference")
    func randomSplits() {
        var generator = SplitMix(state: 11)
        let bytes = octets(streams.map(\.text).joined().replacing("ping\n", with: "ping\r\n"))
        for strips in [false, true] {
            let whole = Relay([bytes], strips: strips)
            for _ in 0..<500 {
                var pieces: [[UInt8]] = []
                var rest = bytes[...]
                while !rest.isEmpty {
                    let count = min(rest.count, Int.random(in: 0..<300, using: &generator))
                    pieces.append(Array(rest.prefix(count)))
                    rest = rest.dropFirst(count)
                }
                #expect(Relay(pieces, strips: strips) == whole)
            }
        }
    }

    @Test("what is not stripped goes at once, half events too")
    func noDelay() throws {
        var scanner = EventStreamScanner(dialect: .completions)
        var queue = ByteQueue()
        for byte in octets(ordinary) {
            let piece = [byte]
            #expect(try scanner.follow(piece.span, into: &queue) == .all)
        }
        #expect(queue.count == 0)
    }

    @Test("an error is held back on request, though the text is not kept", arguments: [1, 7, 1000])
    func heldError(_ step: Int) throws {
        var scanner = EventStreamScanner(dialect: .completions, holdsErrors: true)
        var queue = ByteQueue()
        let bytes = octets(chunk("x") + "data: {\"error\":{\"message\":\"no\",\"code\":500}}\n\n")
        for start in stride(from: 0, to: bytes.count, by: step) {
            try scanner.receive(bytes.span.extracting(start..<min(start + step, bytes.count)), into: &queue)
        }
        #expect(text(queue.span) == chunk("x"))
        #expect(scanner.hasHeldError == true)
        try scanner.release(into: &queue)
        #expect([UInt8](copying: queue.span) == bytes)
    }

    @Test("with stripping, what stands before the last end of an event goes at once, without a copy if it is all")
    func heldBack() throws {
        var scanner = EventStreamScanner(dialect: .completions, stripsUsage: true)
        var queue = ByteQueue()
        let first = octets(ordinary)
        #expect(try scanner.follow(first.span, into: &queue) == .all)
        let second = octets(chunk("x") + "data: {")
        #expect(try scanner.follow(second.span, into: &queue) == .appended)
        #expect(text(queue.span) == chunk("x"))
        #expect(scanner.isBetweenEvents == false)
    }

    @Test("counts, usage, and ends of the OpenAI dialect")
    func completions() {
        let relay = Relay(ordinary + usageChunk + done)
        #expect(relay.summary.usage == usage)
        #expect(relay.summary.contentEvents == 3)
        #expect(relay.summary.events == 5)
        #expect(relay.summary.hasFinishReason)
        #expect(relay.summary.isTerminated)
        #expect(relay.endsCleanly)
        #expect(!relay.summary.hasError)
        let cut = Relay(ordinary)
        #expect(!cut.endsCleanly)
        #expect(cut.summary.hasFinishReason)
        #expect(!Relay(chunk("a")).summary.hasFinishReason)
        #expect(!Relay(done + "data: x").endsCleanly)
        #expect(!Relay(#"data: {"content":"[DONE]"}"# + "\n\n").endsCleanly)
        #expect(!Relay("").endsCleanly)
    }

    @Test(
        "errors in the stream are seen",
        arguments: [
            #"data: {"error":{"message":"x"}}"#, #"event: error"# + "\n" + #"data: {"error":{}}"#,
            #"data: {"object":"error","message":"x","code":400}"#, #"data: {"error":"text"}"#,
            "event: error\ndata: out of memory",
            #"event: error"# + "\n" + #"data: {"type":"error","error":{"type":"overloaded_error"}}"#,
        ]
    )
    func errors(_ event: String) {
        let relay = Relay(chunk("a") + event + "\n\n")
        #expect(relay.summary.hasError)
        #expect(relay.summary.contentEvents == 1)
        #expect(!relay.endsCleanly)
    }

    @Test("a null error is none")
    func nullError() {
        #expect(!Relay(chunk("a", extra: #","error":null"#)).summary.hasError)
    }

    @Test("the Messages dialect: usage in parts, named end")
    func messages() {
        let relay = Relay(messagesStream, .messages, strips: true)
        #expect(relay.endsCleanly)
        #expect(relay.summary.contentEvents == 1)
        #expect(relay.summary.usage?.promptTokens == 10)
        #expect(relay.summary.usage?.cachedTokens == 3)
        #expect(relay.summary.usage?.completionTokens == 9)
        #expect(relay.summary.usage?.totalTokens == 19)
        let nameless = Relay(
            messagesStream.split(separator: "\n", omittingEmptySubsequences: false)
                .filter { !$0.hasPrefix("event") }.joined(separator: "\n"), .messages)
        #expect(nameless.summary == relay.summary)
        let failed = Relay("event: error\ndata: {\"type\":\"error\"}\n\n", .messages)
        #expect(failed.summary.hasError)
        #expect(!failed.endsCleanly)
    }

    @Test("the Responses dialect: usage in the last event")
    func responses() {
        let relay = Relay(responsesStream, .responses)
        #expect(relay.endsCleanly)
        #expect(!relay.summary.hasError)
        #expect(relay.summary.contentEvents == 1)
        #expect(relay.summary.usage?.promptTokens == 4)
        #expect(relay.summary.usage?.cachedTokens == 2)
        #expect(relay.summary.usage?.completionTokens == 6)
        #expect(relay.summary.usage?.reasoningTokens == 1)
        let failed = Relay("event: response.failed\ndata: {\"type\":\"response.failed\"}\n\n", .responses)
        #expect(failed.summary.hasError)
        #expect(failed.endsCleanly)
    }

    @Test("other streams end anywhere between events")
    func other() {
        #expect(Relay("event: transcript.text.delta\ndata: {}\n\n", .other).endsCleanly)
        #expect(!Relay("event: transcript.text.del", .other).endsCleanly)
    }

    @Test("an event longer than the limit is refused, in one piece or in many")
    func limit() {
        let long = octets("data: " + String(repeating: "x", count: 2000))
        #expect(Relay([long], limit: 1000).error == .eventTooLarge)
        #expect(Relay(long.map { [$0] }, limit: 1000).error == .eventTooLarge)
        #expect(Relay([long], limit: 4000).error == nil)
        let many = Array(repeating: octets(chunk("a")), count: 100)
        #expect(Relay(many, limit: 1000).error == nil)
    }

    @Test("any bytes in any pieces come out in order, or with whole events left out")
    func anyBytes() {
        var generator = SplitMix(state: 5)
        let pieces = [
            "\n", "\r", "\r\n", "data:", " ", "event:", "x", "\"usage\":null}",
            "{\"usage\":{\"prompt_tokens\":1},\"choices\":[]}", "[DONE]", ":", "\u{0}", "é",
        ]
        for _ in 0..<5000 {
            let parts = (0..<Int.random(in: 0..<20, using: &generator)).map { _ in
                octets(pieces.randomElement(using: &generator) ?? "")
            }
            let whole = Relay([Array(parts.joined())])
            #expect(whole.output == Array(parts.joined()))
            #expect(Relay(parts) == whole)
            #expect(Relay(parts, strips: true) == Relay([Array(parts.joined())], strips: true))
        }
    }
}
