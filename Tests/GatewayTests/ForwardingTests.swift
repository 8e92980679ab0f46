import Testing

extension GatewayTests {
    /// What of a request reaches the engine.
    @Suite struct Forwarding {
        struct Path: Sendable, CustomTestStringConvertible {
            let target: String
            var forwarded: String?
            var testDescription: String { target }
        }

        @Test(
            "a JSON request is forwarded by its model, byte for byte",
            arguments: [
                Path(target: "/v1/chat/completions"), Path(target: "/v1/completions"), Path(target: "/v1/embeddings"),
                Path(target: "/v1/responses"), Path(target: "/v1/messages"), Path(target: "/v1/messages/count_tokens"),
                Path(target: "/v1/rerank"), Path(target: "/rerank"), Path(target: "/v2/rerank"), Path(target: "/score"),
                Path(target: "/v1/score"), Path(target: "/tokenize"), Path(target: "/detokenize"),
                Path(target: "/v1/moderations"), Path(target: "/v1/audio/speech"),
                Path(target: "/v1/images/generations"),
                Path(target: "/v1/images/edits"), Path(target: "/v1/decisions"),
                Path(target: "/v1/responses?beta=true"),
                Path(target: "/openai/v1/chat/completions", forwarded: "/v1/chat/completions"),
                Path(target: "/openai/responses?api-version=2025-01-01&x=1", forwarded: "/v1/responses?x=1"),
            ])
        func json(_ path: Path) async throws {
            let body = #"{ "messages":[{"role":"user","content":"é \u00e9 {\"model\":1}"}], "model" : "m","n":1e2 }"#
            try await withEngine { gateway, upstream in
                let answer = try await gateway.post(path.target, body)
                #expect(answer.status == 200)
                #expect(answer.text == #"{"ok":true}"#)
                let request = try #require(upstream.requests.first)
                #expect(request.head.startLine == "POST \(path.forwarded ?? path.target) HTTP/1.1")
                #expect(request.text == body)
                #expect(request["content-length"] == "\(body.utf8.count)")
            }
        }

        @Test("a GET of the API is not forwarded")
        func readsAreNotForwarded() async throws {
            try await withEngine { gateway, upstream in
                let answer = try await gateway.get("/v1/chat/completions")
                #expect(answer.status == 405)
                #expect(upstream.requests.isEmpty)
            }
        }

        @Test("requests of one connection do not mix, whatever became of the one before")
        func sequence() async throws {
            let script: FakeUpstream.Script = { exchange in
                if exchange.request.text.contains("fail") { return try exchange.answer(500) }
                try exchange.answer()
            }
            try await withEngine(script, pool: once) { gateway, upstream in
                let client = try gateway.client()
                for body in [
                    #"{"model":"m","n":1}"#, #"{"model":"m","broken"#, #"{"model":"m","n":2}"#,
                    #"{"model":"unknown"}"#, #"{"model":"m","n":3}"#, #"{"model":"m","fail":1}"#,
                    #"{"model":"m","n":4}"#,
                ] {
                    _ = try await client.post("/v1/chat/completions", body)
                }
                #expect(
                    upstream.requests.map(\.text) == [
                        #"{"model":"m","n":1}"#, #"{"model":"m","n":2}"#, #"{"model":"m","n":3}"#,
                        #"{"model":"m","fail":1}"#, #"{"model":"m","n":4}"#,
                    ])
                #expect(upstream.connectionCount == 1)
            }
        }

        @Test("pipelined requests are answered in order")
        func pipelining() async throws {
            try await withEngine({ try $0.answer(200, ["content-type: application/json"], $0.request.text) }) {
                gateway, _ in
                let client = try gateway.client()
                var text = ""
                for number in 1...20 {
                    let body = #"{"model":"m","n":\#(number)}"#
                    text +=
                        "POST /v1/embeddings HTTP/1.1\r\nhost: g\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)"
                }
                try await client.send(text)
                for number in 1...20 { #expect(try await client.response().text == #"{"model":"m","n":\#(number)}"#) }
            }
        }

        @Test("a chunked request body is forwarded whole")
        func chunkedBody() async throws {
            try await withEngine { gateway, upstream in
                let client = try gateway.client()
                try await client.send(
                    "POST /v1/embeddings HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n\r\n"
                        + "9\r\n{\"model\":\r\n4\r\n\"m\"}\r\n0\r\n\r\n")
                #expect(try await client.response().status == 200)
                #expect(upstream.requests.first?.text == #"{"model":"m"}"#)
            }
        }

        @Test("a client that expects 100 gets it, and its answer")
        func expectContinue() async throws {
            try await withEngine { gateway, upstream in
                let client = try gateway.client()
                try await client.send(
                    "POST /v1/embeddings HTTP/1.1\r\nhost: g\r\nexpect: 100-continue\r\ncontent-length: 13\r\n\r\n")
                #expect(try await client.head().startLine == "HTTP/1.1 100 Continue")
                try await client.send(#"{"model":"m"}"#)
                #expect(try await client.response().status == 200)
                #expect(upstream.requests.first?["expect"] == nil)
            }
        }

        @Test("a body of megabytes is forwarded byte for byte")
        func largeBody() async throws {
            try await withEngine { gateway, upstream in
                let body =
                    #"{"messages":""# + String(repeating: "0123456789abcdef", count: 1 << 17) + #"","model":"m"}"#
                let answer = try await gateway.post("/v1/embeddings", body)
                #expect(answer.status == 200)
                #expect(upstream.requests.first?.text == body)
            }
        }
    }
}
