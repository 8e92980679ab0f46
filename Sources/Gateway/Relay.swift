internal import Bytes
internal import HTTP
internal import OpenAI

/// What is kept of a response while it passes through.
struct Relay: ~Copyable {
    /// What the body is, as far as that changes how it is relayed.
    enum Kind { case events, json, other }

    var kind = Kind.other
    /// Whether the wish for usage was ours, so that the client must not see the answer to it.
    var stripsUsage = false
    var scanner: EventStreamScanner?
    /// A JSON body, kept for its usage; or the body of an error.
    var kept = ByteQueue()
    /// Whether more came than is kept.
    var isCut = false
    var bytesIn = 0
    var bytesOut = 0
    var firstTokenAt: Int64?
    var lastTokenAt: Int64 = 0
    var contentEvents = 0
    /// Set when another engine goes on with the stream.
    var continued: ContinuedStream?
    /// Whether anything of the body went to the client.
    var hasSent = false
    /// Whether the endpoint's record knows when the answer began.
    var isTokenNoted = false
    var usage: Usage?
    /// The length of the body, if it was announced; else -1.
    var expected = -1
    /// What an error response said about trying again, in seconds as written.
    var retryAfter: [UInt8] = []
    var retryAfterMillis: [UInt8] = []

    /// A JSON body is kept up to this size for the usage at its end.
    static let keptLimit = 1 << 20
    /// The same of an error.
    static let errorLimit = 64 * 1024

    mutating func reset() {
        kind = .other
        stripsUsage = false
        scanner = nil
        kept.removeAll(keeping: 4096)
        isCut = false
        bytesIn = 0
        bytesOut = 0
        firstTokenAt = nil
        contentEvents = 0
        continued = nil
        hasSent = false
        isTokenNoted = false
        usage = nil
        expected = -1
        retryAfter.removeAll(keepingCapacity: true)
        retryAfterMillis.removeAll(keepingCapacity: true)
    }

    /// Forgets an answer of which the client has seen nothing but perhaps the head.
    mutating func resetForRetry() {
        kept.removeAll(keeping: 4096)
        isCut = false
        isTokenNoted = false
        // What the client has seen of the answer is known to the scanner.
        if !hasSent { scanner = nil }
    }

    /// What an earlier endpoint said about trying again does not hold for the next.
    mutating func forgetRetryAfter() {
        retryAfter.removeAll(keepingCapacity: true)
        retryAfterMillis.removeAll(keepingCapacity: true)
    }

    /// Begins to gather an error response.
    mutating func begin(error head: borrowing ResponseHead) {
        kept.removeAll(keeping: 4096)
        isCut = false
        forgetRetryAfter()
        let fields = head.fields
        if let field = fields.first(.retryAfter) {
            retryAfter.append(copying: fields.bytes.span.extracting(field.valueRange))
        }
        if let field = fields.first(.retryAfterMillis) {
            retryAfterMillis.append(copying: fields.bytes.span.extracting(field.valueRange))
        }
    }

    mutating func gather(_ bytes: Span<UInt8>) {
        let room = Relay.errorLimit - kept.count
        kept.append(bytes.extracting(..<min(room, bytes.count)))
        if bytes.count > room { isCut = true }
    }

    /// What a whole JSON body says of its usage.
    var keptUsage: Usage? { UsageReader.read(kept.span) }

    /// The error the gathered body tells of, and what it means for what is tried next.
    func error(status: Int, credentialsAreOurs: Bool) -> (APIError, ErrorClass) {
        (
            .upstream(status: status, body: kept.span, credentialsAreOurs: credentialsAreOurs),
            ErrorClass(status: status, body: kept.span)
        )
    }

    /// Takes the data of an event that told of an error as the body of an error response.
    mutating func beginKept(error data: Span<UInt8>) {
        kept.removeAll(keeping: 4096)
        isCut = false
        kept.append(data)
    }

    /// What the error response said about trying again, in nanoseconds; 0 if nothing that is a number.
    var retryAfterNanos: Int64 {
        if let millis = readTimeoutNanos(retryAfterMillis.span) { return millis / 1000 }
        return readTimeoutNanos(retryAfter.span) ?? 0
    }

    /// Keeps a piece of a JSON body until it is whole. Returns `false` if it is too large for that.
    mutating func keep(_ bytes: Span<UInt8>) -> Bool {
        guard kept.count + bytes.count <= Relay.keptLimit else { return false }
        kept.append(bytes)
        return true
    }

    /// What was kept; nothing is any more.
    mutating func takeKept() -> ByteQueue {
        var taken = ByteQueue()
        swap(&taken, &kept)
        return taken
    }
}
