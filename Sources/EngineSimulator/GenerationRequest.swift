internal import Bytes
internal import OpenAI

/// What a request asks a language model for, whatever its dialect.
internal struct GenerationRequest {
    let operation: APIOperation
    /// As the client wrote it.
    let model: [UInt8]
    let isStreaming: Bool
    /// Whether a stream is to end with a usage chunk.
    let wantsUsage: Bool
    /// Tokens of the prompt, at least 1.
    let promptTokens: Int
    /// One or more answers, as asked for by `n` and by several prompts.
    let answers: [Answer]

    /// The most answers to one request.
    static let choicesLimit = 128

    /// Reads a body that was inspected.
    init(
        _ operation: APIOperation, _ body: [UInt8], _ facts: RequestFacts, _ settings: EngineSettings
    ) throws(APIError) {
        self.operation = operation
        model = [UInt8](copying: facts.model(in: body.span))
        isStreaming = facts.isStreaming
        wantsUsage = facts.wantsUsage
        guard let root = JSONNode(body) else { throw APIError(.notAnObject) }
        guard let prompt = GenerationRequest.prompt(operation, root) else {
            let name = GenerationRequest.promptName(operation)
            throw APIError(
                .malformedBody, 400, code: "missing_required_parameter", param: name,
                "Missing required parameter: '\(name)'.")
        }
        promptTokens = GenerationRequest.tokens(of: root, prompt, settings)
        // The other dialects have one answer.
        let choices = operation == .chatCompletions || operation == .completions ? facts.choices ?? 1 : 1
        let prompts = GenerationRequest.prompts(operation, prompt)
        guard (1...GenerationRequest.choicesLimit).contains(choices),
            prompts.count <= GenerationRequest.choicesLimit / choices
        else {
            throw APIError(
                .malformedBody, 400, code: "invalid_value", param: "n",
                "Invalid value for 'n': at most \(GenerationRequest.choicesLimit) answers to a request.")
        }
        let length = AnswerLength(root, facts, settings)
        let call = GenerationRequest.toolCall(operation, root)
        let stops = GenerationRequest.stopSequences(root)
        answers = prompts.flatMap { prompt in
            (0..<choices).map { choice in
                if let call { return Answer(call) }
                var answer = GenerationRequest.answer(root, prompt, choice, length)
                if !stops.isEmpty { answer.stop(before: stops) }
                return answer
            }
        }
    }

    private struct AnswerLength {
        let natural: Int
        let limit: Int?

        init(_ root: JSONNode, _ facts: RequestFacts, _ settings: EngineSettings) {
            limit = facts.maxTokens
            if let limit, settings.maxTokensWins || root["ignore_eos"]?.isTrue == true {
                // One more than the limit, so that the answer ends because of its length.
                natural = min(limit, EngineSettings.tokensLimit) + 1
            } else {
                natural = settings.tokens
            }
        }
    }

    private static func answer(_ root: JSONNode, _ prompt: JSONNode, _ choice: Int, _ length: AnswerLength) -> Answer {
        if let schema = wantedSchema(root) {
            var text: [UInt8] = []
            SchemaExample.write(schema, named: "", depth: 0, into: &text)
            return Answer(text: text, limit: length.limit)
        }
        let start = AnswerText.start(for: prompt.source, choice: choice)
        return Answer(words: start, natural: length.natural, limit: length.limit)
    }

    // MARK: Prompts

    private static func promptName(_ operation: APIOperation) -> String {
        switch operation {
        case .completions: "prompt"
        case .responses: "input"
        default: "messages"
        }
    }

    private static func prompt(_ operation: APIOperation, _ root: JSONNode) -> JSONNode? {
        switch operation {
        case .completions: root["prompt"]
        case .responses: root["input"]
        default: root["messages"]
        }
    }

    /// Several prompts of a completion, or the one there is. An array of numbers is one prompt.
    private static func prompts(_ operation: APIOperation, _ prompt: JSONNode) -> [JSONNode] {
        guard operation == .completions else { return [prompt] }
        let elements = prompt.elements
        return elements.isEmpty || elements[0].kind == .number ? [prompt] : elements
    }

    /// The tokens of everything the model would read.
    static func tokens(of root: JSONNode, _ prompt: JSONNode, _ settings: EngineSettings) -> Int {
        let elements = prompt.elements
        if elements.first?.kind == .number { return elements.count }
        var bytes = prompt.range.count
        for extra in [root["system"], root["instructions"], root["tools"]] { bytes += extra?.range.count ?? 0 }
        return max(1, (bytes + settings.bytesPerToken - 1) / settings.bytesPerToken)
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
        guard let prompt = prompt(operation, root) else { return false }
        let last = prompt.kind == .array ? prompt.elements.last : prompt
        guard let last else { return false }
        // After a tool's result comes the answer, not the same call again.
        let isUsers = last.kind == .string || last["role"]?.string == "user"
        let text = String(decoding: last.source, as: UTF8.self)
        return isUsers && !text.contains("tool_result") && text.lowercased().contains("weather")
    }
}

/// Makes up JSON that a schema allows.
internal enum SchemaExample {
    private static let depthLimit = 16

    /// Appends a value: the first of an `enum`, a `const`, or something plain of the right type.
    static func write(_ schema: JSONNode, named name: String, depth: Int, into text: inout [UInt8]) {
        if let fixed = schema["const"] ?? schema["enum"]?.elements.first {
            text += fixed.source
            return
        }
        let type = schema["type"]?.string ?? schema["type"]?.elements.first?.string
        switch type {
        case "string": write(string: name, into: &text)
        case "integer", "number": text.append("1")
        case "boolean": text.append("true")
        case "null": text.append("null")
        case "array":
            text.append("[")
            if let items = schema["items"], depth < depthLimit {
                write(items, named: name, depth: depth + 1, into: &text)
            }
            text.append("]")
        default: writeObject(schema, depth, into: &text)
        }
    }

    private static func writeObject(_ schema: JSONNode, _ depth: Int, into text: inout [UInt8]) {
        text.append("{")
        let members = depth < depthLimit ? schema["properties"]?.members ?? [] : []
        for (index, member) in members.enumerated() {
            if index > 0 { text.append(",") }
            append(json: member.name, to: &text)
            text.append(":")
            write(member.value, named: member.name, depth: depth + 1, into: &text)
        }
        text.append("}")
    }

    private static func write(string name: String, into text: inout [UInt8]) {
        switch name.lowercased() {
        case let name where name.contains("city") || name.contains("location"): text.append("\"Delft\"")
        case let name where name.contains("date"): text.append("\"2026-01-01\"")
        default: append(json: name.isEmpty ? "water" : name, to: &text)
        }
    }

    private static func append(json string: String, to text: inout [UInt8]) {
        var queue = ByteQueue()
        queue.append(jsonString: Array(string.utf8).span)
        text.append(copying: queue.span)
    }
}
