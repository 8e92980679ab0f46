/// Why bytes are not the JSON that was asked for.
package struct JSONError: Error, Equatable, Sendable {
    /// What is wrong.
    package enum Kind: Equatable, Sendable {
        /// The text ends inside a value.
        case unexpectedEnd
        /// A byte that the grammar does not allow there.
        case unexpectedByte
        /// Something other than white space follows the value.
        case trailingBytes
        /// More than `JSONLimits.depth` objects and arrays lie in each other.
        case tooDeep
        /// Not UTF-8: overlong, surrogate, beyond U+10FFFF, or cut short.
        case invalidUTF8
        /// An unknown escape, or half of a surrogate pair.
        case invalidEscape
        /// A byte below 0x20 in a string.
        case controlCharacter
        /// Digits that are no JSON number.
        case invalidNumber
        /// A number that no finite `Double` holds, or that is longer than `JSONLimits.numberLength`.
        case numberTooLarge
        /// A well-begun value of another kind than the one asked for.
        case wrongKind
    }

    /// What is wrong.
    package let kind: Kind
    /// Index of the byte where it was noticed.
    package let offset: Int

    /// An error of that kind at that byte.
    package init(_ kind: Kind, at offset: Int) {
        self.kind = kind
        self.offset = offset
    }
}

/// What the scanner refuses though the grammar allows it.
package enum JSONLimits {
    /// Objects and arrays that may lie in each other. Two words of bits hold the stack of them.
    package static let depth = 128
    /// Bytes of one number.
    package static let numberLength = 100
}

/// What a JSON value is.
package enum JSONKind: UInt8, Sendable, Equatable {
    case object, array, string, number, `true`, `false`, null
}

/// Where a JSON value lies.
package struct JSONValue: Sendable, Equatable {
    /// What it is.
    package let kind: JSONKind
    /// For a string: whether it has escapes, so that its bytes are not its text.
    package let hasEscapes: Bool
    /// From its first byte to behind its last: quotes and brackets are inside.
    package let range: Range<Int>

    /// The text of a string without its quotes, escapes as they stand.
    package var content: Range<Int> { (range.lowerBound + 1)..<(range.upperBound - 1) }
}

/// Where a member of a JSON object lies.
package struct JSONMember: Sendable, Equatable {
    /// Where the name lies, without quotes.
    package let key: Range<Int>
    /// Whether the name has escapes.
    package let keyHasEscapes: Bool
    /// The value.
    package let value: JSONValue
}
