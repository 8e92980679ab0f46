package import Bytes

/// Makes of the events of the engine that goes on those that the first one would have sent.
///
/// `id`, `created`, `model` and `system_fingerprint` become those of the first engine, the role is not told again, and
/// usage counts what was emitted before as written, not as read. Text, indices, finish reasons and `[DONE]` stay.
///
/// Sans I/O: bytes go in, split in any way; whole events come out. An event that is not whole at the end of the stream
/// never does. Every event is read and written anew: 1 µs each.
package struct ContinuedStream: ~Copyable {
    private let identity: StreamIdentity
    private let hasRole: Bool
    private let emittedTokens: Int
    /// Tokens of the prompt that the first engine reported, if it did.
    private let promptTokens: Int
    private let eventLimit: Int
    /// What was emitted, until the first text has been looked at; empty if there is too little to tell.
    private var emitted: [UInt8] = []
    /// The beginning of an event whose end has not come.
    private var carry = ByteQueue()
    private var boundary = EventBoundary()

    /// Events of text from which on the whole text, come again in one event, cannot be what the model wrote.
    private static let repetitionEvents = 16

    internal init(
        after record: borrowing ContinuationRecord, emittedTokens: Int, seen usage: Usage?, eventLimit: Int
    ) {
        identity = record.identity
        hasRole = record.hasRole
        self.emittedTokens = emittedTokens
        promptTokens = usage?.promptTokens ?? 0
        self.eventLimit = eventLimit
        if record.textEvents >= ContinuedStream.repetitionEvents { emitted = decodeJSONText(record.text.span) }
    }

    /// Takes bytes of the stream and appends the events that are whole with them.
    ///
    /// - Throws: If an event grows longer than the limit. What was appended is in order.
    package mutating func receive(_ bytes: Span<UInt8>, into output: inout ByteQueue) throws(EventStreamError) {
        var start = 0
        while start < bytes.count {
            let end = boundary.end(in: bytes, from: start)
            let part = start..<(end ?? bytes.count)
            guard carry.count + part.count <= eventLimit else { throw .eventTooLarge }
            carry.append(bytes.extracting(part))
            start = part.upperBound
            guard end != nil else { return }
            boundary = EventBoundary()
            let event = [UInt8](copying: carry.span)
            carry.removeAll(keeping: 4096)
            rewrite(event.span, into: &output)
        }
    }

    private mutating func rewrite(_ event: Span<UInt8>, into output: inout ByteQueue) {
        let fields = EventFields(event)
        let start = output.count
        guard !identity.isEmpty, let data = fields.data else { return output.append(event) }
        do throws(JSONError) {
            if fields.hasSeveralDataLines {
                // Line feeds can only stand between tokens there; one line is one event to every reader.
                let payload = fields.joined.map { $0 == 0x0A ? 0x20 : $0 }
                output.append("data: ")
                guard try write(payload.span, into: &output) else { return output.truncate(to: start) }
                output.append("\n\n")
            } else {
                output.append(event.extracting(..<data.lowerBound))
                guard try write(event.extracting(data), into: &output) else { return output.truncate(to: start) }
                output.append(event.extracting(data.upperBound...))
            }
        } catch {
            // `[DONE]`, or what is no chunk: as it is.
            output.truncate(to: start)
            output.append(event)
        }
    }

    /// Appends a chunk as the first engine would have written it; returns `false` if it would not have.
    private mutating func write(_ chunk: Span<UInt8>, into output: inout ByteQueue) throws(JSONError) -> Bool {
        var object = ObjectWriter()
        var hasUsage = false
        var opening = Opening()
        output.append(UInt8(ascii: "{"))
        object.write("id", identity.value(identity.id), into: &output)
        object.write("created", identity.value(identity.created), into: &output)
        object.write("model", identity.value(identity.model), into: &output)
        object.write("system_fingerprint", identity.value(identity.fingerprint), into: &output)
        var reader = JSONMemberReader()
        while let member = try reader.next(chunk) {
            let value = chunk.extracting(member.value.range)
            if ContinuedStream.isIdentity(member, chunk) { continue }
            object.begin(member, chunk, into: &output)
            if member.value.kind == .array, isKey(member, "choices", in: chunk) {
                try writeChoices(value, &opening, into: &output)
            } else if member.value.kind == .object, isKey(member, "usage", in: chunk) {
                hasUsage = true
                try writeUsage(value, into: &output)
            } else if member.value.kind != .null, isKey(member, "error", in: chunk) {
                throw JSONError(.wrongKind, at: member.value.range.lowerBound)
            } else {
                output.append(value)
            }
        }
        output.append(UInt8(ascii: "}"))
        return !(hasRole && opening.isAll && !hasUsage)
    }

    private static func isIdentity(_ member: JSONMember, _ chunk: Span<UInt8>) -> Bool {
        isKey(member, "id", in: chunk) || isKey(member, "created", in: chunk) || isKey(member, "model", in: chunk)
            || isKey(member, "system_fingerprint", in: chunk)
    }
}

/// Whether a chunk does nothing but tell the role.
private struct Opening {
    private var hasRole = false
    private var hasMore = false

    var isAll: Bool { hasRole && !hasMore }

    mutating func noteRole() { hasRole = true }
    mutating func noteMore() { hasMore = true }
}

// MARK: - Choices

extension ContinuedStream {
    private mutating func writeChoices(
        _ choices: Span<UInt8>, _ opening: inout Opening, into output: inout ByteQueue
    ) throws(JSONError) {
        var elements = JSONElementReader()
        var isFirst = true
        output.append(UInt8(ascii: "["))
        while let element = try elements.next(choices) {
            if !isFirst { output.append(UInt8(ascii: ",")) }
            isFirst = false
            let choice = choices.extracting(element.range)
            if element.kind == .object {
                try writeChoice(choice, &opening, into: &output)
            } else {
                output.append(choice)
            }
        }
        output.append(UInt8(ascii: "]"))
    }

    private mutating func writeChoice(
        _ choice: Span<UInt8>, _ opening: inout Opening, into output: inout ByteQueue
    ) throws(JSONError) {
        var object = ObjectWriter()
        var reader = JSONMemberReader()
        output.append(UInt8(ascii: "{"))
        while let member = try reader.next(choice) {
            let value = choice.extracting(member.value.range)
            object.begin(member, choice, into: &output)
            if member.value.kind == .object, isKey(member, "delta", in: choice) {
                try writeDelta(value, &opening, into: &output)
            } else if member.value.kind == .string, isKey(member, "text", in: choice) {
                opening.noteMore()
                writeText(member.value, choice, into: &output)
            } else {
                if member.value.kind != .null, isKey(member, "finish_reason", in: choice) { opening.noteMore() }
                output.append(value)
            }
        }
        output.append(UInt8(ascii: "}"))
    }

    private mutating func writeDelta(
        _ delta: Span<UInt8>, _ opening: inout Opening, into output: inout ByteQueue
    ) throws(JSONError) {
        var object = ObjectWriter()
        var reader = JSONMemberReader()
        output.append(UInt8(ascii: "{"))
        while let member = try reader.next(delta) {
            if isKey(member, "role", in: delta) {
                opening.noteRole()
                // Clients put the pieces of every text together: it would become `assistantassistant`.
                if hasRole { continue }
            } else if !CompletionChunk.isNothing(member.value, in: delta) {
                opening.noteMore()
            }
            object.begin(member, delta, into: &output)
            if member.value.kind == .string, isKey(member, "content", in: delta) {
                writeText(member.value, delta, into: &output)
            } else {
                output.append(delta.extracting(member.value.range))
            }
        }
        output.append(UInt8(ascii: "}"))
    }

    /// Appends a text; without what was emitted before, if the engine sends all of that again in its first event.
    private mutating func writeText(_ value: JSONValue, _ object: Span<UInt8>, into output: inout ByteQueue) {
        guard !emitted.isEmpty, !value.content.isEmpty else { return output.append(object.extracting(value.range)) }
        let text = decodeJSONText(object.extracting(value.content))
        if text.starts(with: emitted) {
            output.append(jsonString: text.span.extracting(emitted.count..<text.count))
        } else {
            output.append(object.extracting(value.range))
        }
        emitted = []
    }
}

// MARK: - Usage

extension ContinuedStream {
    /// Appends usage that counts the text before as written: the engine read it as a part of the prompt.
    private func writeUsage(_ usage: Span<UInt8>, into output: inout ByteQueue) throws(JSONError) {
        var counts = UsageCounts()
        try counts.merge(usage)
        guard let reported = counts.usage else { return output.append(usage) }
        let prompt = max(reported.promptTokens - emittedTokens, promptTokens, 0)
        let (completion, overflow) = reported.completionTokens.addingReportingOverflow(emittedTokens)
        let (total, overflowsToo) = prompt.addingReportingOverflow(completion)
        guard !overflow, !overflowsToo else { return output.append(usage) }
        var object = ObjectWriter()
        var reader = JSONMemberReader()
        output.append(UInt8(ascii: "{"))
        while let member = try reader.next(usage) {
            object.begin(member, usage, into: &output)
            if isKey(member, "prompt_tokens", in: usage) {
                output.append(decimal: prompt)
            } else if isKey(member, "completion_tokens", in: usage) {
                output.append(decimal: completion)
            } else if isKey(member, "total_tokens", in: usage) {
                output.append(decimal: total)
            } else if member.value.kind == .object, isKey(member, "prompt_tokens_details", in: usage) {
                try writeDetails(usage.extracting(member.value.range), prompt: prompt, into: &output)
            } else {
                output.append(usage.extracting(member.value.range))
            }
        }
        output.append(UInt8(ascii: "}"))
    }

    /// Appends details of the prompt; of it, no more can come from a cache than it has.
    private func writeDetails(
        _ details: Span<UInt8>, prompt: Int, into output: inout ByteQueue
    ) throws(JSONError) {
        var object = ObjectWriter()
        var reader = JSONMemberReader()
        output.append(UInt8(ascii: "{"))
        while let member = try reader.next(details) {
            object.begin(member, details, into: &output)
            if isKey(member, "cached_tokens", in: details), let cached = jsonInteger(member.value, in: details) {
                output.append(decimal: min(cached, prompt))
            } else {
                output.append(details.extracting(member.value.range))
            }
        }
        output.append(UInt8(ascii: "}"))
    }
}

/// Writes the names of an object's members and what stands between them.
private struct ObjectWriter {
    private var isFirst = true

    /// Appends a member, unless its value is empty.
    mutating func write(_ key: StaticString, _ value: Span<UInt8>, into output: inout ByteQueue) {
        guard value.count > 0 else { return }
        separate(&output)
        output.append(jsonString: key)
        output.append(UInt8(ascii: ":"))
        output.append(value)
    }

    /// Appends the name of a member that was read, and the colon.
    mutating func begin(_ member: JSONMember, _ object: Span<UInt8>, into output: inout ByteQueue) {
        separate(&output)
        output.append(object.extracting((member.key.lowerBound - 1)..<(member.key.upperBound + 1)))
        output.append(UInt8(ascii: ":"))
    }

    private mutating func separate(_ output: inout ByteQueue) {
        if !isFirst { output.append(UInt8(ascii: ",")) }
        isFirst = false
    }
}
