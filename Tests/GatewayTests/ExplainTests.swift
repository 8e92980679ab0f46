import Config
import Health
import Testing

@testable import Gateway

extension GatewayTests {
    /// `POST /admin/v1/explain`, `GET /admin/v1/endpoints`, and the gauges of pools.
    @Suite struct Explaining {
        private static let models = """
            models:
              - name: a
                aliases: [alias]
                tiers:
                  - pools: [{pool: p, weight: 95}, {pool: q, weight: 5, upstreamModel: canary}]
                  - r
                routes:
                  - {name: batch, match: {headers: {x-job: "batch*"}, tags: [eu]}, tiers: [r], priority: -10}
                fallbacks: {overload: other}
              - {name: other, pool: q}
              - {name: "wild-*", pool: r}
            providers: [{name: default, apiKey: key-canary, headers: {x-secret: header-canary}}]
            pools:
              - {name: p, endpoints: ["http://127.0.0.1:1", "http://127.0.0.1:2"]}
              - {name: q, endpoints: ["http://127.0.0.1:3"], timeouts: {request: 90s, firstToken: 5s}}
              - {name: r, endpoints: ["http://127.0.0.1:4"], concurrency: {pool: 3}}
            """

        private static func explain(_ question: ExplainQuestion, _ text: String = models) throws -> String {
            let configuration = try RunningGateway.configuration(RunningGateway.preamble + text)
            return try Gateway.explain(question, with: configuration, asText: false)
        }

        private static func question(_ model: String, seed: Int = 0) -> ExplainQuestion {
            var question = ExplainQuestion()
            (question.model, question.seed) = (model, seed)
            return question
        }

        struct Mistake: Sendable, CustomTestStringConvertible {
            let body: String
            var status = 400
            let says: String
            var testDescription: String { "\(body.prefix(60))" }
        }

        @Test(
            "a question that cannot be answered is refused in the API's shape",
            arguments: [
                Mistake(body: "", says: "JSON"), Mistake(body: "{", says: "JSON"), Mistake(body: "[]", says: "object"),
                Mistake(body: "{}", says: "model"), Mistake(body: #"{"model":7}"#, says: "'model' must be a string"),
                Mistake(body: #"{"model":""}"#, says: "'model' must be a string"),
                Mistake(body: #"{"modle":"a"}"#, says: "Unknown member 'modle'"),
                Mistake(body: #"{"model":"a","model":"b"}"#, says: "stands twice"),
                Mistake(body: #"{"model":"a","headers":["x"]}"#, says: "'headers' must be an object"),
                Mistake(body: #"{"model":"a","headers":{"x":1}}"#, says: "header 'x' must be a string"),
                Mistake(body: #"{"model":"a","headers":{"x y":"1"}}"#, says: "no header field"),
                Mistake(body: #"{"model":"a","headers":{"x":"1\r\ny: 2"}}"#, says: "no header field"),
                Mistake(body: #"{"model":"a","session":"a\nb"}"#, says: "'session'"),
                Mistake(body: #"{"model":"a","body":[]}"#, says: "'body' must be an object"),
                Mistake(body: #"{"body":{"model":"a","stream":"yes"}}"#, says: "stream"),
                Mistake(body: #"{"model":"a","seed":-1}"#, says: "'seed'"),
                Mistake(body: #"{"model":"a","path":"v1"}"#, says: "begin with"),
                Mistake(body: #"{"model":"a","path":"/v1/models"}"#, says: "answered by the gateway itself"),
                Mistake(body: #"{"model":"a","path":"/nowhere"}"#, status: 404, says: "/nowhere"),
                Mistake(body: #"{"model":"othr"}"#, status: 404, says: "Did you mean 'other'?"),
            ])
        func mistakes(_ row: Mistake) async throws {
            try await withGateway(Explaining.models) { gateway in
                let answer = try await gateway.admin().post("/admin/v1/explain", row.body)
                #expect(answer.status == row.status)
                #expect(answer["content-type"] == "application/json")
                #expect(
                    answer.text.hasPrefix(#"{"error":{"message":""#) && answer.text.contains(row.says), "\(answer.text)"
                )
                #expect(errorMessage(inAnswer: answer.body)?.contains(row.says) == true)
            }
        }

        @Test("each path takes its method, and a body of a megabyte at most")
        func methods() async throws {
            try await withGateway(Explaining.models) { gateway in
                let client = try gateway.admin()
                let get = try await client.get("/admin/v1/explain")
                #expect(get.status == 405 && get["allow"] == "POST")
                let post = try await client.post("/admin/v1/endpoints", "{}")
                #expect(post.status == 405 && post["allow"] == "GET, HEAD")
                #expect(try await client.get("/admin/v1/other").status == 404)
                let large = #"{"model":"a","body":{"x":""# + String(repeating: "x", count: 1 << 20) + #""}}"#
                #expect(try await client.post("/admin/v1/explain", large).status == 413)
                // Nothing of it is left for the next.
                #expect(try await client.post("/admin/v1/explain", #"{"model":"a"}"#).status == 200)
                #expect(try await gateway.get("/admin/v1/endpoints").status == 404, "not for clients")
            }
        }

        @Test("JSON unless a table is asked for")
        func formats() async throws {
            try await withGateway(Explaining.models) { gateway in
                let client = try gateway.admin()
                let question = #"{"model":"a","seed":1}"#
                let json = try await client.post("/admin/v1/explain", question)
                #expect(json["content-type"] == "application/json" && json.text.hasPrefix(#"{"model":"a""#))
                let accepted = try await client.post("/admin/v1/explain", question, ["accept: text/plain"])
                #expect(accepted["content-type"] == "text/plain; charset=utf-8")
                #expect(accepted.text.hasPrefix("now: "))
                let asked = try await client.post("/admin/v1/explain?format=text", question)
                #expect(asked.text.hasPrefix("now: "))
                let other = try await client.post("/admin/v1/explain?format=json", question, ["accept: text/plain"])
                #expect(other.text.hasPrefix("{"))
                #expect(try await client.get("/admin/v1/endpoints?format=text").text.hasPrefix("pool p: 0 running"))
            }
        }

        @Test("route, tiers, model names, priority, deadlines and fallbacks are told")
        func whole() throws {
            var question = Explaining.question("alias")
            question.headers = [
                ExplainQuestion.Field(name: "X-Job", value: "batch-7"),
                ExplainQuestion.Field(name: "x-penstock-tags", value: "us, eu"),
                ExplainQuestion.Field(name: "x-penstock-priority", value: "5"),
                ExplainQuestion.Field(name: "x-request-timeout", value: "1.5"),
            ]
            question.body = Array(#"{"model":"ignored","stream":true,"user":"u"}"#.utf8)
            let batch = try Explaining.explain(question)
            for part in [
                #""model":"a","requested_model":"alias","priority":-10"#,
                #"{"name":"batch","chosen":true,"reason":"all conditions hold"}"#, #"{"name":"","chosen":false"#,
                #""fallbacks":{"overload":["other"]}"#, #""operation":"chat_completions","stream":true"#,
                #""session":"body","tenant":"address","tags":["us","eu"],"client_timeout_seconds":1.5"#,
                #""draw":"session""#, #""next":{"action":"send","pool":"r","endpoint":"http://127.0.0.1:4","#,
                #""upstream_model":"a"}"#, #""limit":3"#,
            ] { #expect(batch.contains(part), "\(part) in \(batch)") }
            #expect(!batch.contains(#""pool":"p""#))
            let own = try Explaining.explain(Explaining.question("a"))
            for part in [
                #"{"name":"batch","chosen":false,"reason":"header x-job is not batch*"}"#,
                #"{"name":"","chosen":true,"reason":"matches always"}"#, #""pool":"p","weight":95,"turn":"#,
                #""pool":"q","weight":5,"turn":"#, #""upstream_model":"canary""#, #""standing":"warming""#,
                #""first_token_seconds":5,"attempt_seconds":null,"request_seconds":90"#, #""retries":{"attempts":5"#,
                #""statuses":[408,429,500,502,503,504,529]"#,
            ] { #expect(own.contains(part), "\(part) in \(own)") }
            let wild = try Explaining.explain(Explaining.question("wild-x"))
            #expect(wild.contains(#""model":"wild-*","requested_model":"wild-x""#))
            #expect(wild.contains(#""upstream_model":"wild-x""#))
        }

        @Test("the model may stand in the body or the path")
        func modelElsewhere() throws {
            var question = ExplainQuestion()
            question.body = Array(#"{"model":"other"}"#.utf8)
            #expect(try Explaining.explain(question).contains(#""model":"other""#))
            question.path = "/openai/deployments/alias/embeddings?api-version=1"
            let answer = try Explaining.explain(question)
            #expect(answer.contains(#""requested_model":"alias""#) && answer.contains(#""operation":"embeddings""#))
        }

        @Test("draws go by the weights, and the same seed draws the same")
        func draws() throws {
            let configuration = try RunningGateway.configuration(RunningGateway.preamble + Explaining.models)
            var canary = 0
            for seed in 0..<400 {
                let question = Explaining.question("a", seed: seed)
                let text = try Gateway.explain(question, with: configuration, asText: false)
                #expect(try Gateway.explain(question, with: configuration, asText: false) == text)
                if text.contains(#""action":"send","pool":"q""#) { canary += 1 }
            }
            #expect((6...40).contains(canary), "5 % of 400")
        }

        /// A configuration that does not run, after `mishap`.
        private static func next(
            _ settings: String, fallbacks: String = "", after mishap: (GatewayState) -> Void
        ) throws -> NextStep {
            let now: Int64 = 1_000_000_000
            let text = """
                models: [{name: m, pool: p\(fallbacks)}, {name: n, pool: q}]
                pools:
                  - {name: p, endpoints: ["http://h:1"], \(settings)}
                  - {name: q, endpoints: ["http://h:2"]}
                """
            let configuration = try RunningGateway.configuration(RunningGateway.preamble + text)
            let state = try GatewayState.make(
                configuration, discovered: [:], previous: nil, generation: 1, created: 0, at: now)
            state.takeForce()
            mishap(state)
            return try RequestExplanation(Explaining.question("m"), in: state, seed: 0, at: now + 1).next
        }

        private static func breakFirst(_ state: GatewayState) {
            let record = state.members[0].record
            _ = record.release(record.claimAnyway(at: 1_000_000_000), .connectFailed, at: 1_000_000_000)
        }

        @Test("what would be done where nothing can be had at once")
        func recourses() throws {
            let soon = try Explaining.next("ejection: {connectFailures: 1, duration: 1s}", after: Explaining.breakFirst)
            guard case .hold("p", let nanos) = soon else { throw SocketError.ended }
            #expect((500_000_000...1_500_000_000).contains(nanos), "back in a second, with jitter")
            let late = "ejection: {connectFailures: 1, duration: 60s}"
            #expect(
                try Explaining.next(late, after: Explaining.breakFirst)
                    == .lastResort(pool: "p", endpoint: "http://h:1", model: "m"))
            let full = "concurrency: {pool: 1}, queue: {maxRequests: 1, maxBytes: 1MiB}"
            #expect(try Explaining.next(full) { _ = $0.loads[0].enter() } == .queue(pool: "p", waiting: 0))
            let drained: (GatewayState) -> Void = { $0.members[0].record.drain(at: 1_000_000_000) }
            #expect(try Explaining.next("", after: drained) == .reject(status: 503, code: "no_healthy_backend"))
            #expect(
                try Explaining.next("", fallbacks: ", fallbacks: {overload: n}", after: drained)
                    == .fallback(model: "n"))
        }

        @Test("a question survives its way over the wire")
        func wire() throws {
            var question = Explaining.question("a\"b", seed: 7)
            question.headers = [ExplainQuestion.Field(name: "x", value: "é\\")]
            question.session = "s"
            question.body = Array(#"{"model":"m"}"#.utf8)
            let read = try ExplainQuestion(parsing: question.json.span)
            #expect(read == question)
        }

        @Test("what is said is what is done: sessions go where the explanation says")
        func agrees() async throws {
            let upstreams = try (0..<4).map { _ in try FakeUpstream() }
            let text = """
                models: [{name: m, tiers: [{pools: [{pool: p, weight: 2}, {pool: q, weight: 1}]}]}]
                pools:
                  - {name: p, affinity: session, slowStart: off, endpoints: ["\(upstreams[0].url)", "\(upstreams[1].url)"]}
                  - {name: q, affinity: session, slowStart: off, endpoints: ["\(upstreams[2].url)", "\(upstreams[3].url)"]}
                """
            try await withGateway(text, upstreams: upstreams) { gateway in
                let (client, admin) = (try gateway.client(), try gateway.admin())
                var reached = Set<Int>()
                for number in 0..<40 {
                    let answer = try await admin.post("/admin/v1/explain", #"{"model":"m","session":"s\#(number)"}"#)
                    let before = upstreams.map(\.requests.count)
                    let fields = ["content-type: application/json", "x-session-id: s\(number)"]
                    #expect(try await client.post("/v1/chat/completions", #"{"model":"m"}"#, fields).status == 200)
                    let index = try #require(upstreams.indices.first { upstreams[$0].requests.count > before[$0] })
                    #expect(answer.text.contains(#""endpoint":"\#(upstreams[index].url)","upstream_model":"m"}"#))
                    reached.insert(index)
                }
                #expect(reached.count == 4)
            }
        }

        @Test("a busy pool queues; nothing is claimed by asking, and the gauges show what runs")
        func busy() async throws {
            let (reached, go) = (Signal(), Signal())
            let upstream = try FakeUpstream { exchange in
                reached.raise()
                try go.wait()
                try exchange.answer()
            }
            let text = """
                models: [{name: m, pool: p}]
                pools: [{name: p, endpoints: ["\(upstream.url)"], concurrency: {perEndpoint: 1}}]
                """
            try await withGateway(text, upstreams: [upstream]) { gateway in
                let (client, admin) = (try gateway.client(), try gateway.admin())
                try await client.send("POST", "/v1/embeddings", body: Array(#"{"model":"m"}"#.utf8))
                try await reached.happened()
                for _ in 0..<20 {
                    let answer = try await admin.post("/admin/v1/explain", #"{"model":"m"}"#)
                    #expect(answer.text.contains(#""next":{"action":"queue","pool":"p","waiting":0}"#))
                    #expect(answer.text.contains(#""verdict":"at its limit","score":null,"rank":null,"in_flight":1"#))
                }
                let waiting = try gateway.client()
                try await waiting.send("POST", "/v1/embeddings", body: Array(#"{"model":"m"}"#.utf8))
                var scrape = try await gateway.metrics()
                while scrape.sum("penstock_queue_length", #"band="normal""#) == 0 {
                    scrape = try await gateway.metrics()
                }
                let endpoint = #"endpoint="127.0.0.1:\#(upstream.port)""#
                #expect(scrape.sum("penstock_endpoint_in_flight", #"pool="p""#, endpoint) == 1)
                #expect(scrape.sum("penstock_concurrency_limit", endpoint) == 1)
                #expect(scrape.sum("penstock_queue_bytes", #"pool="p""#) == 13)
                #expect(scrape.sum("penstock_endpoint_up", endpoint) == 1)
                let answer = try await admin.post("/admin/v1/explain", #"{"model":"m"}"#)
                #expect(answer.text.contains(#""action":"queue","pool":"p","waiting":1"#))
                #expect(answer.text.contains(#""bands":[{"priority":0,"requests":1,"bytes":13,"tenants":1,"#))
                go.raise()
                go.raise()
                for one in [client, waiting] { #expect(try await one.response().status == 200) }
                let after = try await gateway.metrics()
                #expect(after.sum("penstock_endpoint_in_flight") == 0 && after.sum("penstock_queue_length") == 0)
                #expect(after.sum("penstock_endpoint_standing", #"standing="ready""#) == 1)
            }
        }

        @Test("an endpoint that is down is told of, with the way round it; reloads move the gauges")
        func down() async throws {
            let upstream = try FakeUpstream()
            let text = """
                models: [{name: m, tiers: [bad, good]}, {name: alone, pool: bad, fallbacks: {overload: m}}]
                pools:
                  - {name: bad, endpoints: ["http://127.0.0.1:1"], ejection: {connectFailures: 1, duration: 60s}}
                  - {name: good, endpoints: ["\(upstream.url)"]}
                """
            try await withGateway(text, upstreams: [upstream]) { gateway in
                let (client, admin) = (try gateway.client(), try gateway.admin())
                #expect(try await client.post("/v1/embeddings", #"{"model":"m"}"#).status == 200)
                let answer = try await admin.post("/admin/v1/explain", #"{"model":"m"}"#)
                #expect(answer.text.contains(#""standing":"unreachable","verdict":"unreachable""#))
                #expect(answer.text.contains(#""next":{"action":"send","pool":"good""#))
                let alone = try await admin.post("/admin/v1/explain", #"{"model":"alone"}"#)
                #expect(alone.text.contains(#""next":{"action":"last_resort","pool":"bad""#))
                let endpoints = try await admin.get("/admin/v1/endpoints").text
                #expect(endpoints.contains(#""standing":"unreachable""#) && endpoints.contains(#""ejections":1"#))
                let scrape = try await gateway.metrics()
                #expect(scrape.sum("penstock_endpoint_up", #"pool="bad""#) == 0)
                #expect(scrape.sum("penstock_endpoint_standing", #"standing="unreachable""#) == 1)
                #expect(scrape.sum("penstock_pool_endpoints_ready", #"pool="good""#) == 1)
                try await gateway.apply("models: [{name: m, endpoints: [\"\(upstream.url)\"]}]")
                let after = try await gateway.metrics()
                #expect(!after.text.contains(#"pool="bad""#) && !after.text.contains(#"pool="good""#))
                #expect(after.sum("penstock_endpoint_up", #"pool="m""#) == 1)
                #expect(try await admin.post("/admin/v1/explain", #"{"model":"alone"}"#).status == 404)
            }
        }

        @Test("no secret of the configuration is told")
        func secrets() async throws {
            try await withGateway(Explaining.models) { gateway in
                let admin = try gateway.admin()
                let question =
                    #"{"model":"a","headers":{"authorization":"Bearer key-canary"},"body":{"user":"u-canary"}}"#
                let answers = [
                    try await admin.get("/admin/v1/endpoints").text,
                    try await admin.get("/admin/v1/endpoints?format=text").text,
                    try await admin.post("/admin/v1/explain", question).text,
                    try await admin.post("/admin/v1/explain?format=text", question).text,
                ]
                for answer in answers { #expect(!answer.contains("key-canary") && !answer.contains("header-canary")) }
                for answer in answers { #expect(!answer.contains("u-canary")) }
                #expect(answers[2].contains(#""tenant":"credential""#))
            }
        }
    }
}
