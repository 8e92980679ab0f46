import Glibc
import Testing

@testable import Gateway

extension GatewayTests {
    /// A gateway that speaks TLS, asked by another that verifies it: both sides, over both protocols.
    @Suite struct TLSListeners {
        private static func tlsPreamble(_ identity: TestIdentity) -> String {
            """
            listeners:
              - address: 127.0.0.1:0
                tls: {certificates: [{certificate: \(identity.certificate), key: \(identity.key)}]}
            admin: {address: "127.0.0.1:0"}
            shutdown: {timeout: 2s}

            """
        }

        /// A gateway in front of another one's TLS listener.
        private static func front(
            _ port: UInt16, _ identity: TestIdentity, _ httpProtocol: String, pool: String = ""
        ) -> String {
            """
            providers: [{name: p, protocol: \(httpProtocol), tls: {ca: \(identity.certificate)}}]
            models: [{name: m, provider: p, endpoints: ["https://127.0.0.1:\(port)"], health: {path: off}, \(pool)}]
            """
        }

        @Test("requests and streams pass two gateways over verified TLS", arguments: ["auto", "http1", "http2"])
        func chain(_ httpProtocol: String) async throws {
            let identity = try TestIdentity()
            defer { identity.remove() }
            let next = Signal()
            let upstream = try FakeUpstream { exchange in
                guard exchange.request.text.contains("stream") else { return try exchange.answer() }
                try exchange.begin()
                try exchange.event(Streams.content)
                try next.wait()
                if exchange.request.text.contains("break") { throw SocketError.ended }
                try exchange.event(Streams.finish)
                try exchange.event("[DONE]")
                try exchange.end()
            }
            let models = "models: [{name: m, endpoints: [\"\(upstream.url)\"]}]"
            var backLines: [String] = []
            let back = try await RunningGateway.start(models, preamble: TLSListeners.tlsPreamble(identity))
            let lines = try await withGateway(TLSListeners.front(back.port, identity, httpProtocol)) { gateway in
                let client = try gateway.client()
                let large = #"{"model":"m","prompt":""# + String(repeating: "x", count: 1 << 20) + #""}"#
                #expect(try await client.post("/v1/embeddings", large).status == 200)
                #expect(upstream.requests.first?.text == large)
                for breaks in [false, true] {
                    let body = breaks ? #"{"model":"m","stream":true,"user":"break"}"# : Streams.request
                    try await client.send("POST", "/v1/completions", body: Array(body.utf8))
                    #expect(try await client.head().status == 200)
                    #expect(try await client.chunk() == "data: \(Streams.content)\n\n")
                    next.raise()
                    let rest = try await client.rest()
                    #expect(rest.isWhole == !breaks)
                    #expect(rest.text.contains(breaks ? #""code":"upstream_error""# : "[DONE]"))
                }
            }
            backLines = try await back.stop()
            upstream.stop()
            #expect(lines.exchanges.count == 3)
            let version = httpProtocol == "http1" ? "1.1" : "2"
            #expect(backLines.exchanges.filter { $0.contains(#""http_version":"\#(version)","tls":true"#) }.count == 3)
        }

        @Test("an endpoint whose certificate is not trusted is a 502 that says nothing of it")
        func untrusted() async throws {
            let (identity, other) = (try TestIdentity(), try TestIdentity())
            defer { for made in [identity, other] { made.remove() } }
            let models = "models: [{name: m, endpoints: [\"http://127.0.0.1:1\"]}]"
            let back = try await RunningGateway.start(models, preamble: TLSListeners.tlsPreamble(identity))
            let lines = try await withGateway(TLSListeners.front(back.port, other, "auto", pool: once)) { gateway in
                let answer = try await gateway.post("/v1/embeddings", #"{"model":"m"}"#)
                #expect(answer.status == 502)
                #expect(!answer.text.contains("certificate"))
                let scrape = try await gateway.metrics()
                #expect(scrape.sum("penstock_upstream_attempts_total", #"result="tls_failed""#) == 1)
            }
            #expect(lines.exchanges.first?.contains(#""flags":"CF""#) == true)
            try await back.stop()
        }

        @Test("a wrong certificate file is refused on reload, and the old configuration stays in force")
        func wrongFile() async throws {
            let (identity, other) = (try TestIdentity(), try TestIdentity())
            defer { for made in [identity, other] { made.remove() } }
            let upstream = try FakeUpstream()
            let models = "models: [{name: m, endpoints: [\"\(upstream.url)\"]}]"
            let preamble = TLSListeners.tlsPreamble(identity)
            let back = try await RunningGateway.start(models, preamble: preamble)
            try await withGateway(TLSListeners.front(back.port, identity, "auto"), upstreams: [upstream]) { gateway in
                #expect(try await gateway.post("/v1/embeddings", #"{"model":"m"}"#).status == 200)
                // A key that is not the certificate's.
                let mixed = preamble.split(separator: identity.key).joined(separator: other.key)
                await #expect(throws: GatewayError.self) {
                    try await back.apply("models: [{name: n, endpoints: [\"\(upstream.url)\"]}]", preamble: mixed)
                }
                #expect(try await gateway.post("/v1/embeddings", #"{"model":"m"}"#).status == 200)
                #expect(await back.gateway.modelNames == ["m"])
                let scrape = try await back.metrics()
                #expect(scrape.sum("penstock_config_generation") == 1)
            }
            try await back.stop()
        }

        @Test("a renewed certificate is served to connections from the reload on")
        func renewed() async throws {
            let (identity, other) = (try TestIdentity(), try TestIdentity())
            defer { for made in [identity, other] { made.remove() } }
            let upstream = try FakeUpstream()
            let models = "models: [{name: m, endpoints: [\"\(upstream.url)\"]}]"
            let back = try await RunningGateway.start(models, preamble: TLSListeners.tlsPreamble(identity))
            try await back.apply(models, preamble: TLSListeners.tlsPreamble(other))
            try await withGateway(TLSListeners.front(back.port, other, "auto", pool: once), upstreams: [upstream]) {
                gateway in
                let answer = try await gateway.post("/v1/embeddings", #"{"model":"m"}"#)
                #expect(answer.status == 200)
            }
            try await back.stop()
        }
    }
}
