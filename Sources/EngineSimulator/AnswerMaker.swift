internal import Bytes
internal import OpenAI

/// Decides what a request is answered: a call, JSON of a schema, or text.
internal struct AnswerMaker {
    /// Words of an answer that nobody cuts short; `nil`: as many as the limit lets.
    private let natural: Int?
    private let limit: Int?
    private let call: Answer.ToolCall?
    private let stops: [[UInt8]]
    private let schema: JSONNode?

    /// Reads what all answers to a request share.
    init(_ operation: APIOperation, _ root: JSONNode, _ facts: RequestFacts, _ settings: EngineSettings) {
        limit = facts.maxTokens
        let isFilled = limit != nil && (settings.maxTokensWins || root["ignore_eos"]?.isTrue == true)
        natural = isFilled ? nil : settings.tokens
        call = AnswerMaker.toolCall(operation, root)
        stops = AnswerMaker.stopSequences(root)
        schema = AnswerMaker.wantedSchema(root)
    }

    /// The answer, or what is left of it.
    func make(_ continuation: Continuation) -> Answer {
        if let call { return Answer(call) }
        var answer: Answer
        if let schema {
            var text: [UInt8] = []
            SchemaExample.write(schema, named: "", depth: 0, into: &text)
            answer = Answer(text: text, limit: limit)
        } else {
            answer = Answer(
                words: continuation.start, after: continuation.written, natural: natural, limit: limit)
        }
        if !stops.isEmpty { answer.stop(before: stops) }
        return answer
    }

    private static func stopSequences(_ root: JSONNode) -> [[UInt8]] {
        let stop = root["stop"] ?? root["stop_sequences"]
        return stop?.text.map { [$0] } ?? stop?.elements.compactMap(\.text) ?? []
    }

    /// The schema of the JSON that the answer must be; an empty one where any JSON will do.
    private static func wantedSchema(_ root: JSONNode) -> JSONNode? {
        let format = root["response_format"] ?? root["text"]?["format"]
        switch format?["type"]?.string {
        case "json_schema": return format?["json_schema"]?["schema"] ?? format?["schema"] ?? format
        case "json_object": return format
        default: return nil
        }
    }

    // MARK: Tools

    /// The call the model makes, if it makes one: when it is told to, or when there are tools and the last message is
    /// the user's and speaks of the weather. It calls the tool it is told to, else the first.
    private static func toolCall(_ operation: APIOperation, _ root: JSONNode) -> Answer.ToolCall? {
        guard operation != .completions, let tools = root["tools"]?.elements, !tools.isEmpty else { return nil }
        let choice = root["tool_choice"]
        let kind = choice?.string ?? choice?["type"]?.string ?? "auto"
        var wanted: [UInt8]?
        switch kind {
        case "none": return nil
        case "required", "any": break
        case "function", "tool": wanted = choice?["function"]?["name"]?.text ?? choice?["name"]?.text
        default: guard asksForWeather(operation, root) else { return nil }
        }
        for tool in tools {
            // Chat nests name and schema in `function`; the other dialects do not.
            let function = tool["function"] ?? tool
            guard let name = function["name"]?.text, wanted == nil || wanted == name else { continue }
            var arguments: [UInt8] = []
            if let schema = function["parameters"] ?? function["input_schema"] {
                SchemaExample.write(schema, named: "", depth: 0, into: &arguments)
            } else {
                arguments = Array("{}".utf8)
            }
            return Answer.ToolCall(name: name, arguments: arguments)
        }
        return nil
    }

    private static func asksForWeather(_ operation: APIOperation, _ root: JSONNode) -> Bool {
        guard let prompt = GenerationRequest.prompt(operation, root) else { return false }
        let last = prompt.kind == .array ? prompt.elements.last : prompt
        guard let last else { return false }
        // After a tool's result comes the answer, not the same call again.
        let isUsers = last.kind == .string || last["role"]?.string == "user"
        let text = String(decoding: last.source, as: UTF8.self)
        return isUsers && !text.contains("tool_result") && text.lowercased().contains("weather")
    }
}
