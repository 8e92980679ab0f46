/// Writes many short pieces to the end of a queue.
///
/// A `ByteQueue` keeps its place in memory, and each `append` costs it a dozen instructions; here the place is in
/// registers, a constant piece is one or two stores, and what is left is one comparison with the end of the room. When
/// the room is used up, the queue is asked for more. Lives inside of `ByteQueue.write`.
///
/// Marked usable from inlined code: without that mark the compiler does not inline members of a `package` type into
/// other modules, whatever they say of themselves.
@safe @usableFromInline package struct ByteWriter: ~Copyable {
    @usableFromInline internal var cursor: UnsafeMutableRawPointer
    @usableFromInline internal var end: UnsafeMutableRawPointer
    /// The `ByteQueue`, which outlives the call of `write` and nobody else uses meanwhile.
    @usableFromInline internal let queue: UnsafeMutableRawPointer

    fileprivate init(_ queue: UnsafeMutablePointer<ByteQueue>, reserving count: Int) {
        self.queue = UnsafeMutableRawPointer(queue)
        (cursor, end) = ByteWriter.room(queue, count)
    }

    /// Makes sure that `count` bytes can be stored at the cursor.
    @inlinable @inline(__always) internal mutating func ensure(_ count: Int) {
        // By value: a writer whose address is taken would live in memory.
        if end - cursor < count { (cursor, end) = ByteWriter.refill(queue, cursor, count) }
    }

    @usableFromInline @inline(never) internal static func refill(
        _ queue: UnsafeMutableRawPointer, _ cursor: UnsafeMutableRawPointer, _ count: Int
    ) -> (UnsafeMutableRawPointer, UnsafeMutableRawPointer) {
        let queue = queue.assumingMemoryBound(to: ByteQueue.self)
        commit(queue, cursor)
        return room(queue, count)
    }

    private static func room(
        _ queue: UnsafeMutablePointer<ByteQueue>, _ count: Int
    ) -> (UnsafeMutableRawPointer, UnsafeMutableRawPointer) {
        // There is memory, as at least one byte is asked for.
        let room = queue.pointee.reserve(max(1, count))
        let start = room.baseAddress.unsafelyUnwrapped
        return (start, start + room.count)
    }

    fileprivate static func commit(_ queue: UnsafeMutablePointer<ByteQueue>, _ cursor: UnsafeMutableRawPointer) {
        queue.pointee.commit(cursor - queue.pointee.reserve(0).baseAddress.unsafelyUnwrapped)
    }

    /// Writes a literal, which stands in the call: its length is then known to the compiler.
    @inlinable @inline(__always) package mutating func write(_ literal: StaticString) {
        let count = literal.utf8CodeUnitCount
        ensure(count)
        cursor.copyMemory(from: literal.utf8Start, byteCount: count)
        cursor += count
    }

    /// Writes a literal and `value` in decimal.
    @inlinable @inline(__always) package mutating func write(_ literal: StaticString, decimal value: Int) {
        let count = literal.utf8CodeUnitCount
        ensure(count + decimalRoom)
        cursor.copyMemory(from: literal.utf8Start, byteCount: count)
        cursor = storeDecimal(value, at: cursor + count)
    }

    /// Writes a literal and `value` with three digits behind the point: 1234 as `1.234`. A negative one as zero.
    @inlinable @inline(__always) package mutating func write(_ literal: StaticString, thousandths value: Int) {
        let count = literal.utf8CodeUnitCount
        ensure(count + decimalRoom + 4)
        cursor.copyMemory(from: literal.utf8Start, byteCount: count)
        cursor = storeThousandths(max(0, value), at: cursor + count)
    }

    /// Writes a literal, then one that is known at run time only, then one byte. Made for short ones.
    @inlinable @inline(__always)
    package mutating func write(_ literal: StaticString, word: StaticString, _ last: UInt8) {
        let (count, length) = (literal.utf8CodeUnitCount, word.utf8CodeUnitCount)
        ensure(count + length + 1)
        cursor.copyMemory(from: literal.utf8Start, byteCount: count)
        cursor += count
        copyShort(from: word.utf8Start, to: cursor, count: length)
        cursor += length
        cursor.storeBytes(of: last, as: UInt8.self)
        cursor += 1
    }

    /// Writes a literal, a text as it is, then one byte.
    @inlinable @inline(__always)
    package mutating func write(_ literal: StaticString, _ slot: Int, of texts: borrowing TextSlots, _ last: UInt8) {
        let (count, length) = (literal.utf8CodeUnitCount, texts.count(slot))
        // Whole vectors are copied: a text has that much memory behind it, and here it is asked for.
        ensure(count + length + TextSlots.padding + 1)
        cursor.copyMemory(from: literal.utf8Start, byteCount: count)
        cursor += count
        let source = texts.start(slot)
        var done = 0
        repeat {
            let block = (source + done).loadUnaligned(as: SIMD2<UInt64>.self)
            (cursor + done).storeBytes(of: block, as: SIMD2<UInt64>.self)
            done &+= 16
        } while done < length
        cursor += length
        cursor.storeBytes(of: last, as: UInt8.self)
        cursor += 1
    }

    /// Writes the low bytes of three words, the lowest of each first, then three digits, then one byte.
    @inlinable @inline(__always)
    package mutating func write(_ words: (UInt64, UInt64, UInt32), threeDigits value: Int, _ last: UInt8) {
        precondition(value >= 0 && value <= 999, "three digits")
        ensure(24)
        cursor.storeBytes(of: words.0, as: UInt64.self)
        cursor.storeBytes(of: words.1, toByteOffset: 8, as: UInt64.self)
        cursor.storeBytes(of: words.2, toByteOffset: 16, as: UInt32.self)
        let digits = fourDigits(UInt32(truncatingIfNeeded: value)) >> 8 | UInt32(last) << 24
        cursor.storeBytes(of: digits, toByteOffset: 20, as: UInt32.self)
        cursor += 24
    }

    /// Writes a literal, all 16 digits of `value` in lower-case hexadecimal, then one byte.
    @inlinable @inline(__always)
    package mutating func write(_ literal: StaticString, hex value: UInt64, _ last: UInt8) {
        let count = literal.utf8CodeUnitCount
        ensure(count + 17)
        cursor.copyMemory(from: literal.utf8Start, byteCount: count)
        cursor += count
        storeHex(value, at: cursor)
        cursor.storeBytes(of: last, toByteOffset: 16, as: UInt8.self)
        cursor += 17
    }

    /// Appends to the queue by its own means what is too rare to have a way here.
    package consuming func withQueue(_ body: (inout ByteQueue) -> Void) -> ByteWriter {
        let owner = queue.assumingMemoryBound(to: ByteQueue.self)
        ByteWriter.commit(owner, cursor)
        body(&owner.pointee)
        return ByteWriter(owner, reserving: 1)
    }
}

extension ByteQueue {
    /// Appends what `body` writes.
    ///
    /// - Parameters:
    ///   - count: About how many bytes that will be: room for them is taken at once.
    ///   - body: Is given a writer and gives the same back; by value, so that it can keep it in registers.
    package mutating func write(reserving count: Int, _ body: (consuming ByteWriter) -> ByteWriter) {
        withUnsafeMutablePointer(to: &self) { queue in
            let writer = body(ByteWriter(queue, reserving: count))
            precondition(writer.queue == UnsafeMutableRawPointer(queue), "the writer of another queue")
            ByteWriter.commit(queue, writer.cursor)
        }
    }
}

/// Copies a few bytes by stores that overlap: a call of `memcpy` costs more than most labels have bytes.
@inlinable @inline(__always)
internal func copyShort(from source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, count: Int) {
    if count > 16 {
        target.copyMemory(from: source, byteCount: count)
    } else if count >= 8 {
        let last = (source + (count - 8)).loadUnaligned(as: UInt64.self)
        target.storeBytes(of: source.loadUnaligned(as: UInt64.self), as: UInt64.self)
        (target + (count - 8)).storeBytes(of: last, as: UInt64.self)
    } else if count >= 4 {
        let last = (source + (count - 4)).loadUnaligned(as: UInt32.self)
        target.storeBytes(of: source.loadUnaligned(as: UInt32.self), as: UInt32.self)
        (target + (count - 4)).storeBytes(of: last, as: UInt32.self)
    } else if count > 0 {
        let middle = source.load(fromByteOffset: count / 2, as: UInt8.self)
        let last = source.load(fromByteOffset: count - 1, as: UInt8.self)
        target.storeBytes(of: source.load(as: UInt8.self), as: UInt8.self)
        target.storeBytes(of: middle, toByteOffset: count / 2, as: UInt8.self)
        target.storeBytes(of: last, toByteOffset: count - 1, as: UInt8.self)
    }
}
