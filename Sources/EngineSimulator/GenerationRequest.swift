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
        let maker = AnswerMaker(operation, root, facts, settings)
        var tokens = 0
        var answers: [Answer] = []
        for prompt in prompts {
            let text = try PromptText(operation, root, prompt)
            tokens += GenerationRequest.tokens(of: root, prompt, bytes: text.bytes, settings)
            for choice in 0..<choices {
                let continuation = Continuation(
                    of: text.begun, after: text.hash, choice: choice, bytesPerToken: settings.bytesPerToken)
                if choice == 0 { tokens += continuation.tokens }
                answers.append(maker.make(continuation))
            }
        }
        promptTokens = max(1, tokens)
        self.answers = answers
    }

    // MARK: Prompts

    private static func promptName(_ operation: APIOperation) -> String {
        switch operation {
        case .completions: "prompt"
        case .responses: "input"
        default: "messages"
        }
    }

    static func prompt(_ operation: APIOperation, _ root: JSONNode) -> JSONNode? {
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
    ///
    /// - Parameter bytes: How long the prompt is, if only a part of it is to be counted.
    static func tokens(
        of root: JSONNode, _ prompt: JSONNode, bytes: Int? = nil, _ settings: EngineSettings
    ) -> Int {
        let elements = prompt.elements
        if elements.first?.kind == .number { return elements.count }
        var bytes = bytes ?? prompt.range.count
        for extra in [root["system"], root["instructions"], root["tools"]] { bytes += extra?.range.count ?? 0 }
        return max(1, (bytes + settings.bytesPerToken - 1) / settings.bytesPerToken)
    }
}
