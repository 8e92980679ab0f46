extension ByteQueue {
    /// Appends `text` as a JSON string, quotes included.
    ///
    /// Safe for any input: what is not UTF-8 becomes U+FFFD, and everything below 0x20, 0x7F, U+0085, U+2028 and
    /// U+2029 is escaped, so that the result stands in one line wherever it is shown.
    package mutating func append(jsonString text: Span<UInt8>) {
        append(UInt8(ascii: "\""))
        append(jsonContent: text)
        append(UInt8(ascii: "\""))
    }

    /// Appends a literal as a JSON string, quotes included.
    package mutating func append(jsonString text: StaticString) {
        append(UInt8(ascii: "\""))
        appendContent(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
        append(UInt8(ascii: "\""))
    }

    /// Appends `text` as the inside of a JSON string, without quotes.
    package mutating func append(jsonContent text: Span<UInt8>) {
        text.withUnsafeBufferPointer { appendContent($0) }
    }

    private mutating func appendContent(_ text: UnsafeBufferPointer<UInt8>) {
        guard let base = text.baseAddress else { return }
        var index = 0
        while index < text.count {
            let plain = plainEnd(base, from: index, to: text.count)
            // 0x7F counts as plain there; it is rare, so the run is searched again.
            let stop = (index..<plain).first { base[$0] == 0x7F } ?? plain
            append(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(text)[index..<stop]))
            index = stop
            if index < text.count { index += appendSpecial(base + index, available: text.count - index) }
        }
    }

    /// Appends one character that cannot stand as it is; returns how many bytes of the text it took.
    private mutating func appendSpecial(_ bytes: UnsafePointer<UInt8>, available: Int) -> Int {
        let byte = bytes[0]
        switch byte {
        case UInt8(ascii: "\""): append("\\\"")
        case UInt8(ascii: "\\"): append("\\\\")
        case 0x0A: append("\\n")
        case 0x0D: append("\\r")
        case 0x09: append("\\t")
        case 0...0x7F: append(escaped: UInt16(byte))
        default:
            let length = utf8Length(bytes, available: available)
            guard length > 0 else {
                append("\\ufffd")
                return 1
            }
            if byte == 0xC2, bytes[1] < 0xA0 {
                append(escaped: UInt16(bytes[1]))
            } else if byte == 0xE2, bytes[1] == 0x80, bytes[2] & 0xFE == 0xA8 {
                append(escaped: 0x2028 + UInt16(bytes[2] & 1))
            } else {
                append(UnsafeRawBufferPointer(start: bytes, count: length))
            }
            return length
        }
        return 1
    }

    private mutating func append(escaped unit: UInt16) {
        append("\\u")
        for shift in stride(from: 12, through: 0, by: -4) {
            let nibble = UInt8(truncatingIfNeeded: unit >> UInt16(shift)) & 15
            append(nibble < 10 ? 48 + nibble : 87 + nibble)
        }
    }
}
