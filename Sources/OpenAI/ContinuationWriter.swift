internal import Bytes

/// Writes the body that makes another engine go on with a text.
internal struct ContinuationWriter {
    let request: ContinuationRequest
    let operation: APIOperation
    let engine: EngineKind
    /// Tokens written so far.
    let emittedTokens: Int

    /// One change of the body.
    private struct Edit {
        /// What gives way; empty where something is put in.
        let place: Range<Int>
        let change: Change
    }

    private enum Change {
        /// The text itself, inside a string.
        case text
        /// A new last message with the text.
        case message(isFirst: Bool)
        /// The flags that stand nowhere yet.
        case flags(continues: Bool, generates: Bool)
        /// The limit that the engine would else set itself.
        case limit(Int)
        case word(StaticString)
        case number(Int)
    }

    /// Appends the new body.
    ///
    /// - Parameters:
    ///   - body: The body `request` was read from.
    ///   - text: What was emitted, as the inside of a JSON string.
    func write(_ body: Span<UInt8>, text: Span<UInt8>, into queue: inout ByteQueue) {
        if let remainder = withoutRepetition(text) {
            splice(body, remainder.span, into: &queue)
        } else {
            splice(body, text, into: &queue)
        }
    }

    private func splice(_ body: Span<UInt8>, _ text: Span<UInt8>, into queue: inout ByteQueue) {
        var splice = Splice(body: 0)
        for edit in edits(body).sorted(by: { $0.place.lowerBound < $1.place.lowerBound }) {
            splice.copy(body, upTo: edit.place, to: &queue)
            write(edit.change, text, into: &queue)
        }
        splice.copyRest(body, to: &queue)
    }

    private func write(_ change: Change, _ text: Span<UInt8>, into queue: inout ByteQueue) {
        switch change {
        case .text: queue.append(text)
        case .message(let isFirst):
            queue.append(isFirst ? "{\"role\":\"assistant\",\"content\":\"" : ",{\"role\":\"assistant\",\"content\":\"")
            queue.append(text)
            queue.append("\"}")
        case .flags(let continues, let generates):
            if continues { queue.append("\"continue_final_message\":true,") }
            if generates { queue.append("\"add_generation_prompt\":false,") }
        case .limit(let tokens):
            queue.append("\"max_tokens\":")
            queue.append(decimal: tokens)
            queue.append(",")
        case .word(let word): queue.append(word)
        case .number(let number): queue.append(decimal: number)
        }
    }

    private func edits(_ body: Span<UInt8>) -> [Edit] {
        var edits: [Edit] = []
        for limit in request.limits where limit.isMinimum || limit.tokens > 0 {
            let lowered = max(limit.isMinimum ? 0 : 1, limit.tokens - emittedTokens)
            edits.append(Edit(place: limit.place, change: .number(lowered)))
        }
        let start = request.contentStart..<request.contentStart
        if operation == .chatCompletions {
            appendText(body, to: &edits)
            if engine.takesContinuationFlags { appendFlags(at: start, to: &edits) }
        } else {
            if let prompt = request.prompt {
                edits.append(Edit(place: (prompt.upperBound - 1)..<(prompt.upperBound - 1), change: .text))
            }
            if request.mostTokens == nil, let limit = engine.defaultCompletionLimit {
                edits.append(Edit(place: start, change: .limit(max(1, limit - emittedTokens))))
            }
        }
        return edits
    }

    /// Whether the client's own last message is the one that the engine goes on with.
    private var extendsLastMessage: Bool {
        request.lastAssistant != nil && (request.continueFinalMessage?.isTrue == true || engine.opensLastMessage)
    }

    private func appendText(_ body: Span<UInt8>, to edits: inout [Edit]) {
        if extendsLastMessage, let end = request.lastAssistant?.textEnd {
            edits.append(Edit(place: end..<end, change: .text))
        } else if let messages = request.messages {
            let end = messages.upperBound - 1
            let isFirst = !hasElements(body, messages)
            edits.append(Edit(place: end..<end, change: .message(isFirst: isFirst)))
        }
    }

    private func hasElements(_ body: Span<UInt8>, _ array: Range<Int>) -> Bool {
        for index in (array.lowerBound + 1)..<(array.upperBound - 1) where body[index] > 0x20 { return true }
        return false
    }

    private func appendFlags(at start: Range<Int>, to edits: inout [Edit]) {
        if let flag = request.continueFinalMessage { edits.append(Edit(place: flag.place, change: .word("true"))) }
        if let flag = request.addGenerationPrompt { edits.append(Edit(place: flag.place, change: .word("false"))) }
        let continues = request.continueFinalMessage == nil
        let generates = request.addGenerationPrompt == nil
        if continues || generates {
            edits.append(Edit(place: start, change: .flags(continues: continues, generates: generates)))
        }
    }

    /// What is left of the text if it begins with all of the client's own last message; `nil` if it does not.
    ///
    /// llama.cpp sends that message again if it goes on with it unasked (measured): it must not stand there twice.
    private func withoutRepetition(_ text: Span<UInt8>) -> [UInt8]? {
        guard operation == .chatCompletions, extendsLastMessage, request.continueFinalMessage?.isTrue != true,
            let own = request.lastAssistant?.text, !own.isEmpty
        else { return nil }
        let decoded = decodeJSONText(text)
        guard decoded.starts(with: own) else { return nil }
        var remainder = ByteQueue()
        remainder.append(jsonContent: decoded.span.extracting(own.count..<decoded.count))
        return [UInt8](copying: remainder.span)
    }
}
