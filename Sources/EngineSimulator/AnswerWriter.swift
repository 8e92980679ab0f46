internal import Bytes
internal import OpenAI

/// Writes the answer to one request in the words of a dialect: as a whole, or as events.
internal protocol AnswerWriter {
    /// Appends the body of an answer that is not streamed.
    func writeWhole(into queue: inout ByteQueue)
    /// Appends the events before the first token; may be none.
    mutating func writeOpening(into queue: inout ByteQueue)
    /// Appends the events of the tokens at one step of the engine.
    mutating func writeStep(_ step: Int, into queue: inout ByteQueue)
    /// Appends the events after the last token.
    ///
    /// - Parameter isMarked: Whether the event is there by which clients know that nothing is missing.
    mutating func writeEnding(isMarked: Bool, into queue: inout ByteQueue)
}

/// What the writers of all dialects need.
internal struct AnswerContext {
    let request: GenerationRequest
    /// Unique part of the answer's id.
    let id: [UInt8]
    /// Seconds since 1970.
    let created: Int

    /// Tokens of all answers.
    var completionTokens: Int { request.answers.reduce(0) { $0 + $1.count } }

    /// Steps of the engine until the longest answer is complete.
    var steps: Int { request.answers.reduce(0) { max($0, $1.count) } }

    /// The writer for the dialect of the request.
    func writer() -> any AnswerWriter {
        switch request.operation {
        case .messages: MessagesWriter(self)
        case .responses: ResponsesWriter(self)
        default: ChatWriter(self)
        }
    }
}

extension ByteQueue {
    /// Appends a member's name and colon, after a comma if it is not the first.
    internal mutating func append(key: StaticString, first: Bool = false) {
        if !first { append(UInt8(ascii: ",")) }
        append(jsonString: key)
        append(UInt8(ascii: ":"))
    }

    /// Appends a text as a JSON string.
    internal mutating func append(json text: [UInt8]) { append(jsonString: text.span) }

    /// Appends a part of a text as a JSON string.
    internal mutating func append(json text: ArraySlice<UInt8>) { append(jsonString: text.span) }
}
