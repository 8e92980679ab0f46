import Testing

extension GatewayTests {
    /// Which header fields pass, in both directions.
    @Suite struct Fields {
        private static let credentials = [
            "authorization: Bearer client-secret", "x-api-key: client-secret", "api-key: client-secret",
        ]

        private static func send(_ fields: [String], to gateway: RunningGateway) async throws -> WireMessage {
            try await gateway.post(
                "/v1/chat/completions", #"{"model":"m"}"#, ["content-type: application/json"] + fields)
        }

        @Test("a client's credentials pass if the provider has no key")
        func passThrough() async throws {
            try await withEngine { gateway, upstream in
                _ = try await Fields.send(Fields.credentials + ["cookie: session=client-secret"], to: gateway)
                let request = try #require(upstream.requests.first)
                #expect(request["authorization"] == "Bearer client-secret")
                #expect(request["x-api-key"] == "client-secret")
                #expect(request["api-key"] == "client-secret")
                #expect(request["cookie"] == nil)
            }
        }

        @Test(
            "with a provider key a client's credentials never reach the engine",
            arguments: ["authorization", "x-api-key", "api-key"])
        func providerKey(_ header: String) async throws {
            let path = temporaryPath("key")
            defer { removeFile(path) }
            try writeFile(path, "provider-secret\n")
            let lines = try await withEngine(provider: "apiKey: file:\(path), apiKeyHeader: \(header)") {
                gateway, upstream in
                _ = try await Fields.send(Fields.credentials, to: gateway)
                let request = try #require(upstream.requests.first)
                let expected = header == "authorization" ? "Bearer provider-secret" : "provider-secret"
                #expect(request.head.all(header) == [expected])
                #expect(!request.head.fields.contains { $0.value.contains("client-secret") })
            }
            #expect(!lines.contains { $0.contains("provider-secret") || $0.contains("client-secret") })
        }

        @Test("credentials pass or not, as the provider says")
        func forwarding() async throws {
            try await withEngine(provider: "forwardClientCredentials: never") { gateway, upstream in
                _ = try await Fields.send(Fields.credentials, to: gateway)
                #expect(upstream.requests.first?.head.fields.contains { $0.value.contains("client-secret") } == false)
            }
        }

        @Test("a provider's own fields are set in place of the client's, and its prefix before the path")
        func ownFields() async throws {
            let upstream = try FakeUpstream()
            let text = """
                providers: [{name: p, pathPrefix: /inner, headers: {x-team: infra, user-agent: penstock, openai-beta: b}}]
                models: [{name: m, provider: p, endpoints: ["\(upstream.url)/outer/v1"]}]
                """
            try await withGateway(text, upstreams: [upstream]) { gateway in
                _ = try await Fields.send(["x-team: client", "user-agent: curl", "openai-beta: a"], to: gateway)
                let request = try #require(upstream.requests.first)
                #expect(request.target == "/outer/inner/v1/chat/completions")
                #expect(request.head.all("x-team") == ["infra"])
                #expect(request.head.all("user-agent") == ["penstock"])
                #expect(request.head.all("openai-beta") == ["b"])
                #expect(request["host"] == "127.0.0.1:\(upstream.port)")
            }
        }

        @Test("what concerns the hop, or claims an origin, is not forwarded")
        func hopByHop() async throws {
            let dropped = [
                "connection: keep-alive, x-named", "x-named: 1", "keep-alive: timeout=5", "te: trailers",
                "proxy-authorization: Basic x", "proxy-connection: keep-alive", "x-forwarded-for: 1.2.3.4",
                "x-forwarded-proto: https", "forwarded: for=1.2.3.4", "via: 1.1 x", "x-real-ip: 1.2.3.4",
                "accept-encoding: gzip", "origin: http://x", "referer: http://x", "sec-fetch-mode: cors",
                "x-gateway-destination-endpoint: 10.0.0.1:80", "x-envoy-original-path: /", "x-penstock-model: m",
                "range: bytes=0-1", "x-forwarded-anything: 1",
            ]
            let kept = [
                "accept: application/json", "x-stainless-lang: python", "anthropic-version: 2023-06-01", "x-own: 1",
            ]
            try await withEngine { gateway, upstream in
                #expect(try await Fields.send(dropped + kept, to: gateway).status == 200)
                let request = try #require(upstream.requests.first)
                for field in dropped {
                    let name = String(field.prefix { $0 != ":" })
                    #expect(request[name] == nil, "\(field)")
                }
                for field in kept {
                    let name = String(field.prefix { $0 != ":" })
                    #expect(request[name].map { "\(name): \($0)" } == field)
                }
            }
        }

        @Test("of an answer only listed fields reach the client")
        func answerFields() async throws {
            let dropped = [
                "server: uvicorn", "set-cookie: a=b", "via: 1.1 x", "x-powered-by: x", "keep-alive: timeout=5",
                "x-internal: 1", "alt-svc: h3", "www-authenticate: Basic", "location: http://x", "connection: x-hop",
                "x-hop: 1",
            ]
            let kept = [
                "content-type: application/json", "openai-processing-ms: 12", "openai-version: 1",
                "x-ratelimit-remaining-tokens: 9", "anthropic-ratelimit-requests-limit: 5", "cache-control: no-store",
            ]
            try await withEngine({ try $0.answer(200, dropped + kept) }) { gateway, _ in
                let answer = try await Fields.send([], to: gateway)
                for field in dropped {
                    let name = String(field.prefix { $0 != ":" })
                    #expect(answer[name] == nil, "\(field)")
                }
                for field in kept {
                    let name = String(field.prefix { $0 != ":" })
                    #expect(answer.head.all(name) == [String(field.dropFirst(name.count + 2))])
                }
                #expect(answer["date"] != nil)
            }
        }

        @Test("a well-formed request id is echoed and forwarded; another is replaced")
        func requestID() async throws {
            try await withEngine({ try $0.answer(200, ["x-request-id: engine", "request-id: engine"]) }) {
                gateway, upstream in
                let echoed = try await Fields.send(["x-request-id: abc-123_x.Y"], to: gateway)
                #expect(echoed.head.all("x-request-id") == ["abc-123_x.Y"])
                #expect(upstream.requests.last?.head.all("x-request-id") == ["abc-123_x.Y"])
                for bad in ["", "has space", "semi;colon", String(repeating: "x", count: 129)] {
                    let answer = try await Fields.send(["x-request-id: \(bad)"], to: gateway)
                    let id = try #require(answer["x-request-id"])
                    #expect(id != bad && !id.isEmpty && id != "engine")
                    #expect(upstream.requests.last?["x-request-id"] == id)
                }
                let messages = try await gateway.post("/v1/messages", #"{"model":"m"}"#)
                #expect(messages.head.all("request-id") == messages.head.all("x-request-id"))
            }
        }
    }
}
