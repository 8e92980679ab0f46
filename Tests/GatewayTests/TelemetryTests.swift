import Testing

extension GatewayTests {
    /// What is counted and logged of exchanges.
    @Suite struct Accounts {
        @Test("each exchange is counted once, under the labels of its way")
        func counts() async throws {
            let script: FakeUpstream.Script = { exchange in
                if exchange.request.text.contains("fail") { return try exchange.answer(500) }
                try exchange.answer()
            }
            try await withEngine(script, pool: once) { gateway, upstream in
                let client = try gateway.client()
                for _ in 1...3 { _ = try await client.post("/v1/embeddings", #"{"model":"m"}"#) }
                _ = try await client.post("/v1/embeddings", #"{"model":"m","user":"fail"}"#)
                _ = try await client.post("/v1/embeddings", #"{"model":"x"}"#)
                _ = try await client.post("/v1/embeddings", "{")
                _ = try await client.get("/nowhere")
                _ = try await client.get("/v1/models")
                let scrape = try await gateway.metrics()
                let way = [
                    #"operation="embeddings""#, #"model="m""#, #"pool="m""#, #"endpoint="127.0.0.1:\#(upstream.port)""#,
                ]
                let requests = "penstock_requests_total"
                #expect(scrape.sum(requests, way[0], way[1], way[2], way[3], #"code="200""#) == 3)
                #expect(scrape.sum(requests, way[0], way[1], way[2], way[3], #"code="500""#) == 1)
                #expect(scrape.sum(requests, #"operation="embeddings""#, #"model="_unknown""#, #"code="404""#) == 1)
                #expect(scrape.sum(requests, #"operation="embeddings""#, #"code="400""#) == 1)
                #expect(scrape.sum(requests, #"operation="unknown""#, #"code="404""#) == 1)
                #expect(scrape.sum(requests, #"operation="models_list""#, #"code="200""#) == 1)
                #expect(scrape.sum(requests) == 8)
                #expect(scrape.sum("penstock_upstream_attempts_total", #"result="ok""#) == 3)
                #expect(scrape.sum("penstock_upstream_attempts_total") == 4)
                #expect(scrape.sum("penstock_request_duration_seconds_count") == 8)
                #expect(scrape.sum("penstock_requests_in_flight") == 0)
                #expect(scrape.sum("penstock_upstream_requests_in_flight") == 0)
                #expect(scrape.sum("penstock_client_aborts_total") == 0)
            }
        }

        @Test("requests in flight are seen while they run")
        func inFlight() async throws {
            let (reached, go) = (Signal(), Signal())
            try await withEngine({ exchange in
                reached.raise()
                try go.wait()
                try exchange.answer()
            }) { gateway, _ in
                var clients: [Client] = []
                for _ in 1...4 {
                    let client = try gateway.client()
                    try await client.send("POST", "/v1/embeddings", body: Array(#"{"model":"m"}"#.utf8))
                    clients.append(client)
                }
                for _ in 1...4 { try await reached.happened() }
                let during = try await gateway.metrics()
                #expect(during.sum("penstock_requests_in_flight", #"model="m""#) == 4)
                #expect(during.sum("penstock_upstream_requests_in_flight", #"pool="m""#) == 4)
                #expect(during.sum("penstock_connections", #"side="client""#) >= 4)
                for _ in 1...4 { go.raise() }
                for client in clients { #expect(try await client.response().status == 200) }
                let after = try await gateway.metrics()
                #expect(after.sum("penstock_requests_in_flight") == 0)
                #expect(after.sum("penstock_upstream_requests_in_flight") == 0)
            }
        }

        @Test("the access log has one line for each exchange, with what happened and no secret")
        func accessLog() async throws {
            let lines = try await withEngine({
                try $0.answer(200, ["content-type: application/json"], #"{"text":"completion-canary"}"#)
            }) { gateway, upstream in
                let answer = try await gateway.post(
                    "/v1/chat/completions?key=query-canary", #"{"model":"m","messages":["prompt-canary"]}"#,
                    [
                        "content-type: application/json", "authorization: Bearer key-canary", "x-api-key: key-canary",
                        "x-request-id: my-id", "user-agent: agent\"x", "x-stainless-retry-count: 2",
                    ])
                #expect(answer.status == 200)
                _ = try await gateway.post("/v1/chat/completions", #"{"model":"unknown"}"#)
            }
            let exchanges = lines.exchanges
            #expect(exchanges.count == 2)
            let line = try #require(exchanges.first)
            for part in [
                #""level":"info""#, #""request_id":"my-id""#, #""client":"127.0.0.1""#, #""method":"POST""#,
                #""path":"/v1/chat/completions""#, #""operation":"chat_completions""#, #""http_version":"1.1""#,
                #""tls":false"#, #""model_requested":"m""#, #""model_served":"m""#, #""pool":"m""#,
                #""endpoint":"127.0.0.1:"#, #""attempts":1"#, #""status":200"#, #""stream":false"#, #""duration_ms":"#,
                #""upstream_ms":"#, #""bytes_in":42"#, #""bytes_out":28"#, #""client_retry":2"#,
                #""user_agent":"agent\"x""#,
            ] {
                #expect(line.contains(part), "\(part) in \(line)")
            }
            let refused = try #require(exchanges.last)
            for part in [
                #""status":404"#, #""error_code":"unknown_model""#, #""flags":"NM""#, #""model_requested":"unknown""#,
            ] {
                #expect(refused.contains(part), "\(part) in \(refused)")
            }
            #expect(!refused.contains("model_served"))
            #expect(!lines.contains { $0.contains("canary") })
        }

        @Test("fields of one exchange do not stay for the next of its connection")
        func logIsolation() async throws {
            let lines = try await withEngine({ exchange in
                try exchange.begin()
                try exchange.event(Streams.content)
                try exchange.event(Streams.usage)
                try exchange.event("[DONE]")
                try exchange.end()
            }) { gateway, _ in
                let client = try gateway.client()
                _ = try await client.post("/v1/chat/completions", Streams.request, ["x-request-id: first"])
                _ = try await client.get("/health")
            }
            let line = try #require(lines.exchanges.last)
            for part in [
                "first", "model_", "pool", "endpoint", "ttft", "tokens", #""stream":true"#, "flags", "upstream_ms",
            ] {
                #expect(!line.contains(part), "\(part) in \(line)")
            }
        }

        @Test("the access log can be off")
        func accessLogOff() async throws {
            let upstream = try FakeUpstream()
            let text = "models: [{name: m, endpoints: [\"\(upstream.url)\"]}]\nlogging: {access: false}"
            let lines = try await withGateway(text, upstreams: [upstream]) { gateway in
                _ = try await gateway.post("/v1/embeddings", #"{"model":"m"}"#)
            }
            #expect(lines.exchanges.isEmpty && !lines.isEmpty)
        }
    }
}
