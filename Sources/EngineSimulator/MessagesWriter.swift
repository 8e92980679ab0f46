internal import Bytes

/// Anthropic's messages.
internal struct MessagesWriter: AnswerWriter {
    private let context: AnswerContext
    private let answer: Answer

    init(_ context: AnswerContext) {
        self.context = context
        answer = context.request.answers[0]
    }

    func writeWhole(into queue: inout ByteQueue) {
        writeMessage(isComplete: true, into: &queue)
    }

    private func writeMessage(isComplete: Bool, into queue: inout ByteQueue) {
        queue.append("{\"id\":\"msg_")
        queue.append(context.id)
        queue.append("\",\"type\":\"message\",\"role\":\"assistant\",\"model\":")
        queue.append(json: context.request.model)
        queue.append(",\"content\":[")
        if isComplete { writeBlock(isComplete: true, into: &queue) }
        queue.append("],")
        writeStop(isComplete: isComplete, into: &queue)
        queue.append(",\"usage\":")
        writeUsage(output: isComplete ? answer.count : 1, into: &queue)
        queue.append("}")
    }

    private func writeBlock(isComplete: Bool, into queue: inout ByteQueue) {
        if let call = answer.toolCall {
            queue.append("{\"type\":\"tool_use\",\"id\":\"toolu_")
            queue.append(context.id)
            queue.append("\",\"name\":")
            queue.append(json: call.name)
            queue.append(",\"input\":")
            queue.append(isComplete ? call.arguments : Array("{}".utf8))
        } else {
            queue.append("{\"type\":\"text\",\"text\":")
            queue.append(json: isComplete ? answer.text : [])
        }
        queue.append("}")
    }

    private func writeStop(isComplete: Bool, into queue: inout ByteQueue) {
        queue.append("\"stop_reason\":")
        switch answer.finish {
        case _ where !isComplete: queue.append("null")
        case .stop: queue.append(answer.stopSequence == nil ? "\"end_turn\"" : "\"stop_sequence\"")
        case .length: queue.append("\"max_tokens\"")
        case .toolCall: queue.append("\"tool_use\"")
        }
        queue.append(",\"stop_sequence\":")
        if isComplete, let sequence = answer.stopSequence {
            queue.append(json: sequence)
        } else {
            queue.append("null")
        }
    }

    private func writeUsage(output: Int, into queue: inout ByteQueue) {
        queue.append("{\"input_tokens\":")
        queue.append(decimal: context.request.promptTokens)
        queue.append(",\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":")
        queue.append(decimal: output)
        queue.append("}")
    }

    mutating func writeOpening(into queue: inout ByteQueue) {
        begin("message_start", into: &queue)
        queue.append(",\"message\":")
        writeMessage(isComplete: false, into: &queue)
        end(into: &queue)
        begin("content_block_start", into: &queue)
        queue.append(",\"index\":0,\"content_block\":")
        writeBlock(isComplete: false, into: &queue)
        end(into: &queue)
        begin("ping", into: &queue)
        end(into: &queue)
    }

    mutating func writeStep(_ step: Int, into queue: inout ByteQueue) {
        begin("content_block_delta", into: &queue)
        queue.append(",\"index\":0,\"delta\":")
        queue.append(
            answer.toolCall == nil
                ? "{\"type\":\"text_delta\",\"text\":" : "{\"type\":\"input_json_delta\",\"partial_json\":")
        queue.append(json: answer.piece(step))
        queue.append("}")
        end(into: &queue)
    }

    mutating func writeEnding(isMarked: Bool, into queue: inout ByteQueue) {
        begin("content_block_stop", into: &queue)
        queue.append(",\"index\":0")
        end(into: &queue)
        begin("message_delta", into: &queue)
        queue.append(",\"delta\":{")
        writeStop(isComplete: true, into: &queue)
        queue.append("},\"usage\":")
        writeUsage(output: answer.count, into: &queue)
        end(into: &queue)
        guard isMarked else { return }
        begin("message_stop", into: &queue)
        end(into: &queue)
    }

    private func begin(_ type: StaticString, into queue: inout ByteQueue) {
        queue.append("event: ")
        queue.append(type)
        queue.append("\ndata: {\"type\":")
        queue.append(jsonString: type)
    }

    private func end(into queue: inout ByteQueue) { queue.append("}\n\n") }
}
