import EngineSimulator
import Glibc
import Testing

@Suite("Faults of a simulated engine", .timeLimit(.minutes(1)))
struct FaultTests {
    @Test("an error answer has the status and the hint that were asked for")
    func error() async throws {
        try await withEngine { engine in
            let answer = try await engine.chat("hi", fields: ["x-sim-status: 429", "x-sim-retry-after: 7"])
            #expect(answer.status == 429 && answer.fields["retry-after"] == "7")
            #expect(try await engine.chat("hi", fields: ["x-mock-fault: error"]).status == 500)
        }
    }

    struct Row: CustomTestStringConvertible {
        let fault: EngineFault
        let streams: Bool
        let status: Int
        let isWhole: Bool
        var failure: Int32 = 0
        /// Events that come, of a stream.
        var events = 0
        var testDescription: String { "\(fault)\(streams ? " in a stream" : "")" }
    }

    @Test(
        "a connection breaks as asked",
        arguments: [
            Row(fault: .reset, streams: false, status: 0, isWhole: false, failure: ECONNRESET),
            Row(fault: .close, streams: false, status: 0, isWhole: false),
            Row(fault: .midreset, streams: false, status: 200, isWhole: false, failure: ECONNRESET),
            Row(fault: .midclose, streams: false, status: 200, isWhole: false),
            Row(fault: .badframe, streams: false, status: 200, isWhole: false),
            Row(fault: .headclose, streams: false, status: 200, isWhole: false),
            Row(fault: .cut, streams: false, status: 200, isWhole: true),
            Row(fault: .html, streams: false, status: 200, isWhole: true),
            Row(fault: .headclose, streams: true, status: 200, isWhole: false, events: 0),
            Row(fault: .cut, streams: true, status: 200, isWhole: true, events: 4),
            Row(fault: .html, streams: true, status: 200, isWhole: true, events: 0),
            Row(fault: .malformed, streams: false, status: 200, isWhole: true),
            Row(fault: .reset, streams: true, status: 0, isWhole: false, failure: ECONNRESET),
            Row(fault: .midclose, streams: true, status: 200, isWhole: false, events: 4),
            Row(fault: .badframe, streams: true, status: 200, isWhole: false, events: 4),
            Row(fault: .errorevent, streams: true, status: 200, isWhole: true, events: 5),
            Row(fault: .nodone, streams: true, status: 200, isWhole: true, events: 26),
            Row(fault: .malformed, streams: true, status: 200, isWhole: true, events: 28),
        ])
    func connection(_ row: Row) async throws {
        try await withEngine { engine in
            let answer = try await engine.chat(
                "hi", "\"stream\":\(row.streams)", fields: ["x-sim-fault: \(row.fault)", "x-sim-fault-after: 3"])
            #expect(answer.status == row.status && answer.isWhole == row.isWhole && answer.failure == row.failure)
            if row.streams { #expect(answer.events.count == row.events) }
            if row.fault != .malformed { #expect(!answer.text.contains("[DONE]")) }
            #expect(try await becomes(engine) { $0.open == 0 && $0.running == 0 && $0.connections == 0 })
            let statistics = await engine.statistics()
            #expect(statistics.faults[row.fault] == 1 && statistics.clientAborts == 0)
        }
    }

    @Test("a reset in a stream comes after the events before it")
    func midreset() async throws {
        try await withEngine(swift { $0.interval = .milliseconds(20) }) { engine in
            let connection = try Connection(engine)
            let fields = ["x-sim-fault: midreset", "x-sim-fault-after: 3"]
            connection.request("POST", "/v1/chat/completions", chatBody("hi", "\"stream\":true"), fields)
            try await connection.readAll()
            #expect(connection.failure == ECONNRESET)
            #expect(WireAnswer(connection.received).events.count == 4)
        }
    }

    @Test("garbage is not HTTP")
    func garbage() async throws {
        try await withEngine { engine in
            let connection = try Connection(engine)
            connection.request("POST", "/v1/chat/completions", chatBody(), ["x-sim-fault: garbage"])
            try await connection.readAll()
            #expect(connection.failure == 0 && connection.received.starts(with: Array("SSH-2.0".utf8)))
            #expect(try await becomes(engine) { $0.open == 0 && $0.connections == 0 })
        }
    }

    @Test("a head without an answer is a head", arguments: [true, false])
    func headhang(_ streams: Bool) async throws {
        try await withEngine { engine in
            let connection = try Connection(engine)
            connection.request(
                "POST", "/v1/chat/completions", chatBody("hi", "\"stream\":\(streams)"), ["x-sim-fault: headhang"])
            #expect(try await connection.read(until: "\r\n\r\n") == true)
            try await Task.sleep(for: .milliseconds(50))
            #expect(String(decoding: connection.received, as: UTF8.self).hasSuffix("\r\n\r\n"))
            connection.close()
            #expect(try await becomes(engine) { $0.clientAborts == 1 && $0.open == 0 })
        }
    }

    @Test("a web page has its type, and health fails apart from requests")
    func otherAnswers() async throws {
        try await withEngine { engine in
            let page = try await engine.chat("hi", fields: ["x-sim-fault: html"])
            #expect(page.fields["content-type"] == "text/html; charset=utf-8")
            await engine.configure { $0.faults.healthStatus = 503 }
            #expect(try await engine.ask("/health").status == 503)
            #expect(try await engine.chat("hi").status == 200)
            await engine.configure { $0.faults.healthHangs = true }
            let probe = try Connection(engine)
            probe.request("GET", "/health", "", [])
            #expect(try await engine.chat("hi").status == 200)
            #expect(probe.received.isEmpty)
        }
    }

    @Test("a full engine refuses with the status that was set", arguments: [429, 503])
    func refusal(_ status: Int) async throws {
        let settings = swift {
            $0.capacity.maxRunning = 1
            $0.capacity.maxWaiting = 0
            $0.capacity.refusalStatus = status
            $0.firstToken = .seconds(30)
        }
        try await withEngine(settings) { engine in
            let first = try Connection(engine)
            first.request("POST", "/v1/chat/completions", chatBody(), [])
            #expect(try await becomes(engine) { $0.running == 1 })
            let refused = try await engine.chat("hi")
            #expect(refused.status == status && refused.fields["retry-after"] == "1")
        }
    }

    @Test(
        "an engine that hangs sends nothing more, and notices at once when its client leaves", arguments: [true, false])
    func hang(_ isMiddle: Bool) async throws {
        try await withEngine { engine in
            let connection = try Connection(engine)
            let fault = isMiddle ? "midhang" : "hang"
            connection.request(
                "POST", "/v1/chat/completions", chatBody("hi", "\"stream\":true"),
                ["x-sim-fault: \(fault)", "x-sim-fault-after: 2"])
            if isMiddle { #expect(try await connection.read(until: "role") == true) }
            try await Task.sleep(for: .milliseconds(50))
            #expect(await engine.statistics().open == 1)
            connection.close()
            #expect(try await becomes(engine) { $0.clientAborts == 1 && $0.open == 0 && $0.running == 0 })
        }
    }

    @Test("a slow engine answers late")
    func slow() async throws {
        try await withEngine { engine in
            let begun = ContinuousClock.now
            let answer = try await engine.chat("hi", fields: ["x-sim-fault: slow", "x-sim-slow-ms: 150"])
            #expect(answer.status == 200)
            #expect(ContinuousClock.now - begun >= .milliseconds(150))
        }
    }

    @Test("rates and their bound are kept")
    func rates() async throws {
        try await withEngine(swift { $0.faults.rates[.error] = 1 }) { engine in
            await engine.configure { $0.faults.count = 2 }
            var statuses: [Int] = []
            for _ in 0..<4 { statuses.append(try await engine.chat().status) }
            #expect(statuses == [500, 500, 200, 200])
            await engine.configure {
                $0.faults.count = nil
                $0.faults.rates[.error] = 0.5
            }
            var failed = 0
            for _ in 0..<60 { failed += try await engine.chat().status == 500 ? 1 : 0 }
            #expect((10...50).contains(failed))
        }
    }

    @Test("idle connections are closed after the time that was set")
    func keepAlive() async throws {
        try await withEngine(swift { $0.keepAlive = .milliseconds(100) }) { engine in
            let connection = try Connection(engine)
            let begun = ContinuousClock.now
            connection.request("POST", "/v1/chat/completions", chatBody(), [])
            try await connection.readAll()
            #expect(connection.failure == 0)
            #expect(WireAnswer(connection.received).isWhole)
            #expect(ContinuousClock.now - begun >= .milliseconds(100))
        }
    }
}
