/// A client of the gateway: HTTP/1.1 over a plain socket, nothing done that is not asked for.
// Sendable: one test uses it, one call after another.
final class Client: @unchecked Sendable {
    let socket: Socket
    private let reader: WireReader

    init(port: UInt16, receiveBuffer: Int32? = nil) throws {
        socket = try Socket.connect(to: port, receiveBuffer: receiveBuffer)
        reader = WireReader(socket)
    }

    /// Sends text as it is.
    func send(_ text: String) async throws {
        let socket = socket
        try await onThread { try socket.send(Array(text.utf8)) }
    }

    /// Sends a request with `content-length` and, unless there are fields, `content-type: application/json`.
    func send(
        _ method: String, _ target: String, _ fields: [String] = ["content-type: application/json"],
        body: [UInt8]
    ) async throws {
        var head = "\(method) \(target) HTTP/1.1\r\nhost: gateway\r\n"
        for field in fields { head += field + "\r\n" }
        if !body.isEmpty || method == "POST" { head += "content-length: \(body.count)\r\n" }
        let (bytes, socket) = (Array((head + "\r\n").utf8) + body, socket)
        try await onThread { try socket.send(bytes) }
    }

    func head() async throws -> WireHead { try await onThread { try self.reader.head() } }

    /// The next chunk; `nil` at the end of the body.
    func chunk() async throws -> String? {
        try await onThread { try self.reader.chunk().map { String(decoding: $0, as: UTF8.self) } }
    }

    /// The rest of a chunked body.
    func rest() async throws -> BodyEnd { try await onThread { self.reader.restOfChunks() } }

    /// The length of the rest of a chunked body.
    func restLength() async throws -> (length: Int, isWhole: Bool) {
        try await onThread { self.reader.lengthOfChunks() }
    }

    /// The next whole response.
    func response(toHead: Bool = false) async throws -> WireMessage {
        try await onThread {
            let head = try self.reader.head()
            let isEmpty = toHead || head.status == 204
            return WireMessage(head: head, body: isEmpty ? [] : try self.reader.body(of: head))
        }
    }

    /// Everything up to the end of the connection.
    func toEnd() async throws -> (text: String, isRegular: Bool) {
        try await onThread {
            let (bytes, isRegular) = try self.reader.toEnd()
            return (String(decoding: bytes, as: UTF8.self), isRegular)
        }
    }

    func take(_ count: Int) async throws -> [UInt8] { try await onThread { try self.reader.take(count) } }

    func post(
        _ target: String, _ body: String, _ fields: [String] = ["content-type: application/json"]
    ) async throws -> WireMessage {
        try await send("POST", target, fields, body: Array(body.utf8))
        return try await response()
    }

    func get(_ target: String, _ fields: [String] = []) async throws -> WireMessage {
        try await send("GET", target, fields, body: [])
        return try await response()
    }

    func close() { socket.close() }
    func reset() { socket.reset() }
}
