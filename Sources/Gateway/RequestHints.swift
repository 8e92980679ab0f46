internal import Bytes
internal import HTTP

/// What the head of a request says of how it wants to be served; read in one pass over its fields.
struct RequestHints {
    /// A hash of what the requests of a session share.
    var session: UInt64?
    /// A hash of who shares fairly with others.
    var tenant: UInt64?
    var priority: Int32?
    /// How long the client waits for the whole answer, in nanoseconds.
    var timeoutNanos: Int64?
    /// Comma-separated tags; a place in the bytes of the fields.
    var tags: Range<Int>?
    /// Whether the response is to tell of attempts, endpoint and fallback.
    var wantsTrace = false

    /// Nothing said.
    init() {}

    init(_ fields: borrowing HeaderFields) {
        for field in fields.fields where field.name == .other {
            read(field, fields.bytes.span)
        }
    }

    // By the length of the name first: SDKs send a dozen fields of their own, and none of them is looked at twice.
    private mutating func read(_ field: HeaderFields.Field, _ text: Span<UInt8>) {
        let name = text.extracting(field.nameRange)
        guard name.count >= 10, name[0] == UInt8(ascii: "x") || name[0] == UInt8(ascii: "s") else { return }
        let value = text.extracting(field.valueRange)
        switch name.count {
        case 10: if bytesEqual(name, "session_id") { readSession(value) }
        case 12: if bytesEqual(name, "x-session-id") { readSession(value) }
        case 14:
            if bytesEqual(name, "x-litellm-tags") {
                if tags == nil { tags = field.valueRange }
            } else if bytesEqual(name, "x-smg-priority") {
                priority = priority ?? RequestHints.priorityClass(value)
            }
        case 15:
            if bytesEqual(name, "x-penstock-tags") {
                tags = field.valueRange
            } else if bytesEqual(name, "x-session-token") {
                readSession(value)
            }
        case 16: if bytesEqual(name, "x-penstock-trace") { wantsTrace = !bytesEqual(value, "0") }
        case 17:
            if bytesEqual(name, "x-smg-routing-key") {
                readSession(value)
            } else if bytesEqual(name, "x-penstock-tenant") {
                readTenant(value)
            } else if bytesEqual(name, "x-request-timeout") {
                readTimeout(value)
            }
        case 18: if bytesEqual(name, "x-penstock-timeout") { readTimeout(value) }
        case 19: if bytesEqual(name, "x-penstock-priority") { priority = RequestHints.number(value) ?? priority }
        case 24: if bytesEqual(name, "x-claude-code-session-id") { readSession(value) }
        case 29: if bytesEqual(name, "x-llm-d-inference-fairness-id") { readTenant(value) }
        case 31: if bytesEqual(name, "x-gateway-inference-fairness-id") { readTenant(value) }
        default: break
        }
    }

    private mutating func readSession(_ value: Span<UInt8>) {
        if session == nil, !value.isEmpty { session = stableHash(value) }
    }

    private mutating func readTenant(_ value: Span<UInt8>) {
        if tenant == nil, !value.isEmpty { tenant = stableHash(value) }
    }

    /// The nearer of several deadlines holds.
    private mutating func readTimeout(_ value: Span<UInt8>) {
        guard let nanos = readTimeoutNanos(value) else { return }
        timeoutNanos = min(timeoutNanos ?? .max, nanos)
    }

    /// A whole number with an optional sign, brought into ±1000.
    private static func number(_ value: Span<UInt8>) -> Int32? {
        var offset = 0
        let isNegative = !value.isEmpty && value[0] == UInt8(ascii: "-")
        if isNegative { offset = 1 }
        guard let size = try? readDecimal(value, at: &offset, limit: 1_000_000), offset == value.count else {
            return nil
        }
        return Int32(isNegative ? -min(size, 1000) : min(size, 1000))
    }

    /// The classes of SGLang's gateway.
    private static func priorityClass(_ value: Span<UInt8>) -> Int32? {
        if bytesEqualIgnoringCase(value, "system") { return 100 }
        if bytesEqualIgnoringCase(value, "interactive") { return 10 }
        if bytesEqualIgnoringCase(value, "default") { return 0 }
        if bytesEqualIgnoringCase(value, "bulk") { return -10 }
        return nil
    }
}

/// A duration as clients write it: seconds with up to nine decimals, or `500ms`. `nil` if it is none, or zero.
func readTimeoutNanos(_ value: Span<UInt8>) -> Int64? {
    var offset = 0
    guard let whole = try? readDecimal(value, at: &offset, limit: 10_000_000) else { return nil }
    if value.count == offset + 2, value[offset] == UInt8(ascii: "m"), value[offset + 1] == UInt8(ascii: "s") {
        return whole == 0 ? nil : Int64(whole) * 1_000_000
    }
    var nanos = Int64(whole) * 1_000_000_000
    if offset < value.count, value[offset] == UInt8(ascii: ".") {
        offset += 1
        var unit: Int64 = 100_000_000
        while offset < value.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(value[offset]), unit > 0 {
            nanos += Int64(value[offset] - UInt8(ascii: "0")) * unit
            unit /= 10
            offset += 1
        }
    }
    if offset < value.count, value[offset] == UInt8(ascii: "s") { offset += 1 }
    return offset == value.count && nanos > 0 ? nanos : nil
}

/// FNV-1a with its bits spread. The same in every process, so that a session keeps its endpoint across restarts.
func stableHash(_ bytes: Span<UInt8>, seed: UInt64 = 0xcbf2_9ce4_8422_2325) -> UInt64 {
    var hash = seed
    for index in 0..<bytes.count { hash = (hash ^ UInt64(bytes[index])) &* 0x100_0000_01b3 }
    return hash ^ (hash >> 29)
}
