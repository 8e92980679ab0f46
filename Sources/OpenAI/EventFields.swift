internal import Bytes

/// The fields of one event, gathered line by line.
internal struct EventFields {
    /// Where the value of `data` stands, of the last if there are several.
    var data: Range<Int>?
    var hasSeveralDataLines = false
    /// All values of `data`, if there are several, with line feeds between them.
    var joined: [UInt8] = []
    /// Where the value of `event` stands; empty if there is none.
    var name = 0..<0
    var marks = JSONMarks()

    /// No line yet.
    init() {}

    /// The fields of a whole event.
    init(_ event: Span<UInt8>) {
        var index = 0
        while index < event.count {
            let line = markLine(event, from: index)
            let end = line.end ?? event.count
            if end > index { note(event, index..<end, line.marks) }
            // CRLF counts as an empty line more, which says nothing here.
            index = end + 1
        }
    }

    /// Takes a line, which is not empty.
    mutating func note(_ bytes: Span<UInt8>, _ line: Range<Int>, _ found: JSONMarks) {
        let text = bytes.extracting(line)
        if bytesBegin(text, with: "data:") {
            marks.merge(found)
            let value = EventFields.value(bytes, (line.lowerBound + 5)..<line.upperBound)
            if let first = data { join(bytes, first, value) }
            data = value
        } else if bytesBegin(text, with: "event:") {
            name = EventFields.value(bytes, (line.lowerBound + 6)..<line.upperBound)
        }
    }

    private mutating func join(_ bytes: Span<UInt8>, _ first: Range<Int>, _ next: Range<Int>) {
        if !hasSeveralDataLines { joined.append(copying: bytes.extracting(first)) }
        hasSeveralDataLines = true
        joined.append(0x0A)
        joined.append(copying: bytes.extracting(next))
    }

    /// The value without the one space that may stand before it.
    private static func value(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Range<Int> {
        guard !range.isEmpty, bytes[range.lowerBound] == 0x20 else { return range }
        return (range.lowerBound + 1)..<range.upperBound
    }
}
