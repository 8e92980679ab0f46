import Config
import Health
import OpenAI
import Testing
import Topology

@testable import Gateway

extension GatewayTests {
    /// Active probes, against engines that say how they are.
    @Suite struct Probes {
        private static func pool(_ engines: [ProbedEngine], _ health: String, name: String = "p") -> String {
            let urls = engines.map { "\"\($0.upstream.url)\"" }.joined(separator: ", ")
            return "{name: \(name), slowStart: off, endpoints: [\(urls)], health: {\(health)}}"
        }

        private static func text(
            _ engines: [ProbedEngine], _ health: String = "interval: 100ms", provider: String = ""
        ) -> String {
            """
            providers: [{name: default, \(provider)}]
            pools: [\(pool(engines, health))]
            models: [{name: m, pool: p}]
            """
        }

        private static func post(_ gateway: RunningGateway, _ model: String = "m") async throws -> Int {
            try await gateway.post("/v1/embeddings", #"{"model":"\#(model)"}"#).status
        }

        @Test("an engine that is not well gets no requests while another is, and gets them again when it is")
        func sick() async throws {
            let (well, sick) = (try ProbedEngine(), try ProbedEngine { $0.health = 500 })
            try await withGateway(Probes.text([well, sick]), upstreams: [well.upstream, sick.upstream]) { gateway in
                try await eventually { await gateway.standing(of: sick) == .unreachable }
                for _ in 1...20 { #expect(try await Probes.post(gateway) == 200) }
                #expect(sick.served == 0)
                #expect(well.served == 20)
                sick.set { $0.health = 200 }
                try await eventually { await gateway.standing(of: sick) == .ready }
                try await eventually { try await Probes.post(gateway) == 200 && sick.served > 0 }
                let scrape = try await gateway.metrics()
                #expect(scrape.sum("penstock_probes_total", #"pool="p""#, #"result="refused""#) > 0)
                #expect(scrape.sum("penstock_endpoint_ejections_total", #"reason="probe""#) == 1)
            }
        }

        @Test("a healthy engine whose probes fail now and then goes on serving; so many in a row take it out")
        func failures() async throws {
            let engine = try ProbedEngine()
            let lines = try await withGateway(
                Probes.text([engine], "interval: 100ms, failures: 3"), upstreams: [engine.upstream]
            ) { gateway in
                try await eventually { await gateway.standing(of: engine) == .ready }
                engine.set { $0.failuresToCome = 2 }
                let before = engine.asked("/health")
                try await eventually { engine.asked("/health") >= before + 4 }
                #expect(await gateway.standing(of: engine) == .ready)
                engine.set { $0.failuresToCome = .max }
                try await eventually { await gateway.standing(of: engine) == .unreachable }
            }
            #expect(lines.count { $0.contains("endpoint ejected") } == 1)
        }

        @Test("an engine that is not up yet is found when it comes up")
        func late() async throws {
            let reserved = try Socket.listen()
            let port = reserved.port
            reserved.close()
            let text = """
                pools: [{name: p, endpoints: ["http://127.0.0.1:\(port)"], health: {interval: 100ms}}]
                models: [{name: m, pool: p}]
                """
            try await withGateway(text) { gateway in
                try await eventually { await gateway.standing(ofPort: port) == .unreachable }
                let engine = try ProbedEngine(port: port)
                defer { engine.upstream.stop() }
                try await eventually { await gateway.standing(ofPort: port) == .ready }
                #expect(engine.served == 0)
                #expect(try await Probes.post(gateway) == 200)
            }
        }

        @Test("an engine that does not answer is not waited for; one request at a time is sent to it")
        func silent() async throws {
            let engine = try ProbedEngine { $0.isSilent = true }
            try await withGateway(
                Probes.text([engine], "interval: 100ms, timeout: 100ms"), upstreams: [engine.upstream]
            ) { gateway in
                try await eventually { await gateway.standing(of: engine) == .unreachable }
                try await eventually { engine.asked("/health") >= 3 }
                let scrape = try await gateway.metrics()
                #expect(scrape.sum("penstock_probes_total", #"result="silent""#) >= 2)
                #expect(scrape.sum("penstock_connections", #"side="upstream""#) <= 1)
                engine.set { $0.isSilent = false }
                try await eventually { await gateway.standing(of: engine) == .ready }
            }
        }

        @Test("an engine without the model gets no requests until it lists it")
        func missingModel() async throws {
            let (right, wrong) = (try ProbedEngine(), try ProbedEngine { $0.list(["other"], owner: "vllm") })
            let lines = try await withGateway(
                Probes.text([right, wrong]), upstreams: [right.upstream, wrong.upstream]
            ) {
                gateway in
                try await eventually { await gateway.standing(of: wrong) == .unreachable }
                for _ in 1...20 { #expect(try await Probes.post(gateway) == 200) }
                #expect(wrong.served == 0)
                wrong.set { $0.list(["other", "m"], owner: "vllm") }
                try await eventually { await gateway.standing(of: wrong) == .ready }
                try await eventually { try await Probes.post(gateway) == 200 && wrong.served > 0 }
            }
            #expect(lines.contains { $0.contains("endpoint does not list models") && $0.contains(#""models":"m""#) })
        }

        @Test(
            "what says nothing against an engine leaves it in service",
            arguments: [
                Harmless("no list: 404") { $0.listStatus = 404 }, Harmless("no list: 501") { $0.listStatus = 501 },
                Harmless("another credential is wanted") { $0.listStatus = 401 },
                Harmless("the list is no list") { $0.models = "<html>" },
                Harmless("llama.cpp serves its one model under any name") { $0.list(["/x.gguf"], owner: "llamacpp") },
                Harmless("Ollama names its tags") { $0.list(["m:latest", "n:1b"], owner: "library") },
                Harmless("a tiresome health path") { $0.healthBody = String(repeating: "x", count: 1 << 20) },
                Harmless("asked too often") { $0.health = 429 },
            ]
        )
        func harmless(_ row: Harmless) async throws {
            let engine = try ProbedEngine(row.change)
            let lines = try await withGateway(Probes.text([engine]), upstreams: [engine.upstream]) { gateway in
                try await eventually { try await gateway.probes("healthy") >= 2 }
                #expect(await gateway.standing(of: engine) == .ready)
            }
            #expect(!lines.contains { $0.contains("endpoint ejected") })
        }

        @Test("one of several models that an engine lacks does not take the others away")
        func oneOfTwo() async throws {
            let engine = try ProbedEngine { $0.list(["m"], owner: "vllm") }
            let text = """
                pools: [\(Probes.pool([engine], "interval: 100ms"))]
                models: [{name: m, pool: p}, {name: n, pool: p}]
                """
            let lines = try await withGateway(text, upstreams: [engine.upstream]) { gateway in
                try await eventually { try await gateway.probes("healthy") >= 2 }
                #expect(try await Probes.post(gateway) == 200)
            }
            #expect(lines.contains { $0.contains("endpoint does not list models") && $0.contains(#""models":"n""#) })
        }

        @Test("an engine without /health is asked for it once, then for its models only")
        func noHealthPath() async throws {
            let engine = try ProbedEngine { $0.health = 404 }
            try await withGateway(Probes.text([engine]), upstreams: [engine.upstream]) { gateway in
                try await eventually { engine.asked("/v1/models") >= 4 }
                #expect(engine.asked("/health") == 1)
                #expect(await gateway.standing(of: engine) == .ready)
                engine.set { $0.listStatus = 500 }
                try await eventually { await gateway.standing(of: engine) == .unreachable }
            }
        }

        @Test("a configured path must answer well, and stands behind the endpoint's prefix")
        func ownPath() async throws {
            let engine = try ProbedEngine { $0.health = 404 }
            let text = """
                pools: [{name: p, endpoints: ["\(engine.upstream.url)/a"], health: {path: /ready?x=1, interval: 100ms}}]
                models: [{name: m, pool: p}]
                """
            try await withGateway(text, upstreams: [engine.upstream]) { gateway in
                try await eventually { await gateway.standing(of: engine) == .unreachable }
                #expect(engine.upstream.requests.allSatisfy { $0.target == "/a/ready?x=1" })
                engine.set { $0.health = 204 }
                try await eventually { await gateway.standing(of: engine) == .ready }
                #expect(engine.asked("/a/v1/models") > 0)
            }
        }

        @Test("what an engine is, is learnt from its list, with the provider's key; again when another comes up")
        func engineKind() async throws {
            let engine = try ProbedEngine { $0.list(["m"], owner: "vllm") }
            let path = temporaryPath("key")
            try writeFile(path, "secret")
            defer { removeFile(path) }
            let text = Probes.text([engine], "interval: 100ms, confirmModel: false", provider: "apiKey: file:\(path)")
            try await withGateway(text, upstreams: [engine.upstream]) { gateway in
                try await eventually { await gateway.member(ofPort: engine.port)?.traits.engine == .vllm }
                #expect(engine.upstream.requests.allSatisfy { $0["authorization"] == "Bearer secret" })
                try await eventually { engine.asked("/health") >= 3 }
                #expect(engine.asked("/v1/models") == 1)
                engine.upstream.stop()
                try await eventually { await gateway.standing(of: engine) == .unreachable }
                let next = try ProbedEngine(port: engine.port) { $0.list(["m"], owner: "llamacpp") }
                defer { next.upstream.stop() }
                try await eventually { await gateway.member(ofPort: engine.port)?.traits.engine == .llamacpp }
            }
        }

        @Test("what an engine is, is believed where it is configured")
        func configuredKind() async throws {
            let engine = try ProbedEngine { $0.list(["m"], owner: "vllm") }
            try await withGateway(
                Probes.text([engine], provider: "engine: sglang"), upstreams: [engine.upstream]
            ) { gateway in
                try await eventually { engine.asked("/v1/models") >= 2 }
                #expect(await gateway.member(ofPort: engine.port)?.traits.engine == .sglang)
            }
        }

        @Test("a reload leaves probes their turn and what they know, begins new ones at once and ends the others")
        func reload() async throws {
            let (old, new) = (try ProbedEngine { $0.health = 404 }, try ProbedEngine())
            func text(_ pools: [String], _ model: String) -> String {
                "pools: [\(pools.joined(separator: ", "))]\nmodels: [{name: \(model), pool: p}, {name: x, pool: q}]"
            }
            let other = try ProbedEngine { $0.list(["x"], owner: "vllm") }
            let upstreams = [old.upstream, new.upstream, other.upstream]
            let q = Probes.pool([other], "interval: 100ms", name: "q")
            try await withGateway(text([Probes.pool([old], "interval: 1h"), q], "m"), upstreams: upstreams) { gateway in
                try await eventually { await gateway.standing(of: old) == .ready }
                try await gateway.apply(text([Probes.pool([old, new], "interval: 1h"), q], "m"))
                try await eventually { await gateway.standing(of: new) == .ready }
                let turns = other.asked("/health")
                try await eventually { other.asked("/health") >= turns + 3 }
                #expect(old.upstream.requests.map(\.target) == ["/health", "/v1/models"])
                #expect(new.upstream.requests.map(\.target) == ["/health", "/v1/models"])
                // A shorter interval holds at once; what was learnt is kept.
                try await gateway.apply(text([Probes.pool([old, new], "interval: 100ms"), q], "m"))
                try await eventually { old.asked("/v1/models") >= 3 }
                #expect(old.asked("/health") == 1)
                try await gateway.apply(text([Probes.pool([new], "interval: 100ms"), q], "m"))
                try await eventually { await gateway.member(ofPort: old.port) == nil }
                let (last, since) = (old.upstream.requests.count, new.asked("/health"))
                try await eventually { new.asked("/health") >= since + 5 }
                #expect(old.upstream.requests.count <= last + 1)
            }
        }

        @Test("the only engine goes on serving when its probes fail")
        func lastResort() async throws {
            let engine = try ProbedEngine { $0.health = 500 }
            try await withGateway(Probes.text([engine], "interval: 1s"), upstreams: [engine.upstream]) { gateway in
                try await eventually { await gateway.standing(of: engine) == .unreachable }
                #expect(try await Probes.post(gateway) == 200)
                #expect(engine.served == 1)
            }
        }

        @Test("probes share one connection and are no requests")
        func frugal() async throws {
            let engine = try ProbedEngine()
            let lines = try await withGateway(Probes.text([engine]), upstreams: [engine.upstream]) { gateway in
                try await eventually { engine.asked("/v1/models") >= 5 }
                #expect(engine.upstream.connectionCount == 1)
                let scrape = try await gateway.metrics()
                #expect(scrape.sum("penstock_requests_total") == 0)
                #expect(scrape.sum("penstock_upstream_attempts_total") == 0)
                #expect(scrape.sum("penstock_probes_total", #"result="healthy""#) >= 4)
            }
            #expect(lines.exchanges.isEmpty)
        }

        @Test("path: off sends no probes")
        func off() async throws {
            let (quiet, other) = (try ProbedEngine(), try ProbedEngine { $0.list(["x"], owner: "vllm") })
            let text = """
                pools: [\(Probes.pool([quiet], "path: off")), \(Probes.pool([other], "interval: 100ms", name: "q"))]
                models: [{name: m, pool: p}, {name: x, pool: q}]
                """
            try await withGateway(text, upstreams: [quiet.upstream, other.upstream]) { _ in
                try await eventually { other.asked("/health") >= 5 }
                #expect(quiet.upstream.requests.isEmpty)
            }
        }
    }
}

/// What an engine may do without being taken out.
struct Harmless: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let change: @Sendable (inout ProbedEngine.Behaviour) -> Void

    init(_ name: String, _ change: @escaping @Sendable (inout ProbedEngine.Behaviour) -> Void) {
        testDescription = name
        self.change = change
    }
}
