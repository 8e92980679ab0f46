package import HTTP

/// What one listener grants a client. Times in nanoseconds, sizes in bytes.
package struct ServerLimits: Sendable {
    package var http1 = HTTP1Limits()
    /// The largest request body.
    package var bodyBytes = 32 * 1024 * 1024
    /// Streams at once on one HTTP/2 connection.
    package var concurrentStreams = 100
    /// Connections at once on one listener of one reactor.
    package var connections = 10_000
    /// Without a request, an HTTP/1.1 or HTTP/2 connection lives that long.
    package var idleTimeout: Int64 = 75_000_000_000
    package var handshakeTimeout: Int64 = 10_000_000_000
    /// From the first byte of a head to its last.
    package var headerTimeout: Int64 = 10_000_000_000
    /// Between two pieces of a body.
    package var bodyIdleTimeout: Int64 = 15_000_000_000
    /// From the end of a head to the end of the body.
    package var bodyTimeout: Int64 = 300_000_000_000
    /// How long a client may take nothing of an answer that waits.
    package var writeTimeout: Int64 = 30_000_000_000

    package init() {}
}
