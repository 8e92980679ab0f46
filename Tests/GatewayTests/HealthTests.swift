import Testing

extension GatewayTests {
    /// Endpoints that are left alone for what they did, and come back.
    @Suite struct EndpointsHealth {
        private static let request = #"{"model":"m"}"#
        /// Ejections after three errors, for as long as said, and without a slow start behind them.
        private static func ejection(_ duration: String) -> String {
            """
            balancing: roundRobin, slowStart: off, retries: {minPerSecond: 1000}, \
            ejection: {consecutiveErrors: 3, duration: \(duration), maxDuration: \(duration)}
            """
        }

        /// An engine that fails while `isBad` is above zero.
        private static func moody(_ isBad: SharedCount) -> FakeUpstream.Script {
            { exchange in
                if isBad.value > 0 { return try Engines.refuse(exchange, 500) }
                try Engines.answer(exchange)
            }
        }

        private static func ask(_ gateway: RunningGateway, _ count: Int) async throws {
            let client = try gateway.client()
            defer { client.close() }
            for _ in 0..<count {
                expectStatus(200, from: try await client.post("/v1/chat/completions", request))
            }
        }

        private static func ask(_ gateway: RunningGateway, until isEnough: @Sendable () -> Bool) async throws {
            while !isEnough() { try await ask(gateway, 1) }
        }

        @Test("after three errors in a row an endpoint is left alone, which is logged and counted")
        func ejected() async throws {
            let bad: FakeUpstream.Script = { try Engines.refuse($0, 500) }
            let good: FakeUpstream.Script = { try Engines.answer($0) }
            let lines = try await withPool([bad, good], pool: EndpointsHealth.ejection("60s")) { gateway, engines in
                try await EndpointsHealth.ask(gateway, 50)
                #expect(engines.map(\.requestCount) == [3, 50])
                let scrape = try await gateway.metrics()
                #expect(scrape.sum("penstock_endpoint_ejections_total", engines[0].name) == 1)
                #expect(scrape.sum("penstock_endpoint_ejections_total") == 1)
                try await gateway.expectSettled()
            }
            #expect(lines.filter { $0.contains("endpoint ejected") }.count == 1)
        }

        @Test("streams that break in the middle count, and so do first tokens that are late")
        func brokenStreams() async throws {
            let bad: FakeUpstream.Script = { exchange in
                try exchange.begin()
                if exchange.request.text.contains("hang") { return try exchange.waitForClose() }
                try exchange.event(Streams.content)
                throw SocketError.ended
            }
            let good: FakeUpstream.Script = { try Engines.answer($0) }
            for user in ["hang", "break"] {
                let settings = EndpointsHealth.ejection("60s") + ", continuation: never, timeouts: {firstToken: 300ms}"
                try await withPool([bad, good], pool: settings) { gateway, engines in
                    for _ in 1...12 {
                        let client = try gateway.client()
                        let body = #"{"model":"m","stream":true,"user":"\#(user)"}"#
                        let fields = ["content-type: application/json", "x-session-id: \(engines[0].requestCount)"]
                        try await client.send("POST", "/v1/chat/completions", fields, body: Array(body.utf8))
                        #expect(try await client.head().status == 200)
                        _ = try await client.rest()
                        client.close()
                    }
                    #expect(engines[0].requestCount <= 3)
                    let scrape = try await gateway.metrics()
                    #expect(scrape.sum("penstock_endpoint_ejections_total") <= 1)
                }
            }
        }

        @Test("one request finds out whether an ejected endpoint works again, and brings it back")
        func recovery() async throws {
            let (isBad, isTrial) = (SharedCount(), SharedCount())
            let (reached, go) = (Signal(), Signal())
            isBad.add(1)
            let moody = EndpointsHealth.moody(isBad)
            let first: FakeUpstream.Script = { exchange in
                if isTrial.value > 0, isBad.value == 0 {
                    reached.raise()
                    try go.wait()
                }
                try moody(exchange)
            }
            let good: FakeUpstream.Script = { try Engines.answer($0) }
            try await withPool([first, good], pool: EndpointsHealth.ejection("100ms")) { gateway, engines in
                try await EndpointsHealth.ask(gateway, 10)
                #expect(try await gateway.metrics().sum("penstock_endpoint_ejections_total", engines[0].name) == 1)
                isTrial.add(1)
                isBad.add(-1)
                let before = engines[0].requestCount
                // One of these is the trial, once the time of the ejection is over. It alone goes there.
                async let asking: Void = EndpointsHealth.ask(gateway, until: { engines[0].requestCount > before })
                try await reached.happened()
                try await EndpointsHealth.ask(gateway, 50)
                #expect(engines[0].requestCount == before + 1)
                isTrial.add(-1)
                go.raise()
                try await asking
                // It is back when it gets its share again.
                try await EndpointsHealth.ask(gateway, until: { engines[0].requestCount >= before + 10 })
            }
        }

        @Test("the only endpoint is never taken away: as soon as it works it serves")
        func onlyOne() async throws {
            let isBad = SharedCount()
            isBad.add(1)
            let settings = EndpointsHealth.ejection("60s")
            try await withPool([EndpointsHealth.moody(isBad)], pool: settings) { gateway, engines in
                for _ in 1...5 {
                    expectStatus(500, from: try await gateway.post("/v1/chat/completions", EndpointsHealth.request))
                }
                #expect(engines[0].requestCount >= 5)
                isBad.add(-1)
                try await EndpointsHealth.ask(gateway, 20)
            }
        }

        @Test("in a panic the suspects serve, too")
        func panic() async throws {
            let isBad = SharedCount()
            isBad.add(1)
            let script = EndpointsHealth.moody(isBad)
            let settings = EndpointsHealth.ejection("60s")
            try await withPool([script, script, script, script], pool: settings) { gateway, engines in
                for _ in 1...20 {
                    expectStatus(500, from: try await gateway.post("/v1/chat/completions", EndpointsHealth.request))
                }
                isBad.add(-1)
                let before = engines.map(\.requestCount).reduce(0, +)
                try await EndpointsHealth.ask(gateway, 50)
                #expect(engines.map(\.requestCount).reduce(0, +) == before + 50)
                try await gateway.expectSettled()
            }
        }

        @Test("an engine that comes up after the gateway is found, and one that comes back")
        func comesUp() async throws {
            let port = try Engines.closedPort()
            let pool = "slowStart: off, ejection: {duration: 100ms, maxDuration: 1s}, retries: {attempts: 2}"
            try await withPool([], pool: pool, others: ["http://127.0.0.1:\(port)"]) { gateway, _ in
                for round in 1...2 {
                    for _ in 1...4 {
                        let answer = try await gateway.post("/v1/embeddings", EndpointsHealth.request)
                        #expect([502, 503].contains(answer.status) && answer["retry-after"] != nil, "\(round)")
                    }
                    let engine = try FakeUpstream(port: port)
                    defer { engine.stop() }
                    var status = 0
                    while status != 200 {
                        status = try await gateway.post("/v1/embeddings", EndpointsHealth.request).status
                    }
                    #expect(engine.requestCount >= 1)
                }
                try await gateway.expectSettled()
            }
        }

        @Test("the only endpoint, full for a moment, is waited for")
        func fullForAMoment() async throws {
            let count = SharedCount()
            let script: FakeUpstream.Script = { exchange in
                count.add(1)
                if count.value == 1 { return try Engines.refuse(exchange, 503, ["retry-after-ms: 150"]) }
                try Engines.answer(exchange)
            }
            try await withPool([script]) { gateway, engines in
                try await EndpointsHealth.ask(gateway, 1)
                #expect(engines[0].requestCount == 2)
                let scrape = try await gateway.metrics()
                #expect(scrape.retries == 1 && scrape.sum("penstock_requests_total", #"code="200""#) == 1)
                try await gateway.expectSettled()
            }
        }

        @Test("an endpoint that says for how long it is full is not asked before, and clients are told")
        func fullForLong() async throws {
            try await withPool([{ try Engines.refuse($0, 503, ["retry-after: 30"]) }]) { gateway, engines in
                for _ in 1...5 {
                    let answer = try await gateway.post("/v1/embeddings", EndpointsHealth.request)
                    #expect(answer.status == 503)
                    #expect(answer["retry-after"].flatMap { Int($0) }.map { (28...30).contains($0) } == true)
                    #expect(answer.text.contains("server_is_overloaded"))
                }
                #expect(engines[0].requestCount == 1)
                #expect(try await gateway.metrics().retries == 0)
                try await gateway.expectSettled()
            }
        }
    }
}
