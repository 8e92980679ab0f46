package import HTTP
package import TLS

/// Which HTTP version an endpoint is spoken to in.
package enum UpstreamProtocol: Sendable, Equatable {
    case http1, http2
    /// What the endpoint chooses by ALPN; HTTP/1.1 without TLS.
    case automatic
}

/// How long one step of a call may take, in nanoseconds; `Int64.max / 2` for no limit.
package struct UpstreamTimeouts: Sendable, Equatable {
    package static let unlimited = Int64.max / 2

    /// Name, connection and TLS handshake together.
    package var connect: Int64 = 5_000_000_000
    /// From the request to the first byte of the answer.
    package var firstByte: Int64 = 300_000_000_000
    /// Between two bytes of the answer.
    package var idle: Int64 = 120_000_000_000
    /// The whole exchange.
    package var total = UpstreamTimeouts.unlimited

    package init() {}
}

/// Where an endpoint is and how it is spoken to.
package struct EndpointSettings: Sendable {
    package var host: String
    package var port: UInt16
    package var upstreamProtocol = UpstreamProtocol.automatic
    /// TLS to the endpoint; `nil` for plain connections.
    package var tls: TLSClientContext?
    /// The name that is verified and sent as SNI.
    package var serverName: String
    package var timeouts = UpstreamTimeouts()
    /// Connections at once, of one reactor.
    package var maxConnections = 1024
    /// Calls that may wait for a connection, of one reactor.
    package var maxPending = 1024
    /// How long an unused connection is kept, in nanoseconds.
    package var idleTimeout: Int64 = 55_000_000_000
    /// Streams at once on an HTTP/2 connection.
    package var maxStreams = 100
    package var responseLimits = HTTP1Limits()

    /// An endpoint with default settings.
    package init(host: String, port: UInt16) {
        self.host = host
        self.port = port
        serverName = host
    }
}
