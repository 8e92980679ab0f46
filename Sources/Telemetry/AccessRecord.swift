internal import Bytes

/// What the access log says of one exchange. Plain values and places for a few texts; made to be reused.
///
/// No bodies, no credentials: there is no place for them here.
package struct AccessRecord: ~Copyable, Sendable {
    /// The texts of a record. Foreign ones are cut to their limit and escaped when they are written.
    package enum Text: Int, Sendable, CaseIterable {
        case requestID, clientAddress, path, modelRequested, modelServed, route, pool, endpoint, finishReason, userAgent

        /// What may be kept of any text.
        fileprivate static let leastLimit = 64

        /// Most octets kept.
        package var limit: Int {
            switch self {
            case .requestID, .modelRequested, .modelServed, .route, .pool, .endpoint: 128
            case .clientAddress, .finishReason: 64
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

    /// The tier of the model that answered, from 0; `nil` if it never got that far.
    package var tier: Int?
    /// What the queue went by; `nil` if it never got that far.
    package var priority: Int?
    /// A hash of whom the request is counted to; `nil` if that is not known.
    package var tenant: UInt64?
    /// Whether the request belongs to a session.
    package var hasSession = false
    /// How long it waited for an endpoint; `nil` if it did not have to.
    package var queueNanos: Int?
    /// Why another model answered; empty if the one that was asked for did.
    package var fallback: StaticString = ""
    /// Why the queue gave the request up; empty if it did not.
    package var droppedReason: StaticString = ""
    /// The attempts one by one, where that tells more than the rest of the record.
    package internal(set) var tries = AccessTries()

    internal var texts: TextSlots

    /// An empty record.
    package init() { texts = TextSlots(Text.allCases.count) }

    /// A record that is empty but for the memory of another one.
    private init(reusing old: consuming AccessRecord) {
        texts = old.texts
        tries = old.tries
    }

    /// Forgets everything and keeps the memory.
    package mutating func reset() {
        texts.removeAll()
        tries.removeAll()
        self = AccessRecord(reusing: self)
    }

    /// Takes the attempts of an exchange, and gives it empty memory in exchange. Nothing is copied.
    package mutating func take(_ tries: inout AccessTries) {
        self.tries.removeAll()
        swap(&self.tries, &tries)
    }

    /// Sets a text. Copied, as the read buffer it stands in is used again; of a path the query is left out, for
    /// clients put keys there.
    package mutating func set(_ text: Text, _ value: Span<UInt8>) {
        if text != .path, value.count <= Text.leastLimit { return texts.set(text.rawValue, value) }
        var end = value.count
        if text == .path, let query = firstIndex(of: UInt8(ascii: "?"), in: value) { end = query }
        if end > text.limit { end = wholePrefix(value.extracting(0..<end), limit: text.limit) }
        texts.set(text.rawValue, value.extracting(0..<end))
    }

    /// Sets a text from a configured name. For cold paths.
    package mutating func set(_ text: Text, _ value: String) { set(text, value.utf8.span) }

    /// Whether a text was set and is not empty.
    package func has(_ text: Text) -> Bool { texts.count(text.rawValue) > 0 }

    /// The text; empty if it was not set.
    @_lifetime(borrow self)
    package func text(_ text: Text) -> Span<UInt8> { texts.text(text.rawValue) }
}
