internal import Bytes

extension APIError {
    /// An engine's or provider's error answer in our words: its message, our types and codes.
    ///
    /// - Parameters:
    ///   - status: Its status, 300 or above.
    ///   - body: Its body; the shapes of vLLM, SGLang, llama.cpp, TGI, Ollama, FastAPI, Anthropic, Google and AWS are
    ///     known. Whatever is none of them, such as HTML, is not shown.
    ///   - credentialsAreOurs: Whether the request bore a key of ours: then a refusal is no fault of the client's.
    /// - Returns: What to send. Addresses in the message are taken out.
    package static func upstream(status: Int, body: Span<UInt8>, credentialsAreOurs: Bool) -> APIError {
        guard (400...599).contains(status), status != 407 else { return .upstreamFailed(.garbage) }
        if credentialsAreOurs, status == 401 || status == 403 { return .upstreamRefusedCredentials }
        let said = UpstreamErrorBody(body)
        let message = said.message.flatMap { $0.isEmpty ? nil : withoutAddresses($0) }
        if said.tellsOfContextLength {
            return APIError(
                .contextLength, 400, code: "context_length_exceeded", param: "messages",
                message ?? "This model's maximum context length was exceeded.")
        }
        var error = verdict(status, message)
        if let code = said.code.flatMap(identifier) {
            error.code = code
        } else if let number = said.number, number != status {
            error.code = String(number)
        }
        if let type = said.type.flatMap(identifier), isOpenAIType(type) { error.type = type }
        if let param = said.param.flatMap(identifier) { error.param = param }
        if error.code == "insufficient_quota" || error.type == "insufficient_quota" { error.kind = .insufficientQuota }
        return error
    }

    /// What a status means where the body does not say more.
    private static func verdict(_ status: Int, _ message: String?) -> APIError {
        switch status {
        case 401:
            return APIError(
                .upstreamVerdict, 401, code: "invalid_api_key", message ?? "Incorrect or missing API key.")
        case 402:
            return APIError(
                .upstreamVerdict, 402, type: "insufficient_quota", code: "insufficient_quota",
                message ?? "You exceeded your current quota.", shouldRetry: false)
        case 403: return APIError(.upstreamVerdict, 403, message ?? "The provider refused the request.")
        case 404: return APIError(.upstreamVerdict, 404, message ?? "The model's backend does not know this.")
        case 413:
            return APIError(
                .upstreamVerdict, 413, code: "request_too_large", message ?? "The request body is too large.")
        case 429:
            return APIError(
                .upstreamVerdict, 429, type: "requests", code: "rate_limit_exceeded",
                message ?? "The model's backend is rate limited. Please try again later.")
        case 501:
            return APIError(.upstreamVerdict, 501, code: "not_supported", message ?? "This is not supported here.")
        case 503, 529:
            return APIError(
                .overloaded, 503, type: "server_error", code: "server_is_overloaded",
                message ?? "The server is overloaded. Please try again shortly.")
        case 504:
            return APIError(
                .upstreamTimeout, 504, type: "server_error", code: "upstream_timeout",
                message ?? "The model's backend did not answer in time.")
        case 500...599:
            return APIError(
                .upstreamVerdict, status, type: "server_error", code: "upstream_error",
                message ?? "The model's backend had an error.")
        default: return APIError(.upstreamVerdict, status, message ?? "The model's backend refused the request.")
        }
    }

    /// A code, type or parameter as APIs write them; everything else is dropped.
    private static func identifier(_ text: [UInt8]) -> String? {
        guard (1...64).contains(text.count) else { return nil }
        for byte in text {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"),
                UInt8(ascii: "["), UInt8(ascii: "]"):
                continue
            default: return nil
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static func isOpenAIType(_ type: String) -> Bool {
        switch type {
        case "invalid_request_error", "insufficient_quota", "server_error", "requests", "tokens",
            "image_generation_user_error":
            true
        default: false
        }
    }

    /// Whether `phrase` stands somewhere in `text`. For cold paths.
    internal static func contains(_ text: Span<UInt8>, _ phrase: StaticString) -> Bool {
        var index = 0
        while index + phrase.utf8CodeUnitCount <= text.count {
            if bytesBegin(text.extracting(index..<text.count), with: phrase) { return true }
            index += 1
        }
        return false
    }
}
