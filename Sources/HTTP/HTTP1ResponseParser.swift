internal import Bytes

/// Reads the head of a backend's response as strictly as that of a request.
///
/// An interim response (1xx but 101) comes out with its status and without body: the caller drops it and reads the
/// next head.
///
/// - Parameters:
///   - head: The whole head, from the version to the empty line, as `HTTP1HeadScanner` found it.
///   - requestMethod: Of the request this answers; a response to `HEAD` has no body.
///   - limits: Bounds of the head.
///   - response: Receives the response; its memory is used again. Unspecified if this throws.
/// - Throws: The first fault found. The connection is of no more use then.
/// - Complexity: O(bytes); no allocation once `response` has held a head as large.
/// - SeeAlso: RFC 9112 sections 4, 5, 6 and 9.
package func parseResponseHead(
    _ head: Span<UInt8>, requestMethod: Method, limits: HTTP1Limits, into response: inout ResponseHead
) throws(HTTP1Error) {
    response.reset()
    guard hasCleanLines(head) else { throw .controlCharacter }
    let fieldLines = try parseStatusLine(head, into: &response)
    var facts = HTTP1FieldFacts()
    try response.fields.read(lines: head.extracting(fieldLines..<head.count), limits: limits, facts: &facts)
    try settleFraming(facts, requestMethod: requestMethod, into: &response)
}

/// Reads the status line. The reason may be missing, and the space before it then too, as many servers write it.
///
/// - Returns: Where the field lines start.
private func parseStatusLine(_ head: Span<UInt8>, into response: inout ResponseHead) throws(HTTP1Error) -> Int {
    let end = firstIndex(of: UInt8(ascii: "\r"), in: head) ?? 0
    guard end >= 12, head[8] == UInt8(ascii: " "), end == 12 || head[12] == UInt8(ascii: " ") else {
        throw .malformedStatusLine
    }
    do throws(HTTP1Error) {
        response.version = try parseVersion(head.extracting(0..<8), else: .malformedStatusLine)
    } catch {
        throw .malformedStatusLine
    }
    var status = 0
    for index in 9..<12 {
        guard isDigit(head[index]) else { throw .malformedStatusLine }
        status = status * 10 + Int(head[index] &- 0x30)
    }
    guard 100...599 ~= status else { throw .malformedStatusLine }
    guard status != 101 else { throw .switchingProtocols }
    response.status = status
    return end + 2
}

/// Decides where the body ends and whether the connection may be used again. RFC 9112 section 6.3.
private func settleFraming(
    _ facts: HTTP1FieldFacts, requestMethod: Method, into response: inout ResponseHead
) throws(HTTP1Error) {
    let isHTTP11 = response.version == .http11
    if facts.isChunked {
        guard facts.contentLength == nil, isHTTP11 else { throw .ambiguousFraming }
    }
    response.keepsAlive = !facts.closes && (isHTTP11 || facts.keepsAlive)
    if response.status < 200 || response.status == 204 {
        // Announced nevertheless, a body may follow: it must not be read as the next response.
        if facts.isChunked || (facts.contentLength ?? 0) > 0 { response.keepsAlive = false }
    } else if requestMethod == .head || response.status == 304 {
        return
    } else if facts.isChunked {
        response.framing = .chunked
    } else if let length = facts.contentLength {
        response.framing = length > 0 ? .length(length) : .none
    } else {
        response.framing = .untilClose
        response.keepsAlive = false
    }
}
