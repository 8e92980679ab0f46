internal import Bytes
internal import HTTP
internal import OpenAI

/// A request that is not sent: what an operator wants to know the way of.
///
/// On the wire it is the JSON object that `POST /admin/v1/explain` takes.
package struct ExplainQuestion: Sendable, Equatable {
    /// A header field.
    package struct Field: Sendable, Equatable {
        package let name: String
        package let value: String

        package init(name: String, value: String) { (self.name, self.value) = (name, value) }
    }

    /// The model's name as a client writes it; `nil`: as path or body name it.
    package var model: String?
    package var headers: [Field] = []
    /// Stands for the field `x-session-id`.
    package var session: String?
    /// The request's JSON body; empty if there is none.
    package var body: [UInt8] = []
    package var path = "/v1/chat/completions"
    /// Makes random draws the same each time; 0...Int.max.
    package var seed: Int?

    package init() {}

    /// The question as `POST /admin/v1/explain` takes it. `body` must be JSON.
    package var json: [UInt8] {
        var queue = ByteQueue()
        queue.append("{")
        if let model { queue.member("model", model) }
        queue.member("path", path)
        if !headers.isEmpty {
            queue.member("headers") { queue in
                for (index, field) in headers.enumerated() {
                    if index > 0 { queue.append(",") }
                    queue.append(jsonString: Array(field.name.utf8).span)
                    queue.append(":")
                    queue.append(jsonString: Array(field.value.utf8).span)
                }
            }
        }
        if let session { queue.member("session", session) }
        if let seed { queue.member("seed", seed) }
        if !body.isEmpty {
            queue.beginMember("body")
            queue.append(body)
        }
        queue.append("}")
        return [UInt8](copying: queue.span)
    }

    /// What is wrong with the question itself, whatever the gateway; `nil` if nothing.
    package var problem: String? {
        do throws(APIError) {
            try check()
            return nil
        } catch {
            return error.message
        }
    }
}

extension ExplainQuestion {
    /// Reads a question.
    init(parsing json: Span<UInt8>) throws(APIError) {
        self.init()
        var reader = JSONMemberReader()
        var seen: [String] = []
        while let member = try ExplainQuestion.next(&reader, json) {
            let key = String(decoding: decodeJSONText(json.extracting(member.key)), as: UTF8.self)
            if seen.contains(key) { throw .question("The member '\(key.prefix(64))' stands twice.", "body") }
            seen.append(key)
            try take(key, member.value, json)
        }
        try check()
    }

    private mutating func take(_ key: String, _ value: JSONValue, _ json: Span<UInt8>) throws(APIError) {
        switch key {
        case "model": model = try text(value, json, key)
        case "session": session = try text(value, json, key)
        case "path": path = try text(value, json, key)
        case "headers": headers = try ExplainQuestion.fields(value, json)
        case "body":
            guard value.kind == .object else { throw .question("'body' must be an object: a request's body.", key) }
            body = [UInt8](copying: json.extracting(value.range))
        case "seed":
            guard let number = jsonInteger(value, in: json) else {
                throw .question("'seed' must be a whole number, 0 or more.", key)
            }
            seed = number
        default:
            throw .question(
                "Unknown member '\(key.prefix(64))'; known are: model, headers, session, body, path, seed.", key)
        }
    }

    private func text(_ value: JSONValue, _ json: Span<UInt8>, _ key: String) throws(APIError) -> String {
        guard let bytes = jsonText(value, in: json), !bytes.isEmpty else {
            throw .question("'\(key)' must be a string that is not empty.", key)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func fields(_ value: JSONValue, _ json: Span<UInt8>) throws(APIError) -> [Field] {
        guard value.kind == .object else { throw .question("'headers' must be an object of strings.", "headers") }
        let object = json.extracting(value.range)
        var reader = JSONMemberReader()
        var found: [Field] = []
        while let member = try next(&reader, object) {
            let name = String(decoding: decodeJSONText(object.extracting(member.key)), as: UTF8.self)
            guard let text = jsonText(member.value, in: object) else {
                throw .question("The header '\(name.prefix(64))' must be a string.", "headers")
            }
            found.append(Field(name: name, value: String(decoding: text, as: UTF8.self)))
        }
        return found
    }

    private static func next(_ reader: inout JSONMemberReader, _ json: Span<UInt8>) throws(APIError) -> JSONMember? {
        do throws(JSONError) {
            return try reader.next(json)
        } catch {
            throw APIError(error.kind == .wrongKind ? BodyError.notAnObject : BodyError.notJSON(error))
        }
    }

    /// Checks what HTTP and the API would not let through.
    func check() throws(APIError) {
        for field in headers where !isToken(Array(field.name.utf8).span) || !isFieldValue(Array(field.value.utf8).span)
        {
            throw .question("'\(field.name.prefix(64))' is no header field with its value.", "headers")
        }
        if let session, !isFieldValue(Array(session.utf8).span) {
            throw .question("'session' cannot stand in a header field.", "session")
        }
        if let model, model.utf8.count > RequestFacts.modelLimit { throw APIError(BodyError.modelTooLong) }
        if !body.isEmpty {
            var facts = RequestFacts()
            do throws(BodyError) {
                try inspect(body.span, into: &facts, model: .bodyIfAny)
            } catch {
                throw APIError(error)
            }
        }
        _ = try operation
    }

    /// What the path asks for, which must be something that goes to an engine.
    var operation: APIPath {
        get throws(APIError) {
            let target = Array(path.utf8)
            guard target.first == UInt8(ascii: "/") else { throw .question("'path' must begin with '/'.", "path") }
            guard target.allSatisfy({ (0x21...0x7E).contains($0) }) else {
                throw .question("'path' has characters that a request's path cannot have.", "path")
            }
            switch APITarget.classify(.post, target.span) {
            case .operation(let path): return path
            case .notFound: throw .unknownPath(target.span)
            case .methodNotAllowed:
                throw .question("Requests for this path are answered by the gateway itself.", "path")
            }
        }
    }

    /// The head of the request, as far as it says where to go.
    var fields: HeaderFields {
        var fields = HeaderFields()
        if let session { fields.append(name: "x-session-id", value: session) }
        for field in headers { fields.append(name: field.name, value: field.value) }
        return fields
    }
}

extension APIError {
    /// 400: the question of an operator cannot be understood.
    fileprivate static func question(_ message: String, _ param: String) -> APIError {
        APIError(.malformedBody, 400, code: "invalid_value", param: param, message)
    }
}

/// The message of an error in the API's shape; `nil` if the bytes are none.
package func errorMessage(inAnswer bytes: [UInt8]) -> String? {
    func member(_ name: StaticString, of json: Span<UInt8>) -> JSONValue? {
        var reader = JSONMemberReader()
        while let member = try? reader.next(json) {
            if isKey(member, name, in: json) { return member.value }
        }
        return nil
    }
    guard let error = member("error", of: bytes.span), error.kind == .object else { return nil }
    let object = bytes.span.extracting(error.range)
    guard let message = member("message", of: object), let text = jsonText(message, in: object) else { return nil }
    return String(decoding: text, as: UTF8.self)
}
