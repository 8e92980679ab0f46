import Bytes

/// The head of an HTTP/1.1 message as it was on the wire.
struct WireHead: Sendable {
    let startLine: String
    /// Names in lower case.
    let fields: [(name: String, value: String)]

    init(_ text: String) {
        var lines = text.split(separator: "\r\n", omittingEmptySubsequences: true)[...]
        startLine = String(lines.popFirst() ?? "")
        fields = lines.map { line in
            let colon = line.firstIndex(of: ":") ?? line.endIndex
            let value = line[colon...].dropFirst()
            return (line[..<colon].lowercased(), String(value.drop { $0 == " " }))
        }
    }

    /// The value of the first field of that name.
    subscript(name: String) -> String? { fields.first { $0.name == name }?.value }

    /// The values of all fields of that name.
    func all(_ name: String) -> [String] { fields.filter { $0.name == name }.map(\.value) }

    /// Of a response.
    var status: Int { Int(startLine.split(separator: " ").dropFirst().first ?? "") ?? 0 }
    var isChunked: Bool { self["transfer-encoding"]?.lowercased() == "chunked" }
    var contentLength: Int? { self["content-length"].flatMap { Int($0) } }
}

/// A whole message.
struct WireMessage: Sendable {
    let head: WireHead
    let body: [UInt8]

    var text: String { String(decoding: body, as: UTF8.self) }
    var status: Int { head.status }
    subscript(name: String) -> String? { head[name] }
    /// Of a request: the method and the target.
    var method: String { String(head.startLine.split(separator: " ").first ?? "") }
    /// Of a request: whether the gateway asks on its own account how the engine is.
    var isProbe: Bool { method == "GET" && (target.hasSuffix("/health") || target.hasSuffix("/v1/models")) }
    var target: String { String(head.startLine.split(separator: " ").dropFirst().first ?? "") }
}

/// How a body came to its end.
struct BodyEnd: Sendable {
    /// What came of it.
    let text: String
    /// Whether it ended as its framing says.
    let isWhole: Bool
}

/// Reads HTTP/1.1 messages from a blocking socket.
// Sendable: one test or thread uses it, one call after another.
final class WireReader: @unchecked Sendable {
    let socket: Socket
    private var inbox: [UInt8] = []
    /// What stands before it has been taken.
    private var start = 0

    init(_ socket: Socket) { self.socket = socket }

    private func fill() throws {
        let bytes = try socket.read()
        if bytes.isEmpty { throw SocketError.ended }
        inbox.removeFirst(start)
        start = 0
        inbox += bytes
    }

    /// Everything up to and with `mark`.
    private func take(through mark: String) throws -> [UInt8] {
        let mark = Array(mark.utf8)
        var index = start
        while true {
            while index + mark.count <= inbox.count {
                if inbox[index] == mark[0], inbox[index..<index + mark.count].elementsEqual(mark) {
                    return try take(index + mark.count - start)
                }
                index += 1
            }
            let searched = index - start
            try fill()
            index = start + searched
        }
    }

    func take(_ count: Int) throws -> [UInt8] {
        while inbox.count - start < count { try fill() }
        start += count
        return Array(inbox[(start - count)..<start])
    }

    func head() throws -> WireHead { WireHead(String(decoding: try take(through: "\r\n\r\n"), as: UTF8.self)) }

    /// The data of the next chunk; `nil` at the last.
    func chunk() throws -> [UInt8]? {
        let line = String(decoding: try take(through: "\r\n"), as: UTF8.self)
        guard let size = Int(line.dropLast(1).split(separator: ";")[0], radix: 16) else { throw SocketError.ended }
        let data = try take(size)
        _ = try take(2)
        return size == 0 ? nil : data
    }

    /// The body of a message with this head.
    func body(of head: WireHead) throws -> [UInt8] {
        if let length = head.contentLength { return try take(length) }
        guard head.isChunked else { return [] }
        var body: [UInt8] = []
        while let chunk = try chunk() { body += chunk }
        return body
    }

    /// What is left of a chunked body, and whether it ends as it should.
    func restOfChunks() -> BodyEnd {
        var body: [UInt8] = []
        do {
            while let chunk = try chunk() { body += chunk }
            return BodyEnd(text: String(decoding: body, as: UTF8.self), isWhole: true)
        } catch {
            return BodyEnd(text: String(decoding: body, as: UTF8.self), isWhole: false)
        }
    }

    /// How long the rest of a chunked body is, and whether it ends as it should.
    func lengthOfChunks() -> (length: Int, isWhole: Bool) {
        var length = 0
        do {
            while let chunk = try chunk() { length += chunk.count }
            return (length, true)
        } catch {
            return (length, false)
        }
    }

    /// Everything up to the end of the connection; `false` if it was reset.
    func toEnd() throws -> (bytes: [UInt8], isRegular: Bool) {
        do {
            while true { try fill() }
        } catch SocketError.ended {
            return (Array(inbox[start...]), true)
        } catch SocketError.reset {
            return (Array(inbox[start...]), false)
        }
    }
}
