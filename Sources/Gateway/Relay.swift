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
        usage = nil
        expected = -1
        retryAfter.removeAll(keepingCapacity: true)
        retryAfterMillis.removeAll(keepingCapacity: true)
    }

    /// Begins to gather an error response.
    mutating func begin(error head: borrowing ResponseHead) {
        kept.removeAll(keeping: 4096)
        isCut = false
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

    /// The error the gathered body tells of.
    func error(status: Int, credentialsAreOurs: Bool) -> APIError {
        .upstream(status: status, body: kept.span, credentialsAreOurs: credentialsAreOurs)
    }

    /// Reads the usage of a JSON body that comes in one piece, or keeps the piece.
    mutating func take(json bytes: Span<UInt8>) {
        if bytes.count == expected, kept.isEmpty {
            usage = UsageReader.read(bytes)
        } else {
            keep(bytes)
        }
    }

    /// Keeps a piece of a JSON body, as long as it is not too large.
    private mutating func keep(_ bytes: Span<UInt8>) {
        guard !isCut else { return }
        if kept.count + bytes.count > Relay.keptLimit {
            isCut = true
            kept.removeAll()
        } else {
            kept.append(bytes)
        }
    }
}
