/// Units of time as configuration files write them, longest first, with their length in milliseconds.
private let timeUnits: [(name: String, millis: Int64)] = [
    ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1),
]

/// Units of size, largest first, with their length in bytes.
private let sizeUnits: [(name: String, bytes: Int)] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("", 1)]

/// Reads `250ms`, `30s`, `5m`, `1h` or `0`. `nil` for anything else and past 10,000 hours.
func duration(_ text: String) -> Duration? {
    if text == "0" { return .zero }
    guard let (number, unit) = splitUnit(text), let found = timeUnits.first(where: { $0.name == unit }) else {
        return nil
    }
    let (millis, overflow) = Int64(number).multipliedReportingOverflow(by: found.millis)
    return overflow || millis > 10_000 * 3_600_000 ? nil : .milliseconds(millis)
}

/// Reads `16KiB`, `32MiB`, `1GiB` or plain bytes. `nil` for anything else and past 2^62.
func byteSize(_ text: String) -> Int? {
    guard let (number, unit) = splitUnit(text), let found = sizeUnits.first(where: { $0.name == unit }) else {
        return nil
    }
    let (bytes, overflow) = number.multipliedReportingOverflow(by: found.bytes)
    return overflow || bytes > 1 << 62 ? nil : bytes
}

/// Reads decimal digits, with `-` in front if negative; no `+`, blanks, exponents or underscores.
func wholeNumber(_ text: String) -> Int? {
    let digits = text.utf8.first == UInt8(ascii: "-") ? text.dropFirst() : text[...]
    guard !digits.isEmpty, digits.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
    return Int(text)
}

/// Reads `50%`, `12.5%`, `0.5` or `1`, which is all. `nil` for anything else and with more than 6 decimals.
func ratio(_ text: String) -> Double? {
    let isPercentage = text.utf8.last == UInt8(ascii: "%")
    let number = isPercentage ? text.dropLast() : text[...]
    let parts = number.split(separator: ".", omittingEmptySubsequences: false)
    let isDecimal = parts.allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy { (48...57).contains($0) } }
    guard isDecimal, parts.count == 1 || parts.count == 2 && parts[1].utf8.count <= 6 else { return nil }
    return Double(number).map { isPercentage ? $0 / 100 : $0 }
}

/// Digits and what follows them; blanks between are none of ours.
private func splitUnit(_ text: String) -> (number: Int, unit: Substring)? {
    let digits = text.utf8.prefix { (48...57).contains($0) }
    guard !digits.isEmpty, let number = Int(Substring(digits)) else { return nil }
    return (number, text[digits.endIndex...])
}

/// A duration as configuration files write it, in the largest unit that fits. Whole milliseconds.
package func durationText(_ duration: Duration) -> String {
    let (seconds, attoseconds) = duration.components
    let millis = seconds * 1_000 + attoseconds / 1_000_000_000_000_000
    if millis == 0 { return "0s" }
    let unit = timeUnits.first { millis % $0.millis == 0 } ?? ("ms", 1)
    return "\(millis / unit.millis)\(unit.name)"
}

/// A size as configuration files write it, in the largest unit that fits.
package func byteSizeText(_ bytes: Int) -> String {
    let unit = sizeUnits.first { bytes % $0.bytes == 0 && bytes >= $0.bytes } ?? ("", 1)
    return "\(bytes / unit.bytes)\(unit.name)"
}

/// A ratio as configuration files write it, in hundredths with at most 4 decimals.
package func ratioText(_ ratio: Double) -> String {
    let percentage = (ratio * 1_000_000).rounded() / 10_000
    return percentage == percentage.rounded() ? "\(Int(percentage))%" : "\(percentage)%"
}
