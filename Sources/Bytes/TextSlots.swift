internal import Glibc

/// A few short texts that are set over and over in memory of their own, with a note whether each is plain.
@safe @usableFromInline package struct TextSlots: ~Copyable, @unchecked Sendable {
    // Sendable: owns its memory, which only mutating functions write to.

    /// Most octets a text can have.
    package static let limit = 256
    /// Bytes behind a text that may be read: whatever is read in whole vectors needs no look at the end.
    @usableFromInline internal static let padding = 16
    @usableFromInline internal static let stride = limit + padding
    /// Of the two bytes that hold the length of a text, the bit that says that it needs an escape.
    @usableFromInline internal static let isNotPlain: UInt16 = 0x8000

    /// Two bytes for each text, then the texts.
    @usableFromInline internal let base: UnsafeMutableRawPointer
    @usableFromInline internal let texts: UnsafeMutableRawPointer
    @usableFromInline internal let slots: Int

    /// `count` texts, all empty.
    package init(_ count: Int) {
        precondition(count > 0, "no texts")
        let lengths = (count * 2 + 15) & ~15
        guard let memory = calloc(1, lengths + count * TextSlots.stride) else { fatalError("out of memory") }
        (base, texts, slots) = (memory, memory + lengths, count)
    }

    deinit { free(base) }

    /// Makes all texts empty.
    package mutating func removeAll() {
        // The room for lengths is made of whole vectors.
        for offset in Swift.stride(from: 0, to: slots &* 2, by: 16) {
            base.storeBytes(of: SIMD2<UInt64>(), toByteOffset: offset, as: SIMD2<UInt64>.self)
        }
    }

    /// Length of a text in octets.
    @inlinable @inline(__always) package func count(_ slot: Int) -> Int {
        Int(header(slot) & ~TextSlots.isNotPlain)
    }

    /// Whether a text is printable ASCII without quote and backslash.
    @inlinable @inline(__always) package func isPlain(_ slot: Int) -> Bool {
        header(slot) & TextSlots.isNotPlain == 0
    }

    /// A text.
    @_lifetime(borrow self)
    package func text(_ slot: Int) -> Span<UInt8> {
        let bytes = UnsafeBufferPointer(start: start(slot).assumingMemoryBound(to: UInt8.self), count: count(slot))
        return _overrideLifetime(Span(_unsafeElements: bytes), borrowing: self)
    }

    /// Sets a text.
    ///
    /// - Parameter bytes: At most `limit`. Copied.
    package mutating func set(_ slot: Int, _ bytes: Span<UInt8>) {
        precondition(bytes.count <= TextSlots.limit && slot >= 0 && slot < slots, "no place for such a text")
        let isPlain = bytes.withUnsafeBytes { bytes in
            guard let source = bytes.baseAddress else { return true }
            return TextSlots.copy(source, to: texts + slot &* TextSlots.stride, count: bytes.count)
        }
        let header = UInt16(truncatingIfNeeded: bytes.count) | (isPlain ? 0 : TextSlots.isNotPlain)
        base.storeBytes(of: header, toByteOffset: slot &* 2, as: UInt16.self)
    }

    @inlinable @inline(__always) internal func start(_ slot: Int) -> UnsafeRawPointer {
        UnsafeRawPointer(texts + slot &* TextSlots.stride)
    }

    @inlinable @inline(__always) internal func header(_ slot: Int) -> UInt16 {
        precondition(slot >= 0 && slot < slots, "no such text")
        return base.load(fromByteOffset: slot &* 2, as: UInt16.self)
    }

    /// Copies a text and tells whether it is plain: looked at in the registers in which it is copied.
    @inline(__always) private static func copy(
        _ source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, count: Int
    ) -> Bool {
        if count < 16 { return isPlain(specials(copyShort(source, to: target, count: count))) }
        // The last block overlaps the one before.
        let end = count &- 16
        let last = (source + end).loadUnaligned(as: SIMD2<UInt64>.self)
        var found = specials(last)
        var done = 0
        while done < end {
            let block = (source + done).loadUnaligned(as: SIMD2<UInt64>.self)
            found |= specials(block)
            (target + done).storeBytes(of: block, as: SIMD2<UInt64>.self)
            done &+= 16
        }
        (target + end).storeBytes(of: last, as: SIMD2<UInt64>.self)
        return isPlain(found)
    }

    /// Copies up to 15 bytes by stores that overlap; returns all of them, some twice.
    @inline(__always) private static func copyShort(
        _ source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, count: Int
    ) -> SIMD2<UInt64> {
        if count >= 8 {
            let end = count &- 8
            let first = source.loadUnaligned(as: UInt64.self)
            let last = (source + end).loadUnaligned(as: UInt64.self)
            target.storeBytes(of: first, as: UInt64.self)
            (target + end).storeBytes(of: last, as: UInt64.self)
            return SIMD2(first, last)
        }
        var all: UInt64 = 0x2020_2020_2020_2020
        if count >= 4 {
            let end = count &- 4
            let first = source.loadUnaligned(as: UInt32.self)
            let last = (source + end).loadUnaligned(as: UInt32.self)
            target.storeBytes(of: first, as: UInt32.self)
            (target + end).storeBytes(of: last, as: UInt32.self)
            all = UInt64(first) | UInt64(last) << 32
        } else {
            for index in 0..<count {
                let byte = source.load(fromByteOffset: index, as: UInt8.self)
                target.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
                all = all << 8 | UInt64(byte)
            }
        }
        return SIMD2(repeating: all)
    }

    /// Bits of which the highest of a byte is set where a character is not plain; others mean nothing.
    ///
    /// A carry can mark the byte above a marked one, never hide one. Words, not bytes, in the vector: comparisons of
    /// `SIMD16<UInt8>` are compiled to a loop over its lanes.
    @inline(__always) private static func specials(_ block: SIMD2<UInt64>) -> SIMD2<UInt64> {
        let ones = SIMD2<UInt64>(repeating: 0x0101_0101_0101_0101)
        let outside = (block &- 0x20 &* ones) | block | (block &+ ones)
        let quote = (block ^ (0x22 &* ones)) &- ones
        let backslash = (block ^ (0x5C &* ones)) &- ones
        return outside | quote | backslash
    }

    @inline(__always) private static func isPlain(_ found: SIMD2<UInt64>) -> Bool {
        // Masked as a vector: else the compiler takes the sum above apart to join its lanes.
        let marks = found & SIMD2<UInt64>(repeating: 0x8080_8080_8080_8080)
        return marks[0] | marks[1] == 0
    }
}
