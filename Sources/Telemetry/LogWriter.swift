internal import Bytes
internal import Dispatch
internal import Synchronization

/// Where lines go.
package enum LogOutput: Sendable, Equatable {
    case standardOutput
    case standardError
    /// Appended to; opened anew by `LogWriter.reopen()`, so that it can be rotated.
    case file(String)
    /// A descriptor that its owner keeps open.
    case descriptor(Int32)
    /// Nowhere.
    case discarded
}

/// Why an output cannot be written to.
package enum LogError: Error, Equatable {
    case cannotOpen(path: String)
}

/// Writes lines to one output on a queue of its own, so that a slow output blocks nobody but that queue.
///
/// Who submits waits for a copy into memory at most. When the output does not keep up, and `limit` bytes wait,
/// further lines are dropped and counted. The process must ignore SIGPIPE: a reader may go away.
package final class LogWriter: Sendable {
    private struct Pending: ~Copyable {
        var bytes = ByteQueue()
        var lines = 0
        /// Bytes taken by the queue and not yet written.
        var writing = 0
        var isScheduled = false
    }

    /// Memory that is kept for the next lines when all are written.
    private static let keptBytes = 256 * 1024

    private let output: LogOutput
    private let limit: Int
    private let queue = DispatchQueue(label: "penstock.log")
    private let pending = Mutex(Pending())
    /// Used on `queue` only.
    private let batch = Mutex(ByteQueue())
    /// Replaced on `queue` only.
    private let file: Mutex<OutputFile?>
    private let dropped = Atomic(0)

    /// - Parameters:
    ///   - output: Where lines go.
    ///   - limit: Most bytes that wait in memory.
    package init(_ output: LogOutput, limit: Int = 4 << 20) throws(LogError) {
        self.output = output
        self.limit = limit
        file = Mutex(try LogWriter.open(output))
    }

    /// Lines lost so far: dropped because too many waited, or refused by the output.
    package var droppedLines: Int { dropped.load(ordering: .relaxed) }

    /// Whether a person may be reading along: then colours are welcome, unless `NO_COLOR` says otherwise.
    package var wantsColour: Bool { isTerminal && !environmentHas("NO_COLOR") }

    /// Whether the output is a terminal.
    package var isTerminal: Bool { file.withLock { $0 }?.isTerminal ?? false }

    /// Takes whole lines to write. Never waits for the output.
    ///
    /// - Parameters:
    ///   - lines: Text that ends with a line feed. Copied.
    ///   - count: How many lines it has.
    /// - Returns: `false` if they were dropped.
    @discardableResult
    package func submit(_ lines: Span<UInt8>, count: Int = 1) -> Bool {
        var schedules = false
        let accepted = pending.withLock { pending in
            guard pending.bytes.count + pending.writing + lines.count <= limit else { return false }
            pending.bytes.append(lines)
            pending.lines += count
            schedules = !pending.isScheduled
            pending.isScheduled = true
            return true
        }
        if !accepted { dropped.wrappingAdd(count, ordering: .relaxed) }
        if schedules { queue.async { self.writeAll() } }
        return accepted
    }

    /// Opens a file anew, after it was moved away. If that fails, lines go on to the old one.
    ///
    /// - Parameter failed: Told why, on a queue of the log.
    package func reopen(failed: @escaping @Sendable (LogError) -> Void) {
        queue.async {
            do throws(LogError) {
                let opened = try LogWriter.open(self.output)
                self.file.withLock { $0 = opened }
            } catch {
                failed(error)
            }
        }
    }

    /// Waits until all lines submitted before are written. Not for reactors.
    ///
    /// - Parameter millis: How long to wait.
    /// - Returns: Whether they were written in time.
    @discardableResult
    package func flush(millis: Int = 2000) -> Bool {
        let written = DispatchSemaphore(value: 0)
        queue.async { written.signal() }
        return written.wait(timeout: .now() + .milliseconds(millis)) == .success
    }

    /// Writes until nothing waits. Runs on `queue`.
    private func writeAll() {
        batch.withLock { batch in
            while true {
                let lines = pending.withLock { pending -> Int? in
                    pending.writing = pending.bytes.count
                    if pending.bytes.isEmpty {
                        pending.isScheduled = false
                        return nil
                    }
                    swap(&pending.bytes, &batch)
                    defer { pending.lines = 0 }
                    return pending.lines
                }
                guard let lines else { return }
                // Not under a lock of the submitters: this may wait for ever.
                let accepted = file.withLock { $0 }?.write(batch.span) ?? true
                if !accepted { dropped.wrappingAdd(lines, ordering: .relaxed) }
                batch.removeAll(keeping: LogWriter.keptBytes)
            }
        }
    }

    private static func open(_ output: LogOutput) throws(LogError) -> OutputFile? {
        switch output {
        case .standardOutput: return OutputFile(descriptor: 1)
        case .standardError: return OutputFile(descriptor: 2)
        case .descriptor(let descriptor): return OutputFile(descriptor: descriptor)
        case .discarded: return nil
        case .file(let path):
            guard let file = OutputFile(path: path) else { throw .cannotOpen(path: path) }
            return file
        }
    }
}
