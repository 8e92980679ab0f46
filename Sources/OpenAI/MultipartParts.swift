internal import Bytes

/// One part of a multipart body.
internal struct Part {
    /// Where the name of the field stands.
    var name = 0..<0
    /// Where the value stands.
    var value = 0..<0
    /// Whether it is a plain field: no file name, and no encoding that would have to be undone.
    var isField = true
}

/// Walks over the parts of a complete multipart body.
internal struct PartReader {
    /// Index behind the last delimiter.
    private var position = 0
    private var isFinished = false

    /// Takes the first delimiter, with which the body must begin: what stands before it would be nobody's.
    internal mutating func open(_ body: Span<UInt8>, _ boundary: Span<UInt8>) throws(BodyError) {
        guard bytesBegin(body, with: "--"), isBoundary(body, boundary, at: 2) else {
            throw .malformedMultipart("it does not begin with the boundary")
        }
        position = 2 + boundary.count
        try takeDelimiterEnd(body)
        if isFinished { throw .malformedMultipart("it has no parts") }
    }

    /// The next part; `nil` behind the last.
    internal mutating func next(_ body: Span<UInt8>, _ boundary: Span<UInt8>) throws(BodyError) -> Part? {
        if isFinished { return nil }
        var part = Part()
        try readHeader(body, &part)
        let start = position
        let end = try findDelimiter(body, boundary)
        part.value = start..<end
        position = end + 4 + boundary.count
        try takeDelimiterEnd(body)
        return part
    }

    private func isBoundary(_ body: Span<UInt8>, _ boundary: Span<UInt8>, at index: Int) -> Bool {
        body.count - index >= boundary.count
            && bytesEqual(body.extracting(index..<(index + boundary.count)), boundary)
    }

    /// Index of the next CR LF `--` boundary.
    private func findDelimiter(_ body: Span<UInt8>, _ boundary: Span<UInt8>) throws(BodyError) -> Int {
        // An empty value's delimiter shares the CR LF with the end of the header.
        var index = position - 2
        while let found = firstIndex(of: 0x0D, in: body, from: index) {
            if found + 4 <= body.count, body[found + 1] == 0x0A, body[found + 2] == 0x2D, body[found + 3] == 0x2D,
                isBoundary(body, boundary, at: found + 4)
            {
                guard found >= position else { throw .malformedMultipart("a part has no body") }
                return found
            }
            index = found + 1
        }
        throw .malformedMultipart("the closing boundary is missing")
    }

    /// Takes what follows the boundary of a delimiter: CR LF, or `--` and the end.
    private mutating func takeDelimiterEnd(_ body: Span<UInt8>) throws(BodyError) {
        let rest = body.extracting(position..<body.count)
        if bytesBegin(rest, with: "\r\n") {
            position += 2
        } else if bytesEqual(rest, "--") || bytesEqual(rest, "--\r\n") {
            isFinished = true
        } else {
            throw .malformedMultipart("a boundary is followed by something else than a line end")
        }
    }

    /// Reads header lines up to and with the empty one.
    private mutating func readHeader(_ body: Span<UInt8>, _ part: inout Part) throws(BodyError) {
        let start = position
        var hasDisposition = false
        while true {
            guard let end = firstIndex(of: 0x0D, in: body, from: position), end + 1 < body.count else {
                throw .malformedMultipart("a part has no body")
            }
            guard body[end + 1] == 0x0A else { throw .malformedMultipart("a header line has a bare carriage return") }
            guard end - start <= MultipartLimits.header else {
                throw .malformedMultipart("a part's header is too long")
            }
            let line = body.extracting(position..<end)
            let lineStart = position
            position = end + 2
            if line.count == 0 { break }
            try readLine(line, at: lineStart, &part, &hasDisposition)
        }
        guard hasDisposition else { throw .malformedMultipart("a part has no name") }
    }

    private func readLine(
        _ line: Span<UInt8>, at start: Int, _ part: inout Part, _ hasDisposition: inout Bool
    ) throws(BodyError) {
        for index in line.indices where line[index] < 0x20 && line[index] != 0x09 || line[index] == 0x7F {
            throw .malformedMultipart("a header line has a control character")
        }
        guard let colon = firstIndex(of: UInt8(ascii: ":"), in: line), colon > 0 else {
            throw .malformedMultipart("a header line has no name")
        }
        // Space before the colon, and so a folded line too: nobody sends it, readers differ.
        for index in 0..<colon where !isToken(line[index]) {
            throw .malformedMultipart("a header line has a malformed name")
        }
        let name = line.extracting(0..<colon)
        let value = line.extracting((colon + 1)..<line.count)
        if bytesEqualIgnoringCase(name, "content-disposition") {
            guard !hasDisposition else { throw .malformedMultipart("a part has two names") }
            hasDisposition = true
            try readDisposition(value, at: start + colon + 1, &part)
        } else if bytesEqualIgnoringCase(name, "content-transfer-encoding") {
            part.isField = part.isField && isIdentity(value)
        }
    }

    private func isIdentity(_ value: Span<UInt8>) -> Bool {
        let trimmed = trimmed(value)
        for word: StaticString in ["7bit", "8bit", "binary"] where bytesEqualIgnoringCase(trimmed, word) { return true }
        return false
    }

    @_lifetime(copy value)
    private func trimmed(_ value: Span<UInt8>) -> Span<UInt8> {
        var start = 0
        var end = value.count
        while start < end, value[start] == 0x20 || value[start] == 0x09 { start += 1 }
        while end > start, value[end - 1] == 0x20 || value[end - 1] == 0x09 { end -= 1 }
        return value.extracting(start..<end)
    }

    private func readDisposition(_ value: Span<UInt8>, at start: Int, _ part: inout Part) throws(BodyError) {
        var parameters = ParameterReader(value)
        guard parameters.takeType(value, "form-data") else { throw .malformedMultipart("a part is no form-data") }
        var hasName = false
        while let parameter = parameters.next(value) {
            let name = value.extracting(parameter.name)
            if bytesEqualIgnoringCase(name, "name") {
                guard !hasName else { throw .malformedMultipart("a part has two names") }
                // Readers differ in what a backslash does to a name.
                if firstIndex(of: UInt8(ascii: "\\"), in: value.extracting(parameter.value)) != nil {
                    throw .malformedMultipart("a name has a backslash")
                }
                hasName = true
                part.name = (start + parameter.value.lowerBound)..<(start + parameter.value.upperBound)
            } else if bytesEqualIgnoringCase(name, "name*") {
                throw .malformedMultipart("a name is encoded")
            } else if bytesEqualIgnoringCase(name, "filename") || bytesEqualIgnoringCase(name, "filename*") {
                part.isField = false
            }
        }
        guard parameters.isAtEnd(value), hasName else { throw .malformedMultipart("a part has no name") }
    }
}

/// Whether an octet may stand in a token. RFC 9110 section 5.6.2.
internal func isToken(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "a")...UInt8(ascii: "z"):
        true
    case UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "%"), UInt8(ascii: "&"),
        UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
        UInt8(ascii: "^"), UInt8(ascii: "_"), UInt8(ascii: "`"), UInt8(ascii: "|"), UInt8(ascii: "~"):
        true
    default: false
    }
}

/// Reads `type; name=value; name="value"`, as `content-type` and `content-disposition` are written.
internal struct ParameterReader {
    /// Where a parameter's name and value stand; the value without its quotes.
    struct Parameter {
        let name: Range<Int>
        let value: Range<Int>
    }

    private var position = 0
    private var isBroken = false

    init(_ text: Span<UInt8>) {
        skipSpace(text)
    }

    /// Takes the type, which must be `expected`, in letters of either case.
    mutating func takeType(_ text: Span<UInt8>, _ expected: StaticString) -> Bool {
        let start = position
        while position < text.count, isToken(text[position]) || text[position] == UInt8(ascii: "/") { position += 1 }
        return bytesEqualIgnoringCase(text.extracting(start..<position), expected)
    }

    /// The next parameter; `nil` at the end and at the first mistake, which `isAtEnd` tells apart.
    mutating func next(_ text: Span<UInt8>) -> Parameter? {
        skipSpace(text)
        guard position < text.count else { return nil }
        guard text[position] == UInt8(ascii: ";") else { return fail() }
        position += 1
        skipSpace(text)
        if position == text.count { return nil }
        let nameStart = position
        while position < text.count, isToken(text[position]) { position += 1 }
        let name = nameStart..<position
        guard !name.isEmpty, position < text.count, text[position] == UInt8(ascii: "=") else { return fail() }
        position += 1
        if position < text.count, text[position] == UInt8(ascii: "\"") { return takeQuoted(text, name) }
        let valueStart = position
        while position < text.count, isToken(text[position]) { position += 1 }
        return position > valueStart ? Parameter(name: name, value: valueStart..<position) : fail()
    }

    /// Whether all of the text was understood.
    func isAtEnd(_ text: Span<UInt8>) -> Bool { !isBroken && position == text.count }

    private mutating func takeQuoted(_ text: Span<UInt8>, _ name: Range<Int>) -> Parameter? {
        position += 1
        let start = position
        while position < text.count, text[position] != UInt8(ascii: "\"") {
            position += text[position] == UInt8(ascii: "\\") ? 2 : 1
        }
        guard position < text.count else { return fail() }
        position += 1
        return Parameter(name: name, value: start..<(position - 1))
    }

    private mutating func fail() -> Parameter? {
        isBroken = true
        return nil
    }

    private mutating func skipSpace(_ text: Span<UInt8>) {
        while position < text.count, text[position] == 0x20 || text[position] == 0x09 { position += 1 }
    }
}
