import Testing

extension GatewayTests {
    /// Limits of time: the client's, the pool's.
    @Suite struct Deadlines {
        private static let silent: FakeUpstream.Script = { try $0.waitForClose() }
        private static let json = "content-type: application/json"

        @Test(
            "a client's deadline holds, however it is written",
            arguments: [
                "x-penstock-timeout: 0.05", "x-penstock-timeout: 50ms", "x-request-timeout: 0.05s",
            ])
        func client(_ field: String) async throws {
            let lines = try await withPool([Deadlines.silent, Deadlines.silent]) { gateway, engines in
                let answer = try await gateway.post("/v1/embeddings", #"{"model":"m"}"#, [Deadlines.json, field])
                #expect(answer.status == 504)
                #expect(answer.text.contains(#""code":"upstream_timeout""#))
                // No other endpoint has time for it.
                #expect(engines.map(\.requestCount).reduce(0, +) == 1)
                try await gateway.expectSettled()
            }
            #expect(lines.exchanges.first?.contains("TT") == true)
        }

        @Test("the pool's limit of a request holds, over all attempts and waits")
        func request() async throws {
            let settings = "timeouts: {request: 200ms}, retries: {attempts: 20, backoff: 100ms, maxBackoff: 100ms}"
            try await withEngine({ try Engines.refuse($0, 500) }, pool: settings) { gateway, _ in
                let answer = try await gateway.post("/v1/embeddings", #"{"model":"m"}"#)
                #expect(answer.status == 500 || answer.status == 504)
                try await gateway.expectSettled()
            }
            try await withEngine(Deadlines.silent, pool: "timeouts: {request: 50ms}") { gateway, upstream in
                expectStatus(504, from: try await gateway.post("/v1/embeddings", #"{"model":"m"}"#))
                #expect(upstream.requestCount == 1)
                try await gateway.expectSettled()
            }
        }

        @Test("the limit of an attempt ends it, and another endpoint answers", arguments: [false, true])
        func attempt(_ isStream: Bool) async throws {
            let good: FakeUpstream.Script = { try Engines.answer($0) }
            let settings = "timeouts: {attempt: 300ms}, " + Engines.turns
            try await withPool([Deadlines.silent, good], pool: settings) { gateway, engines in
                for _ in 1...4 {
                    let body = isStream ? Streams.request : #"{"model":"m"}"#
                    let answer = try await gateway.post("/v1/chat/completions", body)
                    #expect(answer.status == 200)
                }
                #expect(engines[0].requestCount == 4)
                try await gateway.expectSettled()
            }
        }

        @Test("a stream that lasts longer than the client waits breaks off with an error event, and is not continued")
        func inStream() async throws {
            let script: FakeUpstream.Script = { exchange in
                try exchange.begin()
                try exchange.event(Streams.content)
                try exchange.waitForClose()
            }
            try await withPool([script, script], provider: "engine: vllm") { gateway, engines in
                let client = try gateway.client()
                let fields = [Deadlines.json, "x-penstock-timeout: 0.1"]
                try await client.send("POST", "/v1/chat/completions", fields, body: Array(Streams.request.utf8))
                #expect(try await client.head().status == 200)
                let rest = try await client.rest()
                #expect(!rest.isWhole && rest.text.contains(#""code":"upstream_timeout""#))
                #expect(engines.map(\.requestCount).reduce(0, +) == 1)
                try await gateway.expectSettled()
            }
        }

        @Test("after a deadline the connection serves the next request, which has none")
        func next() async throws {
            let script: FakeUpstream.Script = { exchange in
                if exchange.request.text.contains("hang") { return try exchange.waitForClose() }
                _ = try exchange.socket.isReadable(within: 100)
                try Engines.answer(exchange)
            }
            try await withEngine(script) { gateway, _ in
                let client = try gateway.client()
                for _ in 1...3 {
                    let fields = [Deadlines.json, "x-penstock-timeout: 0.05"]
                    let late = try await client.post("/v1/embeddings", #"{"model":"m","user":"hang"}"#, fields)
                    #expect(late.status == 504)
                    expectStatus(200, from: try await client.post("/v1/embeddings", #"{"model":"m"}"#))
                }
                try await gateway.expectSettled()
            }
        }

        @Test("a deadline that is none is not one", arguments: ["0", "-1", "soon", "", "1e3"])
        func malformed(_ value: String) async throws {
            try await withEngine { gateway, _ in
                let fields = [Deadlines.json, "x-penstock-timeout: \(value)"]
                expectStatus(200, from: try await gateway.post("/v1/embeddings", #"{"model":"m"}"#, fields))
            }
        }
    }
}
