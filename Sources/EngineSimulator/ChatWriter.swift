internal import Bytes
internal import OpenAI

/// Chat completions and plain completions.
internal struct ChatWriter: AnswerWriter {
    private let context: AnswerContext
    private let isChat: Bool
    private let answers: [Answer]
    /// The members that all chunks of a stream begin with.
    private let chunkHead: [UInt8]

    init(_ context: AnswerContext) {
        self.context = context
        isChat = context.request.operation == .chatCompletions
        answers = context.request.answers
        var head = ByteQueue()
        head.append("data: ")
        ChatWriter.writeHead(context, object: isChat ? "chat.completion.chunk" : "text_completion", into: &head)
        chunkHead = [UInt8](copying: head.span)
    }

    private static func writeHead(_ context: AnswerContext, object: StaticString, into queue: inout ByteQueue) {
        let isChat = context.request.operation == .chatCompletions
        queue.append(isChat ? "{\"id\":\"chatcmpl-" : "{\"id\":\"cmpl-")
        queue.append(context.id)
        queue.append("\",\"object\":")
        queue.append(jsonString: object)
        queue.append(key: "created")
        queue.append(decimal: context.created)
        queue.append(key: "model")
        queue.append(json: context.request.model)
        queue.append(",\"choices\":[")
    }

    // MARK: Whole

    func writeWhole(into queue: inout ByteQueue) {
        ChatWriter.writeHead(context, object: isChat ? "chat.completion" : "text_completion", into: &queue)
        for (index, answer) in answers.enumerated() {
            if index > 0 { queue.append(",") }
            queue.append("{\"index\":")
            queue.append(decimal: index)
            if isChat {
                queue.append(",\"message\":{\"role\":\"assistant\",\"content\":")
                writeContent(answer, into: &queue)
                queue.append(",\"refusal\":null")
                if let call = answer.toolCall {
                    queue.append(",\"tool_calls\":[{")
                    write(call, index, into: &queue)
                    queue.append(",\"arguments\":")
                    queue.append(json: call.arguments)
                    queue.append("}}]")
                }
                queue.append("}")
            } else {
                queue.append(",\"text\":")
                queue.append(json: answer.text)
            }
            writeEnd(answer.finish, into: &queue)
        }
        queue.append("]")
        writeUsage(into: &queue)
        queue.append("}")
    }

    private func writeContent(_ answer: Answer, into queue: inout ByteQueue) {
        if answer.toolCall == nil {
            queue.append(json: answer.text)
        } else {
            queue.append("null")
        }
    }

    /// Appends all of a call before its arguments; two brackets stay open.
    private func write(_ call: Answer.ToolCall, _ choice: Int, into queue: inout ByteQueue) {
        queue.append("\"id\":\"call_")
        queue.append(context.id)
        queue.append(decimal: choice)
        queue.append("\",\"type\":\"function\",\"function\":{\"name\":")
        queue.append(json: call.name)
    }

    /// Closes a choice.
    private func writeEnd(_ finish: Answer.Finish?, into queue: inout ByteQueue) {
        queue.append(",\"logprobs\":null,\"finish_reason\":")
        switch finish {
        case nil: queue.append("null}")
        case .stop: queue.append("\"stop\"}")
        case .length: queue.append("\"length\"}")
        case .toolCall: queue.append("\"tool_calls\"}")
        }
    }

    private func writeUsage(into queue: inout ByteQueue) {
        let prompt = context.request.promptTokens
        queue.append(",\"usage\":{\"prompt_tokens\":")
        queue.append(decimal: prompt)
        queue.append(key: "completion_tokens")
        queue.append(decimal: context.completionTokens)
        queue.append(key: "total_tokens")
        queue.append(decimal: prompt + context.completionTokens)
        queue.append(",\"prompt_tokens_details\":{\"cached_tokens\":0}}")
    }

    // MARK: Events

    mutating func writeOpening(into queue: inout ByteQueue) {
        guard isChat else { return }
        for index in answers.indices {
            beginChunk(index, into: &queue)
            queue.append("{\"role\":\"assistant\",\"content\":")
            queue.append(answers[index].toolCall == nil ? "\"\"" : "null")
            if let call = answers[index].toolCall {
                queue.append(",\"tool_calls\":[{\"index\":0,")
                write(call, index, into: &queue)
                queue.append(",\"arguments\":\"\"}}]")
            }
            queue.append("}")
            endChunk(nil, into: &queue)
        }
    }

    mutating func writeStep(_ step: Int, into queue: inout ByteQueue) {
        for index in answers.indices where step < answers[index].count {
            let piece = answers[index].piece(step)
            beginChunk(index, into: &queue)
            if !isChat {
                queue.append(json: piece)
            } else if answers[index].toolCall == nil {
                queue.append("{\"content\":")
                queue.append(json: piece)
                queue.append("}")
            } else {
                queue.append("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":")
                queue.append(json: piece)
                queue.append("}}]}")
            }
            endChunk(nil, into: &queue)
        }
    }

    mutating func writeEnding(isMarked: Bool, into queue: inout ByteQueue) {
        for index in answers.indices {
            beginChunk(index, into: &queue)
            queue.append(isChat ? "{}" : "\"\"")
            endChunk(answers[index].finish, into: &queue)
        }
        if context.request.wantsUsage {
            queue.append(chunkHead)
            queue.append("]")
            writeUsage(into: &queue)
            queue.append("}\n\n")
        }
        if isMarked { queue.append("data: [DONE]\n\n") }
    }

    private func beginChunk(_ index: Int, into queue: inout ByteQueue) {
        queue.append(chunkHead)
        queue.append("{\"index\":")
        queue.append(decimal: index)
        queue.append(isChat ? ",\"delta\":" : ",\"text\":")
    }

    private func endChunk(_ finish: Answer.Finish?, into queue: inout ByteQueue) {
        writeEnd(finish, into: &queue)
        queue.append(context.request.wantsUsage ? "],\"usage\":null}\n\n" : "]}\n\n")
    }
}
