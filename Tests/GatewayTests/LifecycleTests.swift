import Config
import Testing

@testable import Gateway

extension GatewayTests {
    /// Other configurations, other models, and the end.
    @Suite struct Lifecycle {
        private static func models(_ names: [String: FakeUpstream]) -> String {
            "models: ["
                + names.sorted { $0.key < $1.key }.map { "{name: \($0.key), endpoints: [\"\($0.value.url)\"]}" }
                .joined(separator: ", ") + "]"
        }

        /// Streams one event, then waits for `go`, then ends in good order.
        private static func stream(_ reached: Signal, _ go: Signal) -> FakeUpstream.Script {
            { exchange in
                try exchange.begin()
                try exchange.event(Streams.content)
                reached.raise()
                try go.wait()
                try exchange.event(Streams.finish)
                try exchange.event("[DONE]")
                try exchange.end()
            }
        }

        @Test("models come and go with a reload; a running stream of a removed pool finishes")
        func reload() async throws {
            let (reached, go) = (Signal(), Signal())
            let first = try FakeUpstream(Lifecycle.stream(reached, go))
            let second = try FakeUpstream()
            let lines = try await withGateway(Lifecycle.models(["a": first]), upstreams: [first, second]) { gateway in
                let client = try gateway.client()
                try await client.send("POST", "/v1/completions", body: Array(#"{"model":"a","stream":true}"#.utf8))
                #expect(try await client.head().status == 200)
                #expect(try await client.chunk() == "data: \(Streams.content)\n\n")
                try await gateway.apply(Lifecycle.models(["b": second]))
                let other = try gateway.client()
                #expect(try await other.post("/v1/completions", #"{"model":"b"}"#).status == 200)
                #expect(try await other.post("/v1/completions", #"{"model":"a"}"#).status == 404)
                #expect(try await other.get("/v1/models").text.contains(#""id":"b""#))
                go.raise()
                let rest = try await client.rest()
                #expect(rest.isWhole && rest.text.hasSuffix("data: [DONE]\n\n"))
                #expect(try await client.post("/v1/completions", #"{"model":"b"}"#).status == 200)
                let scrape = try await gateway.metrics()
                #expect(scrape.sum("penstock_config_generation") == 2)
                #expect(scrape.sum("penstock_config_reloads_total", #"result="applied""#) == 1)
                #expect(scrape.sum("penstock_requests_in_flight") == 0)
                #expect(!scrape.text.contains(#"pool="a""#))
            }
            #expect(lines.exchanges.count == 5)
            #expect(lines.contains { $0.contains("configuration applied") })
        }

        @Test("a request that waits for a connection survives the removal of its endpoint")
        func reloadWhileConnecting() async throws {
            // A listener whose queue is full does not answer SYN: the connection stays under way.
            let upstream = try FakeUpstream()
            let silent = try SilentListener()
            try await withGateway(
                "models: [{name: m, endpoints: [\"http://127.0.0.1:\(silent.port)\"]}]", upstreams: [upstream]
            ) { gateway in
                let client = try HTTP2Client(port: gateway.port)
                try client.post("/v1/embeddings", #"{"model":"m"}"#)
                var waits = false
                while !waits {
                    let scrape = try await gateway.metrics()
                    waits = scrape.sum("penstock_upstream_requests_in_flight") == 1
                }
                try await gateway.apply(Lifecycle.models(["m": upstream]))
                #expect(try await client.answers(1).first?.status == 200)
                let scrape = try await gateway.metrics()
                #expect(scrape.sum("penstock_requests_in_flight") == 0)
                #expect(scrape.sum("penstock_upstream_requests_in_flight") == 0)
            }
        }

        @Test("a configuration that changes nothing is not applied")
        func unchanged() async throws {
            let upstream = try FakeUpstream()
            try await withGateway(Lifecycle.models(["a": upstream]), upstreams: [upstream]) { gateway in
                try await gateway.apply(Lifecycle.models(["a": upstream]))
                let scrape = try await gateway.metrics()
                #expect(scrape.sum("penstock_config_generation") == 1)
                #expect(scrape.sum("penstock_config_reloads_total", #"result="unchanged""#) == 1)
            }
        }

        @Test("another provider key is used from the reload on")
        func otherKey() async throws {
            let upstream = try FakeUpstream()
            let path = temporaryPath("key")
            defer { removeFile(path) }
            func text(_ key: String) throws -> String {
                try writeFile(path, key)
                return "providers: [{name: default, apiKey: file:\(path)}]\n" + Lifecycle.models(["a": upstream])
            }
            try await withGateway(try text("one"), upstreams: [upstream]) { gateway in
                let client = try gateway.client()
                _ = try await client.post("/v1/embeddings", #"{"model":"a"}"#)
                try await gateway.apply(try text("two"))
                _ = try await client.post("/v1/embeddings", #"{"model":"a"}"#)
                #expect(upstream.requests.map { $0["authorization"] } == ["Bearer one", "Bearer two"])
            }
        }

        @Test("other limits hold for connections from then on")
        func otherLimits() async throws {
            let upstream = try FakeUpstream()
            try await withGateway(Lifecycle.models(["a": upstream]), upstreams: [upstream]) { gateway in
                try await gateway.apply(Lifecycle.models(["a": upstream]) + "\nlimits: {bodyBytes: 1KiB}")
                let body = #"{"model":"a","x":""# + String(repeating: "x", count: 2000) + #""}"#
                #expect(try await gateway.post("/v1/embeddings", body).status == 413)
            }
        }

        @Test("shutting down finishes what runs, refuses what is new, and tells readiness first")
        func drain() async throws {
            let (reached, go) = (Signal(), Signal())
            let upstream = try FakeUpstream(Lifecycle.stream(reached, go))
            defer { upstream.stop() }
            let running = try await RunningGateway.start(
                Lifecycle.models(["a": upstream]),
                preamble: """
                    listeners: [{address: "127.0.0.1:0"}]
                    admin: {address: "127.0.0.1:0"}

                    """)
            let client = try running.client()
            try await client.send("POST", "/v1/completions", body: Array(#"{"model":"a","stream":true}"#.utf8))
            #expect(try await client.head().status == 200)
            try await reached.happened()
            let idle = try running.client()
            #expect(try await idle.get("/health/ready").status == 200)
            async let lines = running.stop()
            // The idle connection is closed when draining has begun.
            #expect(try await idle.toEnd().text.isEmpty)
            #expect(throws: SocketError.self) { try running.client() }
            let ready = try await running.admin().get("/readyz")
            #expect(ready.status == 503 && ready.text == #"{"status":"draining"}"#)
            go.raise()
            let rest = try await client.rest()
            #expect(rest.isWhole && rest.text.hasSuffix("data: [DONE]\n\n"))
            let log = try await lines
            #expect(log.exchanges.count == 2)
            #expect(log.last?.contains("stopped") == true)
            #expect(throws: SocketError.self) { try running.admin() }
        }

        @Test("over HTTP/2 a running stream finishes after GOAWAY, then the gateway closes the connection")
        func drainHTTP2() async throws {
            let (reached, go) = (Signal(), Signal())
            let upstream = try FakeUpstream(Lifecycle.stream(reached, go))
            defer { upstream.stop() }
            let running = try await RunningGateway.start(
                Lifecycle.models(["a": upstream]),
                preamble: """
                    listeners: [{address: "127.0.0.1:0"}]
                    admin: {address: "127.0.0.1:0"}

                    """)
            let idle = try HTTP2Client(port: running.port)
            try idle.post("/v1/unknown/", "{}")
            _ = try await idle.answers(1)
            let client = try HTTP2Client(port: running.port)
            try client.post("/v1/completions", #"{"model":"a","stream":true}"#)
            try await reached.happened()
            async let lines = running.stop()
            while try await client.frame().type != HTTP2Client.Frame.goAway {}
            go.raise()
            let answer = try await client.answers(1)
            #expect(answer.first?.reset == nil && answer.first?.text.hasSuffix("data: [DONE]\n\n") == true)
            // Both connections are ended by the gateway alone, long before the timeout of 30 seconds.
            for client in [client, idle] {
                await #expect(throws: SocketError.ended) { while true { _ = try await client.frame() } }
            }
            #expect(try await lines.exchanges.count == 2)
        }

        @Test("during the shutdown delay new connections are served, and told to go")
        func shutdownDelay() async throws {
            let upstream = try FakeUpstream()
            defer { upstream.stop() }
            let running = try await RunningGateway.start(
                Lifecycle.models(["a": upstream]),
                preamble: """
                    listeners: [{address: "127.0.0.1:0"}]
                    admin: {address: "127.0.0.1:0"}
                    shutdown: {delay: 2s}

                    """)
            async let lines = running.stop()
            var isReady = true
            while isReady { isReady = try await running.admin().get("/readyz").status == 200 }
            let client = try running.client()
            let answer = try await client.post("/v1/embeddings", #"{"model":"a"}"#)
            #expect(answer.status == 200)
            #expect(answer["connection"] == "close")
            let ready = try await running.get("/health/ready")
            #expect(ready.status == 503)
            let http2 = try HTTP2Client(port: running.port)
            try http2.post("/v1/embeddings", #"{"model":"a"}"#)
            #expect(try await http2.answers(1).first?.status == 200)
            _ = try await lines
        }

        @Test("what runs past the shutdown timeout is ended, visibly broken")
        func shutdownTimeout() async throws {
            let (reached, go) = (Signal(), Signal())
            let upstream = try FakeUpstream(Lifecycle.stream(reached, go))
            defer { upstream.stop() }
            let running = try await RunningGateway.start(
                Lifecycle.models(["a": upstream]),
                preamble: """
                    listeners: [{address: "127.0.0.1:0"}]
                    admin: {address: "127.0.0.1:0"}
                    shutdown: {timeout: 0s}

                    """)
            let client = try running.client()
            try await client.send("POST", "/v1/completions", body: Array(#"{"model":"a","stream":true}"#.utf8))
            #expect(try await client.head().status == 200)
            try await reached.happened()
            let lines = try await running.stop()
            let rest = try await client.rest()
            #expect(!rest.isWhole && !rest.text.contains("[DONE]"))
            #expect(lines.exchanges.count == 1)
            #expect(lines.exchanges.first?.contains(#""aborted_by":"gateway""#) == true)
            go.raise()
        }

        @Test("a new gateway can take the port of one that has ended")
        func restart() async throws {
            let upstream = try FakeUpstream()
            defer { upstream.stop() }
            let first = try await RunningGateway.start(Lifecycle.models(["a": upstream]))
            _ = try await first.post("/v1/embeddings", #"{"model":"a"}"#)
            try await first.stop()
            let second = try await RunningGateway.start(
                Lifecycle.models(["a": upstream]),
                preamble: "listeners: [{address: \"127.0.0.1:\(first.port)\"}]\nadmin: {address: \"127.0.0.1:0\"}\n")
            #expect(try await second.post("/v1/embeddings", #"{"model":"a"}"#).status == 200)
            try await second.stop()
        }

        @Test("an address that is taken is an error that names it")
        func addressTaken() async throws {
            let taken = try Socket.listen()
            await #expect {
                _ = try await RunningGateway.start(
                    "models: [{name: m, endpoints: [\"http://127.0.0.1:1\"]}]",
                    preamble: "listeners: [{address: \"127.0.0.1:\(taken.port)\"}]\nadmin: off\n")
            } throws: { error in
                "\(error)".contains("cannot listen on 127.0.0.1:\(taken.port)")
            }
        }
    }
}
