/// How much of an HTTP/1 message head and of its framing is accepted.
package struct HTTP1Limits: Sendable, Equatable {
    /// Bytes of a head: first line, fields and the empty line; beyond it 431.
    package var headBytes = 32_768
    /// Fields of a head; beyond it 431.
    package var headFields = 100
    /// Bytes of a request line without its line end; beyond it 414.
    package var requestLineBytes = 8192
    /// Bytes of all trailers of a body.
    package var trailerBytes = 8192
    /// Bytes of the extensions of one chunk; superfluous leading zeros of its size count too.
    package var chunkExtensionBytes = 256
    /// Bytes of the extensions of all chunks of a body.
    package var chunkExtensionTotalBytes = 8192
    /// Options in all `Connection` fields together; it bounds the search for the fields they name.
    package var connectionOptions = 64

    /// The limits of `docs/configuration.md`.
    package init() {}
}
