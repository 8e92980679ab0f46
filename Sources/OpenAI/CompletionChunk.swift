internal import Bytes

/// What one event of Chat Completions or Completions holds. Places are those of the data it was read from.
internal struct CompletionChunk {
    /// Where the JSON of the members stands that all events share; empty if there is none.
    private(set) var id = 0..<0
    private(set) var created = 0..<0
    private(set) var model = 0..<0
    private(set) var fingerprint = 0..<0
    /// Where the text stands, without quotes.
    private(set) var contents: [Range<Int>] = []
    /// Whether there is any choice.
    private(set) var hasChoices = false
    /// Whether a role is told.
    private(set) var hasRole = false
    /// What another engine could not go on with.
    private(set) var obstacle: ContinuationObstacle?

    /// Reads the data of an event.
    ///
    /// - Throws: If it is no JSON object, or a part of it that matters is not what it should be.
    mutating func read(_ payload: Span<UInt8>) throws(JSONError) {
        var reader = JSONMemberReader()
        while let member = try reader.next(payload) {
            let range = member.value.range
            if isKey(member, "id", in: payload) {
                id = range
            } else if isKey(member, "created", in: payload) {
                created = range
            } else if isKey(member, "model", in: payload) {
                model = range
            } else if isKey(member, "system_fingerprint", in: payload) {
                fingerprint = range
            } else if isKey(member, "choices", in: payload), member.value.kind == .array {
                try readChoices(payload, range)
            }
        }
    }

    private mutating func readChoices(_ payload: Span<UInt8>, _ place: Range<Int>) throws(JSONError) {
        let choices = payload.extracting(place)
        var elements = JSONElementReader()
        while let element = try elements.next(choices) {
            hasChoices = true
            guard element.kind == .object else { throw JSONError(.wrongKind, at: place.lowerBound) }
            try readChoice(payload, element.range.shifted(by: place.lowerBound))
        }
    }

    private mutating func readChoice(_ payload: Span<UInt8>, _ place: Range<Int>) throws(JSONError) {
        let choice = payload.extracting(place)
        var members = JSONMemberReader()
        while let member = try members.next(choice) {
            let value = member.value
            if isKey(member, "delta", in: choice), value.kind == .object {
                try readDelta(payload, value.range.shifted(by: place.lowerBound))
            } else if isKey(member, "text", in: choice), value.kind == .string {
                contents.append(value.content.shifted(by: place.lowerBound))
            } else if isKey(member, "index", in: choice), jsonInteger(value, in: choice) != 0 {
                obstacle = .choices
            } else if isKey(member, "logprobs", in: choice), value.kind != .null {
                obstacle = .logprobs
            }
        }
    }

    private mutating func readDelta(_ payload: Span<UInt8>, _ place: Range<Int>) throws(JSONError) {
        let delta = payload.extracting(place)
        var members = JSONMemberReader()
        while let member = try members.next(delta) {
            let value = member.value
            if CompletionChunk.isNothing(value, in: delta) { continue }
            if isKey(member, "content", in: delta), value.kind == .string {
                contents.append(value.content.shifted(by: place.lowerBound))
            } else if isKey(member, "role", in: delta) {
                hasRole = true
            } else if isKey(member, "tool_calls", in: delta) || isKey(member, "function_call", in: delta) {
                obstacle = .tools
            } else if isKey(member, "reasoning_content", in: delta) || isKey(member, "reasoning", in: delta) {
                obstacle = .reasoning
            } else {
                // A refusal, audio, or what is not known: nothing that text alone could go on with.
                obstacle = .otherOutput
            }
        }
    }

    /// Whether a value says nothing: `null`, or nothing between its quotes or brackets.
    static func isNothing(_ value: JSONValue, in bytes: Span<UInt8>) -> Bool {
        switch value.kind {
        case .null: true
        case .string: value.content.isEmpty
        case .array, .object: isBlank(bytes.extracting(value.content))
        case .number, .true, .false: false
        }
    }

    private static func isBlank(_ bytes: Span<UInt8>) -> Bool {
        for index in bytes.indices where bytes[index] > 0x20 { return false }
        return true
    }
}

extension Range<Int> {
    /// The same range of something that begins `offset` earlier.
    internal func shifted(by offset: Int) -> Range<Int> { (lowerBound + offset)..<(upperBound + offset) }
}
