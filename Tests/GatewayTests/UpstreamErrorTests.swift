import Testing

extension GatewayTests {
    /// Error answers of engines, in the shape of the API.
    @Suite struct UpstreamErrors {
        struct Row: Sendable, CustomTestStringConvertible {
            let testDescription: String
            let status: Int
            let body: String
            var type = "application/json"
            var expected = 0
            let contains: [String]
            var omits: [String] = []
        }

        private static let rows = [
            Row(
                testDescription: "vLLM",
                status: 400,
                body:
                    #"{"error":{"message":"bad temperature","type":"BadRequestError","param":"temperature","code":400}}"#,
                contains: [
                    #""message":"bad temperature""#, #""type":"invalid_request_error""#, #""param":"temperature""#,
                ]),
            Row(
                testDescription: "older vLLM, flat", status: 404,
                body:
                    #"{"object":"error","message":"The model `x` does not exist.","type":"NotFoundError","code":404}"#,
                contains: [#""message":"The model `x` does not exist.""#, #""type":"invalid_request_error""#]),
            Row(
                testDescription: "SGLang", status: 400,
                body: #"{"object":"error","message":"Input is longer than the model's context length (10 > 5)","#
                    + #""type":"BadRequestError","param":null,"code":400}"#,
                contains: [#""code":"context_length_exceeded""#, #""param":"messages""#]),
            Row(
                testDescription: "llama.cpp", status: 400,
                body: #"{"error":{"code":400,"message":"the request exceeds the available context size","#
                    + #""type":"exceed_context_size_error","n_prompt_tokens":10,"n_ctx":5}}"#,
                contains: [#""code":"context_length_exceeded""#]),
            Row(
                testDescription: "FastAPI validation", status: 422,
                body: #"{"detail":[{"loc":["body","n"],"msg":"field required","type":"missing"}]}"#,
                contains: ["field required", #""type":"invalid_request_error""#]),
            Row(
                testDescription: "HTML", status: 503, body: "<html>nginx</html>", type: "text/html",
                contains: [#""code":"server_is_overloaded""#], omits: ["nginx", "html"]),
            Row(
                testDescription: "empty", status: 500, body: "", contains: [#""type":"server_error""#]),
            Row(
                testDescription: "address in the message", status: 500,
                body: #"{"error":{"message":"cannot connect to http://10.1.2.3:8000/v1 refused","code":500}}"#,
                contains: [#""type":"server_error""#], omits: ["10.1.2.3", ":8000"]),
            Row(
                testDescription: "an error larger than is kept", status: 500,
                body: #"{"error":{"message":""# + String(repeating: "x", count: 200_000) + #""}}"#,
                contains: [#""type":"server_error""#]),
        ]

        @Test("an engine's error has the shape of the API", arguments: rows)
        func shapes(_ row: Row) async throws {
            try await withEngine(
                { try $0.answer(row.status, ["content-type: \(row.type)"], row.body) }, pool: once
            ) { gateway, _ in
                let client = try gateway.client()
                for body in [#"{"model":"m"}"#, Streams.request] {
                    let answer = try await client.post("/v1/chat/completions", body)
                    #expect(answer.status == row.status)
                    #expect(answer["content-type"] == "application/json")
                    #expect(answer["x-request-id"] != nil)
                    for part in row.contains { #expect(answer.text.contains(part), "\(answer.text)") }
                    for part in row.omits { #expect(!answer.text.contains(part)) }
                }
                let messages = try await client.post("/v1/messages", #"{"model":"m"}"#)
                #expect(messages.text.hasPrefix(#"{"type":"error","error":{"type":""#))
                #expect(messages["request-id"] != nil)
            }
        }

        @Test("what an engine says about trying again is passed on")
        func retryAfter() async throws {
            let fields = ["content-type: application/json", "retry-after: 17", "retry-after-ms: 16500"]
            try await withEngine({ try $0.answer(429, fields, #"{"error":{"message":"slow down"}}"#) }) { gateway, _ in
                let client = try gateway.client()
                let answer = try await client.post("/v1/chat/completions", #"{"model":"m"}"#)
                #expect(answer.status == 429)
                #expect(answer.head.all("retry-after") == ["17"])
                #expect(answer.head.all("retry-after-ms") == ["16500"])
                #expect(answer.text.contains(#""type":"requests""#) && answer.text.contains("rate_limit_exceeded"))
                let next = try await client.get("/v1/models")
                #expect(next["retry-after"] == nil)
            }
        }

        @Test("a refused key is the client's fault if it was its own, and a 502 if it was ours")
        func credentials() async throws {
            let refuse: FakeUpstream.Script = {
                try $0.answer(
                    401, ["content-type: application/json"], #"{"error":{"message":"Incorrect key sk-1234"}}"#)
            }
            try await withEngine(refuse) { gateway, _ in
                let answer = try await gateway.post("/v1/chat/completions", #"{"model":"m"}"#)
                #expect(answer.status == 401)
                #expect(answer["www-authenticate"] == "Bearer")
                #expect(answer.text.contains(#""code":"invalid_api_key""#))
            }
            let path = temporaryPath("key")
            defer { removeFile(path) }
            try writeFile(path, "provider-secret")
            try await withEngine(refuse, provider: "apiKey: file:\(path)") { gateway, _ in
                let answer = try await gateway.post("/v1/chat/completions", #"{"model":"m"}"#)
                #expect(answer.status == 502)
                #expect(answer["x-should-retry"] == "false")
                #expect(!answer.text.contains("sk-1234"))
            }
        }

        @Test("an engine that dies in the middle of its error is answered for all the same")
        func brokenError() async throws {
            try await withEngine({ exchange in
                try exchange.write("HTTP/1.1 503 Busy\r\nretry-after: 3\r\ncontent-length: 100\r\n\r\n{\"error\"")
                throw SocketError.ended
            }) { gateway, _ in
                let answer = try await gateway.post("/v1/chat/completions", #"{"model":"m"}"#)
                #expect(answer.status == 503)
                #expect(answer["retry-after"] == "3")
            }
        }

        @Test("an error that never ends is answered as soon as it is too long")
        func endlessError() async throws {
            try await withEngine({ exchange in
                try exchange.write("HTTP/1.1 500 No\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n")
                while true { try exchange.chunk(String(repeating: "x", count: 10_000)) }
            }) { gateway, _ in
                let answer = try await gateway.post("/v1/chat/completions", #"{"model":"m"}"#)
                #expect(answer.status == 500)
                let scrape = try await gateway.metrics()
                #expect(scrape.sum("penstock_upstream_requests_in_flight") == 0)
            }
        }

        @Test("an error without a body is answered", arguments: [204, 304, 500])
        func noBody(_ status: Int) async throws {
            try await withEngine({ exchange in
                let length = status == 500 ? "content-length: 0\r\n" : ""
                try exchange.write("HTTP/1.1 \(status) X\r\n\(length)\r\n")
            }) { gateway, _ in
                let client = try gateway.client()
                for _ in 1...2 {
                    let answer = try await client.post("/v1/embeddings", #"{"model":"m"}"#)
                    #expect(answer.status == (status == 304 ? 502 : status))
                }
            }
        }
    }
}
