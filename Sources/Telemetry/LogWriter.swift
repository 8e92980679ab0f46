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
/// Who submits pays for a copy, takes no lock, and never waits. When the output does not keep up, and `limit` bytes
/// wait, further lines are dropped and counted. The process must ignore SIGPIPE: a reader may go away.
package final class LogWriter: Sendable {
    /// What a waiting block and its array cost beside the lines themselves.
    private static let overhead = 256

    private let output: LogOutput
    private let limit: Int
    private let queue = DispatchQueue(label: "penstock.log")
    /// Bytes submitted and not yet written.
    private let waiting = Atomic(0)
    private let dropped = Atomic(0)
    /// Replaced on `queue` only.
    private let file: Mutex<OutputFile?>

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
        let size = lines.count + LogWriter.overhead
        if waiting.wrappingAdd(size, ordering: .relaxed).newValue > limit {
            waiting.wrappingSubtract(size, ordering: .relaxed)
            dropped.wrappingAdd(count, ordering: .relaxed)
            return false
        }
        let copy = [UInt8](copying: lines)
        queue.async {
            self.write(copy, count)
            self.waiting.wrappingSubtract(size, ordering: .relaxed)
        }
        return true
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

    /// Writes lines, however long that takes. Runs on `queue`.
    private func write(_ lines: [UInt8], _ count: Int) {
        // The file is used outside of its lock: writing may wait for ever.
        guard let file = file.withLock({ $0 }) else { return }
        if !file.write(lines.span) { dropped.wrappingAdd(count, ordering: .relaxed) }
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
