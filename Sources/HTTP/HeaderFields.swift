internal import Bytes

/// An ordered list of header fields in one stretch of bytes. Names are kept in lower case.
///
/// Made to be reused: `removeAll` keeps the memory.
package struct HeaderFields: Sendable {
    /// One field: where its name and value lie in `bytes`.
    package struct Field: Sendable {
        /// What the name means to us.
        package let name: FieldName
        /// Where the name lies.
        package let nameRange: Range<Int>
        /// Where the value lies, without surrounding white space.
        package let valueRange: Range<Int>
    }

    /// The text the ranges of `fields` point into; what lies between the ranges means nothing.
    ///
    /// It has the form of an HTTP/1.1 head, `name: value CRLF`, so that fields can be written out many at a time.
    package internal(set) var bytes: [UInt8] = []
    /// The fields in the order they came.
    package internal(set) var fields: [Field] = []

    /// No fields.
    package init() {}

    /// How many fields there are.
    package var count: Int { fields.count }

    /// RFC 9113's measure of a field list: names, values and 32 bytes for each field.
    package var listSize: Int {
        var size = 32 * fields.count
        for field in fields { size += field.nameRange.count + field.valueRange.count }
        return size
    }

    /// The first field of that name.
    package func first(_ name: FieldName) -> Field? {
        for field in fields where field.name == name { return field }
        return nil
    }

    /// How often a name occurs.
    package func count(of name: FieldName) -> Int {
        var found = 0
        for field in fields where field.name == name { found += 1 }
        return found
    }

    /// The value of the first field of that name as text; `nil` if there is none or it is not UTF-8. For cold paths.
    package func text(of name: FieldName) -> String? {
        first(name).flatMap { Bytes.text(bytes.span.extracting($0.valueRange)) }
    }

    /// The value of the first field with that lower-case name as text. For cold paths and tests.
    package func text(of name: StaticString) -> String? {
        for field in fields where bytesEqual(bytes.span.extracting(field.nameRange), name) {
            return Bytes.text(bytes.span.extracting(field.valueRange))
        }
        return nil
    }

    /// Adds a field. `name` may be in any case; `value` is taken as it is.
    package mutating func append(_ token: FieldName, name: Span<UInt8>, value: Span<UInt8>) {
        let start = bytes.count
        if token == .other {
            bytes.append(copying: name)
            makeLowercase(from: start)
        } else {
            bytes.append(token.text)
        }
        let middle = beginValue()
        bytes.append(copying: value)
        endField(token, nameStart: start, valueStart: middle)
    }

    /// Adds a field of another list, in one piece where its text has the form of a line already.
    package mutating func append(_ field: Field, of other: borrowing HeaderFields) {
        let text = other.bytes.span
        let (name, value) = (field.nameRange, field.valueRange)
        guard value.lowerBound == name.upperBound + 2, value.upperBound + 1 < text.count,
            text[name.upperBound + 1] == UInt8(ascii: " "), text[value.upperBound] == UInt8(ascii: "\r")
        else {
            return append(field.name, name: text.extracting(name), value: text.extracting(value))
        }
        let offset = bytes.count - name.lowerBound
        bytes.append(copying: text.extracting(name.lowerBound..<(value.upperBound + 2)))
        fields.append(
            Field(
                name: field.name, nameRange: (name.lowerBound + offset)..<(name.upperBound + offset),
                valueRange: (value.lowerBound + offset)..<(value.upperBound + offset)))
    }

    /// Adds a field with a known name.
    package mutating func append(_ token: FieldName, value: Span<UInt8>) {
        precondition(token != .other, "the name must be known")
        append(token, name: Span(), value: value)
    }

    /// Adds a field with a known name.
    package mutating func append(_ token: FieldName, _ value: StaticString) {
        precondition(token != .other, "the name must be known")
        let start = bytes.count
        bytes.append(token.text)
        let middle = beginValue()
        bytes.append(value)
        endField(token, nameStart: start, valueStart: middle)
    }

    /// Adds a field from text. For cold paths.
    package mutating func append(name: String, value: String) {
        let name = Array(name.utf8)
        append(FieldName(name.span), name: name.span, value: Array(value.utf8).span)
    }

    /// Forgets all fields and keeps the memory.
    package mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        fields.removeAll(keepingCapacity: true)
    }

    /// Makes what was appended since `start` lower case.
    private mutating func makeLowercase(from start: Int) {
        var text = bytes.mutableSpan
        for index in start..<text.count { text[index] = asciiLowercased(text[index]) }
    }

    /// Ends a name; returns where the value starts.
    private mutating func beginValue() -> Int {
        bytes.append(UInt8(ascii: ":"))
        bytes.append(UInt8(ascii: " "))
        return bytes.count
    }

    private mutating func endField(_ token: FieldName, nameStart: Int, valueStart: Int) {
        let end = bytes.count
        bytes.append(UInt8(ascii: "\r"))
        bytes.append(UInt8(ascii: "\n"))
        fields.append(Field(name: token, nameRange: nameStart..<(valueStart - 2), valueRange: valueStart..<end))
    }
}
