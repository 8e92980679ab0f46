internal import Glibc

/// Bytes that come in at one end and leave at the other, in one growable stretch of memory.
///
/// The buffer of everything that is sent or kept: what is appended lies contiguously, so one `write(2)` sends all
/// of it. Owned once (`~Copyable`), freed with its owner. Not thread-safe.
public struct ByteQueue: ~Copyable {
    @usableFromInline internal private(set) var base: UnsafeMutableRawPointer?
    @usableFromInline internal var head = 0
    @usableFromInline internal var tail = 0
    /// Bytes of memory held, whether used or not.
    @usableFromInline package private(set) var capacity = 0

    /// An empty queue; memory is taken with the first byte.
    package init() {}

    deinit { free(base) }

    /// How many bytes wait.
    @inlinable package var count: Int { @inline(__always) get { tail - head } }

    /// Whether no byte waits.
    @inlinable package var isEmpty: Bool { @inline(__always) get { tail == head } }

    /// The waiting bytes, oldest first. Valid until the queue is changed.
    @inlinable package var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base.map { UnsafeRawPointer($0) + head }, count: tail - head)
    }

    /// The waiting bytes, oldest first, bounds-checked.
    @inlinable package var span: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            let whole = UnsafeBufferPointer(
                start: base?.assumingMemoryBound(to: UInt8.self), count: base == nil ? 0 : tail)
            let waiting = UnsafeBufferPointer<UInt8>(rebasing: whole[(base == nil ? 0 : head)...])
            return _overrideLifetime(Span(_unsafeElements: waiting), borrowing: self)
        }
    }

    /// Appends one byte.
    @inlinable package mutating func append(_ byte: UInt8) {
        if tail == capacity { grow(by: 1) }
        base.unsafelyUnwrapped.storeBytes(of: byte, toByteOffset: tail, as: UInt8.self)
        tail += 1
    }

    /// Appends a copy of `bytes`.
    @inlinable package mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        if capacity - tail < bytes.count { grow(by: bytes.count) }
        (base.unsafelyUnwrapped + tail).copyMemory(from: source, byteCount: bytes.count)
        tail += bytes.count
    }

    /// Appends a copy of `bytes`.
    @inlinable package mutating func append(_ bytes: Span<UInt8>) {
        bytes.withUnsafeBytes { append($0) }
    }

    /// Appends a copy of `bytes`.
    @inlinable package mutating func append(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { append($0) }
    }

    /// Appends the UTF-8 of a literal.
    ///
    /// Always inlined: the length of a literal is known there, so that the copy becomes a few stores. A call costs 60
    /// instructions, and a request writes some forty literals.
    @inlinable @inline(__always) package mutating func append(_ literal: StaticString) {
        let count = literal.utf8CodeUnitCount
        if capacity - tail < count { grow(by: count) }
        // There is memory unless nothing was ever written, and then nothing is to be written now.
        if let base { (base + tail).copyMemory(from: literal.utf8Start, byteCount: count) }
        tail += count
    }

    /// Appends the UTF-8 of a string. For cold paths.
    package mutating func append(text: String) {
        var copy = text
        copy.withUTF8 { append(UnsafeRawBufferPointer($0)) }
    }

    /// Appends `value` in decimal.
    package mutating func append(decimal value: Int) {
        if value < 0 { append(UInt8(ascii: "-")) }
        if capacity - tail < 20 { grow(by: 20) }
        var rest = value.magnitude
        var digits = 1
        var bound: UInt = 10
        while rest >= bound, digits < 19 {
            digits += 1
            bound &*= 10
        }
        // Of twenty digits there are numbers beyond the last bound.
        if digits == 19, rest >= bound { digits = 20 }
        let start = base.unsafelyUnwrapped + tail
        var index = digits
        repeat {
            index -= 1
            let quotient = rest / 10
            start.storeBytes(
                of: UInt8(truncatingIfNeeded: rest &- quotient &* 10) &+ 48, toByteOffset: index, as: UInt8.self)
            rest = quotient
        } while index > 0
        tail += digits
    }

    /// Appends `value` in lower-case hexadecimal without leading zeros.
    package mutating func append(hex value: Int) {
        let bits = UInt(bitPattern: value)
        let digits = max(1, (UInt.bitWidth - bits.leadingZeroBitCount + 3) / 4)
        for index in stride(from: digits - 1, through: 0, by: -1) {
            let nibble = UInt8(truncatingIfNeeded: (bits >> UInt(index * 4)) & 15)
            append(nibble < 10 ? 48 + nibble : 87 + nibble)
        }
    }

    /// Room for `count` more bytes at the end; write there, then `commit`.
    @inlinable package mutating func reserve(_ count: Int) -> UnsafeMutableRawBufferPointer {
        if capacity - tail < count { grow(by: count) }
        return UnsafeMutableRawBufferPointer(start: base.map { $0 + tail }, count: capacity - tail)
    }

    /// Takes memory for `count` more bytes now rather than piece by piece.
    package mutating func makeRoom(for count: Int) {
        if capacity - tail < count { grow(by: count) }
    }

    /// Makes `count` bytes written to what `reserve` returned part of the queue.
    @inlinable package mutating func commit(_ count: Int) {
        precondition(count >= 0 && count <= capacity - tail, "more committed than reserved")
        tail += count
    }

    /// Drops the oldest `count` bytes.
    @inlinable package mutating func consume(_ count: Int) {
        precondition(count >= 0 && count <= tail - head, "more consumed than there is")
        head += count
        if head == tail {
            head = 0
            tail = 0
        }
    }

    /// Drops all bytes; keeps the memory if it is at most `keeping` bytes.
    package mutating func removeAll(keeping: Int = 0) {
        head = 0
        tail = 0
        if capacity > keeping {
            free(base)
            base = nil
            capacity = 0
        }
    }

    /// Drops all after the first `count` bytes.
    package mutating func truncate(to count: Int) {
        precondition(count >= 0 && count <= tail - head, "cannot truncate to more than there is")
        tail = head + count
    }

    /// Moves what waits to the front, and takes more memory if that is not enough.
    @usableFromInline internal mutating func grow(by count: Int) {
        let waiting = tail - head
        if head > 0, let base {
            memmove(base, base + head, waiting)
            head = 0
            tail = waiting
            if capacity - tail >= count { return }
        }
        let wanted = max(256, capacity * 2, waiting + count)
        guard let larger = realloc(base, wanted) else { fatalError("out of memory") }
        base = larger
        capacity = wanted
    }
}
