internal import Bytes

/// The access log of one reactor: collects lines and hands them to the writer many at a time.
///
/// Belongs to its reactor, which calls `handOver` on a tick, so that lines do not lie here for long, and when it ends.
package final class AccessLogBuffer {
    /// Lines are handed over when that many bytes wait: crossing to another queue costs more than a line.
    internal static let batchBytes = 192 * 1024

    private let writer: LogWriter
    private var log: AccessLog
    private var lines = ByteQueue()
    private var count = 0

    /// - Parameters:
    ///   - writer: Where the lines go.
    ///   - format: JSON or for people.
    package init(_ writer: LogWriter, format: LogFormat) {
        self.writer = writer
        log = AccessLog(format: format)
    }

    deinit { handOver() }

    /// Whether lines wait for the next tick.
    package var isEmpty: Bool { count == 0 }

    /// Writes the line of an exchange that has ended.
    package func write(_ record: borrowing AccessRecord) {
        log.append(record, to: &lines)
        count += 1
        if lines.count >= AccessLogBuffer.batchBytes { handOver() }
    }

    /// Gives what waits to the writer. Lines it cannot take are dropped and counted there.
    package func handOver() {
        if count == 0 { return }
        writer.submit(lines.span, count: count)
        lines.removeAll(keeping: AccessLogBuffer.batchBytes * 3 / 2)
        count = 0
    }
}
