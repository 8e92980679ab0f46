package import Bytes

/// Writes HTTP/1.1. What is given is valid already: names are tokens, values hold no line ends.
package enum HTTP1Writer {
    /// Appends `HTTP/1.1 200 OK CRLF`.
    package static func statusLine(_ status: Int, into queue: inout ByteQueue) {
        let known = HTTP1Writer.statusLine(status)
        if known.utf8CodeUnitCount > 0 {
            queue.append(known)
        } else {
            queue.append("HTTP/1.1 ")
            queue.append(decimal: status)
            queue.append(" \r\n")
        }
    }

    /// Appends `POST /target HTTP/1.1 CRLF host: authority CRLF`.
    package static func requestLine(
        _ method: Method, target: Span<UInt8>, authority: Span<UInt8>, into queue: inout ByteQueue
    ) {
        queue.append(method.text)
        queue.append(UInt8(ascii: " "))
        queue.append(target)
        queue.append(" HTTP/1.1\r\nhost: ")
        queue.append(authority)
        queue.append("\r\n")
    }

    /// Appends a field line.
    package static func field(_ name: FieldName, _ value: Span<UInt8>, into queue: inout ByteQueue) {
        beginField(name, into: &queue)
        queue.append(value)
        queue.append("\r\n")
    }

    /// Appends a field line.
    package static func field(_ name: FieldName, _ value: StaticString, into queue: inout ByteQueue) {
        beginField(name, into: &queue)
        queue.append(value)
        queue.append("\r\n")
    }

    /// Appends a field line whose value is a number.
    package static func field(_ name: FieldName, decimal value: Int, into queue: inout ByteQueue) {
        beginField(name, into: &queue)
        queue.append(decimal: value)
        queue.append("\r\n")
    }

    /// Appends a field line with a name that is a valid token in lower case.
    package static func field(name: Span<UInt8>, _ value: Span<UInt8>, into queue: inout ByteQueue) {
        queue.append(name)
        queue.append(": ")
        queue.append(value)
        queue.append("\r\n")
    }

    private static func beginField(_ name: FieldName, into queue: inout ByteQueue) {
        precondition(name != .other, "the name must be known")
        queue.append(name.text)
        queue.append(": ")
    }

    /// Appends the empty line that ends a head.
    package static func endHead(into queue: inout ByteQueue) {
        queue.append("\r\n")
    }

    /// Appends the field that says where the body ends.
    package static func framing(_ framing: BodyFraming, into queue: inout ByteQueue) {
        switch framing {
        case .none: queue.append("content-length: 0\r\n")
        case .length(let length): field(.contentLength, decimal: length, into: &queue)
        case .chunked: queue.append("transfer-encoding: chunked\r\n")
        case .untilClose: break
        }
    }

    /// Appends the size line of a chunk of `size` bytes, at least 1. The bytes and `chunkEnd` come next.
    package static func chunkHeader(_ size: Int, into queue: inout ByteQueue) {
        precondition(size > 0, "an empty chunk would end the body")
        queue.append(hex: size)
        queue.append("\r\n")
    }

    /// Appends the line end after the bytes of a chunk.
    package static func chunkEnd(into queue: inout ByteQueue) {
        queue.append("\r\n")
    }

    /// Appends a whole chunk; nothing if there are no bytes.
    package static func chunk(_ bytes: Span<UInt8>, into queue: inout ByteQueue) {
        if bytes.isEmpty { return }
        chunkHeader(bytes.count, into: &queue)
        queue.append(bytes)
        queue.append("\r\n")
    }

    /// Appends the end of a chunked body, without trailers.
    package static func lastChunk(into queue: inout ByteQueue) {
        queue.append("0\r\n\r\n")
    }

    /// Appends the interim response that asks for the body.
    package static func continueResponse(into queue: inout ByteQueue) {
        queue.append("HTTP/1.1 100 Continue\r\n\r\n")
    }

    /// Appends the head of a response.
    ///
    /// Fields that concern framing or the connection are written from `framing` and `keepsAlive`; those among
    /// `fields` are left out, and so is `date` if one is given.
    ///
    /// - Parameters:
    ///   - head: The response. `.chunked` is only for clients of HTTP/1.1.
    ///   - method: Of the request: a response to `HEAD` without framing says nothing of a length.
    ///   - date: Value of `Date`; empty for none.
    ///   - queue: Where to write.
    package static func responseHead(
        _ head: borrowing ResponseHead, to method: Method, date: Span<UInt8>, into queue: inout ByteQueue
    ) {
        responseHead(
            head, framing: head.framing, keepsAlive: head.keepsAlive, to: method, date: date, into: &queue)
    }

    /// Appends the head of a response whose framing and connection are decided by the caller, not by `head`.
    package static func responseHead(
        _ head: borrowing ResponseHead, framing bodyFraming: BodyFraming, keepsAlive: Bool, to method: Method,
        date: Span<UInt8>, into queue: inout ByteQueue
    ) {
        statusLine(head.status, into: &queue)
        fields(head.fields, withDate: date.isEmpty, into: &queue)
        if !date.isEmpty { field(.date, date, into: &queue) }
        let hasBody = head.status >= 200 && head.status != 204 && head.status != 304
        if hasBody, bodyFraming != .none || method != .head { framing(bodyFraming, into: &queue) }
        if !keepsAlive || bodyFraming == .untilClose { queue.append("connection: close\r\n") }
        queue.append("\r\n")
    }

    /// Appends the head of a request to a backend.
    ///
    /// `host`, framing and connection are written by us; such fields among `fields` are left out.
    ///
    /// - Parameters:
    ///   - head: The request: target (or `*`), authority for `Host`, fields. Without body, only methods that usually
    ///     have one say so (`content-length: 0`).
    ///   - body: How the end of the body is known; never `.untilClose`.
    ///   - queue: Where to write.
    package static func requestHead(
        _ head: borrowing RequestHead, framing body: BodyFraming, into queue: inout ByteQueue
    ) {
        requestHead(
            head.method, target: head.target.span, authority: head.authority.span, fields: head.fields, framing: body,
            into: &queue)
    }

    /// Appends the head of a request to a backend, given in parts.
    package static func requestHead(
        _ method: Method, target: Span<UInt8>, authority: Span<UInt8>, fields headerFields: borrowing HeaderFields,
        framing body: BodyFraming, into queue: inout ByteQueue
    ) {
        precondition(body != .untilClose, "a request cannot end with the connection")
        requestLine(method, target: target, authority: authority, into: &queue)
        fields(headerFields, withDate: true, into: &queue)
        let expectsBody = method == .post || method == .put || method == .patch
        if body != .none || expectsBody { framing(body, into: &queue) }
        queue.append("\r\n")
    }
}

extension HTTP1Writer {
    /// Appends all fields but those that concern host, framing or the connection.
    package static func fields(
        _ fields: borrowing HeaderFields, withDate: Bool = true, into queue: inout ByteQueue
    ) {
        let text = fields.bytes.span
        // Lines that lie one after another in the form we write are copied together.
        var start = 0
        var end = 0
        for field in fields.fields {
            if field.name.isWrittenFromFraming || (field.name == .date && !withDate) { continue }
            let (name, value) = (field.nameRange, field.valueRange)
            let isPlain =
                value.lowerBound == name.upperBound + 2 && value.upperBound < text.count
                && text[name.upperBound + 1] == UInt8(ascii: " ") && text[value.upperBound] == UInt8(ascii: "\r")
            if isPlain {
                if name.lowerBound != end {
                    queue.append(text.extracting(start..<end))
                    start = name.lowerBound
                }
                end = value.upperBound + 2
            } else {
                queue.append(text.extracting(start..<end))
                (start, end) = (0, 0)
                self.field(name: text.extracting(name), text.extracting(value), into: &queue)
            }
        }
        queue.append(text.extracting(start..<end))
    }

    /// The status line with its reason; empty for a status that is not in use.
    private static func statusLine(_ status: Int) -> StaticString {
        switch status {
        case 200: "HTTP/1.1 200 OK\r\n"
        case 201: "HTTP/1.1 201 Created\r\n"
        case 202: "HTTP/1.1 202 Accepted\r\n"
        case 204: "HTTP/1.1 204 No Content\r\n"
        case 206: "HTTP/1.1 206 Partial Content\r\n"
        case 304: "HTTP/1.1 304 Not Modified\r\n"
        case 400: "HTTP/1.1 400 Bad Request\r\n"
        case 401: "HTTP/1.1 401 Unauthorized\r\n"
        case 402: "HTTP/1.1 402 Payment Required\r\n"
        case 403: "HTTP/1.1 403 Forbidden\r\n"
        case 404: "HTTP/1.1 404 Not Found\r\n"
        case 405: "HTTP/1.1 405 Method Not Allowed\r\n"
        case 408: "HTTP/1.1 408 Request Timeout\r\n"
        case 409: "HTTP/1.1 409 Conflict\r\n"
        case 411: "HTTP/1.1 411 Length Required\r\n"
        case 413: "HTTP/1.1 413 Content Too Large\r\n"
        case 414: "HTTP/1.1 414 URI Too Long\r\n"
        case 415: "HTTP/1.1 415 Unsupported Media Type\r\n"
        case 417: "HTTP/1.1 417 Expectation Failed\r\n"
        case 421: "HTTP/1.1 421 Misdirected Request\r\n"
        case 422: "HTTP/1.1 422 Unprocessable Content\r\n"
        case 429: "HTTP/1.1 429 Too Many Requests\r\n"
        case 431: "HTTP/1.1 431 Request Header Fields Too Large\r\n"
        case 500: "HTTP/1.1 500 Internal Server Error\r\n"
        case 501: "HTTP/1.1 501 Not Implemented\r\n"
        case 502: "HTTP/1.1 502 Bad Gateway\r\n"
        case 503: "HTTP/1.1 503 Service Unavailable\r\n"
        case 504: "HTTP/1.1 504 Gateway Timeout\r\n"
        case 505: "HTTP/1.1 505 HTTP Version Not Supported\r\n"
        case 529: "HTTP/1.1 529 Overloaded\r\n"
        default: ""
        }
    }
}
