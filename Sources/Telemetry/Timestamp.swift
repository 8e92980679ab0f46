internal import Bytes

/// Writes times as `2026-11-23T22:01:02.123Z`, and works the date out once a second.
package struct TimestampWriter: Sendable {
    private var second = Int.min
    /// `2026-11-23T22:01:02.`: eight bytes, eight, four; the first of each in the lowest.
    private var prefix: (UInt64, UInt64, UInt32) = (0, 0, 0)

    /// A writer that has written nothing yet.
    package init() {}

    /// Appends a time.
    ///
    /// - Parameter millis: Milliseconds since 1970; what lies outside the years 0...9999 is written as its nearest end.
    internal mutating func append(millis: Int, to output: inout ByteQueue) {
        output.write(reserving: 32) { write(millis: millis, to: $0) }
    }

    /// The same for a writer, which it gives back.
    internal mutating func write(millis: Int, to writer: consuming ByteWriter) -> ByteWriter {
        // Most times lie in the second of the one before.
        var fraction = UInt(bitPattern: millis &- second &* 1000)
        if fraction >= 1000 || second == .min { fraction = begin(millis) }
        writer.write(prefix, threeDigits: Int(fraction), UInt8(ascii: "Z"))
        return writer
    }

    /// Works out the text of a second; returns the milliseconds in it.
    private mutating func begin(_ millis: Int) -> UInt {
        let millis = min(max(millis, -62_167_219_200_000), 253_402_300_799_999)
        second = millis >= 0 ? millis / 1000 : (millis - 999) / 1000
        let text = TimestampWriter.text(ofSecond: second)
        func word(_ range: Range<Int>) -> UInt64 {
            range.reversed().reduce(0) { $0 << 8 | UInt64(text[$1]) }
        }
        prefix = (word(0..<8), word(8..<16), UInt32(word(16..<20)))
        return UInt(millis - second * 1000)
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
