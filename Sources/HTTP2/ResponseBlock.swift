internal import Bytes
internal import HTTP

/// Reads the header block of a response into its head, within limits. nghttp2 has checked the rules of HTTP/2.
internal struct ResponseBlock: ~Copyable {
    /// The block is beyond the soft limits: the response is refused.
    private(set) var isTooLarge = false
    private(set) var status = 0
    private var listBytes = 0
    private var fieldCount = 0
    private var contentLength = -1
    private var isTrailer = false

    /// A new block begins.
    mutating func begin(isTrailer: Bool) {
        isTooLarge = false
        status = 0
        listBytes = 0
        fieldCount = 0
        contentLength = -1
        self.isTrailer = isTrailer
    }

    /// Takes one field.
    ///
    /// - Returns: Whether the connection may go on.
    mutating func take(
        _ name: Span<UInt8>, _ value: Span<UInt8>, into head: inout ResponseHead, limits: HTTP2Limits
    ) -> Bool {
        fieldCount += 1
        listBytes += name.count + value.count + 32
        if fieldCount > limits.headerFields || listBytes > limits.headerListBytes {
            isTooLarge = true
            return fieldCount <= limits.headerFieldsBeforeCut && listBytes <= limits.headerListBytesBeforeCut
        }
        if isTrailer { return true }
        if name[0] == UInt8(ascii: ":") {
            // Three digits: nghttp2 lets no other value and no other pseudo-field through.
            for index in value.indices { status = status * 10 + Int(value[index] &- 48) }
            return true
        }
        let token = FieldName(name)
        if token == .contentLength {
            var offset = 0
            // An error cannot be: nghttp2 has read the same digits.
            contentLength = (try? readDecimal(value, at: &offset, limit: 1 << 53)) ?? -1
        }
        head.fields.append(token, name: name, value: value)
        return true
    }

    /// Completes the head of a final response.
    func finish(_ head: inout ResponseHead, endsStream: Bool) {
        head.version = .http2
        head.status = status
        head.framing = endsStream ? .none : contentLength >= 0 ? .length(contentLength) : .chunked
    }
}
