internal import Bytes

/// A value inside a JSON text that was found to be valid; its parts are looked for when they are asked for.
internal struct JSONNode: Sendable {
    private let bytes: [UInt8]
    /// Where the value stands, quotes and brackets inside.
    let range: Range<Int>
    let kind: JSONKind
    private let hasEscapes: Bool

    /// The value that `bytes` are; `nil` if they are not JSON.
    init?(_ bytes: [UInt8]) {
        do throws(JSONError) {
            self.init(bytes, try readJSON(bytes.span), from: 0)
        } catch {
            return nil
        }
    }

    private init(_ bytes: [UInt8], _ value: JSONValue, from start: Int) {
        self.bytes = bytes
        range = (start + value.range.lowerBound)..<(start + value.range.upperBound)
        kind = value.kind
        hasEscapes = value.hasEscapes
    }

    /// The value as it stands in the text.
    var source: ArraySlice<UInt8> { bytes[range] }

    /// The first member of that name, unless it is `null`.
    subscript(_ name: StaticString) -> JSONNode? {
        guard kind == .object else { return nil }
        let object = bytes.span.extracting(range)
        var reader = JSONMemberReader()
        while let member = try? reader.next(object) {
            guard isKey(member, name, in: object) else { continue }
            return member.value.kind == .null ? nil : JSONNode(bytes, member.value, from: range.lowerBound)
        }
        return nil
    }

    /// Names and values of an object, in order; empty for anything else.
    var members: [(name: String, value: JSONNode)] {
        guard kind == .object else { return [] }
        let object = bytes.span.extracting(range)
        var reader = JSONMemberReader()
        var found: [(name: String, value: JSONNode)] = []
        while let member = try? reader.next(object) {
            let name = decodeJSONText(object.extracting(member.key))
            found.append((String(decoding: name, as: UTF8.self), JSONNode(bytes, member.value, from: range.lowerBound)))
        }
        return found
    }

    /// The elements of an array; empty for anything else.
    var elements: [JSONNode] {
        guard kind == .array else { return [] }
        let array = bytes.span.extracting(range)
        var reader = JSONElementReader()
        var found: [JSONNode] = []
        while let element = try? reader.next(array) { found.append(JSONNode(bytes, element, from: range.lowerBound)) }
        return found
    }

    /// The text of a string.
    var text: [UInt8]? {
        guard kind == .string else { return nil }
        let content = bytes.span.extracting((range.lowerBound + 1)..<(range.upperBound - 1))
        return hasEscapes ? decodeJSONText(content) : [UInt8](copying: content)
    }

    /// The text of a string.
    var string: String? { text.map { String(decoding: $0, as: UTF8.self) } }

    /// A number.
    var number: Double? { kind == .number ? Double(String(decoding: source, as: UTF8.self)) : nil }

    /// A whole number that is not negative.
    var integer: Int? { number.flatMap { Int(exactly: $0) }.flatMap { $0 < 0 ? nil : $0 } }

    /// Whether the value is `true`.
    var isTrue: Bool { kind == .true }
}
