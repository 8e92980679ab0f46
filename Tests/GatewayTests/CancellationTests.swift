import Testing

extension GatewayTests {
    /// Clients that go away, and clients that do not read.
    @Suite struct Cancellation {
        /// When a client leaves.
        enum Moment: String, CaseIterable, Sendable { case beforeHead, inStream, inSilentJSON }

        /// How it leaves.
        enum Leaving: String, CaseIterable, Sendable { case fin, reset }

        /// An engine that gets as far as `moment` says, then waits until its connection is closed.
        private static func script(_ moment: Moment, reached: Signal, closed: Signal) -> FakeUpstream.Script {
            { exchange in
                switch moment {
                case .beforeHead: break
                case .inStream:
                    try exchange.begin()
                    try exchange.event(Streams.content)
                case .inSilentJSON: try exchange.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{")
                }
                reached.raise()
                try exchange.waitForClose()
                closed.raise()
                throw SocketError.ended
            }
        }

        private static func expectSettled(_ gateway: RunningGateway) async throws {
            let scrape = try await gateway.metrics()
            #expect(scrape.sum("penstock_client_aborts_total") == 1)
            #expect(scrape.sum("penstock_requests_in_flight") == 0)
            #expect(scrape.sum("penstock_upstream_requests_in_flight") == 0)
            #expect(scrape.sum("penstock_requests_total", #"operation="chat_completions""#) == 1)
            #expect(scrape.sum("penstock_upstream_attempts_total", #"result="cancelled""#) == 1)
        }

        @Test(
            "over HTTP/1.1 a client that leaves ends the engine's work at once", arguments: Moment.allCases,
            Leaving.allCases)
        func http1(_ moment: Moment, _ leaving: Leaving) async throws {
            let (reached, closed) = (Signal(), Signal())
            let lines = try await withEngine(Cancellation.script(moment, reached: reached, closed: closed)) {
                gateway, _ in
                let client = try gateway.client()
                try await client.send("POST", "/v1/chat/completions", body: Array(Streams.request.utf8))
                try await reached.happened()
                if moment != .beforeHead { #expect(try await client.head().status == 200) }
                if leaving == .fin { client.close() } else { client.reset() }
                try await closed.happened()
                try await Cancellation.expectSettled(gateway)
            }
            let line = try #require(lines.exchanges.first)
            #expect(lines.exchanges.count == 1)
            #expect(line.contains(#""aborted_by":"client""#) && line.contains(#""flags":"CC""#))
            #expect(line.contains(moment == .beforeHead ? #""status":499"# : #""status":200"#))
        }

        @Test(
            "over HTTP/2 a reset stream ends the engine's work at once, and no other stream", arguments: Moment.allCases
        )
        func http2(_ moment: Moment) async throws {
            let (reached, closed) = (Signal(), Signal())
            try await withEngine(Cancellation.script(moment, reached: reached, closed: closed)) { gateway, _ in
                let client = try HTTP2Client(port: gateway.port)
                let stream = try client.post("/v1/chat/completions", Streams.request)
                try await reached.happened()
                if moment != .beforeHead { #expect(try await client.frame().type == HTTP2Client.Frame.headers) }
                try client.reset(stream)
                try await closed.happened()
                try await Cancellation.expectSettled(gateway)
                try client.post("/v1/unknown/", "{}")
                while true {
                    let frame = try await client.frame()
                    if frame.stream == 3, frame.type == HTTP2Client.Frame.headers { break }
                }
            }
        }

        @Test("a connection that is closed ends all its streams")
        func http2Connection() async throws {
            let (reached, closed) = (Signal(), Signal())
            try await withEngine(Cancellation.script(.inStream, reached: reached, closed: closed)) { gateway, _ in
                let client = try HTTP2Client(port: gateway.port)
                for _ in 1...5 { try client.post("/v1/chat/completions", Streams.request) }
                for _ in 1...5 { try await reached.happened() }
                client.close()
                for _ in 1...5 { try await closed.happened() }
                let scrape = try await gateway.metrics()
                #expect(scrape.sum("penstock_client_aborts_total") == 5)
                #expect(scrape.sum("penstock_requests_in_flight") == 0)
            }
        }

        @Test("a client that leaves before its request is whole costs the engine nothing")
        func unfinishedRequest() async throws {
            let lines = try await withEngine { gateway, upstream in
                let client = try gateway.client()
                try await client.send(
                    "POST /v1/embeddings HTTP/1.1\r\nhost: g\r\ncontent-length: 100\r\n\r\n{\"model\":\"m\"")
                client.close()
                let other = try gateway.client()
                #expect(try await other.post("/v1/embeddings", #"{"model":"m"}"#).status == 200)
                #expect(upstream.requests.count == 1)
            }
            #expect(
                lines.exchanges.contains { $0.contains(#""status":499"#) && $0.contains(#""aborted_by":"client""#) })
        }

        @Test("a client that leaves while a connection is made is settled at once")
        func whileConnecting() async throws {
            let silent = try SilentListener()
            let models = "models: [{name: m, endpoints: [\"http://127.0.0.1:\(silent.port)\"]}]"
            try await withGateway(models) { gateway in
                let client = try HTTP2Client(port: gateway.port)
                let stream = try client.post("/v1/chat/completions", Streams.request)
                var inFlight = 0.0
                while inFlight == 0 { inFlight = try await gateway.metrics().sum("penstock_requests_in_flight") }
                try client.reset(stream)
                // Read in order, after the reset.
                try client.post("/v1/unknown/", "{}")
                while try await client.frame().stream != 3 {}
                try await Cancellation.expectSettled(gateway)
            }
        }

        @Test("a client that leaves while an error is gathered is settled at once")
        func whileGathering() async throws {
            let (reached, closed) = (Signal(), Signal())
            try await withEngine({ exchange in
                try exchange.write("HTTP/1.1 500 No\r\ncontent-length: 100\r\n\r\n{")
                reached.raise()
                try exchange.waitForClose()
                closed.raise()
            }) { gateway, _ in
                let client = try gateway.client()
                try await client.send("POST", "/v1/chat/completions", body: Array(Streams.request.utf8))
                try await reached.happened()
                client.close()
                try await closed.happened()
                try await Cancellation.expectSettled(gateway)
            }
        }

        @Test("after a cancelled request the endpoint serves the next")
        func nextRequest() async throws {
            let (reached, closed) = (Signal(), Signal())
            let hangs = Cancellation.script(.inStream, reached: reached, closed: closed)
            try await withEngine({ exchange in
                if exchange.request.text.contains("hang") { try hangs(exchange) } else { try exchange.answer() }
            }) { gateway, _ in
                for _ in 1...20 {
                    let client = try gateway.client()
                    try await client.send("POST", "/v1/completions", body: Array(#"{"model":"m","user":"hang"}"#.utf8))
                    try await reached.happened()
                    client.reset()
                    let answer = try await gateway.post("/v1/completions", #"{"model":"m"}"#)
                    #expect(answer.status == 200)
                    try await closed.happened()
                }
            }
        }

        // MARK: Back-pressure

        @Test(
            "an engine is not read while the client does not read",
            arguments: [
                ("text/event-stream", "chat/completions"), ("audio/mpeg", "audio/speech"),
            ])
        func backPressure(_ type: String, _ operation: String) async throws {
            let (stalled, go) = (Signal(), Signal())
            let sent = SharedCount()
            try await withEngine(
                { exchange in
                    try exchange.begin(type)
                    try exchange.pushUntilStalled(bytes: 64 << 20, count: sent, stalled: stalled, go: go)
                    try exchange.event(Streams.finish)
                    try exchange.event("[DONE]")
                    try exchange.end()
                }, provider: "includeUsage: never"
            ) { gateway, _ in
                let client = try gateway.client(receiveBuffer: 65536)
                try await client.send("POST", "/v1/\(operation)", body: Array(Streams.request.utf8))
                #expect(try await client.head().status == 200)
                try await stalled.happened()
                #expect(sent.value < 24 << 20)
                go.raise()
                let rest = try await client.restLength()
                #expect(rest.isWhole)
                #expect(rest.length > 63 << 20)
            }
        }

        @Test("an HTTP/2 client's window stops the engine; other streams go on")
        func windowStops() async throws {
            let (stalled, go) = (Signal(), Signal())
            let sent = SharedCount()
            try await withEngine({ exchange in
                if exchange.request.text.contains("small") { return try exchange.answer() }
                try exchange.begin("audio/mpeg")
                try exchange.pushUntilStalled(bytes: 64 << 20, count: sent, stalled: stalled, go: go)
            }) { gateway, _ in
                let client = try HTTP2Client(port: gateway.port, window: 20_000)
                let stream = try client.post("/v1/audio/speech", #"{"model":"m"}"#)
                try await stalled.happened()
                #expect(sent.value < 24 << 20)
                try client.post("/v1/embeddings", #"{"model":"m","user":"small"}"#)
                var received = 0
                while true {
                    let frame = try await client.frame()
                    if frame.stream == stream, frame.type == HTTP2Client.Frame.data { received += frame.payload.count }
                    if frame.stream != stream, frame.endsStream { break }
                }
                #expect(received <= 20_000)
                try client.reset(stream)
                go.raise()
            }
        }
    }
}
