import EngineSimulator
import Glibc
import Reactor
import Testing

@Suite("The simulated engine's time and capacity", .timeLimit(.minutes(1)))
struct BehaviourTests {
    @Test("the first token and the next ones come when they should", arguments: [true, false])
    func pace(_ streams: Bool) async throws {
        let settings = swift {
            $0.firstToken = .milliseconds(60)
            $0.interval = .milliseconds(10)
            $0.tokens = 11
        }
        try await withEngine(settings) { engine in
            let connection = try Connection(engine)
            let begun = ContinuousClock.now
            connection.request("POST", "/v1/chat/completions", chatBody("hi", "\"stream\":\(streams)"), [])
            #expect(try await connection.read() == true)
            let first = ContinuousClock.now - begun
            #expect(first >= .milliseconds(streams ? 60 : 160))
            while !WireAnswer(connection.received).isWhole { #expect(try await connection.read() == true) }
            #expect(ContinuousClock.now - begun >= .milliseconds(160))
        }
    }

    @Test("what does not fit waits, what cannot wait is refused with a hint")
    func bounds() async throws {
        let settings = swift {
            $0.capacity.maxRunning = 1
            $0.capacity.maxWaiting = 1
        }
        try await withEngine(settings) { engine in
            let (one, two) = (try Connection(engine), try Connection(engine))
            one.request("POST", "/v1/chat/completions", chatBody(), ["x-sim-first-token-ms: 20000"])
            #expect(try await becomes(engine) { $0.running == 1 })
            two.request("POST", "/v1/chat/completions", chatBody(), [])
            #expect(try await becomes(engine) { $0.waiting == 1 })
            let third = try await engine.chat()
            #expect(third.status == 503 && third.fields["retry-after"] == "1")
            one.close()
            #expect(try await two.read(until: "200 OK") == true)
            let statistics = await engine.statistics()
            #expect(statistics.refused == 1 && statistics.finished == 1 && statistics.waiting == 0)
        }
    }

    @Test("a client that leaves the queue leaves nothing behind")
    func leavesQueue() async throws {
        try await withEngine(swift { $0.capacity.maxRunning = 1 }) { engine in
            let (one, two, three) = (try Connection(engine), try Connection(engine), try Connection(engine))
            one.request("POST", "/v1/chat/completions", chatBody(), ["x-sim-first-token-ms: 20000"])
            #expect(try await becomes(engine) { $0.running == 1 })
            two.request("POST", "/v1/chat/completions", chatBody(), [])
            #expect(try await becomes(engine) { $0.waiting == 1 })
            three.request("POST", "/v1/chat/completions", chatBody(), [])
            #expect(try await becomes(engine) { $0.waiting == 2 })
            two.close()
            #expect(try await becomes(engine) { $0.clientAborts == 1 })
            one.close()
            #expect(try await three.read(until: "200 OK") == true)
            #expect(
                try await becomes(engine) { $0.finished == 1 && $0.open == 0 && $0.running == 0 && $0.waiting == 0 })
        }
    }

    @Test("a long queue that moves at once does not grow the stack")
    func longQueue() async throws {
        try await withEngine(swift { $0.capacity.maxRunning = 1 }) { engine in
            let first = try Connection(engine)
            first.request("POST", "/v1/chat/completions", chatBody(), ["x-sim-first-token-ms: 20000"])
            #expect(try await becomes(engine) { $0.running == 1 })
            let others = try (0..<400).map { _ in try Connection(engine) }
            for other in others { other.request("POST", "/v1/embeddings", "{\"model\":\"demo\",\"input\":\"a\"}", []) }
            #expect(try await becomes(engine) { $0.waiting == 400 })
            first.close()
            for other in others { #expect(try await other.read(until: "200 OK") == true) }
            #expect(await engine.statistics().finished == 400)
        }
    }

    @Test("prompts are read one after another")
    func prefill() async throws {
        // Eight tokens: 80 ms each.
        try await withEngine(swift { $0.capacity.prefillPerToken = .milliseconds(10) }) { engine in
            let begun = ContinuousClock.now
            let (one, two) = (try Connection(engine), try Connection(engine))
            one.request("POST", "/v1/chat/completions", chatBody(), [])
            two.request("POST", "/v1/chat/completions", chatBody(), [])
            #expect(try await one.read(until: "200 OK") == true)
            #expect(ContinuousClock.now - begun >= .milliseconds(80))
            #expect(try await two.read(until: "200 OK") == true)
            #expect(ContinuousClock.now - begun >= .milliseconds(160))
        }
    }

    @Test("more running requests make each slower")
    func decode() async throws {
        let settings = swift {
            $0.tokens = 6
            $0.capacity.decodePerRunning = .milliseconds(10)
        }
        try await withEngine(settings) { engine in
            let begun = ContinuousClock.now
            let connections = try (0..<4).map { _ in try Connection(engine) }
            for connection in connections { connection.request("POST", "/v1/chat/completions", chatBody(), []) }
            for connection in connections { #expect(try await connection.read(until: "200 OK") == true) }
            // Alone it would take 50 ms.
            #expect(ContinuousClock.now - begun >= .milliseconds(150))
        }
    }

    @Test("a client that leaves in mid-stream is noticed at once", arguments: [true, false])
    func abort(_ reset: Bool) async throws {
        let settings = swift {
            $0.interval = .seconds(20)
            $0.tokens = 100
        }
        try await withEngine(settings) { engine in
            let connection = try Connection(engine)
            connection.request("POST", "/v1/chat/completions", chatBody("hi", "\"stream\":true"), [])
            #expect(try await connection.read(until: "role") == true)
            let left = ContinuousClock.now
            connection.close(reset: reset)
            #expect(try await becomes(engine) { $0.clientAborts == 1 && $0.open == 0 && $0.running == 0 })
            // The next token would come much later.
            #expect(ContinuousClock.now - left < .seconds(5))
            #expect(await engine.statistics().lastAbortAt > 0)
        }
    }

    @Test("a client that leaves before a whole answer is noticed at once")
    func abortUnary() async throws {
        try await withEngine(swift { $0.firstToken = .seconds(20) }) { engine in
            let connection = try Connection(engine)
            connection.request("POST", "/v1/chat/completions", chatBody(), [])
            #expect(try await becomes(engine) { $0.running == 1 })
            connection.close()
            #expect(try await becomes(engine) { $0.clientAborts == 1 && $0.open == 0 && $0.running == 0 })
        }
    }

    @Test("a client that does not read stops the engine, and one that reads gets everything")
    func backPressure() async throws {
        try await withEngine(swift { $0.tokens = 100_000 }) { engine in
            let connection = try Connection(engine)
            connection.request("POST", "/v1/chat/completions", chatBody("hi", "\"stream\":true"), ["connection: close"])
            var before = -1
            while case let made = await engine.statistics().generatedTokens, made != before || made == 0 {
                before = made
                try await Task.sleep(for: .milliseconds(100))
            }
            #expect(before < 90_000)
            try await connection.readAll()
            let answer = WireAnswer(connection.received)
            #expect(answer.isWhole && answer.events.count == 100_003)
        }
    }

    @Test("a connection serves request after request")
    func keepAlive() async throws {
        try await withEngine { engine in
            let connection = try Connection(engine)
            for _ in 0..<50 {
                connection.forget()
                connection.request("POST", "/v1/chat/completions", chatBody("hi", "\"stream\":true"), [])
                #expect(try await connection.read(until: "[DONE]\n\n\r\n0\r\n\r\n") == true)
            }
            let statistics = await engine.statistics()
            #expect(statistics.finished == 50 && statistics.connections == 1)
        }
    }

    @Test("an engine that has stopped refuses connections, and another can take its port")
    func stop() async throws {
        let engine = try SimulatedEngine.start(swift())
        let connection = try Connection(engine)
        connection.request("POST", "/v1/chat/completions", chatBody(), ["x-sim-fault: hang"])
        #expect(try await becomes(engine) { $0.open == 1 })
        await engine.stop()
        try await connection.readAll()
        #expect(throws: ReactorError.self) { try Connection(engine) }
        let next = try SimulatedEngine.start(swift(), on: .loopback(port: engine.port))
        #expect(try await next.chat().status == 200)
        await next.stop()
    }

    @Test("a port that is taken is an error")
    func taken() async throws {
        try await withEngine { engine in
            #expect(throws: ReactorError.self) { try SimulatedEngine.start(on: .loopback(port: engine.port)) }
        }
    }
}
