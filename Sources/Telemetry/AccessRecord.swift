internal import Bytes

/// What the access log says of one exchange. Plain values and one stretch of bytes; made to be reused.
///
/// No bodies, no credentials: there is no place for them here.
package struct AccessRecord: Sendable {
    /// The texts of a record. Foreign ones are cut to their limit and escaped when they are written.
    package enum Text: Int, Sendable, CaseIterable {
        case requestID, clientAddress, path, modelRequested, modelServed, pool, endpoint, userAgent

        /// Most octets kept.
        package var limit: Int {
            switch self {
            case .requestID, .modelRequested, .modelServed, .pool, .endpoint: 128
            case .clientAddress: 64
            case .path, .userAgent: 256
            }
        }
    }

    /// Who ended an exchange before its time.
    package enum Aborter: UInt8, Sendable { case nobody, client, upstream, gateway }

    /// Milliseconds since 1970 at which the request began.
    package var startMillis = 0
    /// The method as it is written.
    package var method: StaticString = ""
    /// What the request asks for: `chat`, `embeddings`, …
    package var operation: StaticString = ""
    /// `1.0`, `1.1` or `2`.
    package var httpVersion: StaticString = ""
    package var isTLS = false
    package var isStream = false
    /// The status sent to the client; 0 if none was.
    package var status = 0
    /// The code of the error sent to the client; empty if there was none.
    package var errorCode: StaticString = ""
    package var flags: AccessFlags = []
    package var abortedBy = Aborter.nobody
    /// Tries at endpoints.
    package var attempts = 0
    /// From the first byte of the request to the last of the response.
    package var durationNanos = 0
    /// To the first event with content of a stream; `nil` if there was none.
    package var firstTokenNanos: Int?
    /// From the start of the last attempt to its end; `nil` if there was none.
    package var upstreamNanos: Int?
    /// As the engine reported; `nil` if it did not.
    package var promptTokens: Int?
    package var completionTokens: Int?
    package var cachedTokens: Int?
    /// Bytes of the request body.
    package var bytesIn = 0
    /// Bytes of the response body.
    package var bytesOut = 0
    /// How often the client says it tried before (`x-stainless-retry-count`); `nil` if it does not say.
    package var clientRetry: Int?

    private var bytes: [UInt8] = []
    private var starts = InlineArray<8, UInt16>(repeating: 0)
    private var lengths = InlineArray<8, UInt16>(repeating: 0)

    /// An empty record.
    package init() {}

    /// Forgets everything and keeps the memory.
    package mutating func reset() {
        var kept: [UInt8] = []
        swap(&kept, &bytes)
        kept.removeAll(keepingCapacity: true)
        self = AccessRecord()
        swap(&kept, &bytes)
    }

    /// Sets a text. Copied, as the read buffer it stands in is used again; of a path the query is left out, for
    /// clients put keys there.
    package mutating func set(_ text: Text, _ value: Span<UInt8>) {
        var end = value.count
        if text == .path, let query = firstIndex(of: UInt8(ascii: "?"), in: value) { end = query }
        let kept = value.extracting(0..<end)
        let count = wholePrefix(kept, limit: text.limit)
        let start = bytes.count
        // Set over and over, by a request that is tried often, the bytes must not outgrow the offsets.
        guard start + count <= 32 * 1024 else { return }
        bytes.append(copying: kept.extracting(0..<count))
        starts[text.rawValue] = UInt16(start)
        lengths[text.rawValue] = UInt16(count)
    }

    /// Sets a text from a configured name. For cold paths.
    package mutating func set(_ text: Text, _ value: String) { set(text, value.utf8.span) }

    /// Whether a text was set and is not empty.
    package func has(_ text: Text) -> Bool { lengths[text.rawValue] > 0 }

    /// The text; empty if it was not set.
    @_lifetime(borrow self)
    package func text(_ text: Text) -> Span<UInt8> {
        let start = Int(starts[text.rawValue])
        return bytes.span.extracting(start..<start + Int(lengths[text.rawValue]))
    }
}

/// What was special about an exchange, as two letters each.
package struct AccessFlags: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let noRoute = AccessFlags(rawValue: 1 << 0)
    package static let noModel = AccessFlags(rawValue: 1 << 1)
    package static let unauthorised = AccessFlags(rawValue: 1 << 2)
    package static let rateLimited = AccessFlags(rawValue: 1 << 3)
    package static let queueFull = AccessFlags(rawValue: 1 << 4)
    package static let noHealthyEndpoint = AccessFlags(rawValue: 1 << 5)
    package static let connectFailed = AccessFlags(rawValue: 1 << 6)
    package static let upstreamReset = AccessFlags(rawValue: 1 << 7)
    package static let upstreamTimeout = AccessFlags(rawValue: 1 << 8)
    package static let streamStalled = AccessFlags(rawValue: 1 << 9)
    package static let totalTimeout = AccessFlags(rawValue: 1 << 10)
    package static let retriesExhausted = AccessFlags(rawValue: 1 << 11)
    package static let fallbackUsed = AccessFlags(rawValue: 1 << 12)
    package static let clientCancelled = AccessFlags(rawValue: 1 << 13)
    package static let clientStalled = AccessFlags(rawValue: 1 << 14)
    package static let bodyTooLarge = AccessFlags(rawValue: 1 << 15)
    package static let translationFailed = AccessFlags(rawValue: 1 << 16)
    package static let draining = AccessFlags(rawValue: 1 << 17)

    /// What the flags are called.
    internal static let names: [(flag: AccessFlags, letters: StaticString)] = [
        (.noRoute, "NR"), (.noModel, "NM"), (.unauthorised, "UA"), (.rateLimited, "RL"), (.queueFull, "QF"),
        (.noHealthyEndpoint, "NB"), (.connectFailed, "CF"), (.upstreamReset, "UR"), (.upstreamTimeout, "UT"),
        (.streamStalled, "ST"), (.totalTimeout, "TT"), (.retriesExhausted, "RX"), (.fallbackUsed, "FB"),
        (.clientCancelled, "CC"), (.clientStalled, "CS"), (.bodyTooLarge, "ML"), (.translationFailed, "TX"),
        (.draining, "DR"),
    ]
}
