internal import Bytes

/// Finds the end of a message head as its bytes arrive, and refuses early what can never become one.
///
/// It looks at each byte once, however the head is cut into pieces. What the head says is left to `parseRequestHead`
/// and `parseResponseHead`.
package struct HTTP1HeadScanner: Sendable {
    /// Whose heads are scanned.
    package enum Side: Sendable { case request, response }

    private let side: Side
    /// No line feed before this index is unseen.
    private var searched = 0
    /// No octet before this index is unchecked; only used while the head is incomplete.
    private var checked = 0
    private var lineStart = 0
    private var lines = 0

    /// How many bytes before the head are to be skipped: 2 if a request came after an empty line, else 0.
    package private(set) var leadingBytes = 0

    /// A scanner at the start of a message.
    package init(for side: Side) {
        self.side = side
    }

    /// Makes ready for the next message.
    package mutating func reset() {
        self = HTTP1HeadScanner(for: side)
    }

    /// Looks for the end of the head.
    ///
    /// - Parameters:
    ///   - bytes: All that came of the message so far, from its first byte on; each call sees the bytes of the call
    ///     before and what came after. May go beyond the head.
    ///   - limits: Bounds of the head.
    /// - Returns: Index just past the empty line that ends the head, or `nil` if more is needed. The head is
    ///   `leadingBytes..<` that index.
    /// - Throws: What is certain already: bare LF or CR, NUL, too long, not HTTP/1.
    /// - Complexity: O(new bytes).
    package mutating func scan(_ bytes: Span<UInt8>, limits: HTTP1Limits) throws(HTTP1Error) -> Int? {
        while let feed = firstIndex(of: UInt8(ascii: "\n"), in: bytes, from: searched) {
            guard feed > lineStart, bytes[feed - 1] == UInt8(ascii: "\r") else { throw .controlCharacter }
            searched = feed + 1
            let isEmpty = feed - 1 == lineStart
            if lines == 0 {
                if isEmpty {
                    // RFC 9112 section 2.2: one empty line before a request line is ignored.
                    guard side == .request, leadingBytes == 0 else { throw firstLineError }
                    leadingBytes = 2
                    lineStart = searched
                    continue
                }
                try check(firstLine: bytes.extracting(lineStart..<(feed - 1)), limits: limits)
            } else if isEmpty {
                guard searched - leadingBytes <= limits.headBytes else { throw .headTooLarge }
                return searched
            }
            lines += 1
            lineStart = searched
            // The first line is no field.
            guard lines - 1 <= limits.headFields else { throw .tooManyFields }
        }
        searched = bytes.count
        try checkIncomplete(bytes, limits: limits)
        return nil
    }

    private var firstLineError: HTTP1Error {
        side == .request ? .malformedRequestLine : .malformedStatusLine
    }

    /// Refuses a first line of another protocol now, for its sender may never send the rest of a head: HTTP/0.9.
    private func check(firstLine line: Span<UInt8>, limits: HTTP1Limits) throws(HTTP1Error) {
        switch side {
        case .request:
            guard line.count <= limits.requestLineBytes else { throw .requestLineTooLong }
            guard line.count >= 12, tokenOctets[Int(line[0])] != 0,
                bytesBegin(line.extracting((line.count - 9)..<line.count), with: " HTTP/")
            else { throw .malformedRequestLine }
        case .response:
            guard bytesBegin(line, with: "HTTP/1.") else { throw .malformedStatusLine }
        }
    }

    /// Refuses the beginning of a head that no continuation can make valid.
    private mutating func checkIncomplete(_ bytes: Span<UInt8>, limits: HTTP1Limits) throws(HTTP1Error) {
        guard bytes.count > checked else { return }
        for index in checked..<bytes.count {
            guard bytes[index] != 0 else { throw .controlCharacter }
            guard index == 0 || bytes[index - 1] != UInt8(ascii: "\r") || bytes[index] == UInt8(ascii: "\n") else {
                throw .controlCharacter
            }
        }
        checked = bytes.count
        if lines == 0, bytes.count > leadingBytes {
            try checkStart(bytes.extracting(leadingBytes..<bytes.count), limits: limits)
        }
        guard bytes.count - leadingBytes <= limits.headBytes else { throw .headTooLarge }
    }

    /// Checks what came of the first line.
    private func checkStart(_ start: Span<UInt8>, limits: HTTP1Limits) throws(HTTP1Error) {
        switch side {
        case .request:
            let isPlausible = tokenOctets[Int(start[0])] != 0 || (start[0] == UInt8(ascii: "\r") && leadingBytes == 0)
            guard isPlausible else { throw .malformedRequestLine }
            // Two for a line end that may have come in part.
            guard start.count <= limits.requestLineBytes + 2 else { throw .requestLineTooLong }
        case .response:
            let version: InlineArray<7, UInt8> = [0x48, 0x54, 0x54, 0x50, 0x2F, 0x31, 0x2E]
            for index in 0..<min(start.count, version.count) where start[index] != version[index] {
                throw .malformedStatusLine
            }
        }
    }
}
