import Bytes
import EngineSimulator
import HTTP
import HTTP2
import Testing

/// A client that speaks h2c.
private final class MultiplexedClient: HTTP2ClientDelegate {
    private let connection: Connection
    private let session = HTTP2ClientSession(limits: HTTP2Limits(), now: 0)
    private var consumed = 0
    private(set) var statuses: [Int32: Int] = [:]
    private(set) var bodies: [Int32: [UInt8]] = [:]
    private(set) var ended: Set<Int32> = []
    /// Streams that were closed, with the code.
    private(set) var closed: [Int32: UInt32] = [:]

    init(_ engine: SimulatedEngine) throws {
        connection = try Connection(engine)
        session.delegate = self
    }

    func post(_ path: String, _ body: String, fields: [(String, String)] = []) throws -> HTTP2ClientStream {
        var head = HeaderFields()
        for (name, value) in fields { head.append(name: name, value: value) }
        let made = session.request(
            .post, isSecure: false, authority: Array("engine".utf8).span, path: Array(path.utf8).span,
            fields: head, endStream: false)
        let stream = try #require(made)
        stream.write(Array(body.utf8).span)
        stream.finish()
        flush()
        return stream
    }

    func reset(_ stream: HTTP2ClientStream) {
        stream.reset()
        flush()
    }

    /// Reads until the claim is true or the connection ends.
    func read(until isDone: (MultiplexedClient) -> Bool) async throws {
        while !isDone(self), try await connection.read() {
            let received = Array(connection.received[consumed...])
            consumed = connection.received.count
            _ = session.receive(received.span, now: 0)
            flush()
        }
    }

    private func flush() {
        var output = ByteQueue()
        session.produce(into: &output)
        connection.send([UInt8](copying: output.span))
    }

    func responseHead(_ stream: HTTP2ClientStream) { statuses[stream.id] = stream.response.status }

    func responseData(_ stream: HTTP2ClientStream, _ bytes: Span<UInt8>) {
        bodies[stream.id, default: []].append(copying: bytes)
        stream.consumed(bytes.count)
    }

    func responseEnd(_ stream: HTTP2ClientStream) { ended.insert(stream.id) }
    func requestDrained(_ stream: HTTP2ClientStream) {}
    func streamClosed(_ stream: HTTP2ClientStream, code: UInt32) { closed[stream.id] = code }
}

@Suite("A simulated engine over HTTP/2", .timeLimit(.minutes(1)))
struct OverHTTP2Tests {
    @Test("streams side by side are complete and apart")
    func multiplexed() async throws {
        try await withEngine(swift { $0.interval = .milliseconds(1) }) { engine in
            let client = try MultiplexedClient(engine)
            var ids: [Int32] = []
            for _ in 0..<20 {
                ids.append(try client.post("/v1/chat/completions", chatBody("hi", "\"stream\":true")).id)
            }
            try await client.read { $0.ended.count == 20 }
            for id in ids {
                #expect(client.statuses[id] == 200)
                let text = String(decoding: client.bodies[id] ?? [], as: UTF8.self)
                #expect(text.hasSuffix("data: [DONE]\n\n"))
                #expect(text.components(separatedBy: "\n\n").count == 28)
            }
            #expect(await engine.lastRequest()?.version == "2")
            #expect(await engine.statistics().connections == 1)
        }
    }

    @Test("a reset stream is noticed at once; the others go on")
    func reset() async throws {
        try await withEngine(swift { $0.interval = .milliseconds(5) }) { engine in
            let client = try MultiplexedClient(engine)
            let slow = [("x-sim-interval-ms", "20000")]
            let body = chatBody("hi", "\"stream\":true")
            let left = try client.post("/v1/chat/completions", body, fields: slow)
            let id = left.id
            try await client.read { $0.bodies[id] != nil }
            let other = try client.post("/v1/chat/completions", body).id
            client.reset(left)
            #expect(try await becomes(engine) { $0.clientAborts == 1 })
            try await client.read { $0.ended.contains(other) }
            #expect(try await becomes(engine) { $0.open == 0 && $0.running == 0 && $0.finished == 1 })
        }
    }

    @Test(
        "a fault resets the stream, not the connection",
        arguments: ["reset", "close", "midreset", "midclose", "badframe"])
    func faults(_ fault: String) async throws {
        try await withEngine { engine in
            let client = try MultiplexedClient(engine)
            let body = chatBody("hi", "\"stream\":true")
            let broken = try client.post(
                "/v1/chat/completions", body, fields: [("x-sim-fault", fault), ("x-sim-fault-after", "2")]
            ).id
            try await client.read { $0.closed[broken] != nil }
            #expect(client.closed[broken] != 0)
            #expect(!client.ended.contains(broken))
            let whole = try client.post("/v1/chat/completions", body).id
            try await client.read { $0.ended.contains(whole) }
            #expect(client.ended.contains(whole))
            let statistics = await engine.statistics()
            #expect(statistics.open == 0 && statistics.running == 0 && statistics.clientAborts == 0)
        }
    }

    @Test("a long answer comes whole through the windows")
    func long() async throws {
        try await withEngine(swift { $0.tokens = 20_000 }) { engine in
            let client = try MultiplexedClient(engine)
            let id = try client.post("/v1/chat/completions", chatBody("hi", "\"stream\":true")).id
            try await client.read { $0.ended.contains(id) }
            let text = String(decoding: client.bodies[id] ?? [], as: UTF8.self)
            #expect(text.components(separatedBy: "\n\n").count == 20_004)
        }
    }
}
