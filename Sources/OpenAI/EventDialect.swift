/// How an event stream is written, and what ends it.
package enum EventDialect: UInt8, Sendable {
    /// Chat Completions and Completions: `data` only, `[DONE]` last.
    case completions
    /// Anthropic Messages: named events, `message_stop` last.
    case messages
    /// Responses: named events, `response.completed`, `.incomplete` or `.failed` last.
    case responses
    /// Anything else, such as transcriptions and images: no end is known.
    case other
}

/// Why a stream cannot be followed any further.
package enum EventStreamError: Error, Equatable, Sendable {
    /// An event is longer than the limit.
    case eventTooLarge
}
