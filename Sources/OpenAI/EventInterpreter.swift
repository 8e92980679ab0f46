internal import Bytes

/// Reads one event at a time, and gathers what it tells.
internal struct EventInterpreter: ~Copyable {
    /// What to do with an event.
    internal enum Verdict: Equatable {
        case keep
        /// Nothing but usage.
        case usageOnly
        /// Ordinary, with `,"usage":null` at that place of the bytes read.
        case nullUsage(Range<Int>)
        /// The engine tells of an error.
        case error
    }

    /// An event that was read.
    internal struct Event {
        /// Index behind its blank line.
        let end: Int
        /// Whether a line feed that may follow would still belong to it.
        let mayContinue: Bool
        let verdict: Verdict
    }

    internal private(set) var summary = EventStreamSummary()
    /// What another engine would have to know to go on; kept up only if asked for.
    internal private(set) var record: ContinuationRecord
    /// Whether an event has come that was nothing but usage.
    internal private(set) var hasUsageEvent = false
    private let dialect: EventDialect
    private var counts = UsageCounts()
    private var form = EventForm()
    /// Where the data of the event just read stands, if nothing of it but its text was of interest.
    private var ordinaryData: Range<Int>?

    /// - Parameter keepsText: Whether `record` is kept up; only of streams of `.completions`.
    internal init(dialect: EventDialect, keepsText: Bool = false) {
        self.dialect = dialect
        record = ContinuationRecord(isKept: keepsText && dialect == .completions)
        summary.isTerminated = dialect == .other
    }

    /// Forgets that the engine before told of an error: another one goes on.
    internal mutating func beginContinuation() {
        summary.hasError = false
    }

    /// Reads the event that begins at `start`; `nil`, and nothing is noted, if its end is not there.
    internal mutating func read(_ bytes: Span<UInt8>, from start: Int) -> Event? {
        if let match = form.match(bytes, from: start) { return take(match, bytes) }
        var fields = EventFields()
        var index = start
        ordinaryData = nil
        while index < bytes.count {
            let first = bytes[index]
            if first == 0x0A || first == 0x0D {
                let end = lineEnd(bytes, index)
                let mayContinue = first == 0x0D && end == bytes.count && end == index + 1
                let verdict = evaluate(fields, bytes)
                if let ordinaryData { form.learn(bytes, start..<end, data: ordinaryData) }
                return Event(end: end, mayContinue: mayContinue, verdict: verdict)
            }
            let line = markLine(bytes, from: index)
            guard let end = line.end else { return nil }
            fields.note(bytes, index..<end, line.marks)
            index = lineEnd(bytes, end)
        }
        return nil
    }

    /// Takes an event whose form is known.
    private mutating func take(_ match: EventForm.Match, _ bytes: Span<UInt8>) -> Event {
        summary.events += 1
        summary.contentEvents += 1
        if record.isKept { record.take(bytes.extracting(match.content)) }
        let verdict = form.nullUsage(before: match.end).map { Verdict.nullUsage($0) } ?? .keep
        return Event(end: match.end, mayContinue: false, verdict: verdict)
    }

    /// Index behind the line end at `index`.
    private func lineEnd(_ bytes: Span<UInt8>, _ index: Int) -> Int {
        bytes[index] == 0x0D && index + 1 < bytes.count && bytes[index + 1] == 0x0A ? index + 2 : index + 1
    }

    private mutating func evaluate(_ fields: EventFields, _ bytes: Span<UInt8>) -> Verdict {
        guard let data = fields.data else { return .keep }
        summary.events += 1
        if fields.hasSeveralDataLines {
            // Rare, and legal: the lines are one text with line feeds.
            let name = bytes.extracting(fields.name)
            let verdict = evaluate(fields, name: name, fields.joined.span, 0..<fields.joined.count)
            if case .nullUsage = verdict { return .keep }
            return verdict
        }
        return evaluate(fields, name: bytes.extracting(fields.name), bytes, data)
    }

    private mutating func evaluate(
        _ fields: EventFields, name: Span<UInt8>, _ bytes: Span<UInt8>, _ data: Range<Int>
    ) -> Verdict {
        let payload = bytes.extracting(data)
        if data.count == 6, bytesEqual(payload, "[DONE]") {
            summary.isTerminated = summary.isTerminated || dialect == .completions
            return .keep
        }
        switch dialect {
        case .completions:
            if name.count == 0, !fields.marks.asksForReading {
                summary.contentEvents += 1
                if record.isKept { record.note(payload) }
                if !fields.hasSeveralDataLines { ordinaryData = data }
                return fields.marks.nullUsage ? nullUsage(bytes, data) : .keep
            }
            let verdict = readCompletion(payload, name: name)
            return verdict == .keep && name.count == 0 ? nullUsage(bytes, data) : verdict
        case .messages, .responses, .other:
            readNamed(fields, payload, name: name)
            return .keep
        }
    }

    /// Finds `,"usage":null}` at the end of the data, where it can be left out without reading the JSON.
    private func nullUsage(_ bytes: Span<UInt8>, _ data: Range<Int>) -> Verdict {
        let start = data.upperBound - 14
        guard start > data.lowerBound, bytesEqual(bytes.extracting(start..<data.upperBound), ",\"usage\":null}") else {
            return .keep
        }
        return .nullUsage(start..<(start + 13))
    }
}

// MARK: - Reading the JSON

extension EventInterpreter {
    /// Reads a chunk of Chat Completions or Completions of which a mark says that it is no ordinary one.
    private mutating func readCompletion(_ payload: Span<UInt8>, name: Span<UInt8>) -> Verdict {
        var hasUsage = false
        var hasChoices = true
        var hasError = bytesEqual(name, "error")
        do throws(JSONError) {
            var reader = JSONMemberReader()
            while let member = try reader.next(payload) {
                let value = payload.extracting(member.value.range)
                if isKey(member, "usage", in: payload), member.value.kind == .object {
                    hasUsage = true
                    try counts.merge(value)
                } else if isKey(member, "choices", in: payload), member.value.kind == .array {
                    hasChoices = try readChoices(value)
                } else if isKey(member, "error", in: payload), member.value.kind != .null {
                    hasError = true
                } else if isKey(member, "object", in: payload), bytesEqual(value, "\"error\"") {
                    hasError = true
                }
            }
        } catch {
            // Not JSON: the client gets it as it is.
            summary.hasError = summary.hasError || hasError
            if hasError { return .error }
            if record.isKept { record.note(payload) }
            return .keep
        }
        if hasUsage { summary.usage = counts.usage }
        if hasError {
            summary.hasError = true
            return .error
        }
        if hasUsage, !hasChoices {
            hasUsageEvent = true
            return .usageOnly
        }
        summary.contentEvents += 1
        if record.isKept { record.note(payload) }
        return .keep
    }

    /// Notes finish reasons; returns whether there is any choice.
    private mutating func readChoices(_ choices: Span<UInt8>) throws(JSONError) -> Bool {
        var elements = JSONElementReader()
        var hasChoices = false
        while let element = try elements.next(choices) {
            hasChoices = true
            guard element.kind == .object else { continue }
            let choice = choices.extracting(element.range)
            var members = JSONMemberReader()
            while let member = try members.next(choice) {
                if member.value.kind == .string, isKey(member, "finish_reason", in: choice) {
                    summary.hasFinishReason = true
                }
            }
        }
        return hasChoices
    }

    /// Reads an event of a dialect in which events have names.
    private mutating func readNamed(_ fields: EventFields, _ payload: Span<UInt8>, name: Span<UInt8>) {
        let type: EventType
        if name.count > 0 {
            type = EventType(name, in: dialect)
        } else {
            let text = member("type", of: payload)
            type = EventType(text.span, in: dialect)
        }
        switch type {
        case .content: summary.contentEvents += 1
        case .end:
            summary.isTerminated = true
            summary.hasFinishReason = true
        case .failed:
            summary.isTerminated = true
            summary.hasError = true
        case .error: summary.hasError = true
        case .plain:
            if dialect == .other, fields.marks.error, holdsError(payload) { summary.hasError = true }
        }
        if fields.marks.usage, type != .content { readUsage(payload) }
    }

    /// The text of a top-level member; empty if there is none.
    private func member(_ key: StaticString, of payload: Span<UInt8>) -> [UInt8] {
        do throws(JSONError) {
            var reader = JSONMemberReader()
            while let member = try reader.next(payload) {
                if isKey(member, key, in: payload) { return jsonText(member.value, in: payload) ?? [] }
            }
        } catch {
            // Not JSON: no member.
        }
        return []
    }

    private func holdsError(_ payload: Span<UInt8>) -> Bool {
        do throws(JSONError) {
            var reader = JSONMemberReader()
            while let member = try reader.next(payload) {
                if member.value.kind != .null, isKey(member, "error", in: payload) { return true }
            }
        } catch {
            // Not JSON: no member.
        }
        return false
    }

    /// Takes `usage`, `message.usage` or `response.usage`.
    private mutating func readUsage(_ payload: Span<UInt8>, isNested: Bool = false) {
        do throws(JSONError) {
            var reader = JSONMemberReader()
            while let member = try reader.next(payload) {
                guard member.value.kind == .object else { continue }
                let value = payload.extracting(member.value.range)
                if isKey(member, "usage", in: payload) {
                    try counts.merge(value)
                    summary.usage = counts.usage
                } else if !isNested,
                    isKey(member, "message", in: payload) || isKey(member, "response", in: payload)
                {
                    readUsage(value, isNested: true)
                }
            }
        } catch {
            // Not JSON: the client gets it as it is.
        }
    }
}

/// What an event's name says.
private enum EventType {
    case content, end, failed, error, plain

    init(_ name: Span<UInt8>, in dialect: EventDialect) {
        if bytesEqual(name, "error") {
            self = .error
            return
        }
        switch dialect {
        case .messages where bytesEqual(name, "content_block_delta"): self = .content
        case .messages where bytesEqual(name, "message_stop"): self = .end
        case .responses where bytesEqual(name, "response.completed"): self = .end
        case .responses where bytesEqual(name, "response.incomplete"): self = .end
        case .responses where bytesEqual(name, "response.failed"): self = .failed
        case .responses, .other: self = EventType.endsInDelta(name) ? .content : .plain
        default: self = .plain
        }
    }

    private static func endsInDelta(_ name: Span<UInt8>) -> Bool {
        name.count > 6 && bytesEqual(name.extracting((name.count - 6)..<name.count), ".delta")
    }
}
