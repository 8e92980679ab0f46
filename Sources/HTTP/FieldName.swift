internal import Bytes

/// The header fields Penstock acts on, as small integers; every other name is `.other`.
///
/// Inside nothing compares names as text: a name becomes a `FieldName` when it is read.
package enum FieldName: UInt8, Sendable, CaseIterable {
    case other
    case accept, acceptEncoding, apiKey, authorization, cacheControl, connection, contentEncoding, contentLength
    case contentType, cookie, date, expect, forwarded, from, host, http2Settings, keepAlive, location
    case openaiOrganization, openaiProcessingMillis, openaiProject, openaiVersion, proxyAuthenticate
    case proxyAuthorization, proxyConnection, range, requestID, retryAfter, retryAfterMillis, server, setCookie
    case te, traceparent, tracestate, trailer, transferEncoding, upgrade, userAgent, via
    case anthropicBeta, anthropicVersion, shouldRetry, stainlessRetryCount, xAPIKey, xForwardedFor, xForwardedHost
    case xForwardedProto, xRealIP, xRequestID, wwwAuthenticate, allow, contentDisposition
    case acceptLanguage, contentLanguage, googleAPIKey, idempotencyKey, openaiBeta, origin, priority, referer
    case xForwardedPort, xAccelBuffering

    /// The name in lower case; empty for `.other`.
    package var text: StaticString {
        switch self {
        case .other: ""
        case .accept: "accept"
        case .acceptEncoding: "accept-encoding"
        case .acceptLanguage: "accept-language"
        case .allow: "allow"
        case .anthropicBeta: "anthropic-beta"
        case .anthropicVersion: "anthropic-version"
        case .apiKey: "api-key"
        case .authorization: "authorization"
        case .cacheControl: "cache-control"
        case .connection: "connection"
        case .contentDisposition: "content-disposition"
        case .contentEncoding: "content-encoding"
        case .contentLanguage: "content-language"
        case .contentLength: "content-length"
        case .contentType: "content-type"
        case .cookie: "cookie"
        case .date: "date"
        case .expect: "expect"
        case .forwarded: "forwarded"
        case .from: "from"
        case .googleAPIKey: "x-goog-api-key"
        case .host: "host"
        case .http2Settings: "http2-settings"
        case .idempotencyKey: "idempotency-key"
        case .keepAlive: "keep-alive"
        case .location: "location"
        case .openaiBeta: "openai-beta"
        case .openaiOrganization: "openai-organization"
        case .openaiProcessingMillis: "openai-processing-ms"
        case .openaiProject: "openai-project"
        case .openaiVersion: "openai-version"
        case .origin: "origin"
        case .priority: "priority"
        case .proxyAuthenticate: "proxy-authenticate"
        case .proxyAuthorization: "proxy-authorization"
        case .proxyConnection: "proxy-connection"
        case .range: "range"
        case .referer: "referer"
        case .requestID: "request-id"
        case .retryAfter: "retry-after"
        case .retryAfterMillis: "retry-after-ms"
        case .server: "server"
        case .setCookie: "set-cookie"
        case .shouldRetry: "x-should-retry"
        case .stainlessRetryCount: "x-stainless-retry-count"
        case .te: "te"
        case .traceparent: "traceparent"
        case .tracestate: "tracestate"
        case .trailer: "trailer"
        case .transferEncoding: "transfer-encoding"
        case .upgrade: "upgrade"
        case .userAgent: "user-agent"
        case .via: "via"
        case .wwwAuthenticate: "www-authenticate"
        case .xAPIKey: "x-api-key"
        case .xAccelBuffering: "x-accel-buffering"
        case .xForwardedFor: "x-forwarded-for"
        case .xForwardedHost: "x-forwarded-host"
        case .xForwardedPort: "x-forwarded-port"
        case .xForwardedProto: "x-forwarded-proto"
        case .xRealIP: "x-real-ip"
        case .xRequestID: "x-request-id"
        }
    }

    /// The token of a field name written in any case.
    package init(_ name: Span<UInt8>) {
        var slot = fieldNameSlot(name)
        while case let candidate = fieldNameSlots[slot], candidate != .other {
            if bytesEqualIgnoringCase(name, candidate.text) {
                self = candidate
                return
            }
            slot = (slot + 1) & slotMask
        }
        self = .other
    }

    /// The token of a field name known to be in lower case, as names in HTTP/2 are.
    package init(lowercase name: Span<UInt8>) {
        var slot = fieldNameSlot(name)
        while case let candidate = fieldNameSlots[slot], candidate != .other {
            if bytesEqual(name, candidate.text) {
                self = candidate
                return
            }
            slot = (slot + 1) & slotMask
        }
        self = .other
    }
}

/// The known names by hash, open addressing: seven of eight slots are empty, so that a look-up seldom compares a name
/// it does not mean. Made once, at the first look-up.
private let fieldNameSlots: InlineArray<512, FieldName> = {
    var slots = InlineArray<512, FieldName>(repeating: .other)
    for name in FieldName.allCases where name != .other {
        var bytes: [UInt8] = []
        bytes.append(name.text)
        var slot = fieldNameSlot(bytes.span)
        while slots[slot] != .other { slot = (slot + 1) & slotMask }
        slots[slot] = name
    }
    return slots
}()

private let slotMask = 511

/// Where the search for a name starts: decided by its length and three letters, in either case.
@inline(__always) private func fieldNameSlot(_ name: Span<UInt8>) -> Int {
    guard !name.isEmpty else { return 0 }
    let first = UInt32(name[0] | 0x20)
    let middle = UInt32(name[name.count / 2] | 0x20)
    let last = UInt32(name[name.count - 1] | 0x20)
    let key = first | middle << 8 | last << 16 | UInt32(truncatingIfNeeded: name.count) << 24
    // The upper bits of a product with 2^32 divided by the golden ratio are well mixed.
    return Int((key &* 0x9E37_79B1) >> 23)
}
