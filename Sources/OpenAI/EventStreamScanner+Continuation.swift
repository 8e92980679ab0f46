package import Bytes

/// Going on with an answer on another engine.
///
/// Nothing here touches the text at the seam. Templates and tokenizers may: one that trims what a message ends with
/// lets the model write the blank again, and two tokens of the one engine may be three of the other.
extension EventStreamScanner {
    /// The tokens written so far, as well as they are known: what the engine reported, or the events with text, of
    /// which an engine that sends several tokens in one has fewer.
    package var emittedTokens: Int { max(record.textEvents, summary.usage?.completionTokens ?? 0) }

    /// Whether another engine can go on with this stream, whose engine has died.
    ///
    /// A stream that has told of nothing but the role is begun anew, whatever was asked for.
    /// - Parameters:
    ///   - operation: What was asked for.
    ///   - body: The client's body.
    ///   - facts: What was read of it.
    ///   - engine: Who is to go on.
    /// - Complexity: One pass over the body and the text; to be asked when an engine has died.
    package func continuationVerdict(
        _ operation: APIOperation, body: Span<UInt8>, facts: borrowing RequestFacts, engine: EngineKind
    ) -> ContinuationVerdict {
        guard keepsText, operation == .chatCompletions || operation == .completions else { return .not(.operation) }
        if summary.hasFinishReason || summary.isTerminated { return .complete }
        if let obstacle = record.obstacle { return .not(obstacle) }
        guard facts.isStreaming else { return .not(.notStreaming) }
        if record.text.isEmpty { return .possible }
        guard recordIsText else { return .not(.unreadable) }
        do throws(JSONError) {
            let request = try ContinuationRequest(body)
            if let obstacle = request.obstacle { return .not(obstacle) }
            let isChat = operation == .chatCompletions
            if isChat ? request.messages == nil : request.prompt == nil { return .not(.prompt) }
            let limit = request.mostTokens ?? (isChat ? nil : engine.defaultCompletionLimit)
            if let limit, limit <= emittedTokens { return .complete }
            return .possible
        } catch {
            return .not(.unreadable)
        }
    }

    /// Whether what was kept is the inside of a JSON string: it came from the engine, and most of it was not checked.
    private var recordIsText: Bool {
        var string = ByteQueue()
        string.makeRoom(for: record.text.count + 2)
        string.append(UInt8(ascii: "\""))
        string.append(record.text.span)
        string.append(UInt8(ascii: "\""))
        do throws(JSONError) {
            return try readJSON(string.span).kind == .string
        } catch {
            return false
        }
    }

    /// Appends the body that makes another engine go on; to be called only if the verdict is `.possible`.
    ///
    /// All bytes stay as they are but for those of `rewrite`, the text in the last message or the prompt, the flags
    /// that open the last message, and the limits of tokens, which are lowered by what was written (to no less than 1).
    /// - Parameters:
    ///   - operation: What was asked for.
    ///   - body: The client's body.
    ///   - facts: What was read of it.
    ///   - rewrite: What would be changed of it for this engine anyway.
    ///   - engine: Who is to go on.
    package func writeContinuation(
        _ operation: APIOperation, body: Span<UInt8>, facts: borrowing RequestFacts, rewrite: BodyRewrite,
        engine: EngineKind, into queue: inout ByteQueue
    ) {
        if record.text.isEmpty { return rewrite.append(body, facts, to: &queue) }
        var rewritten = ByteQueue()
        rewrite.append(body, facts, to: &rewritten)
        let start = queue.count
        do throws(JSONError) {
            let writer = ContinuationWriter(
                request: try ContinuationRequest(rewritten.span), operation: operation, engine: engine,
                emittedTokens: emittedTokens)
            writer.write(rewritten.span, text: record.text.span, into: &queue)
        } catch {
            // The verdict has read the body; a body that cannot be read goes out as it would have.
            queue.truncate(to: start)
            queue.append(rewritten.span)
        }
    }

    /// Forgets what the engine left unfinished, and its error: from here on the scanner takes what the returned stream
    /// makes of the next engine's bytes, and what it learned and counted goes on.
    package mutating func beginContinuation() -> ContinuedStream {
        abandonUnfinished()
        return ContinuedStream(after: record, emittedTokens: emittedTokens, seen: summary.usage, eventLimit: eventLimit)
    }

    /// Appends the end of a stream whose text is whole: the finish reason, the usage if it is known, and `[DONE]`, as
    /// far as they have not come.
    ///
    /// - Parameters:
    ///   - operation: What was asked for.
    ///   - includesUsage: Whether the client asked for usage.
    package mutating func writeEnding(
        _ operation: APIOperation, includesUsage: Bool, into output: inout ByteQueue
    ) {
        let usage = summary.usage
        abandonUnfinished()
        if summary.isTerminated { return }
        if !summary.hasFinishReason {
            beginChunk(operation, into: &output)
            output.append("{\"index\":0,")
            output.append(operation == .chatCompletions ? "\"delta\":{}" : "\"text\":\"\"")
            output.append(",\"logprobs\":null,\"finish_reason\":\"length\"}]}\n\n")
        }
        if includesUsage, let usage, !hasUsageEvent {
            beginChunk(operation, into: &output)
            output.append("],\"usage\":{\"prompt_tokens\":")
            output.append(decimal: usage.promptTokens)
            output.append(",\"completion_tokens\":")
            output.append(decimal: usage.completionTokens)
            output.append(",\"total_tokens\":")
            output.append(decimal: usage.totalTokens)
            output.append("}}\n\n")
        }
        output.append("data: [DONE]\n\n")
    }

    /// Appends an event up to the `[` of its choices, with the members of the first one.
    private func beginChunk(_ operation: APIOperation, into output: inout ByteQueue) {
        output.append("data: {\"object\":\"")
        output.append(operation == .chatCompletions ? "chat.completion.chunk\"" : "text_completion\"")
        append("id", record.identity.id, to: &output)
        append("created", record.identity.created, to: &output)
        append("model", record.identity.model, to: &output)
        append("system_fingerprint", record.identity.fingerprint, to: &output)
        output.append(",\"choices\":[")
    }

    private func append(_ key: StaticString, _ value: Range<Int>, to output: inout ByteQueue) {
        guard !value.isEmpty else { return }
        output.append(UInt8(ascii: ","))
        output.append(jsonString: key)
        output.append(UInt8(ascii: ":"))
        output.append(record.identity.value(value))
    }
}
