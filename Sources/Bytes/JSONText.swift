/// The text of a JSON string: its content between the quotes with the escapes resolved, as UTF-8.
///
/// - Parameter content: What a reader found to be valid, without quotes.
/// - Returns: A copy. Half a surrogate pair, which no reader lets pass, becomes U+FFFD.
package func decodeJSONText(_ content: Span<UInt8>) -> [UInt8] {
    var text: [UInt8] = []
    text.reserveCapacity(content.count)
    var index = 0
    while index < content.count {
        let byte = content[index]
        guard byte == UInt8(ascii: "\\"), index + 1 < content.count else {
            text.append(byte)
            index += 1
            continue
        }
        index += 2
        switch content[index - 1] {
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"): appendScalar(content, at: &index, to: &text)
        case let other: text.append(other)
        }
    }
    return text
}

/// Appends the character whose four hexadecimal digits begin at `index`, and moves behind it and its second half.
private func appendScalar(_ content: Span<UInt8>, at index: inout Int, to text: inout [UInt8]) {
    var value = hexUnit(content, at: index)
    index = min(index + 4, content.count)
    if value & 0xFC00 == 0xD800, index + 6 <= content.count, content[index] == UInt8(ascii: "\\"),
        content[index + 1] == UInt8(ascii: "u")
    {
        let second = hexUnit(content, at: index + 2)
        if second & 0xFC00 == 0xDC00 {
            value = 0x10000 + (value & 0x3FF) << 10 + second & 0x3FF
            index += 6
        }
    }
    let scalar = Unicode.Scalar(value) ?? "\u{FFFD}"
    text.append(contentsOf: String(Character(scalar)).utf8)
}

private func hexUnit(_ content: Span<UInt8>, at index: Int) -> UInt32 {
    var value: UInt32 = 0
    for digit in index..<min(index + 4, content.count) { value = value << 4 | UInt32(hexDigit(content[digit]) ?? 0) }
    return value
}

/// Whether the name of a member is `name`, escapes resolved.
package func isKey(_ member: JSONMember, _ name: StaticString, in bytes: Span<UInt8>) -> Bool {
    let key = bytes.extracting(member.key)
    return member.keyHasEscapes ? bytesEqual(decodeJSONText(key).span, name) : bytesEqual(key, name)
}

/// The value as a whole number; `nil` if it is none, is negative, has a fraction or exponent, or passes `Int.max`.
package func jsonInteger(_ value: JSONValue, in bytes: Span<UInt8>) -> Int? {
    guard value.kind == .number else { return nil }
    var offset = value.range.lowerBound
    guard let number = try? readDecimal(bytes, at: &offset, limit: .max), offset == value.range.upperBound else {
        return nil
    }
    return number
}

/// The text of a string value, escapes resolved; `nil` if it is no string. Copies.
package func jsonText(_ value: JSONValue, in bytes: Span<UInt8>) -> [UInt8]? {
    guard value.kind == .string else { return nil }
    let content = bytes.extracting(value.content)
    return value.hasEscapes ? decodeJSONText(content) : [UInt8](copying: content)
}
