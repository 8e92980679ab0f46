import Config
import Gateway
import Synchronization
import Testing
import Topology

extension GatewayTests {
    /// Models that engines list themselves, and several reactors.
    @Suite struct Discovery {
        /// An engine that lists `models`.
        private static func script(_ models: NameList) -> FakeUpstream.Script {
            { exchange in
                guard exchange.request.method == "GET" else { return try exchange.answer() }
                let items = models.names.map { #"{"id":"\#($0)","object":"model"}"# }.joined(separator: ",")
                try exchange.answer(200, ["content-type: application/json"], #"{"object":"list","data":[\#(items)]}"#)
            }
        }

        /// Waits until the gateway serves these models. Engines that answer are asked every ten seconds.
        private static func wait(for names: Set<String>, at gateway: RunningGateway) async throws {
            while Set(await gateway.gateway.modelNames) != names { try await Task.sleep(for: .milliseconds(10)) }
        }

        private static func configuration(_ ports: [UInt16]) throws -> Configuration {
            var configuration = Configuration.forEngines(
                try ports.map { try EndpointAddress(parsing: "http://127.0.0.1:\($0)/v1") },
                listen: ListenAddress(host: "127.0.0.1", port: 0), admin: ListenAddress(host: "127.0.0.1", port: 0))
            configuration.shutdown.timeout = .seconds(2)
            return configuration
        }

        @Test("engines that list the same model form one pool; each of its own models goes to itself")
        func pools() async throws {
            let first = try FakeUpstream(answersProbes: false, Discovery.script(NameList(["both", "org/one"])))
            let second = try FakeUpstream(answersProbes: false, Discovery.script(NameList(["both", "two"])))
            let running = try await RunningGateway.start(try Discovery.configuration([first.port, second.port]))
            try await Discovery.wait(for: ["both", "org/one", "two"], at: running)
            let client = try running.client()
            for _ in 1...4 { #expect(try await client.post("/v1/embeddings", #"{"model":"both"}"#).status == 200) }
            #expect(try await client.post("/v1/embeddings", #"{"model":"two"}"#).status == 200)
            let asked = [first, second].map { $0.requests.filter { $0.method == "POST" } }
            #expect(asked[0].count + asked[1].count == 5)
            #expect(!asked[0].contains { $0.text.contains("two") } && asked[1].last?.text.contains("two") == true)
            #expect(first.requests.contains { $0.target == "/v1/models" })
            try await running.stop()
            first.stop()
            second.stop()
        }

        @Test("an engine that comes up later is found, and its list followed")
        func later() async throws {
            let reserved = try Socket.listen()
            let port = reserved.port
            reserved.close()
            let running = try await RunningGateway.start(try Discovery.configuration([port]))
            #expect(try await running.get("/v1/models").text.contains(#""data":[]"#))
            #expect(try await running.post("/v1/embeddings", #"{"model":"late"}"#).status == 404)
            let names = NameList([])
            let engine = try FakeUpstream(port: port, answersProbes: false, Discovery.script(names))
            names.set(["late"])
            try await Discovery.wait(for: ["late"], at: running)
            #expect(try await running.post("/v1/embeddings", #"{"model":"late"}"#).status == 200)
            names.set(["later"])
            try await Discovery.wait(for: ["later"], at: running)
            names.set([])
            try await running.stop()
            engine.stop()
        }

        @Test("names that are none, or would be patterns, are not taken over")
        func oddNames() async throws {
            let engine = try FakeUpstream(
                answersProbes: false,
                Discovery.script(NameList(["*", "a*", "", "\u{7F}", "ok", String(repeating: "x", count: 300)])))
            let running = try await RunningGateway.start(try Discovery.configuration([engine.port]))
            try await Discovery.wait(for: ["ok"], at: running)
            #expect(try await running.post("/v1/embeddings", #"{"model":"other"}"#).status == 404)
            try await running.stop()
            engine.stop()
        }

        @Test("a model once seen stays known when its engine is gone")
        func gone() async throws {
            let engine = try FakeUpstream(answersProbes: false, Discovery.script(NameList(["m"])))
            let running = try await RunningGateway.start(try Discovery.configuration([engine.port]))
            try await Discovery.wait(for: ["m"], at: running)
            engine.stop()
            #expect(try await running.post("/v1/embeddings", #"{"model":"m"}"#).status == 502)
            #expect(try await running.get("/v1/models").text.contains(#""id":"m""#))
            try await running.stop()
        }

        @Test("two reactors serve, count and drain together")
        func twoReactors() async throws {
            let lines = try await withEngine(reactors: 2) { gateway, upstream in
                var clients: [Client] = []
                for _ in 1...32 { clients.append(try gateway.client()) }
                for client in clients {
                    try await client.send("POST", "/v1/embeddings", body: Array(#"{"model":"m"}"#.utf8))
                }
                for client in clients { #expect(try await client.response().status == 200) }
                for client in clients { #expect(try await client.get("/v1/models").status == 200) }
                #expect(upstream.requests.count == 32)
                let scrape = try await gateway.metrics()
                #expect(scrape.sum("penstock_requests_total", #"operation="embeddings""#) == 32)
                #expect(scrape.sum("penstock_requests_in_flight") == 0)
            }
            #expect(lines.exchanges.count == 64)
        }
    }
}

/// Names that a test changes while an engine lists them.
final class NameList: Sendable {
    private let list: Mutex<[String]>

    init(_ names: [String]) { list = Mutex(names) }

    var names: [String] { list.withLock { $0 } }

    func set(_ names: [String]) { list.withLock { $0 = names } }
}
