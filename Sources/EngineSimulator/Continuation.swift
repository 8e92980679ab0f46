internal import OpenAI

/// Text of an answer that a request brings along, to be gone on with: the engine's half of continuing elsewhere what
/// another engine began.
///
/// In a chat it is the content of the last message where that is the assistant's; in a completion the end of the
/// prompt. Which part of it an engine wrote is not marked, so it is looked for: the longest ending that is what this
/// engine would have written after the rest. Written text is then gone on with where it ends, and counts one token a
/// word, so that a continued answer has the text, the length and the usage of an uninterrupted one.
internal struct Continuation {
    /// The word with which the whole answer begins.
    let start: Int
    /// Bytes of the answer that are there already.
    let written: Int
    /// Tokens that the text counts, beyond those of the prompt before it.
    let tokens: Int

    /// Reads the text before the answer.
    ///
    /// - Parameters:
    ///   - seed: The hash of everything before the text.
    ///   - choice: Which of several answers.
    ///   - bytesPerToken: For the part that no engine wrote.
    /// - Complexity: O(bytes) for text that is not from here.
    init(of text: [UInt8], after seed: TextHash, choice: Int, bytesPerToken: Int) {
        var hash = seed
        for place in 0...text.count {
            let start = AnswerText.start(hash, choice: choice)
            if AnswerText.begins(with: text[place...], from: start) {
                self.start = start
                written = text.count - place
                tokens =
                    (place + bytesPerToken - 1) / bytesPerToken + AnswerText.place(of: written, from: start).words
                return
            }
            if place < text.count { hash.add(CollectionOfOne(text[place])) }
        }
        preconditionFailure("any answer begins with nothing")
    }
}

/// FNV-1a, 64 bits.
internal struct TextHash {
    private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

    /// Takes more bytes in.
    mutating func add(_ bytes: some Sequence<UInt8>) {
        for byte in bytes { value = (value ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
    }
}

/// What a generation is asked to begin with: everything before the answer, and the part of the answer that is there.
internal struct PromptText {
    /// The hash of the prompt and of what else decides the answer: not the temperature, but the seed.
    let hash: TextHash
    /// What the answer goes on from.
    let begun: [UInt8]
    /// Bytes of the prompt without `begun`.
    let bytes: Int

    /// Reads one prompt of a request.
    ///
    /// - Throws: What vLLM refuses: a chat told both to go on with its last message and to begin another; and one told
    ///   to go on that has no last message of the assistant.
    init(_ operation: APIOperation, _ root: JSONNode, _ prompt: JSONNode) throws(APIError) {
        var hash = TextHash()
        if let seed = root["seed"] { hash.add(seed.source) }
        if operation == .completions, let text = prompt.text {
            (self.hash, begun, bytes) = (hash, text, 2)
            return
        }
        let messages = prompt.elements
        let mustContinue = root["continue_final_message"]?.isTrue == true
        if mustContinue, root["add_generation_prompt"]?.isTrue == true {
            throw PromptText.refusal(
                "Cannot set both `continue_final_message` and `add_generation_prompt` to True.")
        }
        let isPrefilled = operation.hasMessages && messages.last?["role"]?.string == "assistant"
        if mustContinue, !isPrefilled {
            throw PromptText.refusal("continue_final_message is set but the last message is not the assistant's.")
        }
        for message in messages.dropLast(isPrefilled ? 1 : 0) {
            // What is said counts, not how its JSON is written.
            if let role = message["role"]?.text, let content = message["content"]?.text {
                hash.add(role)
                hash.add(CollectionOfOne(0))
                hash.add(content)
            } else {
                hash.add(message.source)
            }
            hash.add(CollectionOfOne(0))
        }
        if messages.isEmpty { hash.add(prompt.source) }
        self.hash = hash
        begun = isPrefilled ? messages.last?.messageText ?? [] : []
        var bytes = prompt.range.count
        if isPrefilled, let last = messages.last {
            // As long as it would be without that message and the comma before it.
            bytes -= last.range.upperBound - (messages.dropLast().last?.range.upperBound ?? last.range.lowerBound)
        }
        self.bytes = bytes
    }

    private static func refusal(_ message: String) -> APIError {
        APIError(.malformedBody, 400, code: "invalid_value", param: "continue_final_message", message)
    }
}

extension APIOperation {
    /// Whether prompts are messages, of which the last may be the beginning of the answer.
    fileprivate var hasMessages: Bool { self == .chatCompletions || self == .messages }
}

extension JSONNode {
    /// The text of a message: its content, or the text parts of that one after another.
    fileprivate var messageText: [UInt8] {
        guard let content = self["content"] else { return [] }
        return content.text ?? content.elements.flatMap { $0["text"]?.text ?? [] }
    }
}
