internal import Glibc
public import Synchronization

/// Who writes: a reactor, which has its cells to itself, or anyone else (`control`).
///
/// At most one thread at a time may add on a given reactor shard. Two that do lose counts, not memory.
public struct MetricShard: Sendable, Equatable {
    /// Shards that the memory layout has room for, the control shard counted in.
    package static let limit = 256
    /// The shard of every thread that is not a reactor: adds are atomic there.
    package static let control = MetricShard(index: 0)

    @usableFromInline internal let byteOffset: Int
    /// 0 for control, 1...255 for reactors.
    package var index: Int { byteOffset >> MetricCells.strideBits }

    /// The shard of reactor `reactor`, counted from 1.
    package init(reactor: Int) {
        precondition((1..<MetricShard.limit).contains(reactor), "reactors are numbered 1...255")
        self.init(index: reactor)
    }

    private init(index: Int) { byteOffset = index << MetricCells.strideBits }

    /// Whether several threads may write to this shard at once.
    @inlinable internal var isShared: Bool { byteOffset == 0 }
}

/// Neighbouring 64-bit cells, the same in each shard. Trivial to copy.
///
/// Sendable: the memory is mapped for as long as the process lives and accessed through `Atomic` only.
@safe public struct MetricCellRun: @unchecked Sendable {
    /// The first cell in the control shard.
    @usableFromInline internal let first: UnsafeMutableRawPointer
    /// How many cells there are.
    @usableFromInline package let count: Int

    @inlinable internal init(first: UnsafeMutableRawPointer, count: Int) {
        self.first = first
        self.count = count
    }

    @inlinable internal func cell(_ index: Int, _ shard: MetricShard) -> UnsafeMutablePointer<Atomic<Int>> {
        (first + shard.byteOffset + index &* 8).assumingMemoryBound(to: Atomic<Int>.self)
    }

    /// Adds to a cell. A reactor needs no locked instruction: nobody else writes to its shard.
    @inlinable @inline(__always) internal func add(_ amount: Int, at index: Int, on shard: MetricShard) {
        let cell = cell(index, shard)
        if shard.isShared {
            cell.pointee.wrappingAdd(amount, ordering: .relaxed)
        } else {
            cell.pointee.store(cell.pointee.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
        }
    }

    /// Adds to a cell that holds the bits of a `Double`.
    @inlinable internal func add(_ amount: Double, at index: Int, on shard: MetricShard) {
        let cell = cell(index, shard)
        var old = cell.pointee.load(ordering: .relaxed)
        func sum() -> Int { Int(bitPattern: UInt(MetricCellRun.double(old).advanced(by: amount).bitPattern)) }
        if !shard.isShared {
            cell.pointee.store(sum(), ordering: .relaxed)
            return
        }
        while true {
            let (done, seen) = cell.pointee.weakCompareExchange(expected: old, desired: sum(), ordering: .relaxed)
            if done { return }
            old = seen
        }
    }

    @inlinable internal static func double(_ bits: Int) -> Double { Double(bitPattern: UInt64(UInt(bitPattern: bits))) }

    /// The sum of a cell over the first `shards` shards.
    package func sum(at index: Int, shards: Int) -> Int {
        precondition(index < count && shards <= MetricShard.limit, "no such cell")
        var total = 0
        for shard in 0..<shards {
            total &+= cell(index, .control)[shard &<< MetricCells.strideBits / 8].load(ordering: .relaxed)
        }
        return total
    }

    /// The sum of a cell of `Double` bits over the first `shards` shards.
    package func doubleSum(at index: Int, shards: Int) -> Double {
        precondition(index < count && shards <= MetricShard.limit, "no such cell")
        var total = 0.0
        for shard in 0..<shards {
            let bits = cell(index, .control)[shard &<< MetricCells.strideBits / 8].load(ordering: .relaxed)
            total += MetricCellRun.double(bits)
        }
        return total
    }
}

/// Counts up. Made at start; `add` costs a load and a store.
public struct CounterHandle: Sendable {
    @usableFromInline internal let run: MetricCellRun

    /// Counts in the first cell of `run`.
    package init(_ run: MetricCellRun) { self.run = run }

    /// Adds `amount`, which is never negative.
    @inlinable @inline(__always) package func add(_ amount: Int = 1, on shard: MetricShard) {
        run.add(amount, at: 0, on: shard)
    }
}

/// Goes up and down. What one shard adds, another may take away: the sum counts.
public struct GaugeHandle: Sendable {
    @usableFromInline internal let run: MetricCellRun

    /// Stands in the first cell of `run`.
    package init(_ run: MetricCellRun) { self.run = run }

    /// Adds `amount`, which may be negative.
    @inlinable @inline(__always) package func add(_ amount: Int = 1, on shard: MetricShard) {
        run.add(amount, at: 0, on: shard)
    }

    /// Sets the value. Only for gauges that nobody adds to.
    package func set(_ value: Int) {
        run.cell(0, .control).pointee.store(value, ordering: .relaxed)
    }
}

/// Upper bounds of a histogram's buckets in nanoseconds, where the hot path finds them without a reference count.
///
/// Sendable: written once in `init`, never freed.
@safe public struct HistogramBounds: @unchecked Sendable {
    /// Starting bucket for each number of leading zero bits (65 bytes), then the bounds.
    @usableFromInline internal let starts: UnsafePointer<UInt8>
    @usableFromInline internal let bounds: UnsafePointer<Int>
    /// How many bounds there are; the last bucket has none.
    @usableFromInline package let count: Int

    /// - Parameter nanos: Ascending, at most 62. The memory is never freed: make bounds once per family.
    package init(nanos: [Int]) {
        precondition(nanos.count <= 62 && nanos == nanos.sorted() && nanos.allSatisfy { $0 > 0 }, "bad bounds")
        let bounds = MetricCells.map(bytes: 4096).assumingMemoryBound(to: Int.self)
        for (index, bound) in nanos.enumerated() { bounds[index] = bound }
        let starts = UnsafeMutableRawPointer(bounds + 64).assumingMemoryBound(to: UInt8.self)
        for zeros in 0...64 {
            let least = zeros == 64 ? 0 : Int(truncatingIfNeeded: UInt(1) << UInt(63 - zeros))
            starts[zeros] = UInt8(nanos.firstIndex { $0 >= least } ?? nanos.count)
        }
        (self.starts, self.bounds, count) = (UnsafePointer(starts), UnsafePointer(bounds), nanos.count)
    }

    /// The bucket that `nanos` belongs to: the first whose bound is not below it.
    @inlinable @inline(__always) package func bucket(of nanos: Int) -> Int {
        let nanos = max(0, nanos)
        // The bounds below the largest power of two in `nanos` need no look: two or three comparisons remain.
        var index = Int(starts[nanos.leadingZeroBitCount])
        while index < count && bounds[index] < nanos { index &+= 1 }
        return index
    }
}

/// Sorts durations into buckets. Cell 0 is the sum in seconds, then one cell for each bucket.
public struct HistogramHandle: Sendable {
    @usableFromInline internal let run: MetricCellRun
    @usableFromInline internal let bounds: HistogramBounds

    /// Counts in `run`, which has two cells more than there are bounds.
    package init(_ run: MetricCellRun, _ bounds: HistogramBounds) {
        precondition(run.count == bounds.count + 2, "a sum, the buckets, and one without a bound")
        self.run = run
        self.bounds = bounds
    }

    /// Counts one duration; a negative one as zero.
    @inlinable @inline(__always) package func observe(nanos: Int, on shard: MetricShard) {
        run.add(1, at: 1 &+ bounds.bucket(of: nanos), on: shard)
        run.add(Double(max(0, nanos)) * 1e-9, at: 0, on: shard)
    }
}

/// Memory for metric cells: pages that never move and are never unmapped.
///
/// A page holds 512 cells of each shard; a shard's part is 4 KiB away from the next one's, so no two shards share a
/// cache line and `address + shard * 4096` is the whole look-up. Only what is touched takes memory.
package final class MetricCells: Sendable {
    @usableFromInline internal static let strideBits = 12
    private static let cellsPerPage = 512

    private struct Pages {
        var nextCell: UInt = 0
        var cellsLeft = 0
        var free: [Int: [UInt]] = [:]
    }

    private let pages = Mutex(Pages())

    /// No cells yet.
    package init() {}

    /// `count` neighbouring cells, all zero.
    package func allocate(_ count: Int) -> MetricCellRun {
        precondition((1...64).contains(count), "1...64 cells")
        let (address, used) = pages.withLock { pages -> (UInt, Bool) in
            if let address = pages.free[count]?.popLast() { return (address, true) }
            if pages.cellsLeft < count {
                pages.nextCell = UInt(bitPattern: MetricCells.map(bytes: MetricShard.limit << MetricCells.strideBits))
                pages.cellsLeft = MetricCells.cellsPerPage
            }
            defer {
                pages.nextCell += UInt(count) * 8
                pages.cellsLeft -= count
            }
            return (pages.nextCell, false)
        }
        guard let first = UnsafeMutableRawPointer(bitPattern: address) else { fatalError("cells without an address") }
        let run = MetricCellRun(first: first, count: count)
        if used { MetricCells.clear(run) }
        return run
    }

    /// Gives cells back. Who still holds a handle to them would count for their next owner.
    package func free(_ run: MetricCellRun) {
        pages.withLock { $0.free[run.count, default: []].append(UInt(bitPattern: run.first)) }
    }

    private static func clear(_ run: MetricCellRun) {
        for shard in 0..<MetricShard.limit {
            for index in 0..<run.count {
                let cell = run.cell(index, .control) + (shard << strideBits / 8)
                // A store to a shard that was never used would take 4 KiB of memory for it; a load does not.
                if cell.pointee.load(ordering: .relaxed) != 0 { cell.pointee.store(0, ordering: .relaxed) }
            }
        }
    }

    /// Zeroed memory that stays for good: handles to it are copied freely and must never dangle.
    fileprivate static func map(bytes: Int) -> UnsafeMutableRawPointer {
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        guard let memory = mmap(nil, bytes, PROT_READ | PROT_WRITE, flags, -1, 0), memory != MAP_FAILED else {
            fatalError("out of memory")
        }
        // A huge page would turn one touched cell into 2 MiB.
        madvise(memory, bytes, MADV_NOHUGEPAGE)
        return memory
    }
}

/// Milliseconds since 1970 by the wall clock.
package func wallClockMillis() -> Int {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return now.tv_sec * 1000 + now.tv_nsec / 1_000_000
}

/// An open file that lines are appended to, closed with its last reference if it was opened here.
package final class OutputFile: Sendable {
    private let descriptor: CInt
    private let closes: Bool

    /// Writes to a descriptor that someone else closes.
    package init(descriptor: CInt) { (self.descriptor, closes) = (descriptor, false) }

    /// Opens or makes `path` to append to it; `nil` if that fails.
    package init?(path: String) {
        let opened = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0o640)
        guard opened >= 0 else { return nil }
        (descriptor, closes) = (opened, true)
    }

    deinit { if closes { close(descriptor) } }

    /// Whether a person may be reading along.
    package var isTerminal: Bool { isatty(descriptor) == 1 }

    /// Writes all of `bytes`, and waits as long as that takes. `false` if the file takes no more.
    package func write(_ bytes: Span<UInt8>) -> Bool {
        bytes.withUnsafeBytes { bytes in
            var sent = 0
            while sent < bytes.count {
                let written = Glibc.write(descriptor, bytes.baseAddress.unsafelyUnwrapped + sent, bytes.count - sent)
                if written >= 0 {
                    sent += written
                } else if errno == EAGAIN {
                    // Standard output shares its flags with whoever else has it: they may have made it non-blocking.
                    var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    poll(&waiting, 1, -1)
                } else if errno != EINTR {
                    return false
                }
            }
            return true
        }
    }
}

/// The whole of a small file, such as those in /proc; `nil` if it cannot be read.
package func contents(ofSmallFile path: StaticString) -> [UInt8]? {
    let descriptor = path.withUTF8Buffer {
        open(UnsafeRawPointer($0.baseAddress!).assumingMemoryBound(to: CChar.self), O_RDONLY | O_CLOEXEC)
    }
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    let bytes = [UInt8](unsafeUninitializedCapacity: 16384) { buffer, count in
        while count < buffer.count, case let got = read(descriptor, buffer.baseAddress! + count, buffer.count - count),
            got > 0
        {
            count += got
        }
    }
    return bytes.isEmpty ? nil : bytes
}

/// How many descriptors this process has open; `nil` if /proc does not say.
package func openDescriptors() -> Int? {
    guard let directory = opendir("/proc/self/fd") else { return nil }
    defer { closedir(directory) }
    var entries = 0
    while readdir(directory) != nil { entries += 1 }
    // Not counted: ".", ".." and the directory's own descriptor.
    return max(0, entries - 3)
}

/// Memory page size in bytes and clock ticks in a second, the units of /proc/self/stat.
package func statUnits() -> (pageBytes: Int, ticksPerSecond: Int) {
    (sysconf(CInt(_SC_PAGESIZE)), sysconf(CInt(_SC_CLK_TCK)))
}

/// Whether an environment variable is set and not empty.
package func environmentHas(_ name: String) -> Bool {
    getenv(name).map { $0.pointee != 0 } ?? false
}
