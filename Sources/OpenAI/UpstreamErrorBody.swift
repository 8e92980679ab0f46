internal import Bytes

/// What an engine's error body says, whichever of the known shapes it has.
internal struct UpstreamErrorBody {
    var message: [UInt8]?
    var type: [UInt8]?
    var param: [UInt8]?
    var code: [UInt8]?
    /// A code that is a number.
    var number: Int?

    /// Bytes of a message that are adopted.
    static let messageLimit = 4096

    /// Reads a body; all is `nil` if it has none of the shapes.
    init(_ body: Span<UInt8>) {
        do throws(JSONError) {
            try read(body)
        } catch {
            // Broken JSON, or none: what was read up to there stands.
        }
    }

    private mutating func read(_ body: Span<UInt8>) throws(JSONError) {
        let value = try readJSON(body)
        switch value.kind {
        case .object: try readObject(body)
        case .array:
            // Google wraps its object in an array of one.
            var elements = JSONElementReader()
            if let first = try elements.next(body), first.kind == .object {
                try readObject(body.extracting(first.range))
            }
        case .string: message = jsonText(value, in: body)
        default: break
        }
    }

    /// `{"error":…}`, or flat members, or FastAPI's `detail`.
    private mutating func readObject(_ object: Span<UInt8>) throws(JSONError) {
        var reader = JSONMemberReader()
        var flat = Members()
        while let member = try reader.next(object) {
            let value = object.extracting(member.value.range)
            if isKey(member, "error", in: object), member.value.kind == .object {
                try readError(value)
                return
            }
            if isKey(member, "error", in: object), member.value.kind == .string {
                flat.message = jsonText(member.value, in: object)
            } else if isKey(member, "detail", in: object) {
                flat.message = try detail(member.value, object) ?? flat.message
            } else {
                flat.note(member, in: object)
            }
        }
        take(flat)
    }

    private mutating func readError(_ error: Span<UInt8>) throws(JSONError) {
        var reader = JSONMemberReader()
        var members = Members()
        while let member = try reader.next(error) { members.note(member, in: error) }
        take(members)
    }

    private mutating func take(_ members: Members) {
        message = members.message.map { Array($0.prefix(UpstreamErrorBody.messageLimit)) }
        type = members.type
        param = members.param
        code = members.code
        number = members.number
    }

    /// FastAPI's `detail`: a text, or a list of `{loc, msg, type}`.
    private func detail(_ value: JSONValue, _ object: Span<UInt8>) throws(JSONError) -> [UInt8]? {
        switch value.kind {
        case .string: return jsonText(value, in: object)
        case .array:
            let list = object.extracting(value.range)
            var elements = JSONElementReader()
            var text: [UInt8] = []
            while text.count < UpstreamErrorBody.messageLimit, let element = try elements.next(list) {
                guard element.kind == .object else { continue }
                if !text.isEmpty { text.append("; ") }
                try appendProblem(list.extracting(element.range), to: &text)
            }
            return text.isEmpty ? nil : text
        default: return nil
        }
    }

    /// Appends `body.messages.0: field required`.
    private func appendProblem(_ problem: Span<UInt8>, to text: inout [UInt8]) throws(JSONError) {
        var reader = JSONMemberReader()
        var place: [UInt8] = []
        var message: [UInt8] = []
        while let member = try reader.next(problem) {
            if isKey(member, "msg", in: problem) {
                message = jsonText(member.value, in: problem) ?? []
            } else if isKey(member, "loc", in: problem), member.value.kind == .array {
                let list = problem.extracting(member.value.range)
                var elements = JSONElementReader()
                while let element = try elements.next(list) {
                    if !place.isEmpty { place.append(UInt8(ascii: ".")) }
                    place.append(
                        contentsOf: jsonText(element, in: list) ?? [UInt8](copying: list.extracting(element.range)))
                }
            }
        }
        text.append(contentsOf: place)
        if !place.isEmpty, !message.isEmpty { text.append(": ") }
        text.append(contentsOf: message)
    }

    /// The members that error objects have in one shape or another.
    private struct Members {
        var message: [UInt8]?
        var type: [UInt8]?
        var param: [UInt8]?
        var code: [UInt8]?
        var number: Int?

        mutating func note(_ member: JSONMember, in object: Span<UInt8>) {
            let text = jsonText(member.value, in: object)
            if isKey(member, "message", in: object) || isKey(member, "Message", in: object) {
                message = text
            } else if isKey(member, "type", in: object) || isKey(member, "error_type", in: object)
                || isKey(member, "__type", in: object) || isKey(member, "status", in: object)
            {
                type = text ?? type
            } else if isKey(member, "param", in: object) {
                param = text
            } else if isKey(member, "code", in: object) {
                code = text
                number = jsonInteger(member.value, in: object)
            }
        }
    }
}
