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

    /// The name in lower case; empty for `.other`.
    package var text: StaticString {
        switch self {
        case .other: ""
        case .accept: "accept"
        case .acceptEncoding: "accept-encoding"
        case .allow: "allow"
        case .anthropicBeta: "anthropic-beta"
        case .anthropicVersion: "anthropic-version"
        case .apiKey: "api-key"
        case .authorization: "authorization"
        case .cacheControl: "cache-control"
        case .connection: "connection"
        case .contentDisposition: "content-disposition"
        case .contentEncoding: "content-encoding"
        case .contentLength: "content-length"
        case .contentType: "content-type"
        case .cookie: "cookie"
        case .date: "date"
        case .expect: "expect"
        case .forwarded: "forwarded"
        case .from: "from"
        case .host: "host"
        case .http2Settings: "http2-settings"
        case .keepAlive: "keep-alive"
        case .location: "location"
        case .openaiOrganization: "openai-organization"
        case .openaiProcessingMillis: "openai-processing-ms"
        case .openaiProject: "openai-project"
        case .openaiVersion: "openai-version"
        case .proxyAuthenticate: "proxy-authenticate"
        case .proxyAuthorization: "proxy-authorization"
        case .proxyConnection: "proxy-connection"
        case .range: "range"
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
        case .xForwardedFor: "x-forwarded-for"
        case .xForwardedHost: "x-forwarded-host"
        case .xForwardedProto: "x-forwarded-proto"
        case .xRealIP: "x-real-ip"
        case .xRequestID: "x-request-id"
        }
    }

    /// The token of a field name written in any case.
    package init(_ name: Span<UInt8>) {
        self = FieldName.table.lookup(name)
    }

    private static let table = FieldNameTable()
}

/// Known names by length, so that a look-up compares a few candidates.
private struct FieldNameTable: Sendable {
    private let byLength: [[FieldName]]

    init() {
        var table: [[FieldName]] = Array(repeating: [], count: 32)
        for name in FieldName.allCases where name.text.utf8CodeUnitCount > 0 {
            table[name.text.utf8CodeUnitCount].append(name)
        }
        byLength = table
    }

    func lookup(_ name: Span<UInt8>) -> FieldName {
        guard name.count < byLength.count else { return .other }
        for candidate in byLength[name.count] where bytesEqualIgnoringCase(name, candidate.text) { return candidate }
        return .other
    }
}
