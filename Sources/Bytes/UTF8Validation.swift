/// Whether `bytes` are UTF-8: no overlong form, no surrogate, nothing beyond U+10FFFF, nothing cut short.
package func isUTF8(_ bytes: Span<UInt8>) -> Bool {
    bytes.withUnsafeBufferPointer { buffer in
        guard let base = buffer.baseAddress else { return true }
        var index = 0
        while index < buffer.count {
            if base[index] < 0x80 {
                index &+= 1
            } else {
                guard let next = utf8RunEnd(base, from: index, to: buffer.count) else { return false }
                index = next
            }
        }
        return true
    }
}

/// Index behind the multi-byte characters that follow one another from `start`; `nil` if one is not valid.
///
/// - Parameter start: Index of a byte above 0x7F.
internal func utf8RunEnd(_ base: UnsafePointer<UInt8>, from start: Int, to end: Int) -> Int? {
    var index = start
    while index < end, base[index] >= 0x80 {
        let length = utf8Length(base + index, available: end &- index)
        if length == 0 { return nil }
        index &+= length
    }
    return index
}

/// Bytes of the multi-byte character at `bytes`; 0 if it is not valid. Unicode 15, table 3-7.
@inline(__always)
internal func utf8Length(_ bytes: UnsafePointer<UInt8>, available: Int) -> Int {
    let lead = bytes[0]
    switch lead {
    case 0xE0...0xEF:
        guard available >= 3, bytes[1] & 0xC0 == 0x80, bytes[2] & 0xC0 == 0x80 else { return 0 }
        if lead == 0xE0, bytes[1] < 0xA0 { return 0 }
        if lead == 0xED, bytes[1] > 0x9F { return 0 }
        return 3
    case 0xC2...0xDF:
        return available >= 2 && bytes[1] & 0xC0 == 0x80 ? 2 : 0
    case 0xF0...0xF4:
        guard available >= 4, bytes[1] & 0xC0 == 0x80, bytes[2] & 0xC0 == 0x80, bytes[3] & 0xC0 == 0x80 else {
            return 0
        }
        if lead == 0xF0, bytes[1] < 0x90 { return 0 }
        if lead == 0xF4, bytes[1] > 0x8F { return 0 }
        return 4
    default: return 0
    }
}
