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
                Path(target: "/v1/moderations"), Path(target: "/v1/audio/speech"), Path(target: "/v1/images/generations"),
                Path(target: "/v1/images/edits"), Path(target: "/v1/decisions"), Path(target: "/v1/responses?beta=true"),
                Path(target: "/openai/v1/chat/completions", forwarded: "/v1/chat/completions"),
                Path(target: "/openai/responses?api-version=2025-01-01&x=1", forwarded: "/v1/responses?x=1"),
            ])
        func json(_ path: Path) async throws {
            let body = #"{ "messages":[{"role":"user","content":"é \u00e9 {\"model\":1}"}], "model" : "m","n":1e2 }"#
            try await withEngine { gateway, upstream in
                let answer = try await gateway.client().post(path.target, body)
                #expect(answer.status == 200)
                #expect(answer.text == #"{"ok":true}"#)
                let request = try #require(upstream.requests.first)
                #expect(request.head.startLine == "POST \(path.forwarded ?? path.target) HTTP/1.1")
                #expect(request.text == body)
                #expect(request["content-length"] == "\(body.utf8.count)")
            }
        }
    }
}
