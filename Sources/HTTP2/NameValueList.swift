internal import Bytes
internal import CNghttp2
internal import HTTP

/// A header list in nghttp2's form, in memory that is used again for each message.
///
/// It points into the fields it was filled from and is valid for one call only; nghttp2 copies it.
internal struct NameValueList: ~Copyable {
    private(set) var base: UnsafeMutablePointer<nghttp2_nv>
    private(set) var count = 0
    private var capacity = 32
    /// Whether HPACK's table has got a request id. Its value never comes again, but the later ones refer to its name,
    /// which otherwise is coded anew each time.
    private var hasIntroducedRequestID = false
    /// The digits of `:status`, then those of `content-length`.
    private let digits: UnsafeMutableRawBufferPointer

    init() {
        base = .allocate(capacity: capacity)
        digits = .allocate(byteCount: 3 + 20, alignment: 1)
    }

    deinit {
        base.deallocate()
        digits.deallocate()
    }

    mutating func removeAll() { count = 0 }

    /// Starts the head of a response.
    mutating func begin(status: Int) {
        precondition(status >= 100 && status <= 999, "a status has three digits")
        removeAll()
        digits[0] = UInt8(48 + status / 100)
        digits[1] = UInt8(48 + status / 10 % 10)
        digits[2] = UInt8(48 + status % 10)
        append(":status", UnsafeRawBufferPointer(rebasing: digits[..<3]), flags: NGHTTP2_NV_FLAG_NONE)
    }

    /// Starts the head of a request.
    mutating func begin(
        _ method: Method, scheme: StaticString, authority: UnsafeRawBufferPointer, path: UnsafeRawBufferPointer
    ) {
        removeAll()
        append(":method", literal(method.text), flags: NGHTTP2_NV_FLAG_NONE)
        append(":scheme", literal(scheme), flags: NGHTTP2_NV_FLAG_NONE)
        append(":authority", authority, flags: NGHTTP2_NV_FLAG_NONE)
        append(":path", path, flags: NGHTTP2_NV_FLAG_NONE)
    }

    private func literal(_ text: StaticString) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    }

    /// Adds `content-length`.
    mutating func append(contentLength: Int) {
        var rest = contentLength.magnitude
        var start = digits.count
        repeat {
            start -= 1
            digits[start] = UInt8(truncatingIfNeeded: 48 + rest % 10)
            rest /= 10
        } while rest > 0
        append("content-length", UnsafeRawBufferPointer(rebasing: digits[start...]), flags: NGHTTP2_NV_FLAG_NONE)
    }

    /// Adds a field whose name is a literal: nghttp2 need not copy that.
    mutating func append(_ name: StaticString, _ value: UnsafeRawBufferPointer, flags: nghttp2_nv_flag) {
        append(
            UnsafeRawPointer(name.utf8Start), name.utf8CodeUnitCount, value,
            flags: flags.rawValue | NGHTTP2_NV_FLAG_NO_COPY_NAME.rawValue)
    }

    /// Adds the fields of a message, without those that HTTP/2 forbids.
    ///
    /// - Parameter bytes: The bytes of `fields`.
    mutating func append(_ fields: borrowing HeaderFields, _ bytes: UnsafeRawBufferPointer) {
        for field in fields.fields where !field.name.isLeftOutOfHTTP2 {
            let value = UnsafeRawBufferPointer(rebasing: bytes[field.valueRange])
            if field.name == .other {
                // The name is ours to keep in lower case: `HeaderFields` does.
                let name = UnsafeRawBufferPointer(rebasing: bytes[field.nameRange])
                append(name.baseAddress.unsafelyUnwrapped, name.count, value, flags: NGHTTP2_NV_FLAG_NONE.rawValue)
            } else {
                var indexing = field.name.indexing
                if field.name == .xRequestID, !hasIntroducedRequestID {
                    hasIntroducedRequestID = true
                    indexing = NGHTTP2_NV_FLAG_NONE
                }
                append(field.name.text, value, flags: indexing)
            }
        }
    }

    private mutating func append(
        _ name: UnsafeRawPointer, _ nameCount: Int, _ value: UnsafeRawBufferPointer, flags: UInt32
    ) {
        if count == capacity { grow() }
        // nghttp2 does not change what it is pointed to; it declares no const for the sake of other callers.
        let name = UnsafeMutablePointer(mutating: name.assumingMemoryBound(to: UInt8.self))
        let value = (
            start: value.baseAddress?.assumingMemoryBound(to: UInt8.self) ?? UnsafePointer(name), count: value.count
        )
        (base + count).initialize(
            to: nghttp2_nv(
                name: name, value: UnsafeMutablePointer(mutating: value.start), namelen: nameCount,
                valuelen: value.count, flags: UInt8(truncatingIfNeeded: flags)))
        count += 1
    }

    private mutating func grow() {
        let larger = UnsafeMutablePointer<nghttp2_nv>.allocate(capacity: capacity * 2)
        larger.moveInitialize(from: base, count: count)
        base.deallocate()
        base = larger
        capacity *= 2
    }
}

extension FieldName {
    /// Fields that say something about an HTTP/1.1 connection (RFC 9113 section 8.2.2), and those that sessions write
    /// themselves: `host` is `:authority`.
    internal var isLeftOutOfHTTP2: Bool {
        switch self {
        case .connection, .contentLength, .host, .http2Settings, .keepAlive, .proxyConnection, .te, .transferEncoding,
            .upgrade:
            true
        default: false
        }
    }

    /// Secrets must not enter HPACK's table (CRIME), and what differs in each message only pushes the rest out of it.
    internal var indexing: nghttp2_nv_flag {
        switch self {
        case .apiKey, .authorization, .cookie, .openaiProcessingMillis, .proxyAuthorization, .requestID, .retryAfter,
            .retryAfterMillis, .setCookie, .traceparent, .tracestate, .xAPIKey, .xForwardedFor, .xRealIP, .xRequestID:
            NGHTTP2_NV_FLAG_NO_INDEX
        default: NGHTTP2_NV_FLAG_NONE
        }
    }
}
