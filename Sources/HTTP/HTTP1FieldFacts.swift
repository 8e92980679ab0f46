internal import Bytes

/// What the fields of a head say about connection and body, gathered while they are read.
internal struct HTTP1FieldFacts {
    /// Where the value of the one `Host` field lies.
    var host: Range<Int>?
    /// The value of the one `Content-Length` field.
    var contentLength: Int?
    /// Whether there is `Transfer-Encoding: chunked`.
    var isChunked = false
    /// Whether `Connection` says `close`.
    var closes = false
    /// Whether `Connection` says `keep-alive`.
    var keepsAlive = false
    /// Whether `Connection` names other fields.
    var namesFields = false
    /// Whether there is `Expect: 100-continue`.
    var expectsContinue = false
    /// The first expectation that is none of ours; a fault of requests only.
    var hasUnknownExpectation = false
    private var connectionOptions = 0

    /// The largest length of a body: 2^53, the largest integer every JSON and JavaScript peer counts with.
    static let largestLength = 1 << 53

    /// Takes in one field of those for which `decidesFraming` holds.
    mutating func take(
        _ name: FieldName, _ value: Span<UInt8>, at range: Range<Int>, limits: HTTP1Limits
    ) throws(HTTP1Error) {
        switch name {
        case .host:
            guard host == nil else { throw .repeatedHost }
            host = range
        case .contentLength:
            guard contentLength == nil else { throw .repeatedContentLength }
            contentLength = try readLength(value)
        case .transferEncoding:
            guard !isChunked else { throw .malformedTransferEncoding }
            try checkTransferEncoding(value)
            isChunked = true
        case .connection:
            try takeConnection(value, limits: limits)
        case .expect:
            if bytesEqualIgnoringCase(value, "100-continue") {
                expectsContinue = true
            } else {
                hasUnknownExpectation = true
            }
        default:
            break
        }
    }

    /// `Content-Length`: digits only, no list, no sign. RFC 9110 section 8.6.
    private func readLength(_ value: Span<UInt8>) throws(HTTP1Error) -> Int {
        var offset = 0
        do throws(DecimalError) {
            let length = try readDecimal(value, at: &offset, limit: HTTP1FieldFacts.largestLength)
            if offset == value.count { return length }
        } catch {
            throw .malformedContentLength
        }
        throw .malformedContentLength
    }

    /// `Transfer-Encoding`: `chunked` and nothing else; other codings are unsupported if they are written properly.
    private func checkTransferEncoding(_ value: Span<UInt8>) throws(HTTP1Error) {
        if bytesEqualIgnoringCase(value, "chunked") { return }
        var offset = 0
        var codings = 0
        while let coding = nextListElement(value, at: &offset) {
            let coding = value.extracting(coding)
            // What looks like `chunked` may be taken for it by the next hop.
            guard isToken(coding), !containsChunked(coding) else { throw .malformedTransferEncoding }
            codings += 1
        }
        throw codings == 0 ? .malformedTransferEncoding : .unsupportedTransferEncoding
    }

    private func containsChunked(_ coding: Span<UInt8>) -> Bool {
        let word = 7
        guard coding.count >= word else { return false }
        for start in 0...(coding.count - word)
        where bytesEqualIgnoringCase(coding.extracting(start..<(start + word)), "chunked") {
            return true
        }
        return false
    }

    private mutating func takeConnection(_ value: Span<UInt8>, limits: HTTP1Limits) throws(HTTP1Error) {
        var offset = 0
        while let option = nextListElement(value, at: &offset) {
            let option = value.extracting(option)
            connectionOptions += 1
            guard isToken(option), connectionOptions <= limits.connectionOptions else { throw .malformedConnection }
            if bytesEqualIgnoringCase(option, "close") {
                closes = true
            } else if bytesEqualIgnoringCase(option, "keep-alive") {
                keepsAlive = true
            } else {
                namesFields = true
            }
        }
    }
}
