internal import Bytes

/// What an engine's or provider's error answer means for what is tried next.
package enum ErrorClass: UInt8, Sendable, CaseIterable {
    /// The prompt does not fit: a model with a larger context may take it.
    case contextLength
    /// The content was refused: another model may take it.
    case contentPolicy
    /// It has no room now, or the quota is used up: another endpoint may.
    case full
    /// It does not have the model.
    case modelMissing
    /// It refused our or the client's credentials.
    case authentication
    /// The request is at fault: it would be everywhere.
    case client
    /// It is at fault.
    case server

    /// Reads an error answer.
    ///
    /// - Parameters:
    ///   - status: Its status; one that is no error counts as the server's fault.
    ///   - body: Its body, in any of the shapes `APIError.upstream(status:body:credentialsAreOurs:)` knows.
    package init(status: Int, body: Span<UInt8>) {
        self.init(status: status, UpstreamErrorBody(body))
    }

    /// Reads an error that came inside a stream, whose status was 200.
    ///
    /// - Parameter event: Its data. The status is the code it gives, if that is a number; else 500.
    package init(event: Span<UInt8>) {
        let said = UpstreamErrorBody(event)
        let number = said.number ?? said.code.flatMap { Int(String(decoding: $0, as: UTF8.self)) }
        self.init(status: number ?? 500, said)
    }

    internal init(status: Int, _ said: UpstreamErrorBody) {
        guard (400...599).contains(status) else {
            self = .server
            return
        }
        if said.tellsOfContextLength {
            self = .contextLength
        } else if status < 500, said.tellsOfContentPolicy {
            self = .contentPolicy
        } else if said.tellsOfLoad {
            self = .full
        } else if said.has(code: "model_not_found") {
            self = .modelMissing
        } else {
            self = ErrorClass(status: status)
        }
    }

    /// What the status alone says.
    private init(status: Int) {
        self =
            switch status {
            case 401, 403, 407: .authentication
            case 402, 429, 503, 529: .full
            case 404: .modelMissing
            case 408: .server
            case 400..<500: .client
            default: .server
            }
    }

    /// The value of a label.
    package var label: StaticString {
        switch self {
        case .contextLength: "context_length"
        case .contentPolicy: "content_policy"
        case .full: "full"
        case .modelMissing: "model_missing"
        case .authentication: "authentication"
        case .client: "client"
        case .server: "server"
        }
    }
}

extension UpstreamErrorBody {
    /// Whether the prompt is said not to fit, in any of the phrases of engines and providers.
    internal var tellsOfContextLength: Bool {
        if has(code: "context_length_exceeded") || has(type: "exceed_context_size_error") { return true }
        return says([
            "maximum context length", "available context size", "maximum model length", "context length exceeded",
            "exceeds the context window", "exceed context window", "exceeds the context length", "prompt is too long",
            "longer than the model's context length", "context window exceeded",
            // Gemini, Azure and TGI.
            "exceeds the maximum number of tokens allowed", "input tokens exceed the configured limit",
            "`inputs` tokens + `max_new_tokens` must be",
        ])
    }

    /// Whether the content is said to be refused.
    internal var tellsOfContentPolicy: Bool {
        if has(code: "content_policy_violation") || has(code: "content_filter")
            || has(code: "ResponsibleAIPolicyViolation")
        {
            return true
        }
        return says([
            "content_policy_violation", "responsibleaipolicyviolation", "safety system", "content management policy",
        ])
    }

    /// Whether it is said to be a matter of load, whatever the status.
    internal var tellsOfLoad: Bool {
        has(type: "overloaded_error") || has(type: "ThrottlingException") || has(code: "ThrottlingException")
            || has(code: "rate_limit_exceeded") || has(code: "server_is_overloaded") || has(code: "insufficient_quota")
    }

    internal func has(code name: StaticString) -> Bool {
        guard let code else { return false }
        return bytesEqual(code.span, name)
    }

    internal func has(type name: StaticString) -> Bool {
        guard let type else { return false }
        return bytesEqual(type.span, name)
    }

    /// Whether the message has one of the phrases, which are lower case.
    private func says(_ phrases: [StaticString]) -> Bool {
        guard let message else { return false }
        let text = message.map(asciiLowercased)
        return phrases.contains { APIError.contains(text.span, $0) }
    }
}

/// Whether bytes can be a whole JSON object or array, going by the first and the last alone: an answer that says it is
/// JSON and fails this is none.
package func looksLikeJSON(_ bytes: Span<UInt8>) -> Bool {
    var first = 0
    var last = bytes.count - 1
    while first < last, isJSONSpace(bytes[first]) { first += 1 }
    while last > first, isJSONSpace(bytes[last]) { last -= 1 }
    guard first < last else { return false }
    switch bytes[first] {
    case UInt8(ascii: "{"): return bytes[last] == UInt8(ascii: "}")
    case UInt8(ascii: "["): return bytes[last] == UInt8(ascii: "]")
    default: return false
    }
}

private func isJSONSpace(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09
}
