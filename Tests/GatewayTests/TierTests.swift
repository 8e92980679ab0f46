import Testing

extension GatewayTests {
    /// Where requests go: tiers, targets by weight, routes, the default model.
    @Suite struct Tiers {
        private static let good: FakeUpstream.Script = { try Engines.answer($0) }
        private static let bad: FakeUpstream.Script = { try Engines.refuse($0, 500) }
        private static let request = #"{"model":"m"}"#

        @Test("the next tier serves what the first cannot, under the name each target has for the model")
        func nextTier() async throws {
            let engines = try [FakeUpstream(Tiers.bad), FakeUpstream(Tiers.bad), FakeUpstream(Tiers.good)]
            var plan = Plan()
            plan.pool("a", Array(engines[...1]), Engines.turns)
            plan.pool("b", [engines[2]])
            plan.model("m", "tiers: [{pool: a, upstreamModel: one}, {pool: b, upstreamModel: other}]")
            let lines = try await withGateway(plan.text, upstreams: engines) { gateway in
                let fields = ["content-type: application/json", "x-penstock-trace: 1"]
                for _ in 1...5 {
                    let answer = try await gateway.post("/v1/chat/completions", Tiers.request, fields)
                    #expect(answer.status == 200)
                    #expect(answer["x-penstock-attempts"] == "3")
                    #expect(answer["x-penstock-endpoint"] == engines[2].name)
                    #expect(answer["x-penstock-fallback"] == nil)
                }
                #expect(engines.map(\.requestCount) == [5, 5, 5])
                #expect(engines[...1].allSatisfy { $0.requests.allSatisfy { $0.text == #"{"model":"one"}"# } })
                #expect(engines[2].requests.allSatisfy { $0.text == #"{"model":"other"}"# })
                let scrape = try await gateway.metrics()
                #expect(scrape.sum("penstock_requests_total", #"pool="b""#, #"code="200""#) == 5)
                #expect(scrape.sum("penstock_requests_total") == 5)
                try await gateway.expectSettled()
            }
            #expect(lines.exchanges.allSatisfy { $0.contains(#""tier":1"#) && $0.contains(#""pool":"b""#) })
        }

        @Test("a tier whose endpoints cannot be reached costs no more than the attempts")
        func unreachableTier() async throws {
            let port = try Engines.closedPort()
            let engine = try FakeUpstream(Tiers.good)
            var plan = Plan()
            plan.pool("a", [], others: ["http://127.0.0.1:\(port)"])
            plan.pool("b", [engine])
            plan.model("m", "tiers: [a, b]")
            try await withGateway(plan.text, upstreams: [engine]) { gateway in
                for _ in 1...20 {
                    expectStatus(200, from: try await gateway.post("/v1/chat/completions", Tiers.request))
                }
                let scrape = try await gateway.metrics()
                #expect(scrape.attempts("ok") == 20)
                #expect(scrape.attempts("connect_failed") <= 3)
            }
        }

        @Test("a target of weight 0 serves only when the others cannot")
        func spare() async throws {
            let isDown = SharedCount()
            let first = try FakeUpstream { exchange in
                if isDown.value > 0 { throw SocketError.ended }
                try Engines.answer(exchange)
            }
            let spare = try FakeUpstream(Tiers.good)
            var plan = Plan()
            plan.pool("a", [first])
            plan.pool("b", [spare])
            plan.model("m", "tiers: [{pools: [{pool: b, weight: 0}, {pool: a, weight: 1}]}]")
            try await withGateway(plan.text, upstreams: [first, spare]) { gateway in
                for _ in 1...20 {
                    expectStatus(200, from: try await gateway.post("/v1/chat/completions", Tiers.request))
                }
                #expect(spare.requestCount == 0)
                isDown.add(1)
                for _ in 1...20 {
                    expectStatus(200, from: try await gateway.post("/v1/chat/completions", Tiers.request))
                }
                #expect(spare.requestCount == 20)
            }
        }

        @Test("a session stays with its target, however it names itself; the sessions are spread by weight")
        func canary() async throws {
            let engines = try [FakeUpstream(Tiers.good), FakeUpstream(Tiers.good)]
            var plan = Plan()
            plan.pool("a", [engines[0]])
            plan.pool("b", [engines[1]])
            plan.model("m", "tiers: [{pools: [{pool: a, weight: 70}, {pool: b, weight: 30}]}]")
            try await withGateway(plan.text, upstreams: engines) { gateway in
                let client = try gateway.client()
                var atCanary = 0
                for session in 1...100 {
                    let before = engines[1].requestCount
                    for request in 1...3 {
                        let field = ["x-session-id", "x-claude-code-session-id", "x-smg-routing-key"][session % 3]
                        let body = session % 4 == 0 ? #"{"model":"m","user":"u\#(session)"}"# : Tiers.request
                        var fields = ["content-type: application/json", "x-request-id: \(session)-\(request)"]
                        if session % 4 != 0 { fields.append("\(field): s\(session)") }
                        expectStatus(200, from: try await client.post("/v1/chat/completions", body, fields))
                    }
                    let there = engines[1].requestCount - before
                    #expect(there == 0 || there == 3, "session \(session): \(there)")
                    atCanary += there == 3 ? 1 : 0
                }
                // Four standard deviations around 30.
                #expect((12...48).contains(atCanary), "\(atCanary)")
            }
        }

        struct Row: Sendable, CustomTestStringConvertible {
            let testDescription: String
            let fields: [String]
            let pool: Int
        }

        @Test(
            "the first route that matches decides",
            arguments: [
                Row(testDescription: "nothing", fields: [], pool: 0),
                Row(testDescription: "a header by prefix", fields: ["x-job: batch-7"], pool: 1),
                Row(testDescription: "a header with another value", fields: ["x-job: live"], pool: 0),
                Row(testDescription: "a tag", fields: ["x-penstock-tags: us, eu"], pool: 2),
                Row(testDescription: "a tag in the field of LiteLLM", fields: ["x-litellm-tags: eu"], pool: 2),
                Row(testDescription: "another tag", fields: ["x-penstock-tags: europe"], pool: 0),
                Row(testDescription: "both: the first", fields: ["x-penstock-tags: eu", "x-job: batch"], pool: 1),
                Row(testDescription: "one of two conditions", fields: ["x-a: 1"], pool: 0),
                Row(testDescription: "two conditions", fields: ["x-a: 1", "x-b: anything"], pool: 3),
            ])
        func routes(_ row: Row) async throws {
            let engines = try (0...3).map { _ in try FakeUpstream(Tiers.good) }
            var plan = Plan()
            for (index, engine) in engines.enumerated() { plan.pool("p\(index)", [engine]) }
            plan.model(
                "m",
                """
                tiers: [p0], routes: [{name: batch, match: {headers: {x-job: "batch*"}}, tiers: [p1]}, \
                {name: eu, match: {tags: [eu]}, tiers: [p2]}, \
                {name: both, match: {headers: {x-a: "1", x-b: "*"}}, tiers: [p3]}]
                """)
            let lines = try await withGateway(plan.text, upstreams: engines) { gateway in
                let fields = ["content-type: application/json"] + row.fields
                expectStatus(200, from: try await gateway.post("/v1/chat/completions", Tiers.request, fields))
                for (index, engine) in engines.enumerated() {
                    #expect(engine.requestCount == (index == row.pool ? 1 : 0), "\(index)")
                }
            }
            let name = ["", "batch", "eu", "both"][row.pool]
            #expect(lines.exchanges.first?.contains(#""route":"\#(name)""#) == (row.pool > 0))
        }

        @Test("names that no model matches go to the default model, which engines see; aliases likewise")
        func defaultModel() async throws {
            let engine = try FakeUpstream(Tiers.good)
            var plan = Plan()
            plan.pool("p", [engine])
            plan.model("m", "pool: p, aliases: [alias]")
            plan.model("n", "pool: p")
            plan.line("defaultModel: m")
            let lines = try await withGateway(plan.text, upstreams: [engine]) { gateway in
                for name in ["m", "alias", "unheard-of", "n"] {
                    let answer = try await gateway.post("/v1/chat/completions", #"{"model":"\#(name)"}"#)
                    #expect(answer.status == 200)
                }
                let names = [#"{"model":"m"}"#, #"{"model":"m"}"#, #"{"model":"m"}"#, #"{"model":"n"}"#]
                #expect(engine.requests.map(\.text) == names)
            }
            #expect(lines.exchanges.map { $0.contains(#""model_served":"m""#) } == [true, true, true, false])
            #expect(lines.exchanges[2].contains(#""model_requested":"unheard-of""#))
        }
    }
}
