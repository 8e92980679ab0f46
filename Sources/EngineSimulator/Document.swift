internal import Bytes
internal import OpenAI

/// An answer that comes as a whole.
internal struct Document {
    let contentType: StaticString
    let body: [UInt8]
}

/// Makes the answers of operations that do not generate text; always the same to the same request.
internal struct DocumentMaker {
    let settings: EngineSettings
    let id: [UInt8]
    let model: [UInt8]
    let root: JSONNode
    /// Tokens of what was sent, known once the document is made.
    private(set) var promptTokens = 1

    /// The most numbers in one answer.
    private static let numbersLimit = 4_000_000

    init(settings: EngineSettings, id: [UInt8], model: [UInt8], root: JSONNode) {
        self.settings = settings
        self.id = id
        self.model = model
        self.root = root
    }

    /// The answer to a request.
    mutating func make(_ operation: APIOperation) throws(APIError) -> Document {
        var queue = ByteQueue()
        switch operation {
        case .embeddings: try writeEmbeddings(into: &queue)
        case .rerank: try writeRerank(into: &queue)
        case .score: try writeScore(into: &queue)
        case .tokenize: try writeTokens(into: &queue)
        case .detokenize: try writeText(into: &queue)
        case .moderations: try writeModeration(into: &queue)
        case .countTokens: try writeCount(into: &queue)
        case .images: try writeImages(into: &queue)
        case .speech: return try speech()
        default:
            // Whatever else names a model: enough to see who answered.
            promptTokens = tokens(root.range.count)
            begin("{\"object\":\"simulated\",\"model\":", into: &queue)
            queue.append("}")
        }
        return Document(contentType: "application/json", body: [UInt8](copying: queue.span))
    }

    // MARK: Inputs

    /// The tokens of so many bytes.
    private func tokens(_ bytes: Int) -> Int {
        max(1, (bytes + settings.bytesPerToken - 1) / settings.bytesPerToken)
    }

    func required(_ name: StaticString) throws(APIError) -> JSONNode {
        guard let value = root[name] else {
            throw APIError(
                .malformedBody, 400, code: "missing_required_parameter", param: "\(name)",
                "Missing required parameter: '\(name)'.")
        }
        return value
    }

    /// One input or several; an array of numbers is one.
    func inputs(_ node: JSONNode) -> [JSONNode] {
        let elements = node.elements
        return elements.isEmpty || elements[0].kind == .number ? [node] : elements
    }

    /// A number in 0..<1 that two texts decide.
    private func likeness(_ one: JSONNode, _ other: JSONNode) -> Double {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in one.source { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        for byte in other.source { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        var random = SplitMix64(hash)
        // Four digits are enough, and read the same everywhere.
        return (random.unit() * 10_000).rounded(.down) / 10_000
    }

    func begin(_ opening: StaticString, into queue: inout ByteQueue) {
        queue.append(opening)
        queue.append(json: model)
    }

    private func writeUsage(into queue: inout ByteQueue) {
        queue.append(",\"usage\":{\"prompt_tokens\":")
        queue.append(decimal: promptTokens)
        queue.append(",\"total_tokens\":")
        queue.append(decimal: promptTokens)
        queue.append(",\"completion_tokens\":0,\"prompt_tokens_details\":null}}")
    }

    // MARK: Embeddings

    private mutating func writeEmbeddings(into queue: inout ByteQueue) throws(APIError) {
        let input = try required("input")
        let inputs = inputs(input)
        let dimensions = root["dimensions"]?.integer ?? settings.embeddingDimensions
        guard (1...16_384).contains(dimensions), inputs.count * dimensions <= DocumentMaker.numbersLimit else {
            throw APIError(
                .malformedBody, 400, code: "invalid_value", param: "dimensions", "Invalid value for 'dimensions'.")
        }
        promptTokens = inputs.reduce(0) { $0 + tokens($1.range.count) }
        let isCoded = root["encoding_format"]?.string == "base64"
        begin("{\"object\":\"list\",\"model\":", into: &queue)
        queue.append(",\"data\":[")
        for (index, input) in inputs.enumerated() {
            if index > 0 { queue.append(",") }
            queue.append("{\"object\":\"embedding\",\"index\":")
            queue.append(decimal: index)
            queue.append(",\"embedding\":")
            write(embedding(of: input, dimensions), isCoded: isCoded, into: &queue)
            queue.append("}")
        }
        queue.append("]")
        writeUsage(into: &queue)
    }

    /// A vector of length 1 that the text decides.
    private func embedding(of input: JSONNode, _ dimensions: Int) -> [Float] {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in input.source { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        var random = SplitMix64(hash)
        var vector = (0..<dimensions).map { _ in Float(random.unit() * 2 - 1) }
        let length = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
        if length > 0 { for index in vector.indices { vector[index] /= length } }
        return vector
    }

    private func write(_ vector: [Float], isCoded: Bool, into queue: inout ByteQueue) {
        if isCoded {
            var bytes: [UInt8] = []
            bytes.reserveCapacity(4 * vector.count)
            for number in vector {
                for shift in stride(from: UInt32(0), to: 32, by: 8) {
                    bytes.append(UInt8(truncatingIfNeeded: number.bitPattern >> shift))
                }
            }
            queue.append("\"")
            Base64.append(bytes, to: &queue)
            queue.append("\"")
        } else {
            queue.append("[")
            for (index, number) in vector.enumerated() {
                if index > 0 { queue.append(",") }
                queue.append(text: "\(number)")
            }
            queue.append("]")
        }
    }

    // MARK: Pairs

    private mutating func writeRerank(into queue: inout ByteQueue) throws(APIError) {
        let query = try required("query")
        let documents = try required("documents").elements
        promptTokens = documents.reduce(tokens(query.range.count)) { $0 + tokens($1.range.count) }
        let scored = documents.enumerated().map {
            (index: $0.offset, text: $0.element, score: likeness(query, $0.element))
        }
        let ranked = scored.sorted { ($0.score, $1.index) > ($1.score, $0.index) }
        begin("{\"id\":\"rerank-sim\",\"model\":", into: &queue)
        queue.append(",\"results\":[")
        for (place, result) in ranked.prefix(root["top_n"]?.integer ?? .max).enumerated() {
            if place > 0 { queue.append(",") }
            queue.append("{\"index\":")
            queue.append(decimal: result.index)
            queue.append(",\"document\":{\"text\":")
            queue.append(json: result.text.text ?? [])
            queue.append(text: "},\"relevance_score\":\(result.score)}")
        }
        queue.append("]")
        writeUsage(into: &queue)
    }

    private mutating func writeScore(into queue: inout ByteQueue) throws(APIError) {
        let one = inputs(try required("text_1"))
        let other = inputs(try required("text_2"))
        guard !one.isEmpty, one.count == 1 || one.count == other.count else {
            throw APIError(
                .malformedBody, 400, code: "invalid_value", param: "text_1", "The lists have different lengths.")
        }
        promptTokens = (one + other).reduce(0) { $0 + tokens($1.range.count) }
        begin("{\"id\":\"score-sim\",\"object\":\"list\",\"model\":", into: &queue)
        queue.append(",\"data\":[")
        for (index, text) in other.enumerated() {
            if index > 0 { queue.append(",") }
            let score = likeness(one[one.count == 1 ? 0 : index], text)
            queue.append(text: "{\"index\":\(index),\"object\":\"score\",\"score\":\(score)}")
        }
        queue.append("]")
        writeUsage(into: &queue)
    }

    // MARK: Tokens

    /// A token is a byte here, so that the way back exists.
    private mutating func writeTokens(into queue: inout ByteQueue) throws(APIError) {
        let text: [UInt8]
        if let prompt = root["prompt"]?.text { text = prompt } else { text = Array(try required("messages").source) }
        promptTokens = tokens(text.count)
        queue.append("{\"count\":")
        queue.append(decimal: text.count)
        queue.append(",\"max_model_len\":131072,\"tokens\":[")
        for (index, byte) in text.enumerated() {
            if index > 0 { queue.append(",") }
            queue.append(decimal: Int(byte))
        }
        queue.append("]}")
    }

    private mutating func writeText(into queue: inout ByteQueue) throws(APIError) {
        let tokens = try required("tokens").elements
        promptTokens = max(1, tokens.count)
        queue.append("{\"prompt\":")
        queue.append(json: tokens.compactMap(\.integer).map { UInt8(truncatingIfNeeded: $0) })
        queue.append("}")
    }

    private mutating func writeCount(into queue: inout ByteQueue) throws(APIError) {
        promptTokens = GenerationRequest.tokens(of: root, try required("messages"), settings)
        queue.append("{\"input_tokens\":")
        queue.append(decimal: promptTokens)
        queue.append("}")
    }
}
