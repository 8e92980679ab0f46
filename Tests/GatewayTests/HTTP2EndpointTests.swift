import Testing

extension GatewayTests {
    /// Endpoints that speak HTTP/2: another gateway stands in for one.
    @Suite struct HTTP2Endpoints {
        /// A gateway in front of one with `script`'s engine, with HTTP/2 by prior knowledge in between.
        private static func withChain(
            _ script: @escaping FakeUpstream.Script,
            _ body: (_ front: RunningGateway, _ back: RunningGateway, _ upstream: FakeUpstream) async throws -> Void
        ) async throws {
            let upstream = try FakeUpstream(script)
            let back = try await RunningGateway.start("models: [{name: m, endpoints: [\"\(upstream.url)\"]}]")
            try await withGateway(HTTP2Endpoints.front(back.port), upstreams: [upstream]) {
                try await body($0, back, upstream)
            }
            try await back.stop()
        }

        private static func front(_ port: UInt16) -> String {
            "models: [{name: m, endpoints: [{url: \"http://127.0.0.1:\(port)\", protocol: http2}], health: {path: off}}]"
        }

        @Test("requests at the same time share one connection, in both directions")
        func multiplexing() async throws {
            try await HTTP2Endpoints.withChain({
                try $0.answer(200, ["content-type: application/json"], $0.request.text)
            }) { front, back, _ in
                let client = try HTTP2Client(port: front.port)
                for number in 1...50 { try client.post("/v1/embeddings", #"{"model":"m","n":\#(number)}"#) }
                let answers = try await client.answers(50)
                #expect(Set(answers.map(\.text)).count == 50 && answers.allSatisfy { $0.status == 200 })
                let scrape = try await back.metrics()
                #expect(scrape.sum("penstock_connections_opened_total", #"side="client""#, #"protocol="http2""#) == 1)
            }
        }

        @Test("a client that leaves resets the stream at the endpoint, and only that")
        func cancellation() async throws {
            let (reached, closed, go) = (Signal(), Signal(), Signal())
            try await HTTP2Endpoints.withChain({ exchange in
                try exchange.begin()
                try exchange.event(Streams.content)
                reached.raise()
                if exchange.request.text.contains("stay") {
                    try go.wait()
                    try exchange.event(Streams.finish)
                    try exchange.event("[DONE]")
                    return try exchange.end()
                }
                try exchange.waitForClose()
                closed.raise()
                throw SocketError.ended
            }) { front, back, _ in
                let staying = try front.client()
                try await staying.send(
                    "POST", "/v1/completions", body: Array(#"{"model":"m","stream":true,"user":"stay"}"#.utf8))
                try await reached.happened()
                let leaving = try front.client()
                try await leaving.send("POST", "/v1/completions", body: Array(Streams.request.utf8))
                try await reached.happened()
                #expect(try await leaving.head().status == 200)
                leaving.close()
                try await closed.happened()
                go.raise()
                #expect(try await staying.response().text.hasSuffix("data: [DONE]\n\n"))
                for gateway in [front, back] {
                    let scrape = try await gateway.metrics()
                    #expect(scrape.sum("penstock_client_aborts_total") == 1)
                    #expect(scrape.sum("penstock_requests_in_flight") == 0)
                }
            }
        }

        @Test("a stream that the endpoint breaks off ends with an error event")
        func brokenStream() async throws {
            try await HTTP2Endpoints.withChain({ exchange in
                try exchange.begin("audio/mpeg")
                try exchange.chunk("0123456789")
                throw SocketError.ended
            }) { front, _, _ in
                let client = try front.client()
                try await client.send("POST", "/v1/audio/speech", body: Array(#"{"model":"m"}"#.utf8))
                #expect(try await client.head().status == 200)
                let rest = try await client.rest()
                #expect(rest.text == "0123456789" && !rest.isWhole)
            }
        }

        @Test("a running stream finishes though a reload takes its endpoint away")
        func reload() async throws {
            let (reached, go) = (Signal(), Signal())
            try await HTTP2Endpoints.withChain({ exchange in
                try exchange.begin()
                try exchange.event(Streams.content)
                reached.raise()
                try go.wait()
                try exchange.event(Streams.finish)
                try exchange.event("[DONE]")
                try exchange.end()
            }) { front, _, upstream in
                let client = try front.client()
                try await client.send("POST", "/v1/completions", body: Array(Streams.request.utf8))
                #expect(try await client.head().status == 200)
                try await reached.happened()
                try await front.apply("models: [{name: other, endpoints: [\"\(upstream.url)\"]}]")
                go.raise()
                let rest = try await client.rest()
                #expect(rest.isWhole && rest.text.hasSuffix("data: [DONE]\n\n"))
            }
        }

        @Test("an endpoint that drains is left, and requests go on over a new connection")
        func drainingEndpoint() async throws {
            let upstream = try FakeUpstream()
            let models = "models: [{name: m, endpoints: [\"\(upstream.url)\"]}]"
            let first = try await RunningGateway.start(models)
            try await withGateway(HTTP2Endpoints.front(first.port), upstreams: [upstream]) { front in
                let client = try front.client()
                #expect(try await client.post("/v1/embeddings", #"{"model":"m"}"#).status == 200)
                try await first.stop()
                let second = try await RunningGateway.start(
                    models, preamble: "listeners: [{address: \"127.0.0.1:\(first.port)\"}]\nadmin: off\n")
                for _ in 1...3 { #expect(try await client.post("/v1/embeddings", #"{"model":"m"}"#).status == 200) }
                try await second.stop()
            }
        }

        @Test("back-pressure reaches the engine through HTTP/2")
        func backPressure() async throws {
            let (stalled, go) = (Signal(), Signal())
            let sent = SharedCount()
            try await HTTP2Endpoints.withChain({ exchange in
                try exchange.begin("audio/mpeg")
                try exchange.pushUntilStalled(bytes: 64 << 20, count: sent, stalled: stalled, go: go)
                try exchange.end()
            }) { front, _, _ in
                let client = try front.client(receiveBuffer: 65536)
                try await client.send("POST", "/v1/audio/speech", body: Array(#"{"model":"m"}"#.utf8))
                #expect(try await client.head().status == 200)
                try await stalled.happened()
                #expect(sent.value < 32 << 20)
                go.raise()
                let rest = try await client.restLength()
                #expect(rest.isWhole && rest.length > 63 << 20)
            }
        }
    }
}
