internal import Bytes

/// What a simulated engine has seen and done since it started or was reset.
package struct EngineStatistics: Sendable {
    /// Requests to the API, whatever became of them.
    package internal(set) var requests = 0
    /// Of those, streams that were begun.
    package internal(set) var streams = 0
    /// Requests answered to the end without a fault.
    package internal(set) var finished = 0
    /// Requests whose client went away before the end.
    package internal(set) var clientAborts = 0
    /// When the last of them did, in nanoseconds since 1970.
    package internal(set) var lastAbortAt: Int64 = 0
    /// Requests refused because too many waited.
    package internal(set) var refused = 0
    /// Requests answered 4xx because of what they are.
    package internal(set) var badRequests = 0
    /// Requests that are under way now: being read, waiting, or answered.
    package internal(set) var open = 0
    /// The most that were under way at once.
    package internal(set) var mostOpen = 0
    /// Requests that are computed now, and that wait for it.
    package internal(set) var running = 0
    package internal(set) var waiting = 0
    package internal(set) var promptTokens = 0
    package internal(set) var generatedTokens = 0
    /// How often each fault happened.
    package internal(set) var faults: [EngineFault: Int] = [:]
    /// Connections open now.
    package internal(set) var connections = 0

    /// Appends them as a JSON object.
    internal func write(into queue: inout ByteQueue) {
        let numbers: [(StaticString, Int)] = [
            ("requests", requests), ("streams", streams), ("finished", finished), ("client_aborts", clientAborts),
            ("last_abort_unix_ns", Int(lastAbortAt)), ("refused", refused), ("bad_requests", badRequests),
            ("open", open), ("most_open", mostOpen), ("running", running), ("waiting", waiting),
            ("prompt_tokens", promptTokens), ("generated_tokens", generatedTokens), ("connections", connections),
        ]
        for (index, (name, value)) in numbers.enumerated() {
            queue.append(index == 0 ? "{" : ",")
            queue.append(key: name, first: true)
            queue.append(decimal: value)
        }
        queue.append(",\"faults\":{")
        for (index, fault) in EngineFault.allCases.enumerated() {
            if index > 0 { queue.append(",") }
            queue.append(json: Array(fault.rawValue.utf8))
            queue.append(":")
            queue.append(decimal: faults[fault] ?? 0)
        }
        queue.append("}}")
    }
}

/// A request as it reached the engine.
package struct RecordedRequest: Sendable {
    package let method: String
    /// Path and query.
    package let target: String
    /// `1.0`, `1.1` or `2`.
    package let version: String
    package let authority: String
    /// Names in lower case, in the order they came.
    package let fields: [(name: String, value: String)]
    /// At most `bodyLimit` bytes of the body.
    package let body: [UInt8]
    /// How long the body was.
    package let bodyLength: Int

    /// Bytes of a body that are kept.
    package static let bodyLimit = 4 << 20

    /// The value of the first field of that lower-case name.
    package func value(of name: String) -> String? { fields.first { $0.name == name }?.value }

    /// Appends it as a JSON object; the body as text and, for bodies that are none, in base64.
    internal func write(into queue: inout ByteQueue) {
        let texts: [(StaticString, String)] = [
            ("method", method), ("target", target), ("version", version), ("authority", authority),
        ]
        for (index, (name, value)) in texts.enumerated() {
            queue.append(index == 0 ? "{" : ",")
            queue.append(key: name, first: true)
            queue.append(json: Array(value.utf8))
        }
        queue.append(",\"headers\":[")
        for (index, field) in fields.enumerated() {
            queue.append(index == 0 ? "[" : ",[")
            queue.append(json: Array(field.name.utf8))
            queue.append(",")
            queue.append(json: Array(field.value.utf8))
            queue.append("]")
        }
        queue.append("],\"body_bytes\":")
        queue.append(decimal: bodyLength)
        queue.append(",\"body\":")
        queue.append(json: body)
        queue.append(",\"body_base64\":\"")
        Base64.append(body, to: &queue)
        queue.append("\"}")
    }
}

/// RFC 4648 section 4, with padding.
internal enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    /// Appends the coded bytes.
    static func append(_ bytes: [UInt8], to queue: inout ByteQueue) {
        var index = 0
        while index < bytes.count {
            let group = bytes[index..<min(index + 3, bytes.count)]
            var bits = 0
            for (place, byte) in group.enumerated() { bits |= Int(byte) << (16 - 8 * place) }
            for place in 0..<4 {
                let isPadding = place > group.count
                queue.append(isPadding ? UInt8(ascii: "=") : alphabet[bits >> (18 - 6 * place) & 63])
            }
            index += 3
        }
    }
}
