public import Glibc

/// The ASCII lower case of `byte`; every other byte is itself.
@inlinable public func asciiLowercased(_ byte: UInt8) -> UInt8 {
    byte &- 65 < 26 ? byte | 0x20 : byte
}

/// Whether two stretches of bytes are the same.
@inlinable public func bytesEqual(_ left: Span<UInt8>, _ right: Span<UInt8>) -> Bool {
    guard left.count == right.count else { return false }
    return left.withUnsafeBytes { left in
        right.withUnsafeBytes { right in
            left.count == 0 || memcmp(left.baseAddress!, right.baseAddress!, left.count) == 0
        }
    }
}

/// Whether `bytes` are those of the literal.
@inlinable public func bytesEqual(_ bytes: Span<UInt8>, _ literal: StaticString) -> Bool {
    guard bytes.count == literal.utf8CodeUnitCount else { return false }
    return bytes.withUnsafeBytes { $0.count == 0 || memcmp($0.baseAddress!, literal.utf8Start, $0.count) == 0 }
}

/// Whether `bytes` begin with those of the literal.
@inlinable public func bytesBegin(_ bytes: Span<UInt8>, with literal: StaticString) -> Bool {
    guard bytes.count >= literal.utf8CodeUnitCount else { return false }
    return bytes.withUnsafeBytes {
        literal.utf8CodeUnitCount == 0 || memcmp($0.baseAddress!, literal.utf8Start, literal.utf8CodeUnitCount) == 0
    }
}

/// Whether the shorter of the two begins the longer one.
package func bytesBegin(_ bytes: Span<UInt8>, withPrefixOf literal: StaticString) -> Bool {
    for index in 0..<min(bytes.count, literal.utf8CodeUnitCount) where bytes[index] != literal.utf8Start[index] {
        return false
    }
    return true
}

/// Whether `bytes` are those of the lower-case literal, letters of either case.
@inlinable public func bytesEqualIgnoringCase(_ bytes: Span<UInt8>, _ lowercase: StaticString) -> Bool {
    guard bytes.count == lowercase.utf8CodeUnitCount else { return false }
    for index in 0..<bytes.count where asciiLowercased(bytes[index]) != lowercase.utf8Start[index] { return false }
    return true
}

/// Whether `bytes` begin with those of the lower-case literal, letters of either case.
package func bytesBeginIgnoringCase(_ bytes: Span<UInt8>, with lowercase: StaticString) -> Bool {
    guard bytes.count >= lowercase.utf8CodeUnitCount else { return false }
    return bytesEqualIgnoringCase(bytes.extracting(..<lowercase.utf8CodeUnitCount), lowercase)
}

/// Index of the first `byte` at or after `start`, or `nil`.
@inlinable public func firstIndex(of byte: UInt8, in bytes: Span<UInt8>, from start: Int = 0) -> Int? {
    guard start < bytes.count else { return nil }
    return bytes.withUnsafeBytes { whole in
        let base = whole.baseAddress.unsafelyUnwrapped
        guard let found = memchr(base + start, Int32(byte), whole.count - start) else { return nil }
        return UnsafeRawPointer(found) - base
    }
}

/// Index of the last place, at or after `start`, where the literal of eight bytes or more begins; or `nil`.
package func lastIndex(of literal: StaticString, in bytes: Span<UInt8>, from start: Int) -> Int? {
    let length = literal.utf8CodeUnitCount
    precondition(length >= 8 && start >= 0, "the first eight bytes are compared at once")
    let wanted = UnsafeRawPointer(literal.utf8Start).loadUnaligned(as: UInt64.self)
    return bytes.withUnsafeBytes { whole in
        var index = whole.count - length
        while index >= start {
            if whole.loadUnaligned(fromByteOffset: index, as: UInt64.self) == wanted,
                length == 8 || memcmp(whole.baseAddress! + index, literal.utf8Start, length) == 0
            {
                return index
            }
            index -= 1
        }
        return nil
    }
}

/// A copy of the bytes as text; `nil` if they are not UTF-8.
package func text(_ bytes: Span<UInt8>) -> String? {
    bytes.withUnsafeBufferPointer { String(validating: $0, as: UTF8.self) }
}

extension Array where Element == UInt8 {
    /// A copy of `span`.
    @inlinable public init(copying span: Span<UInt8>) {
        self = span.withUnsafeBufferPointer { Array($0) }
    }

    /// Appends a copy of `span`.
    @inlinable public mutating func append(copying span: Span<UInt8>) {
        span.withUnsafeBufferPointer { append(contentsOf: $0) }
    }
}

// Arrays that are written over from their start again and again: what stands there already need not be appended.
extension Array where Element == UInt8 {
    /// Puts a copy of `span` at `offset`, where there must be room for it.
    @inlinable package mutating func write(_ span: Span<UInt8>, at offset: Int) {
        precondition(offset >= 0 && span.count <= count - offset, "more written than there is room for")
        withUnsafeMutableBytes { whole in
            span.withUnsafeBytes { source in
                if let from = source.baseAddress {
                    (whole.baseAddress! + offset).copyMemory(from: from, byteCount: source.count)
                }
            }
        }
    }

    /// Puts `name: value CRLF`, the line of a field in a head, at `offset`, where there must be room for it.
    @inlinable package mutating func write(fieldLine name: Span<UInt8>, _ value: Span<UInt8>, at offset: Int) {
        name.withUnsafeBytes { name in value.withUnsafeBytes { write(fieldLine: name, $0, at: offset) } }
    }

    /// Puts `name: value CRLF`, the line of a field in a head, at `offset`, where there must be room for it.
    @inlinable package mutating func write(fieldLine name: StaticString, _ value: Span<UInt8>, at offset: Int) {
        let name = UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        value.withUnsafeBytes { write(fieldLine: name, $0, at: offset) }
    }

    /// Puts `name: value CRLF`, the line of a field in a head, at `offset`, where there must be room for it.
    @inlinable package mutating func write(fieldLine name: StaticString, _ value: StaticString, at offset: Int) {
        write(
            fieldLine: UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount),
            UnsafeRawBufferPointer(start: value.utf8Start, count: value.utf8CodeUnitCount), at: offset)
    }

    @usableFromInline internal mutating func write(
        fieldLine name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, at offset: Int
    ) {
        precondition(
            offset >= 0 && name.count + value.count + 4 <= count - offset, "more written than there is room for")
        withUnsafeMutableBytes { whole in
            var place = whole.baseAddress! + offset
            if let start = name.baseAddress { place.copyMemory(from: start, byteCount: name.count) }
            place += name.count
            place.storeBytes(of: 0x203A as UInt16, as: UInt16.self)
            place += 2
            if let start = value.baseAddress { place.copyMemory(from: start, byteCount: value.count) }
            place += value.count
            place.storeBytes(of: 0x0A0D as UInt16, as: UInt16.self)
        }
    }
}

extension Array where Element == UInt8 {
    /// Appends the UTF-8 of a literal.
    package mutating func append(_ literal: StaticString) {
        append(contentsOf: UnsafeBufferPointer(start: literal.utf8Start, count: literal.utf8CodeUnitCount))
    }
}
