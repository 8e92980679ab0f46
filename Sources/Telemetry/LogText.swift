internal import Bytes

extension ByteQueue {
    /// Appends foreign bytes so that they stay inside a quoted string, on one line, and show what they are.
    ///
    /// Escaped are quote and backslash, everything below 0x20, 0x7F...0x9F, line and paragraph separators, and
    /// what turns the direction of text; what is not UTF-8 becomes U+FFFD, octet by octet.
    internal mutating func append(escaped bytes: Span<UInt8>) {
        if isPlain(bytes) { return append(bytes) }
        var start = 0
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            if isPlain(byte) {
                index += 1
                continue
            }
            let (scalar, length) = byte < 0x80 ? (UInt32(byte), 1) : decodeScalar(bytes, at: index)
            if byte >= 0x80 && !isDeceptive(scalar) {
                index += length
                continue
            }
            append(bytes.extracting(start..<index))
            append(escape: scalar)
            index += length
            start = index
        }
        append(bytes.extracting(start..<bytes.count))
    }

    /// Appends foreign bytes as the value of `name=value`: bare if they are plain, else quoted and escaped.
    internal mutating func append(consoleValue bytes: Span<UInt8>) {
        var isBare = bytes.count > 0
        for index in 0..<bytes.count where !isPlain(bytes[index]) || bytes[index] == 0x20 || bytes[index] == 0x3D {
            isBare = false
            break
        }
        if isBare { return append(bytes) }
        append(UInt8(ascii: "\""))
        append(escaped: bytes)
        append(UInt8(ascii: "\""))
    }

    /// Appends a duration in milliseconds, with microseconds behind the point.
    internal mutating func append(millisOfNanos nanos: Int) {
        write(reserving: 32) { writer in
            var writer = writer
            writer.write("", thousandths: nanos / 1000)
            return writer
        }
    }

    private mutating func append(escape scalar: UInt32) {
        switch scalar {
        case 0x22: append("\\\"")
        case 0x5C: append("\\\\")
        case 0x0A: append("\\n")
        case 0x0D: append("\\r")
        case 0x09: append("\\t")
        default:
            append("\\u")
            for shift in [12, 8, 4, 0] as [UInt32] {
                let nibble = UInt8(truncatingIfNeeded: scalar >> shift & 15)
                append(nibble < 10 ? 48 + nibble : 87 + nibble)
            }
        }
    }
}

/// Printable ASCII but quote and backslash.
@inline(__always) private func isPlain(_ byte: UInt8) -> Bool {
    byte &- 0x20 < 0x5F && byte != 0x22 && byte != 0x5C
}

/// Whether nothing needs escaping. Looks at every byte without a branch, so that the compiler makes vectors of it.
private func isPlain(_ bytes: Span<UInt8>) -> Bool {
    var found: UInt8 = 0
    for index in 0..<bytes.count {
        let byte = bytes[index]
        found |= (byte &- 0x20 >= 0x5F ? 1 : 0) | (byte == 0x22 ? 1 : 0) | (byte == 0x5C ? 1 : 0)
    }
    return found == 0
}

/// Whether a terminal obeys the character, a log reader breaks the line at it, or text after it reads backwards.
private func isDeceptive(_ scalar: UInt32) -> Bool {
    switch scalar {
    case 0x80...0x9F, 0x200E...0x200F, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF, 0xFFFD: true
    default: false
    }
}

/// The character at `index` and its length; U+FFFD and 1 if there is no valid UTF-8.
private func decodeScalar(_ bytes: Span<UInt8>, at index: Int) -> (scalar: UInt32, length: Int) {
    let first = bytes[index]
    let (length, least): (Int, UInt32) =
        switch first {
        case 0xC2...0xDF: (2, 0x80)
        case 0xE0...0xEF: (3, 0x800)
        case 0xF0...0xF4: (4, 0x10000)
        default: (1, 0)
        }
    guard length > 1, index + length <= bytes.count else { return (0xFFFD, 1) }
    var scalar = UInt32(first) & (0x7F >> UInt32(length))
    for offset in 1..<length {
        let next = bytes[index + offset]
        guard next & 0xC0 == 0x80 else { return (0xFFFD, 1) }
        scalar = scalar << 6 | UInt32(next & 0x3F)
    }
    guard scalar >= least, scalar <= 0x10FFFF, !(0xD800...0xDFFF).contains(scalar) else { return (0xFFFD, 1) }
    return (scalar, length)
}

/// How many of the first `limit` bytes may be kept without cutting a character in two.
internal func wholePrefix(_ bytes: Span<UInt8>, limit: Int) -> Int {
    guard bytes.count > limit else { return bytes.count }
    var end = limit
    while end > max(0, limit - 3), bytes[end] & 0xC0 == 0x80 { end -= 1 }
    return end
}
