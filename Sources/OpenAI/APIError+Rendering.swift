package import Bytes

extension APIError {
    /// Appends the JSON body of the error response.
    ///
    /// - Parameters:
    ///   - dialect: Whose shape.
    ///   - requestID: What `x-request-id` says; empty if nothing.
    package func write(_ dialect: APIDialect, requestID: Span<UInt8>, into queue: inout ByteQueue) {
        switch dialect {
        case .openai:
            queue.append("{\"error\":")
            writeMembers(into: &queue)
            queue.append("}")
        case .anthropic:
            queue.append("{\"type\":\"error\",\"error\":{\"type\":")
            queue.append(jsonString: anthropicType)
            queue.append(",\"message\":")
            queue.append(jsonText: message)
            queue.append("}")
            if requestID.count > 0 {
                queue.append(",\"request_id\":")
                queue.append(jsonString: requestID)
            }
            queue.append("}")
        }
    }

    /// Appends the event that tells of a failure in the middle of a stream, in the words that make SDKs raise.
    ///
    /// Nothing that looks like a good end may follow.
    package func writeEvent(_ dialect: EventDialect, into queue: inout ByteQueue) {
        switch dialect {
        case .completions, .other:
            queue.append("data: {\"error\":")
            writeMembers(into: &queue)
            queue.append("}\n\n")
        case .messages:
            queue.append("event: error\ndata: ")
            write(.anthropic, requestID: Span(), into: &queue)
            queue.append("\n\n")
        case .responses:
            // Responses' own shape is flat; SDKs raise for the member `error`.
            queue.append("event: error\ndata: {\"type\":\"error\",\"code\":")
            writeOptional(code, into: &queue)
            queue.append(",\"message\":")
            queue.append(jsonText: message)
            queue.append(",\"param\":")
            writeOptional(param, into: &queue)
            queue.append(",\"error\":")
            writeMembers(into: &queue)
            queue.append("}\n\n")
        }
    }

    /// The four members, all of which OpenAI's specification requires.
    private func writeMembers(into queue: inout ByteQueue) {
        queue.append("{\"message\":")
        queue.append(jsonText: message)
        queue.append(",\"type\":")
        queue.append(jsonText: type)
        queue.append(",\"param\":")
        writeOptional(param, into: &queue)
        queue.append(",\"code\":")
        writeOptional(code, into: &queue)
        queue.append("}")
    }

    private func writeOptional(_ text: String?, into queue: inout ByteQueue) {
        if let text {
            queue.append(jsonText: text)
        } else {
            queue.append("null")
        }
    }
}

extension ByteQueue {
    /// Appends text as a JSON string. For cold paths.
    internal mutating func append(jsonText text: String) {
        append(jsonString: Array(text.utf8).span)
    }
}
