import Testing

extension GatewayTests {
    /// Failures before the first byte: another endpoint answers, and the client sees nothing of it.
    @Suite struct Retries {
        /// What an endpoint does instead of answering.
        enum Fault: String, CaseIterable, Sendable {
            case refused, fin, reset, error500, error503, tooMany, hangBeforeHead, hangAfterHead, hangAfterSentHead
            case garbage, badHead, switching, redirect, half, html, lie, missingModel, emptyAnswer, errorEvent

            /// Of the pool: without it a silent engine would be waited for.
            var settings: String {
                switch self {
                case .hangBeforeHead, .hangAfterHead: ", timeouts: {firstToken: 200ms}"
                // Longer than the head of a stream is kept back.
                case .hangAfterSentHead: ", timeouts: {firstToken: 500ms}"
                default: ""
                }
            }

            /// Requests. The turn of the broken endpoint comes again after each answer of the other.
            var count: Int { settings.isEmpty ? 20 : 4 }

            /// Attempts at the broken endpoint in as many requests.
            var expected: Int {
                switch self {
                // It has asked to be left alone.
                case .error503, .tooMany: 1
                default: count
                }
            }

            /// As metrics call it.
            func reason(inStream isStream: Bool) -> String {
                switch self {
                case .emptyAnswer: isStream ? "broken" : "garbage"
                case .refused: "connect_failed"
                case .error500, .errorEvent: "server_error"
                case .error503, .tooMany: "full"
                case .hangBeforeHead, .hangAfterHead, .hangAfterSentHead: "timeout"
                case .garbage, .badHead, .switching, .redirect, .html, .lie: "garbage"
                case .missingModel: "model_missing"
                case .fin, .reset, .half: "broken"
                }
            }

            /// Whether it can be told from a good answer in this mode.
            func exists(inStream isStream: Bool) -> Bool {
                switch self {
                case .errorEvent: isStream
                default: true
                }
            }

            func carry(out exchange: UpstreamExchange) throws {
                let isStream = exchange.request.text.contains(#""stream":true"#)
                switch self {
                case .refused, .fin: break
                case .reset: exchange.socket.reset()
                case .error500: return try Engines.refuse(exchange, 500)
                case .error503: return try Engines.refuse(exchange, 503, ["retry-after: 30"])
                case .tooMany: return try Engines.refuse(exchange, 429, ["retry-after: 30"])
                case .hangBeforeHead: try exchange.waitForClose()
                case .hangAfterHead, .hangAfterSentHead:
                    try exchange.begin(isStream ? "text/event-stream" : "application/json")
                    try exchange.waitForClose()
                case .garbage: try exchange.write("hello\r\n\r\n")
                case .badHead: try exchange.write("HTTP/1.1 200 OK\r\nbad name: x\r\ncontent-length: 2\r\n\r\n{}")
                case .switching:
                    try exchange.write("HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nx")
                case .redirect: return try exchange.answer(302, ["location: http://127.0.0.1:1/"], "")
                case .half:
                    try exchange.begin(isStream ? "text/event-stream" : "application/json")
                    try exchange.chunk(isStream ? #"data: {"choices":[{"index""# : #"{"choices":["#)
                case .html: return try exchange.answer(200, ["content-type: text/html"], "<html>Welcome</html>")
                case .lie: return try exchange.answer(200, ["content-type: application/json"], "<html>Welcome</html>")
                case .missingModel: return try Engines.refuse(exchange, 404, code: "model_not_found")
                case .emptyAnswer:
                    try exchange.write("HTTP/1.1 200 OK\r\ncontent-type: ")
                    try exchange.write(isStream ? "text/event-stream" : "application/json")
                    try exchange.write("\r\ntransfer-encoding: chunked\r\n\r\n")
                    return try exchange.end()
                case .errorEvent:
                    try exchange.begin()
                    try exchange.event(#"{"error":{"message":"CUDA error","type":"InternalServerError","code":500}}"#)
                    return try exchange.end()
                }
                throw SocketError.ended
            }
        }

        private static let bodies = [false: #"{"model":"m","messages":[]}"#, true: Streams.request]

        @Test(
            "one endpoint fails always: no client sees it, and no endpoint is asked twice for one request",
            arguments: Fault.allCases, [false, true])
        func oneBad(_ fault: Fault, _ isStream: Bool) async throws {
            guard fault.exists(inStream: isStream) else { return }
            let bad = try FakeUpstream { try fault.carry(out: $0) }
            let good = try FakeUpstream { try Engines.answer($0) }
            if fault == .refused { bad.stop() }
            var plan = Plan()
            plan.pool("m", [bad, good], Engines.turns + fault.settings)
            plan.model("m", "pool: m")
            let lines = try await withGateway(plan.text, upstreams: [bad, good]) { gateway in
                let client = try gateway.client()
                for _ in 1...fault.count {
                    let answer = try await client.post("/v1/chat/completions", try #require(Retries.bodies[isStream]))
                    #expect(answer.status == 200)
                    #expect(answer.text.contains("hi") && !answer.text.contains("error"), "\(answer.text)")
                    #expect(isStream == answer.text.hasSuffix("data: [DONE]\n\n"))
                    #expect(isStream == answer.head.isChunked)
                }
                let scrape = try await gateway.metrics()
                #expect(scrape.sum("penstock_requests_total", #"code="200""#) == Double(fault.count))
                #expect(scrape.attempts("ok") >= fault.count)
                #expect(scrape.attempts == fault.count + fault.expected)
                #expect(scrape.sum("penstock_upstream_attempts_total", bad.name) == Double(fault.expected))
                #expect(scrape.retries == fault.expected)
                let reason = "reason=\"\(fault.reason(inStream: isStream))\""
                #expect(scrape.sum("penstock_retries_total", reason) == Double(fault.expected))
                #expect(scrape.sum("penstock_client_aborts_total") == 0)
                try await gateway.expectSettled()
            }
            #expect(good.requestCount == fault.count)
            let identities = bad.requests.compactMap { $0["x-request-id"] }
            #expect(Set(identities).count == bad.requestCount)
            #expect(bad.requestCount == (fault == .refused ? 0 : fault.expected))
            #expect(lines.exchanges.filter { $0.contains(#""attempts":2"#) }.count == fault.expected)
            #expect(
                lines.exchanges.filter { $0.contains(#""tries":[{"endpoint":"\#(bad.name)""#) }.count == fault.expected)
        }

        @Test("as many endpoints as attempts: each is asked once, before the last answers")
        func eachOnce() async throws {
            let order = SharedCount()
            let script: FakeUpstream.Script = { exchange in
                order.add(1)
                if order.value < 5 { throw SocketError.ended }
                try Engines.answer(exchange)
            }
            try await withPool(Array(repeating: script, count: 5)) { gateway, engines in
                expectStatus(200, from: try await gateway.post("/v1/chat/completions", #"{"model":"m"}"#))
                #expect(engines.map(\.requestCount) == [1, 1, 1, 1, 1])
                try await gateway.expectSettled()
            }
        }

        @Test("not more attempts are made than are configured; the SDK is told not to try again")
        func attempts() async throws {
            let script: FakeUpstream.Script = { _ in throw SocketError.ended }
            let settings = "retries: {attempts: 3}"
            let lines = try await withPool(Array(repeating: script, count: 5), pool: settings) { gateway, engines in
                let answer = try await gateway.post("/v1/chat/completions", #"{"model":"m"}"#)
                #expect(answer.status == 502)
                #expect(answer["x-should-retry"] == "false")
                #expect(engines.map(\.requestCount).reduce(0, +) == 3)
                #expect(engines.allSatisfy { $0.requestCount <= 1 })
            }
            let line = try #require(lines.exchanges.first)
            #expect(line.contains(#""attempts":3"#) && line.contains("RX"))
        }

        @Test(
            "a fault of the request is not tried elsewhere, and no fault of the endpoint", arguments: [400, 404, 422])
        func clientErrors(_ status: Int) async throws {
            let script: FakeUpstream.Script = {
                try Engines.refuse($0, status, code: status == 404 ? "not_found" : "bad")
            }
            var plan = Plan()
            let engines = try [FakeUpstream(script), FakeUpstream(script)]
            plan.pool("m", engines)
            // What a wildcard matches need not be there: that it is not says nothing of the engine.
            plan.model("\"*\"", "pool: m")
            try await withGateway(plan.text, upstreams: engines) { gateway in
                for _ in 1...20 {
                    expectStatus(status, from: try await gateway.post("/v1/chat/completions", #"{"model":"x"}"#))
                }
                let scrape = try await gateway.metrics()
                #expect(scrape.attempts == 20 && scrape.retries == 0)
                #expect(scrape.sum("penstock_endpoint_ejections_total") == 0)
            }
        }

        @Test("statuses that are not configured for it are not tried again")
        func statuses() async throws {
            let script: FakeUpstream.Script = { try Engines.refuse($0, 500) }
            try await withPool([script, script], pool: "retries: {statuses: [503]}") { gateway, engines in
                expectStatus(500, from: try await gateway.post("/v1/chat/completions", #"{"model":"m"}"#))
                #expect(engines.map(\.requestCount).reduce(0, +) == 1)
            }
        }

        @Test("the only endpoint is tried again after a pause")
        func onlyOne() async throws {
            let count = SharedCount()
            let lines = try await withEngine({ exchange in
                count.add(1)
                if count.value < 4 { return try exchange.answer(500) }
                try exchange.answer()
            }) { gateway, upstream in
                expectStatus(200, from: try await gateway.post("/v1/embeddings", #"{"model":"m"}"#))
                #expect(upstream.requestCount == 4)
                try await gateway.expectSettled()
            }
            #expect(lines.exchanges.first?.contains(#""attempts":4"#) == true)
        }

        @Test("the only endpoint, never seen before, is tried again when it refuses connections")
        func onlyOneRefuses() async throws {
            let port = try Engines.closedPort()
            try await withPool([], pool: Engines.turns, others: ["http://127.0.0.1:\(port)"]) {
                gateway, _ in
                let answer = try await gateway.post("/v1/embeddings", #"{"model":"m"}"#)
                #expect(answer.status == 502 && answer["retry-after"] != nil)
                #expect(try await gateway.metrics().attempts("connect_failed") == 5)
                try await gateway.expectSettled()
            }
        }

        @Test("when the budget is used up, failures are answered at once")
        func budget() async throws {
            let script: FakeUpstream.Script = { try Engines.refuse($0, 500) }
            let settings = "retries: {budget: 0%, minPerSecond: 0}, " + Engines.turns
            let lines = try await withPool([script, script], pool: settings) { gateway, _ in
                for _ in 1...20 {
                    expectStatus(500, from: try await gateway.post("/v1/embeddings", #"{"model":"m"}"#))
                }
                let scrape = try await gateway.metrics()
                #expect(scrape.attempts == 20)
                #expect(scrape.sum("penstock_retry_budget_exhausted_total") == 20)
                #expect(scrape.retries == 0)
            }
            #expect(lines.exchanges.allSatisfy { $0.contains("RB") })
        }

        @Test("in an outage the attempts are bounded by the budget, and clients are told when to come back")
        func outage() async throws {
            let script: FakeUpstream.Script = { _ in throw SocketError.ended }
            let settings = "retries: {minPerSecond: 0}, " + Engines.turns
            try await withPool([script, script, script], pool: settings) { gateway, _ in
                for _ in 1...500 {
                    let answer = try await gateway.post("/v1/embeddings", #"{"model":"m"}"#)
                    #expect(answer.status == 502)
                    #expect(answer["retry-after"] != nil)
                }
                let scrape = try await gateway.metrics()
                // What the budget begins with, and a fifth of the live load.
                #expect(scrape.attempts <= 500 + 100 + 100)
                #expect(scrape.sum("penstock_requests_total", #"code="502""#) == 500)
                try await gateway.expectSettled()
            }
        }

        @Test("an answer too large to hold goes on as it comes, and is not tried again")
        func largeAnswer() async throws {
            let size = 3 << 20
            try await withPool([
                { exchange in
                    try exchange.begin("application/json")
                    try exchange.chunk(#"{"data":""#)
                    for _ in 1...(size / 65536) { try exchange.chunk(String(repeating: "x", count: 65536)) }
                    if exchange.request.text.contains("whole") {
                        try exchange.chunk(#""}"#)
                        return try exchange.end()
                    }
                    throw SocketError.ended
                }
            ]) { gateway, engines in
                let whole = try await gateway.post("/v1/embeddings", #"{"model":"m","user":"whole"}"#)
                #expect(whole.status == 200 && whole.body.count == size + 11)
                let client = try gateway.client()
                try await client.send("POST", "/v1/embeddings", body: Array(#"{"model":"m"}"#.utf8))
                #expect(try await client.head().status == 200)
                #expect(try await client.restLength().isWhole == false)
                #expect(engines[0].requestCount == 2)
                try await gateway.expectSettled()
            }
        }

        @Test("a refused credential of ours is not tried at another endpoint of the provider, but at the next target")
        func credentials() async throws {
            let path = temporaryPath("key")
            defer { removeFile(path) }
            try writeFile(path, "secret")
            let refuse: FakeUpstream.Script = { try Engines.refuse($0, 401) }
            let engines = try [FakeUpstream(refuse), FakeUpstream(refuse), FakeUpstream()]
            var plan = Plan(provider: "apiKey: file:\(path)")
            plan.pool("a", Array(engines[...1]))
            plan.pool("b", [engines[2]])
            plan.model("m", "tiers: [a, b]")
            try await withGateway(plan.text, upstreams: engines) { gateway in
                expectStatus(200, from: try await gateway.post("/v1/embeddings", #"{"model":"m"}"#))
                #expect(engines[0].requestCount + engines[1].requestCount == 1)
                #expect(engines[2].requestCount == 1)
            }
        }
    }
}
