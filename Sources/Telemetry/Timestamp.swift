internal import Bytes

/// Writes times as `2026-11-23T22:01:02.123Z`, and works the date out once a second.
package struct TimestampWriter: Sendable {
    private var second = Int.min
    /// `2026-11-23T22:01:02.`
    private var prefix: [UInt8] = []

    /// A writer that has written nothing yet.
    package init() {}

    /// Appends a time.
    ///
    /// - Parameter millis: Milliseconds since 1970; what lies outside the years 0...9999 is written as its nearest end.
    internal mutating func append(millis: Int, to output: inout ByteQueue) {
        let millis = min(max(millis, -62_167_219_200_000), 253_402_300_799_999)
        let whole = millis >= 0 ? millis / 1000 : (millis - 999) / 1000
        if whole != second {
            second = whole
            prefix = TimestampWriter.text(ofSecond: whole)
        }
        output.append(prefix)
        output.append(threeDigits: millis - whole * 1000)
        output.append(UInt8(ascii: "Z"))
    }

    /// Howard Hinnant's `civil_from_days`: eras of 400 years that begin on 1 March.
    private static func text(ofSecond second: Int) -> [UInt8] {
        let days = second >= 0 ? second / 86400 : (second - 86399) / 86400
        let time = second - days * 86400
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
        let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        var text = twoDigits(year / 100) + twoDigits(year % 100)
        for (separator, value) in [
            ("-", month), ("-", day), ("T", time / 3600), (":", time / 60 % 60), (":", time % 60),
        ] {
            text += Array(separator.utf8) + twoDigits(value)
        }
        return text + Array(".".utf8)
    }

    private static func twoDigits(_ value: Int) -> [UInt8] {
        [UInt8(truncatingIfNeeded: 48 + value / 10), UInt8(truncatingIfNeeded: 48 + value % 10)]
    }
}
