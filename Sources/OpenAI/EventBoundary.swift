internal import Bytes

/// Finds the blank line that ends an event whose bytes come in pieces. Lines end in LF, CR or CRLF.
internal struct EventBoundary: Sendable {
    private var lineIsEmpty = true
    private var previousWasReturn = false

    /// Index behind the blank line, or `nil` if it has not come; then the next piece goes on from here.
    internal mutating func end(in bytes: Span<UInt8>, from start: Int) -> Int? {
        var index = start
        while index < bytes.count {
            let byte = bytes[index]
            if byte == 0x0A, previousWasReturn {
                previousWasReturn = false
                index += 1
            } else if byte == 0x0A || byte == 0x0D {
                if lineIsEmpty { return lineEnd(bytes, index) }
                lineIsEmpty = true
                previousWasReturn = byte == 0x0D
                index += 1
            } else {
                lineIsEmpty = false
                previousWasReturn = false
                guard let end = markLine(bytes, from: index).end else { return nil }
                index = end
            }
        }
        return nil
    }

    private func lineEnd(_ bytes: Span<UInt8>, _ index: Int) -> Int {
        bytes[index] == 0x0D && index + 1 < bytes.count && bytes[index + 1] == 0x0A ? index + 2 : index + 1
    }
}
