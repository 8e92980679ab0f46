internal import Bytes

// The grammar both protocols share: HTTP/2's pseudo-fields are held to the same rules, for what they carry may
// leave as HTTP/1.1.

/// Whether `text` is a token: a method, a field name, a connection option. RFC 9110 section 5.6.2.
package func isToken(_ text: Span<UInt8>) -> Bool {
    for index in text.indices where tokenOctets[Int(text[index])] == 0 { return false }
    return !text.isEmpty
}

/// Whether `text` may stand as a field value: HTAB, SP, 0x21...0x7E and 0x80...0xFF, no white space around it.
package func isFieldValue(_ text: Span<UInt8>) -> Bool {
    guard let last = text.indices.last else { return true }
    var isClean = true
    for index in text.indices where !isFieldOctet(text[index]) { isClean = false }
    return isClean && !isBlank(text[0]) && !isBlank(text[last])
}

/// Whether `byte` is one a field value may hold.
@inline(__always) internal func isFieldOctet(_ byte: UInt8) -> Bool {
    (byte >= 0x20 && byte != 0x7F) || byte == 0x09
}

/// Whether `byte` is a space or a tab.
@inline(__always) internal func isBlank(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x09
}

/// Whether `byte` is a decimal digit.
@inline(__always) internal func isDigit(_ byte: UInt8) -> Bool {
    byte &- 0x30 < 10
}

/// `range` without the spaces and tabs at its ends.
@inline(__always) internal func trimBlanks(_ text: Span<UInt8>, _ range: Range<Int>) -> Range<Int> {
    var (start, end) = (range.lowerBound, range.upperBound)
    while start < end, isBlank(text[start]) { start += 1 }
    while start < end, isBlank(text[end - 1]) { end -= 1 }
    return start..<end
}

/// Checks a request target in origin form, or `*` for `OPTIONS`: octets 0x21...0x7E, no fragment.
///
/// - Throws: `.malformedTarget`.
package func validateTarget(_ target: Span<UInt8>, for method: Method) throws(HTTP1Error) {
    guard !target.isEmpty, isTargetText(target) else { throw .malformedTarget }
    if target[0] == UInt8(ascii: "/") { return }
    guard target.count == 1, target[0] == UInt8(ascii: "*"), method == .options else { throw .malformedTarget }
}

/// Whether all octets may stand in a target.
internal func isTargetText(_ text: Span<UInt8>) -> Bool {
    var isClean = true
    for index in text.indices {
        let byte = text[index]
        // One accumulated flag instead of an early exit: the loop runs on vectors then.
        isClean = isClean && (byte &- 0x21 < 0x5E) && byte != UInt8(ascii: "#")
    }
    return isClean
}

/// Checks a host with an optional port: a name or IPv4 address of letters, digits and `-._~`, or an IPv6 address in
/// brackets; a port of 1...5 digits up to 65535. No user information, no percent-encoding.
///
/// Narrower than RFC 3986 section 3.2.2, whose sub-delimiters no real host name holds.
///
/// - Throws: `.malformedHost`.
package func validateAuthority(_ authority: Span<UInt8>) throws(HTTP1Error) {
    guard !authority.isEmpty else { throw .malformedHost }
    var end = 0
    if authority[0] == UInt8(ascii: "[") {
        guard let bracket = firstIndex(of: UInt8(ascii: "]"), in: authority),
            isIPv6(authority.extracting(1..<bracket))
        else { throw .malformedHost }
        end = bracket + 1
    } else {
        while end < authority.count, isHostOctet(authority[end]) { end += 1 }
        guard end > 0 else { throw .malformedHost }
    }
    if end == authority.count { return }
    guard authority[end] == UInt8(ascii: ":") else { throw .malformedHost }
    let digits = authority.count - end - 1
    guard digits >= 1, digits <= 5 else { throw .malformedHost }
    var port = 0
    for index in (end + 1)..<authority.count {
        guard isDigit(authority[index]) else { throw .malformedHost }
        port = port * 10 + Int(authority[index] &- 0x30)
    }
    guard port <= 65_535 else { throw .malformedHost }
}

@inline(__always) private func isHostOctet(_ byte: UInt8) -> Bool {
    (byte | 0x20) &- 0x61 < 26 || isDigit(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".")
        || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "~")
}

/// Whether `text` is an IPv6 address without zone. RFC 3986 section 3.2.2.
private func isIPv6(_ text: Span<UInt8>) -> Bool {
    var groups = 0
    var hasGap = false
    var index = 0
    if text.count >= 2, text[0] == UInt8(ascii: ":"), text[1] == UInt8(ascii: ":") {
        hasGap = true
        index = 2
    }
    while index < text.count {
        let start = index
        while index < text.count, hexDigit(text[index]) != nil { index += 1 }
        if index < text.count, text[index] == UInt8(ascii: ".") {
            guard isIPv4(text.extracting(start..<text.count)) else { return false }
            groups += 2
            index = text.count
            break
        }
        guard index > start, index - start <= 4 else { return false }
        groups += 1
        if index == text.count { break }
        guard text[index] == UInt8(ascii: ":") else { return false }
        index += 1
        guard index < text.count else { return false }
        if text[index] == UInt8(ascii: ":") {
            guard !hasGap else { return false }
            hasGap = true
            index += 1
        }
    }
    return hasGap ? groups <= 7 : groups == 8
}

/// Whether `text` is an IPv4 address in dotted decimals.
private func isIPv4(_ text: Span<UInt8>) -> Bool {
    var parts = 1
    var digits = 0
    var value = 0
    for index in text.indices {
        let byte = text[index]
        if byte == UInt8(ascii: ".") {
            guard digits > 0 else { return false }
            parts += 1
            digits = 0
            value = 0
        } else {
            guard isDigit(byte), digits < 3 else { return false }
            value = value * 10 + Int(byte &- 0x30)
            digits += 1
            guard value <= 255 else { return false }
        }
    }
    return parts == 4 && digits > 0
}

extension Method {
    /// The method written exactly so; `nil` for any other, `CONNECT` and `TRACE` among them.
    package init?(_ text: Span<UInt8>) {
        switch text.count {
        case 3 where bytesEqual(text, "GET"): self = .get
        case 3 where bytesEqual(text, "PUT"): self = .put
        case 4 where bytesEqual(text, "POST"): self = .post
        case 4 where bytesEqual(text, "HEAD"): self = .head
        case 5 where bytesEqual(text, "PATCH"): self = .patch
        case 6 where bytesEqual(text, "DELETE"): self = .delete
        case 7 where bytesEqual(text, "OPTIONS"): self = .options
        default: return nil
        }
    }
}
