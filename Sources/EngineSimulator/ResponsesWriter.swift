internal import Bytes

/// OpenAI's responses.
internal struct ResponsesWriter: AnswerWriter {
    private let context: AnswerContext
    private let answer: Answer
    private var sequence = 0

    init(_ context: AnswerContext) {
        self.context = context
        answer = context.request.answers[0]
    }

    private enum Stage { case begun, ended }

    func writeWhole(into queue: inout ByteQueue) {
        writeResponse(.ended, into: &queue)
    }

    private var isCut: Bool { answer.finish == .length }

    // MARK: Objects

    private func writeResponse(_ stage: Stage, into queue: inout ByteQueue) {
        queue.append("{\"id\":\"resp_")
        queue.append(context.id)
        queue.append("\",\"object\":\"response\",\"created_at\":")
        queue.append(decimal: context.created)
        queue.append(",\"status\":")
        queue.append(stage == .begun ? "\"in_progress\"" : isCut ? "\"incomplete\"" : "\"completed\"")
        queue.append(",\"error\":null,\"incomplete_details\":")
        queue.append(stage == .ended && isCut ? "{\"reason\":\"max_output_tokens\"}" : "null")
        queue.append(",\"instructions\":null,\"metadata\":{},\"model\":")
        queue.append(json: context.request.model)
        queue.append(",\"output\":[")
        if stage == .ended { writeItem(.ended, into: &queue) }
        queue.append("],\"parallel_tool_calls\":true,\"temperature\":1.0,\"tool_choice\":\"auto\",\"tools\":[]")
        queue.append(",\"top_p\":1.0,\"usage\":")
        writeUsage(stage, into: &queue)
        queue.append("}")
    }

    private func writeUsage(_ stage: Stage, into queue: inout ByteQueue) {
        guard stage == .ended else { return queue.append("null") }
        let prompt = context.request.promptTokens
        queue.append("{\"input_tokens\":")
        queue.append(decimal: prompt)
        queue.append(",\"input_tokens_details\":{\"cached_tokens\":0},\"output_tokens\":")
        queue.append(decimal: answer.count)
        queue.append(",\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":")
        queue.append(decimal: prompt + answer.count)
        queue.append("}")
    }

    private func writeItem(_ stage: Stage, into queue: inout ByteQueue) {
        queue.append("{\"id\":")
        writeItemID(into: &queue)
        queue.append(",\"status\":")
        queue.append(stage == .begun ? "\"in_progress\"" : isCut ? "\"incomplete\"" : "\"completed\"")
        if let call = answer.toolCall {
            queue.append(",\"type\":\"function_call\",\"call_id\":\"call_")
            queue.append(context.id)
            queue.append("\",\"name\":")
            queue.append(json: call.name)
            queue.append(key: "arguments")
            queue.append(json: stage == .ended ? call.arguments : [])
        } else {
            queue.append(",\"type\":\"message\",\"role\":\"assistant\",\"content\":[")
            if stage == .ended { writePart(.ended, into: &queue) }
            queue.append("]")
        }
        queue.append("}")
    }

    private func writeItemID(into queue: inout ByteQueue) {
        queue.append(answer.toolCall == nil ? "\"msg_" : "\"fc_")
        queue.append(context.id)
        queue.append("\"")
    }

    private func writePart(_ stage: Stage, into queue: inout ByteQueue) {
        queue.append("{\"type\":\"output_text\",\"text\":")
        queue.append(json: stage == .ended ? answer.text : [])
        queue.append(",\"annotations\":[],\"logprobs\":[]}")
    }

    // MARK: Events

    mutating func writeOpening(into queue: inout ByteQueue) {
        for type: StaticString in ["response.created", "response.in_progress"] {
            begin(type, into: &queue)
            queue.append(",\"response\":")
            writeResponse(.begun, into: &queue)
            end(into: &queue)
        }
        begin("response.output_item.added", into: &queue)
        queue.append(",\"output_index\":0,\"item\":")
        writeItem(.begun, into: &queue)
        end(into: &queue)
        guard answer.toolCall == nil else { return }
        beginOfItem("response.content_part.added", into: &queue)
        queue.append(",\"part\":")
        writePart(.begun, into: &queue)
        end(into: &queue)
    }

    mutating func writeStep(_ step: Int, into queue: inout ByteQueue) {
        let isText = answer.toolCall == nil
        beginOfItem(
            isText ? "response.output_text.delta" : "response.function_call_arguments.delta", into: &queue)
        queue.append(",\"delta\":")
        queue.append(json: answer.piece(step))
        if isText { queue.append(",\"logprobs\":[]") }
        end(into: &queue)
    }

    mutating func writeEnding(isMarked: Bool, into queue: inout ByteQueue) {
        if let call = answer.toolCall {
            beginOfItem("response.function_call_arguments.done", into: &queue)
            queue.append(key: "name")
            queue.append(json: call.name)
            queue.append(key: "arguments")
            queue.append(json: call.arguments)
            end(into: &queue)
        } else {
            beginOfItem("response.output_text.done", into: &queue)
            queue.append(",\"text\":")
            queue.append(json: answer.text)
            queue.append(",\"logprobs\":[]")
            end(into: &queue)
            beginOfItem("response.content_part.done", into: &queue)
            queue.append(",\"part\":")
            writePart(.ended, into: &queue)
            end(into: &queue)
        }
        begin("response.output_item.done", into: &queue)
        queue.append(",\"output_index\":0,\"item\":")
        writeItem(.ended, into: &queue)
        end(into: &queue)
        guard isMarked else { return }
        begin(isCut ? "response.incomplete" : "response.completed", into: &queue)
        queue.append(",\"response\":")
        writeResponse(.ended, into: &queue)
        end(into: &queue)
    }

    /// An event that concerns the one item there is, and of a text its one part.
    private mutating func beginOfItem(_ type: StaticString, into queue: inout ByteQueue) {
        begin(type, into: &queue)
        queue.append(",\"item_id\":")
        writeItemID(into: &queue)
        queue.append(",\"output_index\":0")
        if answer.toolCall == nil { queue.append(",\"content_index\":0") }
    }

    private mutating func begin(_ type: StaticString, into queue: inout ByteQueue) {
        queue.append("event: ")
        queue.append(type)
        queue.append("\ndata: {\"type\":")
        queue.append(jsonString: type)
        queue.append(key: "sequence_number")
        queue.append(decimal: sequence)
        sequence += 1
    }

    private func end(into queue: inout ByteQueue) { queue.append("}\n\n") }
}
