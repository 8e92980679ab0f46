/// Reads the members of one JSON object in order, and checks everything on the way.
///
/// The bytes are the caller's and must be the same at every call. Values that are objects or arrays are checked and
/// passed over; to look inside, read `bytes.extracting(member.value.range)` with a reader of its own.
/// Cost: one pass; nothing is allocated.
package struct JSONMemberReader: Sendable {
    private var offset = 0
    private var phase = Phase.before

    private enum Phase: Sendable { case before, inside, after }

    /// Index behind the opening bracket, once the first `next` has returned.
    package private(set) var contentStart = 0

    /// A reader that has not begun.
    package init() {}

    /// The next member; `nil` behind the last, when the rest was found to be white space.
    ///
    /// - Throws: `.wrongKind` if the value is none of an object, which is told before anything else of it is checked.
    package mutating func next(_ bytes: Span<UInt8>) throws(JSONError) -> JSONMember? {
        if phase == .after { return nil }
        return try bytes.withUnsafeBufferPointer { (buffer) throws(JSONError) -> JSONMember? in
            guard buffer.count > 0 else { throw JSONError(.unexpectedEnd, at: 0) }
            var cursor = JSONCursor(buffer, at: offset)
            guard try moveToElement(&cursor, open: UInt8(ascii: "{"), close: UInt8(ascii: "}")) else { return nil }
            guard try cursor.byte == UInt8(ascii: "\"") else { throw JSONError(.unexpectedByte, at: cursor.offset) }
            let start = cursor.offset
            let keyHasEscapes = try cursor.skipString()
            let key = (start + 1)..<(cursor.offset - 1)
            try cursor.skipColon()
            let value = try cursor.skipValue(depth: 1)
            offset = cursor.offset
            return JSONMember(key: key, keyHasEscapes: keyHasEscapes, value: value)
        }
    }

    /// Moves to the first byte of the next element, or behind all.
    @inline(__always)
    private mutating func moveToElement(
        _ cursor: inout JSONCursor, open: UInt8, close: UInt8
    ) throws(JSONError) -> Bool {
        cursor.skipWhitespace()
        if phase == .before {
            guard try cursor.byte == open else { throw JSONError(.wrongKind, at: cursor.offset) }
            cursor.offset += 1
            contentStart = cursor.offset
            phase = .inside
            cursor.skipWhitespace()
            if try cursor.byte != close { return true }
        } else if try cursor.byte == UInt8(ascii: ",") {
            cursor.offset += 1
            cursor.skipWhitespace()
            return true
        }
        try cursor.expect(close)
        cursor.skipWhitespace()
        guard cursor.isAtEnd else { throw JSONError(.trailingBytes, at: cursor.offset) }
        phase = .after
        return false
    }

    /// The next element of an array, by the same rules; `nil` behind the last.
    fileprivate mutating func nextElement(_ bytes: Span<UInt8>) throws(JSONError) -> JSONValue? {
        if phase == .after { return nil }
        return try bytes.withUnsafeBufferPointer { (buffer) throws(JSONError) -> JSONValue? in
            guard buffer.count > 0 else { throw JSONError(.unexpectedEnd, at: 0) }
            var cursor = JSONCursor(buffer, at: offset)
            guard try moveToElement(&cursor, open: UInt8(ascii: "["), close: UInt8(ascii: "]")) else { return nil }
            let value = try cursor.skipValue(depth: 1)
            offset = cursor.offset
            return value
        }
    }
}

/// Reads the elements of one JSON array in order; otherwise like `JSONMemberReader`.
package struct JSONElementReader: Sendable {
    private var reader = JSONMemberReader()

    /// A reader that has not begun.
    package init() {}

    /// The next element; `nil` behind the last, when the rest was found to be white space.
    ///
    /// - Throws: `.wrongKind` if the value is no array.
    package mutating func next(_ bytes: Span<UInt8>) throws(JSONError) -> JSONValue? {
        try reader.nextElement(bytes)
    }
}

/// Checks that `bytes` are one JSON value with nothing but white space around it, and says what it is.
package func readJSON(_ bytes: Span<UInt8>) throws(JSONError) -> JSONValue {
    try bytes.withUnsafeBufferPointer { (buffer) throws(JSONError) -> JSONValue in
        guard buffer.count > 0 else { throw JSONError(.unexpectedEnd, at: 0) }
        var cursor = JSONCursor(buffer, at: 0)
        cursor.skipWhitespace()
        let value = try cursor.skipValue(depth: 0)
        cursor.skipWhitespace()
        guard cursor.isAtEnd else { throw JSONError(.trailingBytes, at: cursor.offset) }
        return value
    }
}
