internal import Bytes

extension HeaderFields {
    /// Reads the field lines of a head up to its end, in place of what was here.
    ///
    /// All lines are copied at once and the names made lower case in the copy; copying each name and value by itself
    /// costs more than all the rest. `Host` is not kept, and neither are the fields that `Connection` names.
    ///
    /// - Parameters:
    ///   - head: Field lines and the empty line; `hasCleanLines` holds.
    ///   - limits: Bounds of the head.
    ///   - facts: Receives what the fields say about connection and body. Its ranges are those of `head`.
    /// - Throws: What is wrong with a field. The fields are unspecified then.
    internal mutating func read(
        lines head: Span<UInt8>, limits: HTTP1Limits, facts: inout HTTP1FieldFacts
    ) throws(HTTP1Error) {
        replace(text: head)
        try readLines(head, text: &bytes, fields: &fields, limits: limits, facts: &facts)
        if facts.namesFields { removeNamedFields() }
    }

    /// Drops the fields that `Connection` names. RFC 9110 section 7.6.1.
    private mutating func removeNamedFields() {
        var kept = 0
        for index in 0..<fields.count {
            let field = fields[index]
            if isNamedByConnection(field) { continue }
            fields[kept] = field
            kept += 1
        }
        fields.removeLast(fields.count - kept)
    }

    /// Whether a `Connection` field names this one, and may.
    private func isNamedByConnection(_ field: Field) -> Bool {
        let name = bytes.span.extracting(field.nameRange)
        // A client could otherwise strip its own credentials or the description of the body between two hops.
        if field.name.isEndToEndAlways || bytesBegin(name, with: "content-") { return false }
        for connection in fields where connection.name == .connection {
            let options = bytes.span.extracting(connection.valueRange)
            var offset = 0
            while let option = nextListElement(options, at: &offset) {
                if bytesEqualIgnoringCase(options.extracting(option), name) { return true }
            }
        }
        return false
    }
}

/// Finds the fields in `head`, and makes their names lower case in `text`, a copy of it.
private func readLines(
    _ head: Span<UInt8>, text: inout [UInt8], fields: inout [HeaderFields.Field], limits: HTTP1Limits,
    facts: inout HTTP1FieldFacts
) throws(HTTP1Error) {
    // Held for the whole loop: each new access would check again that the array is not shared.
    var text = text.mutableSpan
    var line = 0
    var count = 0
    while true {
        guard let end = firstIndex(of: UInt8(ascii: "\r"), in: head, from: line) else { throw .controlCharacter }
        if end == line { break }
        count += 1
        guard count <= limits.headFields else { throw .tooManyFields }
        let colon = try readName(&text, from: line, to: end)
        let name = FieldName(lowercase: text.span.extracting(line..<colon))
        let value = trimBlanks(head, (colon + 1)..<end)
        if name.decidesFraming { try facts.take(name, head.extracting(value), at: value, limits: limits) }
        if name != .host { fields.append(.init(name: name, nameRange: line..<colon, valueRange: value)) }
        line = end + 2
    }
    guard line + 2 == head.count else { throw .controlCharacter }
}

/// Checks the name of a field line and makes it lower case.
///
/// - Returns: Index of the colon.
private func readName(_ text: inout MutableSpan<UInt8>, from start: Int, to end: Int) throws(HTTP1Error) -> Int {
    var index = start
    while index < end {
        let octet = tokenOctets[Int(text[index])]
        if octet == 0 { break }
        text[index] = octet
        index += 1
    }
    guard index > start, index < end, text[index] == UInt8(ascii: ":") else {
        throw isBlank(text[start]) ? .foldedField : .malformedFieldName
    }
    return index
}

/// The next element of a comma-separated list that is not empty; `nil` at its end.
internal func nextListElement(_ list: Span<UInt8>, at offset: inout Int) -> Range<Int>? {
    while offset < list.count {
        let end = firstIndex(of: UInt8(ascii: ","), in: list, from: offset) ?? list.count
        let element = trimBlanks(list, offset..<end)
        offset = end + 1
        if !element.isEmpty { return element }
    }
    return nil
}

/// Whether `left` and `right` are the same, letters of `left` in either case; `right` is lower case.
private func bytesEqualIgnoringCase(_ left: Span<UInt8>, _ right: Span<UInt8>) -> Bool {
    guard left.count == right.count else { return false }
    for index in left.indices where asciiLowercased(left[index]) != right[index] { return false }
    return true
}

/// Whether each line feed follows a carriage return and each carriage return precedes one, and there is no other
/// control character but HTAB: the text is lines of field octets, ended by CRLF.
///
/// One pass on vectors over the whole head; afterwards the first carriage return of a line is known to be its end.
internal func hasCleanLines(_ text: Span<UInt8>) -> Bool {
    guard text.count >= 2, text[0] != UInt8(ascii: "\n"), text[text.count - 1] == UInt8(ascii: "\n") else {
        return false
    }
    var bad: UInt8 = 0
    for index in 1..<text.count {
        let byte = text[index]
        let isLineEnd: UInt8 = byte == UInt8(ascii: "\n") ? 1 : 0
        let followsReturn: UInt8 = text[index - 1] == UInt8(ascii: "\r") ? 1 : 0
        let isControl: UInt8 = byte < 0x20 ? 1 : 0
        let isAllowed: UInt8 =
            byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r") || byte == UInt8(ascii: "\n") ? 1 : 0
        let isDelete: UInt8 = byte == 0x7F ? 1 : 0
        bad |= (isLineEnd ^ followsReturn) | (isControl & ~isAllowed) | isDelete
    }
    return bad == 0 && (text[0] >= 0x20 || text[0] == UInt8(ascii: "\r")) && text[0] != 0x7F
}
