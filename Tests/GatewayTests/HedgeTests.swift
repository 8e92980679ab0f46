import Testing

extension GatewayTests {
    /// Second attempts for slow first ones.
    @Suite struct Hedging {
        private static let settings = "hedging: {after: 50ms}, " + Engines.turns

        private static func body(_ isStream: Bool) -> String { isStream ? Streams.request : #"{"model":"m"}"# }

        /// Engines of which the one that is asked first does `first`, the others `second`.
        private static func engines(
            _ count: Int = 2, first: @escaping FakeUpstream.Script, second: @escaping FakeUpstream.Script
        ) -> [FakeUpstream.Script] {
            let asked = SharedCount()
            let script: FakeUpstream.Script = { exchange in
                asked.add(1)
                if asked.value == 1 { try first(exchange) } else { try second(exchange) }
            }
            return Array(repeating: script, count: count)
        }

        private static func expect(
            _ gateway: RunningGateway, attempts: [String: Int], hedges: [String: Int], code: String = "200"
        ) async throws {
            let scrape = try await gateway.metrics()
            for (result, count) in attempts { #expect(scrape.attempts(result) == count, "\(result)") }
            #expect(scrape.attempts == attempts.values.reduce(0, +))
            for (result, count) in hedges {
                #expect(scrape.sum("penstock_hedges_total", "result=\"\(result)\"") == Double(count), "\(result)")
            }
            #expect(scrape.sum("penstock_hedges_total") == Double(hedges.values.reduce(0, +)))
            #expect(scrape.sum("penstock_requests_total") == 1)
            #expect(scrape.sum("penstock_requests_total", "code=\"\(code)\"") == 1)
            try await gateway.expectSettled()
        }

        @Test("the second answers when the first is silent, which is then cancelled", arguments: [false, true])
        func secondWins(_ isStream: Bool) async throws {
            let cancelled = Signal()
            let scripts = Hedging.engines(
                first: { exchange in
                    try exchange.waitForClose()
                    cancelled.raise()
                }, second: { try Engines.answer($0) })
            let lines = try await withPool(scripts, pool: Hedging.settings) { gateway, engines in
                let answer = try await gateway.post("/v1/chat/completions", Hedging.body(isStream))
                #expect(answer.status == 200 && answer.text.contains("hi"))
                try await cancelled.happened()
                #expect(engines.map(\.requestCount) == [1, 1])
                try await Hedging.expect(gateway, attempts: ["ok": 1, "cancelled": 1], hedges: ["won": 1])
            }
            let line = try #require(lines.exchanges.first)
            #expect(line.contains(#""attempts":2"#) && line.contains("HG"))
        }

        @Test("the first answers after all: the second is cancelled", arguments: [false, true])
        func firstWins(_ isStream: Bool) async throws {
            let (hedged, cancelled) = (Signal(), Signal())
            let scripts = Hedging.engines(
                first: { exchange in
                    try hedged.wait()
                    try Engines.answer(exchange)
                },
                second: { exchange in
                    hedged.raise()
                    try exchange.waitForClose()
                    cancelled.raise()
                })
            try await withPool(scripts, pool: Hedging.settings) { gateway, _ in
                let answer = try await gateway.post("/v1/chat/completions", Hedging.body(isStream))
                #expect(answer.status == 200 && answer.text.contains("hi"))
                try await cancelled.happened()
                try await Hedging.expect(gateway, attempts: ["ok": 1, "cancelled": 1], hedges: ["lost": 1])
            }
        }

        @Test("nothing is hedged that begins in time")
        func fast() async throws {
            try await withPool([{ try Engines.answer($0) }, { try Engines.answer($0) }], pool: "hedging: {after: 10s}")
            {
                gateway, engines in
                for isStream in [true, false] {
                    expectStatus(200, from: try await gateway.post("/v1/chat/completions", Hedging.body(isStream)))
                }
                let scrape = try await gateway.metrics()
                #expect(scrape.attempts == 2 && scrape.sum("penstock_hedges_total") == 0)
            }
        }

        @Test("an error of the second is ignored while the first may answer", arguments: [400, 429, 500, 0])
        func secondFails(_ status: Int) async throws {
            let hedged = Signal()
            let scripts = Hedging.engines(
                first: { exchange in
                    try hedged.wait()
                    // Its error is on the way before this answer is.
                    try Engines.answer(exchange)
                },
                second: { exchange in
                    defer { hedged.raise() }
                    if status == 0 { throw SocketError.ended }
                    try Engines.refuse(exchange, status)
                })
            try await withPool(scripts, pool: Hedging.settings) { gateway, _ in
                let answer = try await gateway.post("/v1/chat/completions", Hedging.body(false))
                #expect(answer.status == 200 && answer.text.contains("hi"))
                let scrape = try await gateway.metrics()
                #expect(scrape.attempts == 2 && scrape.attempts("ok") >= 1)
                #expect(scrape.attempts("server_error") == (status == 500 ? 1 : 0))
                #expect(scrape.attempts("rate_limited") == (status == 429 ? 1 : 0))
                #expect(scrape.sum("penstock_hedges_total", #"result="lost""#) == 1)
                #expect(scrape.sum("penstock_requests_total", #"code="200""#) == 1)
                try await gateway.expectSettled()
            }
        }

        @Test("the first fails after the second was sent: the second answers", arguments: [false, true])
        func firstFails(_ isStream: Bool) async throws {
            let (hedged, failed) = (Signal(), Signal())
            let scripts = Hedging.engines(
                first: { exchange in
                    try hedged.wait()
                    try Engines.refuse(exchange, 500)
                    failed.raise()
                },
                second: { exchange in
                    hedged.raise()
                    try failed.wait()
                    try Engines.answer(exchange)
                })
            try await withPool(scripts, pool: Hedging.settings) { gateway, _ in
                let answer = try await gateway.post("/v1/chat/completions", Hedging.body(isStream))
                #expect(answer.status == 200 && answer.text.contains("hi"), "\(answer.text)")
                let scrape = try await gateway.metrics()
                #expect(scrape.attempts == 2 && scrape.attempts("ok") == 1)
                #expect(scrape.sum("penstock_hedges_total") == 1)
                #expect(scrape.sum("penstock_requests_total") == 1)
                try await gateway.expectSettled()
            }
        }

        @Test("both fail: a third is asked, once, and answers")
        func bothFail() async throws {
            let (hedged, asked) = (Signal(), SharedCount())
            let script: FakeUpstream.Script = { exchange in
                asked.add(1)
                switch asked.value {
                case 1:
                    try hedged.wait()
                    throw SocketError.ended
                case 2:
                    hedged.raise()
                    throw SocketError.ended
                default: try Engines.answer(exchange)
                }
            }
            try await withPool([script, script, script], pool: Hedging.settings) { gateway, engines in
                expectStatus(200, from: try await gateway.post("/v1/chat/completions", Hedging.body(true)))
                #expect(engines.map(\.requestCount) == [1, 1, 1])
                try await gateway.expectSettled()
            }
        }

        @Test("the second has its own time for a first token, and a third is asked after it")
        func bothHang() async throws {
            let asked = SharedCount()
            let script: FakeUpstream.Script = { exchange in
                asked.add(1)
                if asked.value <= 2 { return try exchange.waitForClose() }
                try Engines.answer(exchange)
            }
            let settings = "timeouts: {firstToken: 300ms}, " + Hedging.settings
            try await withPool([script, script, script], pool: settings) { gateway, engines in
                expectStatus(200, from: try await gateway.post("/v1/chat/completions", Hedging.body(true)))
                #expect(engines.map(\.requestCount) == [1, 1, 1])
                try await gateway.expectSettled()
            }
        }

        @Test("a client that leaves ends both")
        func clientLeaves() async throws {
            let (reached, closed) = (Signal(), Signal())
            let script: FakeUpstream.Script = { exchange in
                reached.raise()
                try exchange.waitForClose()
                closed.raise()
            }
            try await withPool([script, script], pool: Hedging.settings) { gateway, _ in
                let client = try gateway.client()
                try await client.send("POST", "/v1/chat/completions", body: Array(Hedging.body(true).utf8))
                for _ in 1...2 { try await reached.happened() }
                client.reset()
                for _ in 1...2 { try await closed.happened() }
                try await Hedging.expect(gateway, attempts: ["cancelled": 2], hedges: ["lost": 1], code: "499")
            }
        }

        @Test("the second is not sent where there is no other endpoint, or no budget for it")
        func impossible() async throws {
            let settings = ["hedging: {after: 10ms}", "hedging: {after: 10ms}, retries: {budget: 0%, minPerSecond: 0}"]
            for (count, setting) in [(1, settings[0]), (2, settings[1])] {
                // Answers are later than the second attempt would be, on any machine: it takes a round of timers.
                let script: FakeUpstream.Script = { exchange in
                    _ = try exchange.socket.isReadable(within: 100)
                    try Engines.answer(exchange)
                }
                try await withPool(Array(repeating: script, count: count), pool: setting) { gateway, engines in
                    expectStatus(200, from: try await gateway.post("/v1/chat/completions", Hedging.body(true)))
                    #expect(engines.map(\.requestCount).reduce(0, +) == 1)
                    #expect(try await gateway.metrics().sum("penstock_hedges_total") == 0)
                    try await gateway.expectSettled()
                }
            }
        }
    }
}
