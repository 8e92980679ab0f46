/// Whether `text` is an IPv4 address in dotted decimal: four numbers 0...255 without leading zeros.
package func isIPv4Literal(_ text: Substring) -> Bool {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4
        && parts.allSatisfy { part in
            guard (1...3).contains(part.utf8.count), part.utf8.allSatisfy({ (48...57).contains($0) }) else {
                return false
            }
            guard part.utf8.count == 1 || part.utf8.first != 48 else { return false }
            return UInt8(part) != nil
        }
}

/// Whether `text` is an IPv6 address, written without brackets and without a zone.
///
/// - SeeAlso: RFC 4291 section 2.2.
package func isIPv6Literal(_ text: Substring) -> Bool {
    guard text.utf8.count <= 45 else { return false }
    guard let gap = doubleColon(in: text) else { return groupCount(text) == 8 }
    let (left, right) = (text[..<gap.lowerBound], text[gap.upperBound...])
    guard doubleColon(in: right) == nil, right.utf8.first != UInt8(ascii: ":") else { return false }
    guard let before = left.isEmpty ? 0 : groupCount(left, mayEndInIPv4: false),
        let after = right.isEmpty ? 0 : groupCount(right)
    else { return false }
    return before + after <= 7
}

private func doubleColon(in text: Substring) -> Range<String.Index>? {
    let bytes = text.utf8
    var index = bytes.startIndex
    while index < bytes.endIndex {
        let next = bytes.index(after: index)
        if next < bytes.endIndex, bytes[index] == UInt8(ascii: ":"), bytes[next] == UInt8(ascii: ":") {
            return index..<bytes.index(after: next)
        }
        index = next
    }
    return nil
}

/// How many 16-bit groups `text` holds (an IPv4 address at its end counts as two); `nil` if it is malformed.
private func groupCount(_ text: Substring, mayEndInIPv4: Bool = true) -> Int? {
    let groups = text.split(separator: ":", omittingEmptySubsequences: false)
    var count = 0
    for (index, group) in groups.enumerated() {
        if mayEndInIPv4, index == groups.count - 1, group.utf8.contains(UInt8(ascii: ".")) {
            guard isIPv4Literal(group) else { return nil }
            count += 2
            continue
        }
        guard (1...4).contains(group.utf8.count), group.utf8.allSatisfy(isHexDigit) else { return nil }
        count += 1
    }
    return count
}

private func isHexDigit(_ byte: UInt8) -> Bool {
    (48...57).contains(byte) || (97...102).contains(byte | 0x20)
}
