internal import Bytes

/// Writes access records as lines. One for each reactor; allocates nothing but the room in the output.
package struct AccessLog: Sendable {
    /// About the length of a line in JSON.
    private static let usualLength = 1024

    private let format: LogFormat
    private var timestamp = TimestampWriter()

    /// - Parameter format: JSON or for people.
    package init(format: LogFormat) { self.format = format }

    /// Appends one line.
    internal mutating func append(_ record: borrowing AccessRecord, to output: inout ByteQueue) {
        switch format {
        case .json: output.write(reserving: AccessLog.usualLength) { writeJSON(record, to: $0) }
        case .console(let colour): appendConsole(record, colour, to: &output)
        }
    }

    // The writer goes by value from one part to the next: then it stays in registers.

    private mutating func writeJSON(_ record: borrowing AccessRecord, to writer: consuming ByteWriter) -> ByteWriter {
        writer.write("{\"ts\":\"")
        writer = timestamp.write(millis: record.startMillis, to: writer)
        if record.level == .warning {
            writer.write("\",\"level\":\"warning\",\"message\":\"exchange\"")
        } else {
            writer.write("\",\"level\":\"info\",\"message\":\"exchange\"")
        }
        writer = AccessLog.writeRequest(record, to: writer)
        writer = AccessLog.writeRoute(record, to: writer)
        writer = AccessLog.writeOutcome(record, to: writer)
        writer = AccessLog.writeFigures(record, to: writer)
        if record.tries.isWorthTelling { writer = writer.withQueue { $0.append(record.tries) } }
        writer.write(",\"user_agent\":\"", .userAgent, of: record)
        writer.write("}\n")
        return writer
    }

    private static func writeRequest(
        _ record: borrowing AccessRecord, to writer: consuming ByteWriter
    ) -> ByteWriter {
        writer.write(",\"request_id\":\"", .requestID, of: record)
        writer.write(",\"client\":\"", .clientAddress, of: record)
        writer.write(",\"method\":\"", record.method)
        writer.write(",\"path\":\"", .path, of: record)
        writer.write(",\"operation\":\"", record.operation)
        writer.write(",\"http_version\":\"", record.httpVersion)
        if record.isTLS { writer.write(",\"tls\":true") } else { writer.write(",\"tls\":false") }
        writer.write(",\"model_requested\":\"", .modelRequested, of: record)
        return writer
    }

    private static func writeRoute(
        _ record: borrowing AccessRecord, to writer: consuming ByteWriter
    ) -> ByteWriter {
        writer.write(",\"model_served\":\"", .modelServed, of: record)
        writer.write(",\"route\":\"", .route, of: record)
        writer.write(",\"tier\":", record.tier)
        writer.write(",\"pool\":\"", .pool, of: record)
        writer.write(",\"endpoint\":\"", .endpoint, of: record)
        writer.write(",\"priority\":", record.priority)
        if let tenant = record.tenant { writer.write(",\"tenant\":\"", hex: tenant, UInt8(ascii: "\"")) }
        if record.hasSession { writer.write(",\"session\":true") } else { writer.write(",\"session\":false") }
        writer.write(",\"attempts\":", decimal: record.attempts)
        return writer
    }

    private static func writeOutcome(
        _ record: borrowing AccessRecord, to writer: consuming ByteWriter
    ) -> ByteWriter {
        writer.write(",\"status\":", decimal: record.status)
        writer.write(",\"error_code\":\"", record.errorCode)
        writer.write(",\"fallback\":\"", record.fallback)
        writer.write(",\"dropped_reason\":\"", record.droppedReason)
        if !record.flags.isEmpty { writer = writer.withQueue { $0.append(jsonFlags: record.flags) } }
        if record.isStream { writer.write(",\"stream\":true") } else { writer.write(",\"stream\":false") }
        writer.write(",\"finish_reason\":\"", .finishReason, of: record)
        return writer
    }

    private static func writeFigures(
        _ record: borrowing AccessRecord, to writer: consuming ByteWriter
    ) -> ByteWriter {
        writer.write(",\"duration_ms\":", millisOfNanos: record.durationNanos)
        writer.write(",\"queue_ms\":", millisOfNanos: record.queueNanos)
        writer.write(",\"ttft_ms\":", millisOfNanos: record.firstTokenNanos)
        writer.write(",\"upstream_ms\":", millisOfNanos: record.upstreamNanos)
        writer.write(",\"prompt_tokens\":", record.promptTokens)
        writer.write(",\"completion_tokens\":", record.completionTokens)
        writer.write(",\"cached_tokens\":", record.cachedTokens)
        writer.write(",\"bytes_in\":", decimal: record.bytesIn)
        writer.write(",\"bytes_out\":", decimal: record.bytesOut)
        writer.write(",\"aborted_by\":\"", record.abortedBy.text)
        writer.write(",\"client_retry\":", record.clientRetry)
        return writer
    }

    private mutating func appendConsole(
        _ record: borrowing AccessRecord, _ colour: Bool, to output: inout ByteQueue
    ) {
        timestamp.append(millis: record.startMillis, to: &output)
        output.append(UInt8(ascii: " "))
        output.append(level: record.level, colour: colour)
        output.append(consoleStart: record)
        output.append(consoleEnd: record)
    }
}

/// `key` and a value; nothing at all where the value is missing. A key that opens a quote has it closed.
extension ByteWriter {
    @inline(__always)
    fileprivate mutating func write(
        _ key: StaticString, _ text: AccessRecord.Text, of record: borrowing AccessRecord
    ) {
        if !record.has(text) { return }
        if record.texts.isPlain(text.rawValue) {
            write(key, text.rawValue, of: record.texts, UInt8(ascii: "\""))
        } else {
            write(key)
            self = withQueue { $0.append(escaped: record.text(text)) }
            write("\"")
        }
    }

    @inline(__always)
    fileprivate mutating func write(_ key: StaticString, _ value: StaticString) {
        if value.utf8CodeUnitCount > 0 { write(key, word: value, UInt8(ascii: "\"")) }
    }

    @inline(__always)
    fileprivate mutating func write(_ key: StaticString, _ value: Int?) {
        if let value { write(key, decimal: value) }
    }

    @inline(__always)
    fileprivate mutating func write(_ key: StaticString, millisOfNanos nanos: Int?) {
        if let nanos { write(key, thousandths: nanos / 1000) }
    }
}
