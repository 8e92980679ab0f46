/// Why digits could not be read.
package enum DecimalError: Error, Equatable {
    case notANumber
    case tooLarge
}

/// Reads the decimal digits at `offset` and moves `offset` past them.
///
/// - Parameters:
///   - bytes: ASCII text. Borrowed for the call; nothing is copied or allocated.
///   - offset: In: index of the first digit. Out: index of the first byte that is no digit.
///   - limit: The largest value accepted, such as the maximum body size in bytes.
/// - Returns: The value, in `0...limit`.
/// - Throws: `.notANumber` if no digit stands at `offset`, `.tooLarge` past `limit`. `offset` is unchanged then.
/// - Complexity: O(digits).
/// - SeeAlso: RFC 9110 section 8.6, `Content-Length`.
package func readDecimal(_ bytes: Span<UInt8>, at offset: inout Int, limit: Int) throws(DecimalError) -> Int {
    var index = offset
    var value = 0
    while index < bytes.count, case let digit = bytes[index] &- 48, digit < 10 {
        let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
        let (sum, carry) = tens.addingReportingOverflow(Int(digit))
        if overflow || carry || sum > limit { throw .tooLarge }
        value = sum
        index += 1
    }
    if index == offset { throw .notANumber }
    offset = index
    return value
}
