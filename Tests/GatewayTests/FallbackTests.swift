import Testing

extension GatewayTests {
    /// Other models that take over.
    @Suite struct Fallbacks {
        /// Why a model cannot answer.
        enum Cause: String, CaseIterable, Sendable {
            case contextLength, contentPolicy, overload

            var label: String {
                switch self {
                case .contextLength: "context_length"
                case .contentPolicy: "content_policy"
                case .overload: "overload"
                }
            }

            func refuse(_ exchange: UpstreamExchange) throws {
                switch self {
                case .contextLength:
                    try Engines.refuse(
                        exchange, 400, code: "context_length_exceeded",
                        message: "This model's maximum context length is 10 tokens.")
                case .contentPolicy:
                    try Engines.refuse(exchange, 400, code: "content_policy_violation", message: "not allowed")
                case .overload: try Engines.refuse(exchange, 503, ["retry-after: 30"])
                }
            }
        }

        private static let fields = ["content-type: application/json", "x-penstock-trace: 1"]

        @Test("another model answers, whose name its engine sees", arguments: Cause.allCases, [false, true])
        func takesOver(_ cause: Cause, _ isStream: Bool) async throws {
            let small = try FakeUpstream { try cause.refuse($0) }
            let big = try FakeUpstream { try Engines.answer($0) }
            var plan = Plan()
            plan.pool("small", [small])
            plan.pool("big", [big])
            plan.model("m", "pool: small, fallbacks: {\(cause.rawValue): other}")
            plan.model("other", "pool: big")
            let lines = try await withGateway(plan.text, upstreams: [small, big]) { gateway in
                for _ in 1...10 {
                    let body = isStream ? Streams.request : #"{"model":"m"}"#
                    let answer = try await gateway.post("/v1/chat/completions", body, Fallbacks.fields)
                    #expect(answer.status == 200 && answer.text.contains("hi"))
                    #expect(answer["x-penstock-fallback"] == cause.label)
                    #expect(answer["x-penstock-endpoint"] == big.name)
                    #expect(answer["retry-after"] == nil)
                }
                #expect(big.requests.allSatisfy { $0.text.contains(#""model":"other""#) })
                // What says that it is full is left alone for a while.
                #expect(small.requestCount == (cause == .overload ? 1 : 10))
                let scrape = try await gateway.metrics()
                #expect(scrape.sum("penstock_fallbacks_total", "reason=\"\(cause.label)\"", #"model="m""#) == 10)
                #expect(scrape.sum("penstock_requests_total", #"model="other""#, #"code="200""#) == 10)
                #expect(scrape.sum("penstock_requests_total") == 10)
                #expect(scrape.retries == 0)
                try await gateway.expectSettled()
            }
            let line = try #require(lines.exchanges.first)
            #expect(line.contains(#""model_requested":"m""#) && line.contains(#""model_served":"other""#))
            #expect(line.contains("FB") && line.contains(#""fallback":"\#(cause.label)""#))
        }

        @Test("a model whose engines are all away is an overload, too")
        func unreachable() async throws {
            let port = try Engines.closedPort()
            let other = try FakeUpstream()
            var plan = Plan()
            plan.pool("p", [], others: ["http://127.0.0.1:\(port)"])
            plan.pool("q", [other])
            plan.model("m", "pool: p, fallbacks: {overload: other}")
            plan.model("other", "pool: q")
            try await withGateway(plan.text, upstreams: [other]) { gateway in
                for _ in 1...10 {
                    expectStatus(200, from: try await gateway.post("/v1/embeddings", #"{"model":"m"}"#))
                }
                #expect(other.requestCount == 10)
                try await gateway.expectSettled()
            }
        }

        @Test("one cause does not lead to the fallback of another", arguments: Cause.allCases)
        func otherCause(_ cause: Cause) async throws {
            let engine = try FakeUpstream { try cause.refuse($0) }
            let other = try FakeUpstream()
            var plan = Plan()
            plan.pool("p", [engine])
            plan.pool("q", [other])
            let named = Cause.allCases.filter { $0 != cause }.map { "\($0.rawValue): other" }
            plan.model("m", "pool: p, fallbacks: {\(named.joined(separator: ", "))}")
            plan.model("other", "pool: q")
            try await withGateway(plan.text, upstreams: [engine, other]) { gateway in
                let answer = try await gateway.post("/v1/embeddings", #"{"model":"m"}"#)
                #expect(answer.status == (cause == .overload ? 503 : 400))
                #expect(other.requestCount == 0)
            }
        }

        @Test("five models take over at most, each once; then the client is told")
        func depth() async throws {
            let names = (0...7).map { "m\($0)" }
            let engine = try FakeUpstream { try Cause.contextLength.refuse($0) }
            var plan = Plan()
            plan.pool("p", [engine])
            for (index, name) in names.enumerated() {
                let next = index < 7 ? ", fallbacks: {contextLength: \(names[index + 1])}" : ""
                plan.model(name, "pool: p\(next)")
            }
            try await withGateway(plan.text, upstreams: [engine]) { gateway in
                let answer = try await gateway.post("/v1/embeddings", #"{"model":"m0"}"#)
                #expect(answer.status == 400)
                #expect(answer.text.contains("context_length_exceeded"))
                #expect(engine.requests.map(\.text) == names.prefix(6).map { #"{"model":"\#($0)"}"# })
                try await gateway.expectSettled()
            }
        }

        @Test("models that name each other are each asked once")
        func circle() async throws {
            let engine = try FakeUpstream { try Cause.contextLength.refuse($0) }
            var plan = Plan()
            plan.pool("p", [engine])
            plan.model("a", "pool: p, fallbacks: {contextLength: [b, c]}")
            plan.model("b", "pool: p, fallbacks: {contextLength: [a, c]}")
            plan.model("c", "pool: p, fallbacks: {contextLength: a}")
            try await withGateway(plan.text, upstreams: [engine]) { gateway in
                expectStatus(400, from: try await gateway.post("/v1/embeddings", #"{"model":"a"}"#))
                let asked = engine.requests.map(\.text)
                #expect(asked == ["a", "b", "c"].map { #"{"model":"\#($0)"}"# })
            }
        }

        @Test("the same pool under another name does not count as tried: its endpoints are asked again")
        func samePool() async throws {
            let engine = try FakeUpstream { exchange in
                if exchange.request.text.contains("small") { return try Cause.contextLength.refuse(exchange) }
                try Engines.answer(exchange)
            }
            var plan = Plan()
            plan.pool("p", [engine])
            plan.model("small", "pool: p, fallbacks: {contextLength: big}")
            plan.model("big", "pool: p")
            try await withGateway(plan.text, upstreams: [engine]) { gateway in
                expectStatus(200, from: try await gateway.post("/v1/embeddings", #"{"model":"small"}"#))
                #expect(engine.requestCount == 2)
                try await gateway.expectSettled()
            }
        }

        @Test("when the other model fails as well, its attempts are its own and the client gets the last error")
        func bothFail() async throws {
            let first = try FakeUpstream { try Cause.contextLength.refuse($0) }
            let second = try FakeUpstream { try Engines.refuse($0, 500) }
            var plan = Plan()
            plan.pool("p", [first])
            plan.pool("q", [second], "retries: {attempts: 3}")
            plan.model("m", "pool: p, fallbacks: {contextLength: n}")
            plan.model("n", "pool: q")
            try await withGateway(plan.text, upstreams: [first, second]) { gateway in
                expectStatus(500, from: try await gateway.post("/v1/embeddings", #"{"model":"m"}"#))
                #expect(first.requestCount == 1 && second.requestCount == 3)
                try await gateway.expectSettled()
            }
        }
    }
}
