internal import Bytes

/// The rows of the error table: one constructor for each condition, so that status, type and code are decided here.
extension APIError {
    /// 400: the body cannot be served.
    package init(_ error: BodyError) {
        self.init(.malformedBody, 400, code: error.code, param: error.param, error.message)
    }

    /// 401: no key, or one that is not known. Both read the same.
    package static var invalidKey: APIError {
        APIError(.invalidKey, 401, code: "invalid_api_key", "Incorrect or missing API key.")
    }

    /// 403: the key is known and may not do this.
    package static func notPermitted(model: Span<UInt8>) -> APIError {
        APIError(
            .notPermitted, 403, code: "model_not_allowed", param: "model",
            "This API key may not use the model \(quoted(model)).")
    }

    /// 429: what was paid for is used up. Trying again does not help.
    package static var insufficientQuota: APIError {
        APIError(
            .insufficientQuota, 429, type: "insufficient_quota", code: "insufficient_quota",
            "You exceeded your current quota.", shouldRetry: false)
    }

    /// 404: no model of that name that the caller may use.
    ///
    /// - Parameters:
    ///   - model: As the client wrote it; at most 64 octets of it are echoed.
    ///   - near: Names like it, from `nearMatches`.
    package static func unknownModel(_ model: Span<UInt8>, near: [[UInt8]] = []) -> APIError {
        var message = "The model \(quoted(model)) does not exist or you do not have access to it."
        if !near.isEmpty {
            let names = near.map { quoted($0.span) }
            message += " Did you mean \(names.joined(separator: " or "))?"
        }
        return APIError(.unknownModel, 404, code: "model_not_found", param: "model", message)
    }

    /// 404: no such path.
    package static func unknownPath(_ path: Span<UInt8>) -> APIError {
        APIError(.unknownPath, 404, code: "unknown_url", "Unknown request URL \(quoted(path)).")
    }

    /// 405; the `allow` field is the caller's to send.
    package static func methodNotAllowed(allow: APITarget.Allow) -> APIError {
        APIError(
            .methodNotAllowed, 405, code: "method_not_allowed",
            "Not allowed to use that method on this URL; it takes \(allow.text).")
    }

    /// 408: the client was too slow to send its request.
    package static var requestTimeout: APIError {
        APIError(.requestTimeout, 408, code: "request_timeout", "The request was not received in time.")
    }

    /// 409: the same request is being served.
    package static var conflict: APIError {
        APIError(.conflict, 409, code: "conflict", "Another request with the same idempotency key is in progress.")
    }

    /// 413.
    package static func bodyTooLarge(limit: Int) -> APIError {
        APIError(.bodyTooLarge, 413, code: "request_too_large", "The request body is larger than \(limit) bytes.")
    }

    /// 431.
    package static var headerTooLarge: APIError {
        APIError(.headerTooLarge, 431, code: "header_too_large", "The request header fields are too large.")
    }

    /// 415 for the media type.
    package static func unsupportedContentType(expected: StaticString) -> APIError {
        APIError(
            .unsupportedContentType, 415, code: "unsupported_content_type",
            "Unsupported Content-Type: this URL takes '\(expected)'.")
    }

    /// 415 for a compressed body.
    package static var unsupportedContentEncoding: APIError {
        APIError(
            .unsupportedContentEncoding, 415, code: "unsupported_content_encoding",
            "Unsupported Content-Encoding: send the body as it is.")
    }

    /// What a rate limit counts.
    package enum RateUnit: String, Sendable { case requests, tokens }

    /// 429.
    package static func rateLimited(_ unit: RateUnit, retryAfterSeconds: Int?) -> APIError {
        APIError(
            .rateLimited, 429, type: unit.rawValue, code: "rate_limit_exceeded",
            "Rate limit reached for \(unit.rawValue). Please try again later.", retryAfterSeconds: retryAfterSeconds)
    }

    /// 503 (529 in Anthropic's dialect): the queue is full, or load is shed.
    package static func overloaded(retryAfterSeconds: Int = 1) -> APIError {
        APIError(
            .overloaded, 503, type: "server_error", code: "server_is_overloaded",
            "The server is overloaded. Please try again shortly.", retryAfterSeconds: retryAfterSeconds)
    }

    /// 503: the listener has as many connections as it may have.
    package static var tooManyConnections: APIError {
        APIError(
            .tooManyConnections, 503, type: "server_error", code: "server_is_overloaded",
            "Too many connections. Please try again shortly.", retryAfterSeconds: 1)
    }

    /// 503: no endpoint of the model can be used now.
    package static func noHealthyEndpoint(model: Span<UInt8>, retryAfterSeconds: Int = 5) -> APIError {
        APIError(
            .noHealthyEndpoint, 503, type: "server_error", code: "no_healthy_backend",
            "The model \(quoted(model)) has no backend that can serve it now.", retryAfterSeconds: retryAfterSeconds)
    }

    /// How an upstream failed.
    package enum UpstreamFailure: Sendable {
        case unreachable, reset, garbage, truncated, tooLarge

        fileprivate var text: String {
            switch self {
            case .unreachable: "The model's backend could not be reached."
            case .reset: "The model's backend closed the connection before it answered."
            case .garbage: "The model's backend gave an answer that could not be understood."
            case .truncated: "The model's backend stopped in the middle of its answer."
            case .tooLarge: "The model's backend gave an answer that is too large."
            }
        }
    }

    /// 502, after our own retries.
    ///
    /// - Parameter shouldRetry: `false` when our retries are used up; the SDK would multiply them.
    package static func upstreamFailed(_ failure: UpstreamFailure, shouldRetry: Bool? = nil) -> APIError {
        APIError(
            .upstreamFailed, 502, type: "server_error", code: "upstream_error", failure.text, shouldRetry: shouldRetry)
    }

    /// 502: the provider does not accept the credentials Penstock was given. The client can do nothing about it.
    package static var upstreamRefusedCredentials: APIError {
        APIError(
            .upstreamRefusedCredentials, 502, type: "server_error", code: "upstream_error",
            "The provider refused our credentials.", shouldRetry: false)
    }

    /// 504: no first byte, or not all of the answer, in time.
    package static var upstreamTimeout: APIError {
        APIError(
            .upstreamTimeout, 504, type: "server_error", code: "upstream_timeout",
            "The model's backend did not answer in time.")
    }

    /// 501.
    package static func notSupported(param: String?) -> APIError {
        APIError(
            .notSupported, 501, code: "not_supported", param: param, "This is not supported here.", shouldRetry: false)
    }

    /// 500: a mistake of ours.
    package static var `internal`: APIError {
        APIError(
            .internal, 500, type: "server_error", code: "internal_error",
            "The server had an error while processing your request.")
    }

    /// At most 64 octets of client input between quotation marks, cut between characters.
    internal static func quoted(_ bytes: Span<UInt8>) -> String {
        guard bytes.count > 64 else { return "'\(String(decoding: [UInt8](copying: bytes), as: UTF8.self))'" }
        var end = 64
        while end > 60, bytes[end] & 0xC0 == 0x80 { end -= 1 }
        return "'\(String(decoding: [UInt8](copying: bytes.extracting(0..<end)), as: UTF8.self))…'"
    }
}
