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

    /// The text the ranges of `fields` point into; what lies between and after the ranges means nothing.
    ///
    /// It has the form of an HTTP/1.1 head, `name: value CRLF`, so that fields can be written out many at a time.
    package internal(set) var bytes: [UInt8] = []
    /// How much of `bytes` is in use. The array itself only grows: to empty it and to append to it again costs several
    /// times what writing over it does.
    private var used = 0
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
        if token == .other {
            makeRoom(for: name.count + value.count + 4)
            bytes.write(fieldLine: name, value, at: used)
            makeLowercase(used..<(used + name.count))
            noteField(token, nameCount: name.count, valueCount: value.count)
        } else {
            let text = token.text
            makeRoom(for: text.utf8CodeUnitCount + value.count + 4)
            bytes.write(fieldLine: text, value, at: used)
            noteField(token, nameCount: text.utf8CodeUnitCount, valueCount: value.count)
        }
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
        let line = text.extracting(name.lowerBound..<(value.upperBound + 2))
        makeRoom(for: line.count)
        bytes.write(line, at: used)
        let offset = used - name.lowerBound
        used += line.count
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
        let text = token.text
        makeRoom(for: text.utf8CodeUnitCount + value.utf8CodeUnitCount + 4)
        bytes.write(fieldLine: text, value, at: used)
        noteField(token, nameCount: text.utf8CodeUnitCount, valueCount: value.utf8CodeUnitCount)
    }

    /// Adds a field from text. For cold paths.
    package mutating func append(name: String, value: String) {
        let name = Array(name.utf8)
        append(FieldName(name.span), name: name.span, value: Array(value.utf8).span)
    }

    /// Forgets all fields and keeps the memory.
    package mutating func removeAll() {
        used = 0
        if !fields.isEmpty { fields.removeAll(keepingCapacity: true) }
    }

    private mutating func makeLowercase(_ range: Range<Int>) {
        var text = bytes.mutableSpan
        for index in range { text[index] = asciiLowercased(text[index]) }
    }

    /// Notes the field whose line was written last.
    private mutating func noteField(_ token: FieldName, nameCount: Int, valueCount: Int) {
        let name = used..<(used + nameCount)
        let value = (name.upperBound + 2)..<(name.upperBound + 2 + valueCount)
        used = value.upperBound + 2
        fields.append(Field(name: token, nameRange: name, valueRange: value))
    }

    @inline(__always) private mutating func makeRoom(for count: Int) {
        if bytes.count - used < count { grow(by: count) }
    }

    private mutating func grow(by count: Int) {
        bytes.append(contentsOf: repeatElement(0, count: max(count, bytes.count, 256)))
    }

    /// Takes the text of a head in place of what was here; the fields are still to be found.
    internal mutating func replace(text lines: Span<UInt8>) {
        removeAll()
        makeRoom(for: lines.count)
        bytes.write(lines, at: 0)
        used = lines.count
    }
}
