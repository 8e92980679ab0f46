internal import Bytes
internal import HTTP

/// Reads the header block of a request into its head, under our own rules and limits.
///
/// A connection has at most one open header block, so its session has one of these. nghttp2 has checked what RFC 9113
/// section 8 asks; here is what it leaves: sizes, and all that would mean something else as HTTP/1.1.
internal struct RequestBlock: ~Copyable {
    /// Why a request is refused before anyone looks at it.
    struct Rejection {
        let status: Int
        let reason: StaticString

        init(_ status: Int, _ reason: StaticString) {
            self.status = status
            self.reason = reason
        }

        init(_ error: HTTP1Error) {
            self.init(error.status, error.reason)
        }
    }

    private(set) var rejection: Rejection?
    private var listBytes = 0
    private var fieldCount = 0
    private var contentLength = -1
    private var host: [UInt8] = []
    private var cookies: [UInt8] = []
    private var isTrailer = false

    /// A new block begins.
    mutating func begin(isTrailer: Bool) {
        rejection = nil
        listBytes = 0
        fieldCount = 0
        contentLength = -1
        if !host.isEmpty { host.removeAll(keepingCapacity: true) }
        if !cookies.isEmpty { cookies.removeAll(keepingCapacity: true) }
        self.isTrailer = isTrailer
    }

    /// Takes one field.
    ///
    /// - Returns: Whether the connection may go on. A field beyond the soft limits is counted and not kept.
    mutating func take(
        _ name: Span<UInt8>, _ value: Span<UInt8>, into head: inout RequestHead, limits: HTTP2Limits
    ) -> Bool {
        fieldCount += 1
        listBytes += name.count + value.count + 32
        if fieldCount > limits.headerFields || listBytes > limits.headerListBytes {
            if fieldCount > limits.headerFieldsBeforeCut || listBytes > limits.headerListBytesBeforeCut { return false }
            reject(Rejection(fieldCount > limits.headerFields ? .tooManyFields : .headTooLarge))
        }
        // Trailers mean nothing to a gateway; they are counted and dropped.
        if rejection != nil || isTrailer { return true }
        if name[0] == UInt8(ascii: ":") {
            takePseudoField(name, value, into: &head, limits: limits)
        } else {
            takeField(name, value, into: &head)
        }
        return true
    }

    private mutating func takePseudoField(
        _ name: Span<UInt8>, _ value: Span<UInt8>, into head: inout RequestHead, limits: HTTP2Limits
    ) {
        // nghttp2 lets no other pseudo-field through, so length and one letter tell them apart.
        switch name.count {
        case 5:
            if value.count > limits.targetBytes { return reject(Rejection(.requestLineTooLong)) }
            head.target.append(copying: value)
        case 7 where name[1] == UInt8(ascii: "m"):
            guard let method = Method(value) else { return reject(Rejection(.unknownMethod)) }
            head.method = method
        case 7:
            if !bytesEqual(value, "http") && !bytesEqual(value, "https") {
                reject(Rejection(400, "the scheme is not supported"))
            }
        default:
            head.authority.append(copying: value)
        }
    }

    private mutating func takeField(_ name: Span<UInt8>, _ value: Span<UInt8>, into head: inout RequestHead) {
        // nghttp2 has refused names with capitals.
        let token = FieldName(lowercase: name)
        switch token {
        case .host: host.append(copying: value)
        // Crumbs of one header, split for HPACK's sake: RFC 9113 section 8.2.3.
        case .cookie:
            if !cookies.isEmpty { cookies.append("; ") }
            cookies.append(copying: value)
        // About this connection alone.
        case .te, .http2Settings: break
        case .expect:
            head.expectsContinue = bytesEqualIgnoringCase(value, "100-continue")
            if !head.expectsContinue { reject(Rejection(.unsupportedExpectation)) }
        case .contentLength:
            var offset = 0
            do throws(DecimalError) {
                contentLength = try readDecimal(value, at: &offset, limit: 1 << 53)
            } catch {
                reject(Rejection(.malformedContentLength))
            }
            head.fields.append(token, name: name, value: value)
        default: head.fields.append(token, name: name, value: value)
        }
    }

    /// Completes the head, or rejects the request.
    mutating func finish(_ head: inout RequestHead, endsStream: Bool) {
        head.version = .http2
        head.framing = endsStream ? .none : contentLength >= 0 ? .length(contentLength) : .chunked
        if !cookies.isEmpty { head.fields.append(.cookie, value: cookies.span) }
        if rejection != nil { return }
        if head.authority.isEmpty {
            head.authority.append(copying: host.span)
        } else if !host.isEmpty && !bytesEqual(host.span, head.authority.span) {
            return reject(Rejection(400, "the host field differs from the authority"))
        }
        do throws(HTTP1Error) {
            try validateTarget(head.target.span, for: head.method)
            try validateAuthority(head.authority.span)
        } catch {
            reject(Rejection(error))
        }
    }

    private mutating func reject(_ rejection: Rejection) {
        if self.rejection == nil { self.rejection = rejection }
    }
}
