/// A failure as the client sees it: status, OpenAI's four members, and hints for its retries.
package struct APIError: Error, Sendable, Equatable {
    /// What went wrong: one row of `docs/errors.md`.
    package enum Kind: UInt8, Sendable, CaseIterable {
        case malformedBody, contextLength, invalidKey, notPermitted, insufficientQuota, unknownModel, unknownPath
        case methodNotAllowed, requestTimeout, conflict, bodyTooLarge, headerTooLarge, unsupportedContentType
        case unsupportedContentEncoding, rateLimited, overloaded, noHealthyEndpoint, tooManyConnections
        case upstreamFailed, upstreamTimeout, upstreamRefusedCredentials, notSupported, `internal`
        /// The engine's own verdict, passed on.
        case upstreamVerdict
    }

    /// What went wrong.
    package var kind: Kind
    /// 400...599, as OpenAI's dialect has it; see `status(in:)`.
    package var status: Int
    /// `error.type`.
    package var type: String
    /// `error.code`.
    package var code: String?
    /// `error.param`.
    package var param: String?
    /// `error.message`.
    package var message: String
    /// For `retry-after`.
    package var retryAfterSeconds: Int?
    /// For `x-should-retry`, which SDKs obey before everything else; `nil` sends none.
    package var shouldRetry: Bool?

    /// An error.
    package init(
        _ kind: Kind, _ status: Int, type: String = "invalid_request_error", code: String? = nil,
        param: String? = nil, _ message: String, retryAfterSeconds: Int? = nil, shouldRetry: Bool? = nil
    ) {
        self.kind = kind
        self.status = status
        self.type = type
        self.code = code
        self.param = param
        self.message = message
        self.retryAfterSeconds = retryAfterSeconds
        self.shouldRetry = shouldRetry
    }

    /// The status to send: Anthropic has one of its own for overload.
    package func status(in dialect: APIDialect) -> Int {
        dialect == .anthropic && kind == .overloaded ? 529 : status
    }

    /// `error.type` in Anthropic's dialect.
    package var anthropicType: StaticString {
        switch kind {
        case .insufficientQuota: return "billing_error"
        case .overloaded, .noHealthyEndpoint, .tooManyConnections: return "overloaded_error"
        case .upstreamRefusedCredentials: return "api_error"
        default: break
        }
        switch status {
        case 401: return "authentication_error"
        case 402: return "billing_error"
        case 403: return "permission_error"
        case 404: return "not_found_error"
        case 408, 504: return "timeout_error"
        case 409: return "conflict_error"
        case 413: return "request_too_large"
        case 429: return "rate_limit_error"
        case 503, 529: return "overloaded_error"
        case 500...599 where status != 501: return "api_error"
        default: return "invalid_request_error"
        }
    }
}

extension APIError.Kind {
    /// The value of the label `reason` in metrics and of the field in logs.
    package var label: StaticString {
        switch self {
        case .malformedBody: "malformed_body"
        case .contextLength: "context_length"
        case .invalidKey: "invalid_key"
        case .notPermitted: "not_permitted"
        case .insufficientQuota: "insufficient_quota"
        case .unknownModel: "unknown_model"
        case .unknownPath: "unknown_path"
        case .methodNotAllowed: "method_not_allowed"
        case .requestTimeout: "request_timeout"
        case .conflict: "conflict"
        case .bodyTooLarge: "body_too_large"
        case .headerTooLarge: "header_too_large"
        case .unsupportedContentType: "unsupported_content_type"
        case .unsupportedContentEncoding: "unsupported_content_encoding"
        case .rateLimited: "rate_limited"
        case .overloaded: "overloaded"
        case .noHealthyEndpoint: "no_healthy_endpoint"
        case .tooManyConnections: "too_many_connections"
        case .upstreamFailed: "upstream_failed"
        case .upstreamTimeout: "upstream_timeout"
        case .upstreamRefusedCredentials: "upstream_refused_credentials"
        case .notSupported: "not_supported"
        case .internal: "internal"
        case .upstreamVerdict: "upstream_verdict"
        }
    }
}
