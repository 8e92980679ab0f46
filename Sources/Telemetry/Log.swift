internal import Bytes
internal import Synchronization

/// The log of what happens to the gateway itself; exchanges go to `AccessLogBuffer`.
///
/// One line is one event: a constant message and named values. Any thread may write; nobody waits for the output.
package final class Log: Sendable {
    /// Where the lines go.
    package let writer: LogWriter
    /// The form of its lines.
    package let format: LogFormat
    private let least: Atomic<UInt8>
    private let clock: @Sendable () -> Int

    /// - Parameters:
    ///   - writer: Where the lines go.
    ///   - format: JSON or for people.
    ///   - level: Lines below it are not written.
    ///   - clock: Milliseconds since 1970.
    package init(
        _ writer: LogWriter, format: LogFormat, level: LogLevel = .info,
        clock: @escaping @Sendable () -> Int = { wallClockMillis() }
    ) {
        self.writer = writer
        self.format = format
        self.clock = clock
        least = Atomic(level.rawValue)
    }

    /// Writes lines of this level and above from now on.
    package func setLevel(_ level: LogLevel) { least.store(level.rawValue, ordering: .relaxed) }

    /// Whether lines of this level are written.
    package func writes(_ level: LogLevel) -> Bool { level.rawValue >= least.load(ordering: .relaxed) }

    /// Writes one line: `log.write(.notice, "endpoint ejected", ["endpoint": "\(endpoint)", "failures": 5])`.
    ///
    /// - Parameters:
    ///   - level: How much it matters.
    ///   - message: What happened; constant, so that it can be searched for.
    ///   - fields: Evaluated only if the line is written. Never secrets, never bodies.
    package func write(
        _ level: LogLevel, _ message: StaticString, _ fields: @autoclosure () -> LogFields = [:]
    ) {
        guard writes(level) else { return }
        var line = ByteQueue()
        switch format {
        case .json: writeJSON(level, message, fields(), to: &line)
        case .console(let colour): writeConsole(level, message, fields(), colour, to: &line)
        }
        writer.submit(line.span)
    }

    private func writeJSON(_ level: LogLevel, _ message: StaticString, _ fields: LogFields, to line: inout ByteQueue) {
        var timestamp = TimestampWriter()
        line.append("{\"ts\":\"")
        timestamp.append(millis: clock(), to: &line)
        line.append("\",\"level\":\"")
        line.append(level.text)
        line.append("\",\"message\":")
        LogValue.text("\(message)").write(json: &line)
        for (name, value) in fields.entries {
            line.append(UInt8(ascii: ","))
            LogValue.text("\(name)").write(json: &line)
            line.append(UInt8(ascii: ":"))
            value.write(json: &line)
        }
        line.append("}\n")
    }

    private func writeConsole(
        _ level: LogLevel, _ message: StaticString, _ fields: LogFields, _ colour: Bool, to line: inout ByteQueue
    ) {
        var timestamp = TimestampWriter()
        timestamp.append(millis: clock(), to: &line)
        line.append(UInt8(ascii: " "))
        line.append(level: level, colour: colour)
        line.append(UInt8(ascii: " "))
        line.append(message)
        var gap: StaticString = "  "
        for (name, value) in fields.entries {
            line.append(gap)
            gap = " "
            line.append(name)
            line.append(UInt8(ascii: "="))
            value.write(console: &line)
        }
        line.append(UInt8(ascii: "\n"))
    }
}

extension ByteQueue {
    /// Appends a level, padded to the longest one.
    internal mutating func append(level: LogLevel, colour: Bool) {
        if colour {
            switch level {
            case .debug: append("\u{1B}[2m")
            case .info: append("\u{1B}[32m")
            case .notice: append("\u{1B}[36m")
            case .warning: append("\u{1B}[33m")
            case .error: append("\u{1B}[31m")
            }
        }
        append(level.text)
        if colour { append("\u{1B}[0m") }
        for _ in level.text.utf8CodeUnitCount..<7 { append(UInt8(ascii: " ")) }
    }
}
