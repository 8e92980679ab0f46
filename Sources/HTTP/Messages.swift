/// A request method Penstock knows; any other is refused with 501.
package enum Method: UInt8, Sendable {
    case get, head, post, put, delete, options, patch

    /// The method as it is written.
    package var text: StaticString {
        switch self {
        case .get: "GET"
        case .head: "HEAD"
        case .post: "POST"
        case .put: "PUT"
        case .delete: "DELETE"
        case .options: "OPTIONS"
        case .patch: "PATCH"
        }
    }
}

/// The protocol a message came in.
package enum HTTPVersion: UInt8, Sendable, Equatable {
    case http10, http11, http2

    /// The version as logs write it.
    package var text: StaticString {
        switch self {
        case .http10: "1.0"
        case .http11: "1.1"
        case .http2: "2"
        }
    }
}

/// How the end of a body is known.
package enum BodyFraming: Sendable, Equatable {
    /// There is no body.
    case none
    /// That many bytes follow.
    case length(Int)
    /// Chunks follow (HTTP/1.1), or DATA frames of unannounced length (HTTP/2).
    case chunked
    /// The body ends with the connection (HTTP/1 responses only).
    case untilClose
}

/// The head of a request, validated. Reused from request to request.
///
/// To be lent rather than copied: a copy costs a reference count for each list in it.
package struct RequestHead: ~Copyable, Sendable {
    package var method = Method.get
    package var version = HTTPVersion.http11
    /// Path and query, beginning with `/`; or `*`. Octets 0x21...0x7E only.
    package var target: [UInt8] = []
    /// Host and port as the client wrote them; empty for HTTP/1.0 without `Host`.
    package var authority: [UInt8] = []
    /// The fields, without `host` and the pseudo-fields; hop-by-hop fields are still there.
    package var fields = HeaderFields()
    package var framing = BodyFraming.none
    /// Whether the connection may serve another request after this one.
    package var keepsAlive = true
    /// Whether the client waits for `100 Continue` before it sends the body.
    package var expectsContinue = false

    /// An empty head to read into.
    package init() {}

    /// Forgets the request and keeps the memory.
    package mutating func reset() {
        method = .get
        version = .http11
        target.removeAll(keepingCapacity: true)
        authority.removeAll(keepingCapacity: true)
        fields.removeAll()
        framing = .none
        keepsAlive = true
        expectsContinue = false
    }
}

/// The head of a response, validated. Reused from response to response, and lent like that of a request.
package struct ResponseHead: ~Copyable, Sendable {
    /// 100...599.
    package var status = 200
    package var version = HTTPVersion.http11
    package var fields = HeaderFields()
    package var framing = BodyFraming.none
    /// Whether the connection may be used for another request.
    package var keepsAlive = true

    /// An empty head to read or write.
    package init() {}

    /// A second head that says the same.
    package func copied() -> ResponseHead {
        var other = ResponseHead()
        other.status = status
        other.version = version
        other.fields = fields
        other.framing = framing
        other.keepsAlive = keepsAlive
        return other
    }

    /// Forgets the response and keeps the memory.
    package mutating func reset() {
        status = 200
        version = .http11
        fields.removeAll()
        framing = .none
        keepsAlive = true
    }
}
