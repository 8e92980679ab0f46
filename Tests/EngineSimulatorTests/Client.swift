import Bytes
import EngineSimulator
import Glibc
import Reactor

/// A client that sends what it is told, byte for byte. It waits without holding a thread: tests run side by side.
final class Connection {
    private var descriptor: Int32
    /// Everything received.
    private(set) var received: [UInt8] = []
    /// Whether the peer has closed, and the `errno` if that was not in order.
    private(set) var isEnded = false
    private(set) var failure: Int32 = 0

    init(_ engine: SimulatedEngine) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        let result = engine.address.withSockaddr { connect(descriptor, $0, $1) }
        guard result == 0 else { throw ReactorError.system("connect", errno) }
    }

    deinit { close() }

    func close(reset: Bool = false) {
        guard descriptor >= 0 else { return }
        if reset { Sockets.resetOnClose(descriptor) }
        Glibc.close(descriptor)
        descriptor = -1
    }

    func send(_ bytes: [UInt8]) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return }
            sent += count
        }
    }

    func request(_ method: String, _ target: String, _ body: String, _ fields: [String]) {
        var head = "\(method) \(target) HTTP/1.1\r\nhost: engine\r\ncontent-length: \(body.utf8.count)\r\n"
        for field in fields { head += "\(field)\r\n" }
        send(Array("\(head)\r\n\(body)".utf8))
    }

    /// Reads once. Returns whether something came.
    @discardableResult
    func read() async throws -> Bool {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = buffer.withUnsafeMutableBytes {
                recv(descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT))
            }
            if count > 0 {
                received += buffer[..<count]
                return true
            }
            if count < 0, errno == EAGAIN {
                try await Task.sleep(for: .milliseconds(1))
                continue
            }
            isEnded = true
            failure = count < 0 ? errno : 0
            return false
        }
    }

    /// Reads to the end of the connection.
    func readAll() async throws {
        while try await read() {}
    }

    /// Reads until the text has come, or the end. Returns whether it has.
    @discardableResult
    func read(until text: String) async throws -> Bool {
        while !String(decoding: received, as: UTF8.self).contains(text) {
            if try await !read() { return false }
        }
        return true
    }

    func forget() { received = [] }
}

/// An answer as it came over HTTP/1.1.
struct WireAnswer {
    var status = 0
    var fields: [String: String] = [:]
    var body: [UInt8] = []
    /// Whether the framing says that nothing is missing.
    var isWhole = false
    /// `errno` of the connection's end, 0 if that was in order.
    var failure: Int32 = 0

    var text: String { String(decoding: body, as: UTF8.self) }

    /// The data of each event.
    var events: [String] {
        text.components(separatedBy: "\n\n").compactMap { event in
            event.components(separatedBy: "\n").first { $0.hasPrefix("data: ") }.map { String($0.dropFirst(6)) }
        }
    }

    init(_ bytes: [UInt8], failure: Int32 = 0) {
        self.failure = failure
        guard let end = bytes.indices.first(where: { bytes[$0...].starts(with: Array("\r\n\r\n".utf8)) }) else {
            return
        }
        let lines = String(decoding: bytes[..<end], as: UTF8.self).components(separatedBy: "\r\n")
        status = Int(lines[0].components(separatedBy: " ")[1]) ?? 0
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            fields[String(parts[0])] = String(parts[1].drop { $0 == " " })
        }
        let rest = bytes[(end + 4)...]
        if fields["transfer-encoding"] == "chunked" {
            readChunks(rest)
        } else {
            body = Array(rest)
            isWhole = Int(fields["content-length"] ?? "") == body.count
        }
    }

    private mutating func readChunks(_ bytes: ArraySlice<UInt8>) {
        var rest = bytes
        while let end = rest.firstIndex(of: 0x0D) {
            guard let size = Int(String(decoding: rest[rest.startIndex..<end], as: UTF8.self), radix: 16) else {
                return
            }
            if size == 0 {
                isWhole = true
                return
            }
            guard rest.endIndex >= end + 2 + size + 2 else { return }
            body += rest[(end + 2)..<(end + 2 + size)]
            rest = rest[(end + 2 + size + 2)...]
        }
    }
}

extension String {
    /// The parts between a separator. (Foundation is not used.)
    func components(separatedBy separator: String) -> [String] {
        var parts: [String] = []
        var rest = self[...]
        while let range = rest.firstRange(of: separator) {
            parts.append(String(rest[..<range.lowerBound]))
            rest = rest[range.upperBound...]
        }
        parts.append(String(rest))
        return parts
    }
}

extension SimulatedEngine {
    /// Asks on a connection of its own and reads to the end.
    func ask(
        _ target: String, _ body: String = "", method: String? = nil, fields: [String] = []
    ) async throws -> WireAnswer {
        let connection = try Connection(self)
        connection.request(
            method ?? (body.isEmpty ? "GET" : "POST"), target, body, ["connection: close"] + fields)
        try await connection.readAll()
        return WireAnswer(connection.received, failure: connection.failure)
    }

    /// Asks for a chat completion.
    func chat(_ content: String = "hi", _ members: String = "", fields: [String] = []) async throws -> WireAnswer {
        try await ask("/v1/chat/completions", chatBody(content, members), fields: fields)
    }
}

/// The body of a request for a chat completion, with more members.
func chatBody(_ content: String = "hi", _ members: String = "") -> String {
    "{\"model\":\"demo\",\"messages\":[{\"role\":\"user\",\"content\":\"\(content)\"}]\(members.isEmpty ? "" : ",")\(members)}"
}

/// Settings without waiting.
func swift(_ change: (inout EngineSettings) -> Void = { _ in }) -> EngineSettings {
    var settings = EngineSettings()
    settings.firstToken = .zero
    settings.interval = .zero
    change(&settings)
    return settings
}

/// Runs a test with an engine and ends the engine.
func withEngine(_ settings: EngineSettings = swift(), _ body: (SimulatedEngine) async throws -> Void) async throws {
    let engine = try SimulatedEngine.start(settings)
    do {
        try await body(engine)
    } catch {
        await engine.stop()
        throw error
    }
    await engine.stop()
}

/// Waits until a claim about the engine's statistics is true; returns it within 5 s.
func becomes(_ engine: SimulatedEngine, _ claim: (EngineStatistics) -> Bool) async throws -> Bool {
    for _ in 0..<2500 {
        if claim(await engine.statistics()) { return true }
        try await Task.sleep(for: .milliseconds(2))
    }
    return false
}
