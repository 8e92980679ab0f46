internal import Bytes

extension AccessRecord {
    /// How much the line matters.
    internal var level: LogLevel { status >= 500 || abortedBy == .upstream ? .warning : .info }
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

/// The rarer parts of access log lines, and the form for people.
extension ByteQueue {
    /// Appends the letters of flags: `FB,CC`.
    internal mutating func append(_ flags: AccessFlags) {
        var separates = false
        for (flag, letters) in AccessFlags.names where flags.contains(flag) {
            if separates { append(UInt8(ascii: ",")) }
            append(letters)
            separates = true
        }
    }

    /// Appends flags as `,"flags":"FB,CC"`.
    internal mutating func append(jsonFlags flags: AccessFlags) {
        append(",\"flags\":\"")
        append(flags)
        append(UInt8(ascii: "\""))
    }

    /// Appends attempts as `,"tries":[{"endpoint":…}]`.
    internal mutating func append(_ tries: AccessTries) {
        append(",\"tries\":[")
        var start: StaticString = "{\"endpoint\":\""
        for entry in tries.entries {
            append(start)
            start = ",{\"endpoint\":\""
            append(escaped: tries.endpoint(of: entry))
            append(UInt8(ascii: "\""))
            if entry.status > 0 {
                append(",\"status\":")
                append(decimal: entry.status)
            }
            append(",\"ms\":")
            append(millisOfNanos: entry.nanos)
            if entry.reason.utf8CodeUnitCount > 0 {
                append(",\"reason\":\"")
                append(entry.reason)
                append(UInt8(ascii: "\""))
            }
            append(UInt8(ascii: "}"))
        }
        append(UInt8(ascii: "]"))
    }

    /// Appends what people look for first.
    internal mutating func append(consoleStart record: borrowing AccessRecord) {
        append(UInt8(ascii: " "))
        append(record.method)
        append(UInt8(ascii: " "))
        append(consoleValue: record.text(.path))
        append(UInt8(ascii: " "))
        append(decimal: record.status)
        append(UInt8(ascii: " "))
        append(millisOfNanos: record.durationNanos)
        append("ms ")
        append(" model=", consoleValue: record.text(.modelRequested))
        if !bytesEqual(record.text(.modelServed), record.text(.modelRequested)) {
            append(" served=", consoleValue: record.text(.modelServed))
        }
        append(" route=", consoleValue: record.text(.route))
        if let tier = record.tier, tier > 0 { append(" tier=", tier) }
        append(" pool=", consoleValue: record.text(.pool))
        append(" endpoint=", consoleValue: record.text(.endpoint))
        if record.attempts > 1 { append(" attempts=", record.attempts) }
        append(" queue_ms=", millisOfNanos: record.queueNanos)
        append(" ttft_ms=", millisOfNanos: record.firstTokenNanos)
        append(" prompt_tokens=", record.promptTokens)
        append(" completion_tokens=", record.completionTokens)
    }

    /// Appends what went wrong and who asked.
    internal mutating func append(consoleEnd record: borrowing AccessRecord) {
        append(" finish=", consoleValue: record.text(.finishReason))
        append(" error=", record.errorCode)
        append(" fallback=", record.fallback)
        append(" dropped=", record.droppedReason)
        append(" aborted_by=", record.abortedBy.text)
        if !record.flags.isEmpty {
            append(" flags=")
            append(record.flags)
        }
        if record.tries.isWorthTelling { append(consoleTries: record.tries) }
        append(" http=", record.httpVersion)
        append(" client=", consoleValue: record.text(.clientAddress))
        append(" id=", consoleValue: record.text(.requestID))
        append(UInt8(ascii: "\n"))
    }

    /// Appends attempts as ` tries=a:8000/503/full,b:8000/200`; the status is 0 where there was none.
    private mutating func append(consoleTries tries: AccessTries) {
        var start: StaticString = " tries="
        for entry in tries.entries {
            append(start)
            start = ","
            append(consoleValue: tries.endpoint(of: entry))
            append(UInt8(ascii: "/"))
            append(decimal: entry.status)
            append("/", entry.reason)
        }
    }

    private mutating func append(_ key: StaticString, consoleValue value: Span<UInt8>) {
        if value.isEmpty { return }
        append(key)
        append(consoleValue: value)
    }

    private mutating func append(_ key: StaticString, _ value: StaticString) {
        if value.utf8CodeUnitCount == 0 { return }
        append(key)
        append(value)
    }

    private mutating func append(_ key: StaticString, _ value: Int?) {
        guard let value else { return }
        append(key)
        append(decimal: value)
    }

    private mutating func append(_ key: StaticString, millisOfNanos nanos: Int?) {
        guard let nanos else { return }
        append(key)
        append(millisOfNanos: nanos)
    }
}
