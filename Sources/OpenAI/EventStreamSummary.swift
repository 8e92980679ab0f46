/// What was learned of an event stream.
package struct EventStreamSummary: Sendable, Equatable {
    /// Events with data, of any kind.
    package var events = 0
    /// Events that carry content: a fair estimate of the tokens written where the engine reports none.
    package var contentEvents = 0
    /// The tokens the engine reported.
    package var usage: Usage?
    /// Whether an event told of an error.
    package var hasError = false
    /// Whether a choice, or the message, told why it ended.
    package var hasFinishReason = false
    /// Whether the event that ends streams of the dialect has come.
    package var isTerminated = false

    /// Nothing yet.
    package init() {}
}
