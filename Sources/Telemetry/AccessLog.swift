internal import Bytes

/// Writes access records as lines. One for each reactor; allocates nothing but the room in the output.
package struct AccessLog: Sendable {
    private let format: LogFormat
    private var timestamp = TimestampWriter()

    /// - Parameter format: JSON or for people.
    package init(format: LogFormat) { self.format = format }

    /// Appends one line.
    internal mutating func append(_ record: borrowing AccessRecord, to output: inout ByteQueue) {
        switch format {
        case .json: appendJSON(record, to: &output)
        case .console(let colour): appendConsole(record, colour, to: &output)
        }
    }

    private static func level(of record: borrowing AccessRecord) -> LogLevel {
        record.status >= 500 || record.abortedBy == .upstream ? .warning : .info
    }

    private mutating func appendJSON(_ record: borrowing AccessRecord, to output: inout ByteQueue) {
        output.append("{\"ts\":\"")
        timestamp.append(millis: record.startMillis, to: &output)
        output.append("\",\"level\":\"")
        output.append(AccessLog.level(of: record).text)
        output.append("\",\"message\":\"exchange\"")
        output.append(",\"request_id\":\"", escaped: record.text(.requestID))
        output.append(",\"client\":\"", escaped: record.text(.clientAddress))
        output.append(",\"method\":\"", record.method)
        output.append(",\"path\":\"", escaped: record.text(.path))
        output.append(",\"operation\":\"", record.operation)
        output.append(",\"http_version\":\"", record.httpVersion)
        output.append(record.isTLS ? ",\"tls\":true" : ",\"tls\":false")
        output.append(",\"model_requested\":\"", escaped: record.text(.modelRequested))
        output.append(",\"model_served\":\"", escaped: record.text(.modelServed))
        output.append(",\"pool\":\"", escaped: record.text(.pool))
        output.append(",\"endpoint\":\"", escaped: record.text(.endpoint))
        output.append(",\"attempts\":", record.attempts)
        output.append(",\"status\":", record.status)
        output.append(",\"error_code\":\"", record.errorCode)
        if !record.flags.isEmpty {
            output.append(",\"flags\":\"")
            output.append(record.flags)
            output.append(UInt8(ascii: "\""))
        }
        output.append(record.isStream ? ",\"stream\":true" : ",\"stream\":false")
        appendFigures(record, to: &output)
        output.append(",\"user_agent\":\"", escaped: record.text(.userAgent))
        output.append("}\n")
    }

    private func appendFigures(_ record: borrowing AccessRecord, to output: inout ByteQueue) {
        output.append(",\"duration_ms\":", millisOfNanos: record.durationNanos)
        output.append(",\"ttft_ms\":", millisOfNanos: record.firstTokenNanos)
        output.append(",\"upstream_ms\":", millisOfNanos: record.upstreamNanos)
        output.append(",\"prompt_tokens\":", record.promptTokens)
        output.append(",\"completion_tokens\":", record.completionTokens)
        output.append(",\"cached_tokens\":", record.cachedTokens)
        output.append(",\"bytes_in\":", record.bytesIn)
        output.append(",\"bytes_out\":", record.bytesOut)
        output.append(",\"aborted_by\":\"", record.abortedBy.text)
        output.append(",\"client_retry\":", record.clientRetry)
    }

    private mutating func appendConsole(
        _ record: borrowing AccessRecord, _ colour: Bool, to output: inout ByteQueue
    ) {
        timestamp.append(millis: record.startMillis, to: &output)
        output.append(UInt8(ascii: " "))
        output.append(level: AccessLog.level(of: record), colour: colour)
        output.append(UInt8(ascii: " "))
        output.append(record.method)
        output.append(UInt8(ascii: " "))
        output.append(consoleValue: record.text(.path))
        output.append(UInt8(ascii: " "))
        output.append(decimal: record.status)
        output.append(UInt8(ascii: " "))
        output.append(millisOfNanos: record.durationNanos)
        output.append("ms ")
        output.append(" model=", consoleValue: record.text(.modelRequested))
        if !bytesEqual(record.text(.modelServed), record.text(.modelRequested)) {
            output.append(" served=", consoleValue: record.text(.modelServed))
        }
        output.append(" pool=", consoleValue: record.text(.pool))
        output.append(" endpoint=", consoleValue: record.text(.endpoint))
        if record.attempts > 1 { output.append(" attempts=", record.attempts) }
        output.append(" ttft_ms=", millisOfNanos: record.firstTokenNanos)
        output.append(" prompt_tokens=", record.promptTokens)
        output.append(" completion_tokens=", record.completionTokens)
        appendConsoleEnd(record, to: &output)
    }

    private func appendConsoleEnd(_ record: borrowing AccessRecord, to output: inout ByteQueue) {
        if record.errorCode.utf8CodeUnitCount > 0 {
            output.append(" error=")
            output.append(record.errorCode)
        }
        if record.abortedBy != .nobody {
            output.append(" aborted_by=")
            output.append(record.abortedBy.text)
        }
        if !record.flags.isEmpty {
            output.append(" flags=")
            output.append(record.flags)
        }
        output.append(" http=")
        output.append(record.httpVersion)
        output.append(" client=", consoleValue: record.text(.clientAddress))
        output.append(" id=", consoleValue: record.text(.requestID))
        output.append(UInt8(ascii: "\n"))
    }
}

extension AccessRecord.Aborter {
    /// The value as it is written; empty for nobody.
    internal var text: StaticString {
        switch self {
        case .nobody: ""
        case .client: "client"
        case .upstream: "upstream"
        case .gateway: "gateway"
        }
    }
}

/// `key` and a value; nothing at all where the value is missing.
extension ByteQueue {
    fileprivate mutating func append(_ key: StaticString, escaped value: Span<UInt8>) {
        if value.isEmpty { return }
        append(key)
        append(escaped: value)
        append(UInt8(ascii: "\""))
    }

    fileprivate mutating func append(_ key: StaticString, consoleValue value: Span<UInt8>) {
        if value.isEmpty { return }
        append(key)
        append(consoleValue: value)
    }

    fileprivate mutating func append(_ key: StaticString, _ value: StaticString) {
        if value.utf8CodeUnitCount == 0 { return }
        append(key)
        append(value)
        append(UInt8(ascii: "\""))
    }

    fileprivate mutating func append(_ key: StaticString, _ value: Int?) {
        guard let value else { return }
        append(key)
        append(decimal: value)
    }

    fileprivate mutating func append(_ key: StaticString, millisOfNanos nanos: Int?) {
        guard let nanos else { return }
        append(key)
        append(millisOfNanos: nanos)
    }

    fileprivate mutating func append(_ flags: AccessFlags) {
        var separates = false
        for (flag, letters) in AccessFlags.names where flags.contains(flag) {
            if separates { append(UInt8(ascii: ",")) }
            append(letters)
            separates = true
        }
    }
}
