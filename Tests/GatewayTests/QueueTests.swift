import Testing

extension GatewayTests {
    /// Requests that wait for an endpoint.
    @Suite struct Queues {
        /// Engines that answer each request once `go` is raised, and note in which order requests reach them.
        private struct Gate: Sendable {
            let reached = Signal()
            let go = Signal()

            var script: FakeUpstream.Script {
                { exchange in
                    reached.raise()
                    try go.wait()
                    try exchange.answer()
                }
            }
        }

        private static func body(_ name: String) -> String { #"{"model":"m","user":"\#(name)"}"# }

        private static func plan(_ engines: [FakeUpstream], _ settings: String, model: String = "pool: m") -> String {
            var plan = Plan()
            plan.pool("m", engines, settings)
            plan.model("m", model)
            return plan.text
        }

        /// Sends requests on one connection and returns when the gateway has read them all.
        private static func post(_ client: HTTP2Client, _ requests: [(String, [(String, String)])]) async throws {
            for (name, fields) in requests { try client.post("/v1/embeddings", body(name), fields) }
            let marker = try client.post("/v1/embeddings", "{")
            while true {
                let frame = try await client.frame()
                if frame.stream == marker, frame.endsStream { break }
            }
        }

        @Test("those that wait go by priority, and within one in order; a request may only make itself less urgent")
        func order() async throws {
            let gate = Gate()
            let engine = try FakeUpstream(gate.script)
            let text = Queues.plan([engine], "concurrency: {perEndpoint: 1}", model: "pool: m, priority: 5")
            try await withGateway(text, upstreams: [engine]) { gateway in
                let client = try HTTP2Client(port: gateway.port)
                try client.post("/v1/embeddings", Queues.body("first"))
                try await gate.reached.happened()
                try await Queues.post(
                    client,
                    [
                        ("low", [("x-penstock-priority", "-3")]), ("middle-1", [("x-penstock-priority", "2")]),
                        ("high-1", []), ("middle-2", [("x-smg-priority", "default")]),
                        ("high-2", [("x-penstock-priority", "900")]), ("bulk", [("x-smg-priority", "bulk")]),
                    ])
                for _ in 1...7 { gate.go.raise() }
                let answers = try await client.answers(7)
                #expect(answers.allSatisfy { $0.status == 200 })
                let order = ["first", "high-1", "high-2", "middle-1", "middle-2", "low", "bulk"]
                #expect(engine.requests.map(\.text) == order.map { Queues.body($0) })
                let scrape = try await gateway.metrics()
                #expect(scrape.sum("penstock_queue_wait_seconds_count") == 6)
                #expect(scrape.sum("penstock_queue_rejections_total") == 0)
                try await gateway.expectSettled()
            }
        }

        @Test("the limit of an endpoint holds, and that of the pool", arguments: ["perEndpoint: 2", "pool: 4"])
        func limits(_ limit: String) async throws {
            let gate = Gate()
            let engines = try [FakeUpstream(gate.script), FakeUpstream(gate.script)]
            try await withGateway(Queues.plan(engines, "concurrency: {\(limit)}"), upstreams: engines) { gateway in
                let client = try HTTP2Client(port: gateway.port)
                try await Queues.post(client, (1...12).map { ("\($0)", []) })
                for _ in 1...4 { try await gate.reached.happened() }
                #expect(engines.map(\.requestCount).reduce(0, +) == 4)
                if limit.hasPrefix("per") { #expect(engines.map(\.requestCount) == [2, 2]) }
                for served in 5...12 {
                    gate.go.raise()
                    try await gate.reached.happened()
                    #expect(engines.map(\.requestCount).reduce(0, +) == served)
                }
                for _ in 1...4 { gate.go.raise() }
                #expect(try await client.answers(12).map(\.status) == Array(repeating: 200, count: 12))
                try await gateway.expectSettled()
            }
        }

        @Test("the endpoint is chosen when a place comes free")
        func lateBinding() async throws {
            let gates = [Gate(), Gate()]
            let engines = try gates.map { try FakeUpstream($0.script) }
            let text = Queues.plan(engines, "concurrency: {perEndpoint: 1}")
            try await withGateway(text, upstreams: engines) { gateway in
                let client = try HTTP2Client(port: gateway.port)
                try await Queues.post(client, (1...5).map { ("\($0)", []) })
                for gate in gates { try await gate.reached.happened() }
                // One engine is stuck; the other serves all that wait.
                for _ in 1...3 {
                    gates[1].go.raise()
                    try await gates[1].reached.happened()
                }
                #expect(engines.map(\.requestCount) == [1, 4])
                for gate in gates { gate.go.raise() }
                #expect(try await client.answers(5).map(\.status) == Array(repeating: 200, count: 5))
                try await gateway.expectSettled()
            }
        }

        private static func expectRejected(_ answer: WireMessage, _ reason: String) {
            #expect(answer.status == 503)
            #expect(answer.text.contains(#""code":"server_is_overloaded""#), "\(answer.text)")
            #expect(answer["x-penstock-dropped-reason"] == reason)
            #expect(answer["x-llm-d-request-dropped-reason"] == reason)
            #expect(answer["retry-after"].flatMap { Int($0) }.map { (1...60).contains($0) } == true)
        }

        @Test("who finds the queue full is told so, and when to come back")
        func full() async throws {
            let gate = Gate()
            let engine = try FakeUpstream(gate.script)
            let text = Queues.plan([engine], "concurrency: {perEndpoint: 1}, queue: {maxRequests: 2}")
            let lines = try await withGateway(text, upstreams: [engine]) { gateway in
                let client = try HTTP2Client(port: gateway.port)
                try await Queues.post(client, [("1", []), ("2", []), ("3", [])])
                try await gate.reached.happened()
                // The client's address makes all of them one tenant's, so none is displaced.
                let answer = try await gateway.post("/v1/embeddings", Queues.body("4"))
                Queues.expectRejected(answer, "rejected-saturated")
                let scrape = try await gateway.metrics()
                #expect(scrape.sum("penstock_queue_rejections_total") == 1)
                for _ in 1...3 { gate.go.raise() }
                #expect(try await client.answers(3).map(\.status) == Array(repeating: 200, count: 3))
                #expect(engine.requestCount == 3)
                try await gateway.expectSettled()
            }
            let line = try #require(lines.exchanges.first { $0.contains(#""status":503"#) })
            #expect(line.contains("QF") && line.contains(#""dropped_reason":"rejected-saturated""#))
            #expect(line.contains(#""attempts":0"#))
        }

        @Test("a batch is shed while an alert finds room; what waits gives way to the more urgent")
        func shedding() async throws {
            let gate = Gate()
            let engine = try FakeUpstream(gate.script)
            let text = Queues.plan([engine], "concurrency: {perEndpoint: 1}, queue: {maxRequests: 4}")
            try await withGateway(text, upstreams: [engine]) { gateway in
                let client = try HTTP2Client(port: gateway.port)
                let batches = try HTTP2Client(port: gateway.port)
                let batch = [("x-penstock-priority", "-1")]
                try await Queues.post(client, [("first", [])])
                try await gate.reached.happened()
                try await Queues.post(batches, [("batch-1", batch), ("batch-2", batch)])
                // Half of the queue is all that negative priorities get.
                let fields = ["content-type: application/json", "x-penstock-priority: -1"]
                let third = try await gateway.post("/v1/embeddings", Queues.body("batch-3"), fields)
                Queues.expectRejected(third, "rejected-saturated")
                try await Queues.post(client, (1...3).map { ("alert-\($0)", []) })
                for _ in 1...5 { gate.go.raise() }
                #expect(try await client.answers(4).map(\.status) == [200, 200, 200, 200])
                let answers = try await batches.answers(2)
                #expect(answers[0].text.contains("server_is_overloaded") && answers[1].status == 200)
                let order = ["first", "alert-1", "alert-2", "alert-3", "batch-1"]
                #expect(engine.requests.map(\.text) == order.map { Queues.body($0) })
                try await gateway.expectSettled()
            }
        }

        @Test("tenants take turns: one with many waiting does not hold up one with few")
        func fairness() async throws {
            let gate = Gate()
            let engine = try FakeUpstream(gate.script)
            try await withGateway(Queues.plan([engine], "concurrency: {perEndpoint: 1}"), upstreams: [engine]) {
                gateway in
                let client = try HTTP2Client(port: gateway.port)
                try await Queues.post(client, [("first", [])])
                try await gate.reached.happened()
                let abuser = (1...20).map { ("a\($0)", [("x-penstock-tenant", "abuser")]) }
                let other = (1...3).map { ("b\($0)", [("x-llm-d-inference-fairness-id", "other")]) }
                try await Queues.post(client, abuser)
                try await Queues.post(client, other)
                for _ in 1...24 { gate.go.raise() }
                #expect(try await client.answers(24).map(\.status) == Array(repeating: 200, count: 24))
                let order = engine.requests.map(\.text)
                let last = try #require(order.firstIndex(of: Queues.body("b3")))
                #expect(last <= 8, "\(order)")
                try await gateway.expectSettled()
            }
        }

        @Test("who waits for too long is told so")
        func timeout() async throws {
            let gate = Gate()
            let engine = try FakeUpstream(gate.script)
            let text = Queues.plan([engine], "concurrency: {perEndpoint: 1}, queue: {timeout: 50ms}")
            try await withGateway(text, upstreams: [engine]) { gateway in
                let client = try HTTP2Client(port: gateway.port)
                try await Queues.post(client, [("1", [])])
                try await gate.reached.happened()
                let answer = try await gateway.post("/v1/embeddings", Queues.body("2"))
                Queues.expectRejected(answer, "rejected-ttl-expired")
                gate.go.raise()
                #expect(try await client.answers(1).map(\.status) == [200])
                #expect(engine.requestCount == 1)
                let scrape = try await gateway.metrics()
                #expect(scrape.sum("penstock_queue_rejections_total") == 1)
                try await gateway.expectSettled()
            }
        }

        @Test("a tier that is busy is waited for; the next serves when it stays so")
        func busyTier() async throws {
            let gate = Gate()
            let (engine, spare) = (try FakeUpstream(gate.script), try FakeUpstream())
            var plan = Plan()
            plan.pool("a", [engine], "concurrency: {perEndpoint: 1}, queue: {timeout: 50ms}")
            plan.pool("b", [spare])
            plan.model("m", "tiers: [a, b]")
            try await withGateway(plan.text, upstreams: [engine, spare]) { gateway in
                let client = try HTTP2Client(port: gateway.port)
                try await Queues.post(client, [("1", [])])
                try await gate.reached.happened()
                expectStatus(200, from: try await gateway.post("/v1/embeddings", Queues.body("2")))
                #expect(spare.requestCount == 1)
                gate.go.raise()
                #expect(try await client.answers(1).map(\.status) == [200])
                try await gateway.expectSettled()
            }
        }

        @Test("a client that leaves the queue leaves no trace there, and nothing is sent for it")
        func leaving() async throws {
            let gate = Gate()
            let engine = try FakeUpstream(gate.script)
            let lines = try await withGateway(
                Queues.plan([engine], "concurrency: {perEndpoint: 1}, queue: {maxRequests: 1}"), upstreams: [engine]
            ) { gateway in
                let client = try HTTP2Client(port: gateway.port)
                try client.post("/v1/embeddings", Queues.body("1"))
                try await gate.reached.happened()
                for number in 2...20 {
                    let stream = try client.post("/v1/embeddings", Queues.body("gone-\(number)"))
                    try client.reset(stream)
                }
                // The queue has room for one alone: the places of all that left are free.
                try await Queues.post(client, [("last", [])])
                for _ in 1...2 { gate.go.raise() }
                #expect(try await client.answers(2).map(\.status) == [200, 200])
                #expect(engine.requests.map(\.text) == [Queues.body("1"), Queues.body("last")])
                let scrape = try await gateway.metrics()
                #expect(scrape.sum("penstock_client_aborts_total") == 19)
                #expect(scrape.sum("penstock_queue_rejections_total") == 0)
                try await gateway.expectSettled()
            }
            #expect(lines.exchanges.filter { $0.contains(#""status":499"#) && $0.contains("CC") }.count == 19)
        }

        @Test("a client's deadline ends the wait")
        func deadline() async throws {
            let gate = Gate()
            let engine = try FakeUpstream(gate.script)
            try await withGateway(Queues.plan([engine], "concurrency: {perEndpoint: 1}"), upstreams: [engine]) {
                gateway in
                let client = try HTTP2Client(port: gateway.port)
                try await Queues.post(client, [("1", [])])
                try await gate.reached.happened()
                let fields = ["content-type: application/json", "x-penstock-timeout: 0.05"]
                let answer = try await gateway.post("/v1/embeddings", Queues.body("2"), fields)
                Queues.expectRejected(answer, "rejected-ttl-expired")
                gate.go.raise()
                #expect(try await client.answers(1).map(\.status) == [200])
                #expect(engine.requestCount == 1)
                try await gateway.expectSettled()
            }
        }

        @Test("several reactors share the queue: who comes free on one serves who waits on another")
        func reactors() async throws {
            let engine = try FakeUpstream()
            let text = Queues.plan([engine], "concurrency: {perEndpoint: 1}")
            try await withGateway(text, upstreams: [engine], reactors: 2) { gateway in
                let clients = try (1...16).map { _ in try gateway.client() }
                for _ in 1...5 {
                    for client in clients {
                        try await client.send("POST", "/v1/embeddings", body: Array(Queues.body("x").utf8))
                    }
                    for client in clients { #expect(try await client.response().status == 200) }
                }
                #expect(engine.requestCount == 80)
                #expect(engine.connectionCount <= 2)
                try await gateway.expectSettled()
            }
        }

        @Test("who waits when the configuration changes is served by what it says then")
        func reload() async throws {
            let gate = Gate()
            let (engine, other) = (try FakeUpstream(gate.script), try FakeUpstream())
            let text = Queues.plan([engine], "concurrency: {perEndpoint: 1}")
            try await withGateway(text, upstreams: [engine, other]) { gateway in
                let client = try HTTP2Client(port: gateway.port)
                try await Queues.post(client, [("1", []), ("2", []), ("3", [])])
                try await gate.reached.happened()
                try await gateway.apply(Queues.plan([other], "concurrency: {perEndpoint: 1}"))
                let answers = try await client.answers(2)
                #expect(answers.map(\.status) == [200, 200])
                #expect(other.requestCount == 2)
                gate.go.raise()
                #expect(try await client.answers(1).map(\.status) == [200])
                try await gateway.expectSettled()
            }
        }
    }
}
