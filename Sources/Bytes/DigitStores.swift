/// Bytes that `storeDecimal` may write to: a sign, 20 digits, and what the last store is wider than that.
@usableFromInline internal let decimalRoom = 28

/// Stores `value` in decimal and returns the place behind it. May write up to `decimalRoom` bytes.
@usableFromInline internal func storeDecimal(_ value: Int, at place: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer
{
    var place = place
    if UInt(bitPattern: value) < 10 {
        place.storeBytes(of: UInt8(truncatingIfNeeded: value) &+ 48, as: UInt8.self)
        return place + 1
    }
    if value < 0 {
        place.storeBytes(of: UInt8(ascii: "-"), as: UInt8.self)
        place += 1
    }
    return storeUnsigned(value.magnitude, at: place)
}

/// Stores `value`, which is not negative, with three digits behind the point.
@usableFromInline internal func storeThousandths(
    _ value: Int, at place: UnsafeMutableRawPointer
) -> UnsafeMutableRawPointer {
    let (whole, rest) = UInt(value).quotientAndRemainder(dividingBy: 1000)
    let behind = storeUnsigned(whole, at: place)
    // The first of the four digits is 0 and makes room for the point.
    behind.storeBytes(of: fourDigits(UInt32(rest)) &- 0x30 &+ 0x2E, as: UInt32.self)
    return behind + 4
}

@inline(__always)
private func storeUnsigned(_ value: UInt, at place: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
    if value < 10_000 { return storeLeading(UInt32(value), at: place) }
    return storeLong(value, at: place)
}

@inline(never)
private func storeLong(_ value: UInt, at place: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
    let (rest, low) = value.quotientAndRemainder(dividingBy: 10_000)
    let behind = rest < 10_000 ? storeLeading(UInt32(rest), at: place) : storeLong(rest, at: place)
    behind.storeBytes(of: fourDigits(UInt32(low)), as: UInt32.self)
    return behind + 4
}

/// Stores 0...9999 without leading zeros; always writes four bytes.
@inline(__always)
private func storeLeading(_ value: UInt32, at place: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
    let digits = fourDigits(value)
    // Of the zeros in front all but the last digit's are shifted out.
    let zeros = ((digits ^ 0x3030_3030) | 0x0100_0000).trailingZeroBitCount & ~7
    place.storeBytes(of: digits >> UInt32(zeros), as: UInt32.self)
    return place + (4 - zeros / 8)
}

/// 0...9999 as four digits, the first in the lowest byte.
@inlinable @inline(__always) internal func fourDigits(_ value: UInt32) -> UInt32 {
    // Two halves of two digits, then four of one, each divided in its own lane.
    let high = (value &* 5243) >> 19
    let halves = high | (value &- high &* 100) << 16
    let tens = ((halves &* 103) >> 10) & 0x000F_000F
    return (tens | (halves &- tens &* 10) << 8) | 0x3030_3030
}

/// Stores all 16 hexadecimal digits of `value`.
@usableFromInline internal func storeHex(_ value: UInt64, at place: UnsafeMutableRawPointer) {
    place.storeBytes(of: hexDigits(value >> 32), as: UInt64.self)
    place.storeBytes(of: hexDigits(value & 0xFFFF_FFFF), toByteOffset: 8, as: UInt64.self)
}

/// Eight digits of the low half of `value`, the first in the lowest byte.
@inline(__always) private func hexDigits(_ value: UInt64) -> UInt64 {
    // Nibbles are spread to bytes by halves, then the bytes turned around.
    var nibbles = (value | value << 16) & 0x0000_FFFF_0000_FFFF
    nibbles = (nibbles | nibbles << 8) & 0x00FF_00FF_00FF_00FF
    nibbles = (nibbles | nibbles << 4) & 0x0F0F_0F0F_0F0F_0F0F
    // 1 in each byte above 9.
    let letters = ((nibbles &+ 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101
    return (nibbles &+ 0x3030_3030_3030_3030 &+ letters &* 39).byteSwapped
}
