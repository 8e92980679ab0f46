/// Whether another engine can go on with an answer whose engine died.
package enum ContinuationVerdict: Sendable, Equatable {
    /// It can: `EventStreamScanner.writeContinuation` writes the request.
    case possible
    /// There is nothing left to generate: `EventStreamScanner.writeEnding` writes the end of the stream.
    case complete
    /// It cannot, and why.
    case not(ContinuationObstacle)
}

/// Why another engine cannot go on with an answer.
package enum ContinuationObstacle: UInt8, Sendable, CaseIterable {
    /// Neither Chat Completions nor Completions, or a stream that is not kept.
    case operation
    /// No event stream was asked for.
    case notStreaming
    /// Tools are offered, or one was called: the engine's reader of calls would begin in the middle of a text.
    case tools
    /// Log probabilities are asked for, whose tokens the seam may split in another way.
    case logprobs
    /// More than one answer is asked for, or a search among several.
    case choices
    /// The text must follow a grammar, whose state would be lost.
    case structuredOutput
    /// The prompt would come again.
    case echo
    /// The prompt is no single text, or there are no messages.
    case prompt
    /// Something other than text is asked for.
    case audio
    /// The engine showed what it thinks, which no request can hand on.
    case reasoning
    /// The engine sent something else that text alone cannot go on with, such as a refusal.
    case otherOutput
    /// The text so far is longer than is kept.
    case textTooLong
    /// What the engine sent, or the body, is not what it should be.
    case unreadable

    /// The value of the label `reason` in metrics and of the field in logs.
    package var label: StaticString {
        switch self {
        case .operation: "operation"
        case .notStreaming: "not_streaming"
        case .tools: "tools"
        case .logprobs: "logprobs"
        case .choices: "choices"
        case .structuredOutput: "structured_output"
        case .echo: "echo"
        case .prompt: "prompt"
        case .audio: "audio"
        case .reasoning: "reasoning"
        case .otherOutput: "other_output"
        case .textTooLong: "text_too_long"
        case .unreadable: "unreadable"
        }
    }
}
