internal import Bytes

/// One element of an `Accept` field, as far as the choice of an exposition needs it.
internal struct MediaRange {
    /// Whether it names an OpenMetrics version that we write.
    private(set) var isOpenMetrics = false
    /// Whether it admits plain text.
    private(set) var isText = false
    /// The quality in thousandths, 0...1000.
    private(set) var weight = 1000

    /// Reads `type/subtype; name=value; …`. What cannot be read matches nothing.
    init(_ element: Span<UInt8>) {
        var start = 0
        var isType = true
        while start <= element.count {
            let end = firstIndex(of: UInt8(ascii: ";"), in: element, from: start) ?? element.count
            let part = element.extracting(unpadded(element, start..<end))
            if isType {
                isOpenMetrics = bytesEqualIgnoringCase(part, "application/openmetrics-text")
                isText =
                    bytesEqualIgnoringCase(part, "text/plain") || bytesEqualIgnoringCase(part, "text/*")
                    || bytesEqual(part, "*/*")
                isType = false
            } else if part.count > 2, bytesEqualIgnoringCase(part.extracting(0..<2), "q=") {
                weight = quality(part.extracting(2..<part.count))
            } else if isOpenMetrics, part.count > 8, bytesEqualIgnoringCase(part.extracting(0..<8), "version=") {
                let version = part.extracting(8..<part.count)
                isOpenMetrics = bytesEqual(version, "1.0.0") || bytesEqual(version, "0.0.1")
            }
            start = end + 1
        }
    }

    private func unpadded(_ text: Span<UInt8>, _ range: Range<Int>) -> Range<Int> {
        var (first, last) = (range.lowerBound, range.upperBound)
        while first < last, isBlank(text[first]) { first += 1 }
        while last > first, isBlank(text[last - 1]) { last -= 1 }
        return first..<last
    }

    private func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }

    /// RFC 9110 section 12.4.2: at most three decimals; what is no quality counts as none.
    private func quality(_ text: Span<UInt8>) -> Int {
        guard text.count <= 5, text[0] == 48 || text[0] == 49 else { return 0 }
        if text.count > 1, text[1] != UInt8(ascii: ".") { return 0 }
        var value = Int(text[0] - 48) * 1000
        var unit = 100
        for index in 2..<max(2, text.count) {
            guard case let digit = text[index] &- 48, digit < 10 else { return 0 }
            value += Int(digit) * unit
            unit /= 10
        }
        return min(value, 1000)
    }
}
