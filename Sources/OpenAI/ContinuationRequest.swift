internal import Bytes

/// What a request body says as far as a continuation is concerned. Places are those of the body it was read from.
///
/// Read only when an engine has died.
internal struct ContinuationRequest {
    /// Index behind the `{` of the body.
    private(set) var contentStart = 0
    /// What in the request another engine could not go on with; the first such thing met.
    private(set) var obstacle: ContinuationObstacle?
    private(set) var messages: Range<Int>?
    /// The last message, if the assistant is to have said it.
    private(set) var lastAssistant: AssistantMessage?
    /// The prompt of a completion, quotes included, if it is a single text.
    private(set) var prompt: Range<Int>?
    private(set) var continueFinalMessage: Flag?
    private(set) var addGenerationPrompt: Flag?
    /// Limits of the tokens written, each with its name's place.
    private(set) var limits: [Limit] = []
    private var offersTools = false
    private var forbidsTools = false

    /// A member that is `true` or not.
    struct Flag {
        let place: Range<Int>
        let isTrue: Bool
    }

    /// A limit of the tokens written.
    struct Limit {
        let place: Range<Int>
        let tokens: Int
        /// Whether it is the fewest, not the most.
        let isMinimum: Bool
    }

    /// Reads the body.
    ///
    /// - Throws: If it is no JSON object.
    init(_ body: Span<UInt8>) throws(JSONError) {
        var reader = JSONMemberReader()
        while let member = try reader.next(body) { try note(member, body) }
        contentStart = reader.contentStart
        if offersTools, !forbidsTools { meet(.tools) }
    }

    /// The most tokens that may be written, by the strictest limit.
    var mostTokens: Int? {
        limits.lazy.filter { !$0.isMinimum && $0.tokens > 0 }.map(\.tokens).min()
    }

    private mutating func meet(_ obstacle: ContinuationObstacle) {
        self.obstacle = self.obstacle ?? obstacle
    }

    private mutating func note(_ member: JSONMember, _ body: Span<UInt8>) throws(JSONError) {
        let value = member.value
        if value.kind == .null { return }
        let name = body.extracting(member.key)
        if member.keyHasEscapes {
            try note(decodeJSONText(name).span, value, body)
        } else {
            try note(name, value, body)
        }
    }

    private mutating func note(
        _ key: Span<UInt8>, _ value: JSONValue, _ body: Span<UInt8>
    ) throws(JSONError) {
        if bytesEqual(key, "messages"), value.kind == .array {
            messages = value.range
            lastAssistant = try AssistantMessage(lastOf: body, value.range)
        } else if bytesEqual(key, "prompt"), value.kind == .string {
            prompt = value.range
        } else if bytesEqual(key, "continue_final_message") {
            continueFinalMessage = Flag(place: value.range, isTrue: value.kind == .true)
        } else if bytesEqual(key, "add_generation_prompt") {
            addGenerationPrompt = Flag(place: value.range, isTrue: value.kind == .true)
        } else if !noteLimit(key, value, body) {
            noteObstacle(key, value, body)
        }
    }

    /// Returns whether the member is a limit.
    private mutating func noteLimit(_ key: Span<UInt8>, _ value: JSONValue, _ body: Span<UInt8>) -> Bool {
        let isMinimum = bytesEqual(key, "min_tokens")
        guard
            isMinimum || bytesEqual(key, "max_tokens") || bytesEqual(key, "max_completion_tokens")
                || bytesEqual(key, "n_predict")
        else { return false }
        if let tokens = jsonInteger(value, in: body) {
            limits.append(Limit(place: value.range, tokens: tokens, isMinimum: isMinimum))
        }
        return true
    }

    private mutating func noteObstacle(_ key: Span<UInt8>, _ value: JSONValue, _ body: Span<UInt8>) {
        let isSaid = value.kind != .false && !CompletionChunk.isNothing(value, in: body)
        guard isSaid else { return }
        switch ContinuationRequest.meaning(of: key) {
        case .tools: offersTools = true
        case .toolChoice:
            forbidsTools = value.kind == .string && bytesEqual(body.extracting(value.content), "none")
        case .format:
            if !ContinuationRequest.isPlainFormat(value, body) { meet(.structuredOutput) }
        case .count:
            if jsonInteger(value, in: body) != 1 { meet(.choices) }
        case .modalities:
            if !bytesEqual(body.extracting(value.range), "[\"text\"]") { meet(.audio) }
        case .obstacle(let obstacle): meet(obstacle)
        case .nothing: break
        }
    }

    private enum Meaning {
        case nothing, tools, toolChoice, format, count, modalities
        /// An obstacle, if it says anything.
        case obstacle(ContinuationObstacle)
    }

    /// What a member means; engines' own ones are there as vLLM, SGLang, llama.cpp and Ollama name them.
    private static func meaning(of key: Span<UInt8>) -> Meaning {
        for entry in table where bytesEqual(key, entry.0) { return entry.1 }
        return bytesBegin(key, with: "guided_") ? .obstacle(.structuredOutput) : .nothing
    }

    private static var table: [(StaticString, Meaning)] {
        [
            ("tools", .tools), ("functions", .tools), ("tool_choice", .toolChoice), ("function_call", .toolChoice),
            ("response_format", .format), ("n", .count), ("best_of", .count), ("modalities", .modalities),
            ("audio", .obstacle(.audio)),
            ("use_beam_search", .obstacle(.choices)),
            ("logprobs", .obstacle(.logprobs)), ("top_logprobs", .obstacle(.logprobs)),
            ("prompt_logprobs", .obstacle(.logprobs)), ("n_probs", .obstacle(.logprobs)),
            ("structured_outputs", .obstacle(.structuredOutput)), ("structural_tag", .obstacle(.structuredOutput)),
            ("json_schema", .obstacle(.structuredOutput)), ("regex", .obstacle(.structuredOutput)),
            ("ebnf", .obstacle(.structuredOutput)), ("grammar", .obstacle(.structuredOutput)),
            ("format", .obstacle(.structuredOutput)),
            ("echo", .obstacle(.echo)),
            ("prompt_embeds", .obstacle(.prompt)),
        ]
    }

    /// Whether `response_format` asks for text.
    private static func isPlainFormat(_ value: JSONValue, _ body: Span<UInt8>) -> Bool {
        guard value.kind == .object else { return false }
        let object = body.extracting(value.range)
        do throws(JSONError) {
            var reader = JSONMemberReader()
            while let member = try reader.next(object) {
                if isKey(member, "type", in: object), let type = jsonText(member.value, in: object) {
                    return bytesEqual(type.span, "text")
                }
            }
        } catch {
            return false
        }
        return false
    }
}

/// The last message of a chat, if it is the assistant's and has text that can be gone on with.
internal struct AssistantMessage {
    /// What it says, escapes resolved.
    private(set) var text: [UInt8] = []
    /// Index of the quote that ends its last text.
    private(set) var textEnd: Int?
    private var isAssistant = false
    private var hasCalls = false

    /// Reads the last element of the array of messages at `place`; `nil` if it is another's or has no text.
    init?(lastOf body: Span<UInt8>, _ place: Range<Int>) throws(JSONError) {
        let array = body.extracting(place)
        var elements = JSONElementReader()
        var last: JSONValue?
        while let element = try elements.next(array) { last = element }
        guard let last, last.kind == .object else { return nil }
        try read(body, last.range.shifted(by: place.lowerBound))
        if !isAssistant || hasCalls || textEnd == nil { return nil }
    }

    private mutating func read(_ body: Span<UInt8>, _ place: Range<Int>) throws(JSONError) {
        let message = body.extracting(place)
        var reader = JSONMemberReader()
        while let member = try reader.next(message) {
            let value = member.value
            if isKey(member, "role", in: message) {
                isAssistant = jsonText(value, in: message).map { bytesEqual($0.span, "assistant") } ?? false
            } else if isKey(member, "tool_calls", in: message) {
                hasCalls = !CompletionChunk.isNothing(value, in: message)
            } else if isKey(member, "content", in: message) {
                switch value.kind {
                case .string: take(value, body, message, place.lowerBound)
                case .array: try readParts(body, value.range.shifted(by: place.lowerBound))
                default: break
                }
            }
        }
    }

    private mutating func readParts(_ body: Span<UInt8>, _ place: Range<Int>) throws(JSONError) {
        let array = body.extracting(place)
        var elements = JSONElementReader()
        while let element = try elements.next(array) {
            guard element.kind == .object else { continue }
            let start = place.lowerBound + element.range.lowerBound
            let part = array.extracting(element.range)
            var reader = JSONMemberReader()
            // Only what stands in the last part can be gone on with.
            textEnd = nil
            while let member = try reader.next(part) {
                if member.value.kind == .string, isKey(member, "text", in: part) {
                    take(member.value, body, part, start)
                }
            }
        }
    }

    private mutating func take(_ value: JSONValue, _ body: Span<UInt8>, _ object: Span<UInt8>, _ offset: Int) {
        text += jsonText(value, in: object) ?? []
        textEnd = offset + value.content.upperBound
    }
}
