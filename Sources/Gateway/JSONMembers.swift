internal import Bytes

// JSON for operators, member by member: the comma before each is written where it is due.
extension ByteQueue {
    /// Begins a member of the object that is being written; its value is the caller's to append.
    mutating func beginMember(_ key: StaticString) {
        separate()
        append(jsonString: key)
        append(":")
    }

    mutating func member(_ key: StaticString, _ value: String) {
        beginMember(key)
        append(jsonString: Array(value.utf8).span)
    }

    mutating func member(_ key: StaticString, _ value: StaticString) {
        beginMember(key)
        append(jsonString: value)
    }

    mutating func member(_ key: StaticString, _ value: Bool) {
        beginMember(key)
        append(value ? "true" : "false")
    }

    mutating func member(_ key: StaticString, _ value: Int) {
        beginMember(key)
        append(decimal: value)
    }

    /// Where `Int.max` means that there is no bound, written as `null`.
    mutating func member(_ key: StaticString, bound value: Int) {
        beginMember(key)
        if value == .max { append("null") } else { append(decimal: value) }
    }

    /// Nanoseconds as seconds; `Int64.max`, never, is `null`.
    mutating func member(_ key: StaticString, seconds nanos: Int64) {
        beginMember(key)
        append(text: nanos == .max ? "null" : secondsText(nanos))
    }

    /// A share as a fraction with up to three decimals.
    mutating func member(_ key: StaticString, fraction value: Double) {
        beginMember(key)
        append(text: decimalText(thousandths: Int((value * 1000).rounded())))
    }

    /// A member with a list; `each` writes one element.
    mutating func member<Element>(
        _ key: StaticString, list: some Sequence<Element>, _ each: (inout ByteQueue, Element) -> Void
    ) {
        beginMember(key)
        append("[")
        for element in list {
            separate()
            each(&self, element)
        }
        append("]")
    }

    /// A member with an object; `fill` writes its members.
    mutating func member(_ key: StaticString, _ fill: (inout ByteQueue) -> Void) {
        beginMember(key)
        append("{")
        fill(&self)
        append("}")
    }

    private mutating func separate() {
        guard count > 0 else { return }
        let last = span[count - 1]
        if last != UInt8(ascii: "{"), last != UInt8(ascii: "["), last != UInt8(ascii: ":") { append(",") }
    }
}

/// Seconds with up to six decimals.
private func secondsText(_ nanos: Int64) -> String {
    let (seconds, rest) = (max(0, nanos) / 1000).quotientAndRemainder(dividingBy: 1_000_000)
    return "\(seconds)" + fraction(Int(rest), digits: 6)
}

/// A number with up to three decimals.
private func decimalText(thousandths: Int) -> String {
    "\(thousandths / 1000)" + fraction(abs(thousandths % 1000), digits: 3)
}

private func fraction(_ rest: Int, digits: Int) -> String {
    guard rest > 0 else { return "" }
    var text = "\(rest)"
    text = String(repeating: "0", count: digits - text.utf8.count) + text
    while text.last == "0" { text.removeLast() }
    return "." + text
}

/// A duration for a person: `250 ms`, `1.5 s`, `10 m`; `-` for never.
func durationText(_ nanos: Int64) -> String {
    if nanos == .max { return "-" }
    if nanos < 1_000_000_000 { return decimalText(thousandths: Int(nanos / 1000)) + " ms" }
    if nanos >= 60_000_000_000, nanos % 60_000_000_000 == 0 { return "\(nanos / 60_000_000_000) m" }
    return decimalText(thousandths: Int(nanos / 1_000_000)) + " s"
}

/// A number that may have no bound, for a person.
func boundText(_ value: Int) -> String { value == .max ? "-" : "\(value)" }

/// Rows with their cells one below the other, two blanks between; every row has as many cells.
func tableLines(_ rows: [[String]]) -> [String] {
    guard let first = rows.first else { return [] }
    let widths = first.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
        var line = ""
        for (column, cell) in row.enumerated() {
            line += cell
            if column + 1 < row.count { line += String(repeating: " ", count: widths[column] - cell.count + 2) }
        }
        return line
    }
}
