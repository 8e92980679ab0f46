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

    /// All names and values, one after another.
    package private(set) var bytes: [UInt8] = []
    /// The fields in the order they came.
    package private(set) var fields: [Field] = []

    /// No fields.
    package init() {}

    /// How many fields there are.
    package var count: Int { fields.count }

    /// RFC 9113's measure of a field list: names, values and 32 bytes for each field.
    package var listSize: Int { bytes.count + 32 * fields.count }

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
            for index in 0..<name.count { bytes.append(asciiLowercased(name[index])) }
        } else {
            append(literal: token.text)
        }
        let middle = bytes.count
        bytes.append(copying: value)
        fields.append(Field(name: token, nameRange: start..<middle, valueRange: middle..<bytes.count))
    }

    /// Adds a field with a known name.
    package mutating func append(_ token: FieldName, value: Span<UInt8>) {
        precondition(token != .other, "the name must be known")
        append(token, name: Span(), value: value)
    }

    /// Adds a field with a known name.
    package mutating func append(_ token: FieldName, _ value: StaticString) {
        let start = bytes.count
        append(literal: token.text)
        let middle = bytes.count
        append(literal: value)
        fields.append(Field(name: token, nameRange: start..<middle, valueRange: middle..<bytes.count))
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

    private mutating func append(literal: StaticString) {
        bytes.append(literal)
    }
}
