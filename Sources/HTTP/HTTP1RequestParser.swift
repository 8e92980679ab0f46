internal import Bytes

/// Reads the head of a request, strictly: what is ambiguous or malformed is refused, nothing is repaired.
///
/// - Parameters:
///   - head: The whole head, from the method to the empty line, as `HTTP1HeadScanner` found it.
///   - limits: Bounds of the head.
///   - request: Receives the request; its memory is used again. Unspecified if this throws.
/// - Throws: The first fault found.
/// - Complexity: O(bytes); no allocation once `request` has held a head as large.
/// - SeeAlso: RFC 9112 sections 3, 5, 6 and 9.
package func parseRequestHead(
    _ head: Span<UInt8>, limits: HTTP1Limits, into request: inout RequestHead
) throws(HTTP1Error) {
    request.reset()
    guard hasCleanLines(head) else { throw .controlCharacter }
    let fieldLines = try parseRequestLine(head, limits: limits, into: &request)
    var facts = HTTP1FieldFacts()
    let lines = head.extracting(fieldLines..<head.count)
    try request.fields.read(lines: lines, limits: limits, facts: &facts)
    try settleAuthority(facts, lines, into: &request)
    try settleFraming(facts, into: &request)
}

/// Reads the request line.
///
/// - Returns: Where the field lines start.
private func parseRequestLine(
    _ head: Span<UInt8>, limits: HTTP1Limits, into request: inout RequestHead
) throws(HTTP1Error) -> Int {
    let end = firstIndex(of: UInt8(ascii: "\r"), in: head) ?? 0
    guard end <= limits.requestLineBytes else { throw .requestLineTooLong }
    guard let methodEnd = firstIndex(of: UInt8(ascii: " "), in: head), methodEnd + 10 < end,
        head[end - 9] == UInt8(ascii: " ")
    else { throw .malformedRequestLine }
    request.version = try parseVersion(head.extracting((end - 8)..<end), else: .malformedRequestLine)
    guard let method = Method(head.extracting(0..<methodEnd)) else {
        throw isToken(head.extracting(0..<methodEnd)) ? .unknownMethod : .malformedRequestLine
    }
    request.method = method
    let target = head.extracting((methodEnd + 1)..<(end - 9))
    if target[0] == UInt8(ascii: "/") || target.count == 1 {
        try validateTarget(target, for: method)
        request.target.append(copying: target)
    } else {
        try parseAbsoluteTarget(target, into: &request)
    }
    return end + 2
}

/// Reads `HTTP/1.0` or `HTTP/1.1`.
internal func parseVersion(_ text: Span<UInt8>, else malformed: HTTP1Error) throws(HTTP1Error) -> HTTPVersion {
    if bytesEqual(text, "HTTP/1.1") { return .http11 }
    if bytesEqual(text, "HTTP/1.0") { return .http10 }
    guard bytesBegin(text, with: "HTTP/"), isDigit(text[5]), text[6] == UInt8(ascii: "."), isDigit(text[7]) else {
        throw malformed
    }
    throw .unsupportedVersion
}

/// Reads `http://authority/path`, whose authority takes the place of `Host`. RFC 9112 section 3.2.2.
private func parseAbsoluteTarget(_ target: Span<UInt8>, into request: inout RequestHead) throws(HTTP1Error) {
    guard isTargetText(target) else { throw .malformedTarget }
    let start: Int
    if target.count > 7, bytesEqualIgnoringCase(target.extracting(0..<7), "http://") {
        start = 7
    } else if target.count > 8, bytesEqualIgnoringCase(target.extracting(0..<8), "https://") {
        start = 8
    } else {
        throw .malformedTarget
    }
    var end = start
    while end < target.count, target[end] != UInt8(ascii: "/"), target[end] != UInt8(ascii: "?") { end += 1 }
    let authority = target.extracting(start..<end)
    do throws(HTTP1Error) { try validateAuthority(authority) } catch { throw .malformedTarget }
    request.authority.append(copying: authority)
    if end == target.count {
        request.target.append(request.method == .options ? UInt8(ascii: "*") : UInt8(ascii: "/"))
        return
    }
    if target[end] == UInt8(ascii: "?") { request.target.append(UInt8(ascii: "/")) }
    request.target.append(copying: target.extracting(end..<target.count))
}

/// Checks `Host` and takes it for the authority, unless the target had one.
private func settleAuthority(
    _ facts: HTTP1FieldFacts, _ lines: Span<UInt8>, into request: inout RequestHead
) throws(HTTP1Error) {
    guard let host = facts.host else {
        guard request.version == .http10 else { throw .missingHost }
        return
    }
    let value = lines.extracting(host)
    // Checked even if an absolute target overrides it: the message is malformed all the same.
    try validateAuthority(value)
    if request.authority.isEmpty { request.authority.append(copying: value) }
}

/// Decides where the body ends and whether another request may follow. RFC 9112 section 6.3.
private func settleFraming(_ facts: HTTP1FieldFacts, into request: inout RequestHead) throws(HTTP1Error) {
    let isHTTP11 = request.version == .http11
    if facts.isChunked {
        // HTTP/1.0 knows no chunks: some hop passed on what it did not understand.
        guard facts.contentLength == nil, isHTTP11 else { throw .ambiguousFraming }
        request.framing = .chunked
    } else if let length = facts.contentLength, length > 0 {
        request.framing = .length(length)
    }
    if isHTTP11 {
        guard !facts.hasUnknownExpectation else { throw .unsupportedExpectation }
        request.expectsContinue = facts.expectsContinue && request.framing != .none
    }
    request.keepsAlive = isHTTP11 && !facts.closes
}
