internal import Bytes

/// The form of the events of a stream of Chat Completions or Completions: what stands before and behind their text.
///
/// Engines write all ordinary events of a stream from one form, so that two comparisons, and a search for what cannot be
/// in the text, read an event. Measured: 30 % of the instructions of a chunk on its way through the gateway.
internal struct EventForm {
    /// An event of the form.
    internal struct Match {
        /// Where the text stands, without quotes.
        let content: Range<Int>
        /// Index behind its blank line.
        let end: Int
    }

    /// How often a form is learnt in a stream: those of some providers never stay the same.
    private static let lessons = 8

    /// What stands before the text, and then what stands behind it, the blank line included.
    private var bytes: [UInt8] = []
    private var prefixCount = 0
    private var learnt = 0
    /// Whether the event ends in `,"usage":null}`.
    private var hasNullUsage = false

    /// Reads the event that begins at `start`; `nil` if it has another form, or its end has not come.
    @inline(__always)
    internal func match(_ text: Span<UInt8>, from start: Int) -> Match? {
        if prefixCount == 0 { return nil }
        return compare(text, from: start)
    }

    private func compare(_ text: Span<UInt8>, from start: Int) -> Match? {
        let form = bytes.span
        let contentStart = start &+ prefixCount
        guard text.count &- start >= form.count,
            bytesEqual(text.extracting(start..<contentStart), form.extracting(0..<prefixCount)),
            let lineFeed = firstIndex(of: 0x0A, in: text, from: contentStart)
        else { return nil }
        // Two line feeds end the form.
        let end = lineFeed &+ 2
        let contentEnd = end &- (form.count &- prefixCount)
        guard end <= text.count, contentEnd >= contentStart,
            bytesEqual(text.extracting(contentEnd..<end), form.extracting(prefixCount..<form.count))
        else { return nil }
        let content = text.extracting(contentStart..<contentEnd)
        // A quote may end the text, a carriage return the line, and a backslash may hide the quote behind it.
        if content.count > 0 {
            guard content[content.count &- 1] != UInt8(ascii: "\\"), firstIndex(of: 0x22, in: content) == nil,
                firstIndex(of: 0x0D, in: content) == nil
            else { return nil }
        }
        return Match(content: contentStart..<contentEnd, end: end)
    }

    /// Where `,"usage":null` stands in an event of the form that ends at `end`; `nil` if it has none.
    internal func nullUsage(before end: Int) -> Range<Int>? {
        hasNullUsage ? (end &- 16)..<(end &- 3) : nil
    }

    /// Takes the form of an ordinary event.
    ///
    /// - Parameter data: The place of its data. If it is not the only line, nothing is learnt.
    internal mutating func learn(_ text: Span<UInt8>, _ event: Range<Int>, data: Range<Int>) {
        guard learnt < EventForm.lessons, event.upperBound == data.upperBound + 2,
            bytesEqual(text.extracting(event.lowerBound..<data.lowerBound), "data: "),
            bytesEqual(text.extracting(data.upperBound..<event.upperBound), "\n\n")
        else { return }
        learnt += 1
        let payload = text.extracting(data)
        var chunk = CompletionChunk()
        do throws(JSONError) {
            try chunk.read(payload)
        } catch {
            return
        }
        guard chunk.obstacle == nil, chunk.contents.count == 1 else { return }
        let content = chunk.contents[0].shifted(by: data.lowerBound)
        bytes.removeAll(keepingCapacity: true)
        bytes.append(copying: text.extracting(event.lowerBound..<content.lowerBound))
        prefixCount = bytes.count
        bytes.append(copying: text.extracting(content.upperBound..<event.upperBound))
        let ending: StaticString = ",\"usage\":null}\n\n"
        let suffix = text.extracting(content.upperBound..<event.upperBound)
        hasNullUsage =
            suffix.count >= ending.utf8CodeUnitCount
            && bytesEqual(suffix.extracting((suffix.count - ending.utf8CodeUnitCount)...), ending)
    }
}
