internal import Bytes

extension FieldName {
    /// Whether the field concerns one connection only and is never passed on. RFC 9110 section 7.6.1.
    package var isHopByHop: Bool {
        switch self {
        case .connection, .http2Settings, .keepAlive, .proxyAuthenticate, .proxyAuthorization, .proxyConnection, .te,
            .trailer, .transferEncoding, .upgrade:
            true
        default: false
        }
    }

    /// Whether the value is a secret of the client: never logged, and sent on only where nobody else's key is used.
    package var isCredential: Bool {
        switch self {
        case .apiKey, .authorization, .cookie, .googleAPIKey, .proxyAuthorization, .xAPIKey: true
        default: false
        }
    }

    /// Whether the field describes where a request came from: believed from trusted proxies only, and rebuilt.
    package var isForwarding: Bool {
        switch self {
        case .forwarded, .via, .xForwardedFor, .xForwardedHost, .xForwardedPort, .xForwardedProto, .xRealIP: true
        default: false
        }
    }

    /// Whether a request field of this name may go on to the backend; `.other` may, subject to its name.
    ///
    /// Not what describes the hop, what we write ourselves (length, host, request id), what would bring an answer we
    /// do not read (`accept-encoding`, `range`), and what browsers say of a page: some engines refuse by `origin`.
    /// Credentials are not judged here: the caller decides on those for which `isCredential` holds.
    package var forwardedUpstream: Bool {
        switch self {
        case .acceptEncoding, .contentLength, .date, .expect, .host, .origin, .priority, .range, .referer, .requestID,
            .server, .setCookie, .xRequestID:
            false
        default: !isHopByHop && !isForwarding
        }
    }

    /// Whether a response field of this name may go on to the client: an allow-list; `.other` may not, unless its
    /// name begins with a prefix of a provider.
    package var forwardedDownstream: Bool {
        switch self {
        case .anthropicBeta, .anthropicVersion, .cacheControl, .contentDisposition, .contentEncoding,
            .contentLanguage, .contentType, .openaiBeta, .openaiOrganization, .openaiProcessingMillis, .openaiProject,
            .openaiVersion, .requestID, .retryAfter, .retryAfterMillis, .shouldRetry, .xRequestID:
            true
        default: false
        }
    }

    /// Whether the field says something about host, body or connection that the parser must know.
    internal var decidesFraming: Bool {
        switch self {
        case .connection, .contentLength, .expect, .host, .transferEncoding: true
        default: false
        }
    }

    /// Whether the writer makes the field itself, from the framing and the fate of the connection.
    internal var isWrittenFromFraming: Bool {
        switch self {
        case .connection, .contentLength, .host, .http2Settings, .keepAlive, .proxyConnection, .te, .trailer,
            .transferEncoding, .upgrade:
            true
        default: false
        }
    }

    /// Whether `Connection` may not name this field away.
    internal var isEndToEndAlways: Bool {
        switch self {
        case .connection, .expect, .host, .transferEncoding: true
        default: isCredential
        }
    }
}

extension HeaderFields {
    /// Whether a field of a request may go on to the backend, judged by its whole name. See `forwardedUpstream`.
    package func isForwardedUpstream(_ field: Field) -> Bool {
        if field.name != .other { return field.name.forwardedUpstream }
        let name = bytes.span.extracting(field.nameRange)
        return
            !(bytesBegin(name, with: "x-forwarded-") || bytesBegin(name, with: "x-gateway-")
            || bytesBegin(name, with: "x-envoy-") || bytesBegin(name, with: "x-original-")
            || bytesBegin(name, with: "x-rewrite-") || bytesBegin(name, with: "x-http-method")
            || bytesBegin(name, with: "x-method-override") || bytesBegin(name, with: "x-penstock-")
            || bytesBegin(name, with: "proxy-") || bytesBegin(name, with: "sec-")
            || bytesBegin(name, with: "access-control-"))
    }

    /// Whether a field of a response may go on to the client, judged by its whole name. See `forwardedDownstream`.
    package func isForwardedDownstream(_ field: Field) -> Bool {
        if field.name != .other { return field.name.forwardedDownstream }
        let name = bytes.span.extracting(field.nameRange)
        return bytesBegin(name, with: "x-ratelimit-") || bytesBegin(name, with: "openai-")
            || bytesBegin(name, with: "anthropic-")
    }
}
