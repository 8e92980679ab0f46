import Testing

extension GatewayTests {
    /// Requests that never reach an engine.
    @Suite struct Refusals {
        struct Row: Sendable, CustomTestStringConvertible {
            let testDescription: String
            var method = "POST"
            var target = "/v1/chat/completions"
            var fields = ["content-type: application/json"]
            var body: [UInt8] = []
            var status = 400
            var type = "invalid_request_error"
            var code: String?
            var param: String?

            init(
                _ name: String, _ body: String = "", method: String = "POST", target: String = "/v1/chat/completions",
                fields: [String] = ["content-type: application/json"], bytes: [UInt8]? = nil, status: Int = 400,
                code: String? = nil, param: String? = nil
            ) {
                testDescription = name
                self.method = method
                self.target = target
                self.fields = fields
                self.body = bytes ?? Array(body.utf8)
                self.status = status
                self.code = code
                self.param = param
            }
        }

        private static let formFields = ["content-type: multipart/form-data; boundary=X-b0undary"]
        private static let transcriptions = "/v1/audio/transcriptions"
        private static let rows = [
            Row("no model", #"{"a":1}"#, code: "missing_required_parameter", param: "model"),
            Row("null model", #"{"model":null}"#, code: "missing_required_parameter", param: "model"),
            Row("model is a number", #"{"model":1}"#, code: "invalid_type", param: "model"),
            Row("model is an object", #"{"model":{}}"#, code: "invalid_type", param: "model"),
            Row("empty model", #"{"model":""}"#, code: "invalid_value", param: "model"),
            Row("model twice", #"{"model":"m","model":"m"}"#, code: "duplicate_parameter", param: "model"),
            Row(
                "model twice, once escaped", #"{"model":"m","\u006dodel":"x"}"#, code: "duplicate_parameter",
                param: "model"),
            Row(
                "model of 10 kB", #"{"model":""# + String(repeating: "x", count: 10_000) + #""}"#, code: "invalid_value"
            ),
            Row("stream twice", #"{"model":"m","stream":true,"stream":false}"#, code: "duplicate_parameter"),
            Row("stream is a string", #"{"model":"m","stream":"yes"}"#, code: "invalid_type", param: "stream"),
            Row("not JSON", "hello"), Row("cut JSON", #"{"model":"m","a":[1,2"#),
            Row("bytes after JSON", #"{"model":"m"}x"#), Row("two values", #"{"model":"m"}{"model":"m"}"#),
            Row("an array", "[]"), Row("a string", #""m""#), Row("null", "null"), Row("empty body"),
            Row("blanks", "  \r\n"),
            Row("deep nesting", #"{"model":"m","a":"# + String(repeating: "[", count: 100_000)),
            Row(
                "deep nesting, closed",
                #"{"model":"m","a":"# + String(repeating: "[", count: 300) + String(repeating: "]", count: 300) + "}"),
            Row("huge number", #"{"model":"m","a":1e999}"#),
            Row("long number", #"{"model":"m","max_tokens":"# + String(repeating: "9", count: 5000) + "}"),
            Row("malformed number", #"{"model":"m","a":01}"#), Row("NaN", #"{"model":"m","a":NaN}"#),
            Row("invalid UTF-8", bytes: Array(#"{"model":"m","a":""#.utf8) + [0xFF, 0xC0, 0x80] + Array(#""}"#.utf8)),
            Row("UTF-16", bytes: [0xFE, 0xFF, 0, 0x7B]), Row("control character", "{\"model\":\"m\",\"a\":\"\u{1}\"}"),
            Row("lone surrogate in the model", #"{"model":"\ud800"}"#),
            Row("trailing comma", #"{"model":"m",}"#), Row("comment", #"{"model":"m"/* */}"#),
            Row(
                "form where JSON is due", target: "/v1/embeddings", fields: formFields, status: 415,
                code: "unsupported_content_type"),
            Row(
                "text", #"{"model":"m"}"#, fields: ["content-type: text/plain"], status: 415,
                code: "unsupported_content_type"),
            Row(
                "a type that begins like JSON's", #"{"model":"m"}"#, fields: ["content-type: application/jsonp"],
                status: 415, code: "unsupported_content_type"),
            Row(
                "JSON where a form is due", #"{"model":"m"}"#, target: transcriptions, status: 415,
                code: "unsupported_content_type"),
            Row(
                "form without boundary", "x", target: transcriptions, fields: ["content-type: multipart/form-data"],
                status: 415, code: "unsupported_content_type"),
            Row(
                "no type where a form is due", "x", target: transcriptions, fields: [], status: 415,
                code: "unsupported_content_type"),
            Row("form that is none", "x", target: transcriptions, fields: formFields),
            Row(
                "form cut off", "--X-b0undary\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm",
                target: transcriptions, fields: formFields),
            Row(
                "form without model", formText(models: []), target: transcriptions, fields: formFields,
                code: "missing_required_parameter", param: "model"),
            Row(
                "form with two models", formText(models: ["m", "m"]), target: transcriptions, fields: formFields,
                code: "duplicate_parameter", param: "model"),
            Row(
                "gzip", "x", fields: ["content-type: application/json", "content-encoding: gzip"], status: 415,
                code: "unsupported_content_encoding"),
            Row("unknown model", #"{"model":"unknown"}"#, status: 404, code: "model_not_found", param: "model"),
            Row(
                "Azure, unknown model", #"{"model":"m"}"#, target: "/openai/deployments/x/chat/completions",
                status: 404, code: "model_not_found", param: "model"),
            Row("unknown path", #"{"model":"m"}"#, target: "/v2/chat", status: 404, code: "unknown_url"),
            Row("path with dots", #"{"model":"m"}"#, target: "/v1/../v1/embeddings", status: 404, code: "unknown_url"),
            Row("encoded path", #"{"model":"m"}"#, target: "/v1/chat%2Fcompletions", status: 404, code: "unknown_url"),
            Row("double slash", #"{"model":"m"}"#, target: "//v1/chat/completions", status: 404, code: "unknown_url"),
            Row("stored state", method: "GET", target: "/v1/responses/resp_1", status: 404, code: "unknown_url"),
            Row("operators' paths", method: "GET", target: "/metrics", status: 404, code: "unknown_url"),
            Row("adapters", #"{"lora_name":"x"}"#, target: "/v1/load_lora_adapter", status: 404, code: "unknown_url"),
            Row("wrong method", method: "GET", target: "/v1/embeddings", status: 405, code: "method_not_allowed"),
            Row("PUT", #"{"model":"m"}"#, method: "PUT", status: 405, code: "method_not_allowed"),
            Row("DELETE of a model", method: "DELETE", target: "/v1/models/m", status: 405, code: "method_not_allowed"),
        ]

        private static func formText(models: [String]) -> String {
            models.map { "--X-b0undary\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n\($0)\r\n" }.joined()
                + form(model: nil)
        }

        @Test("a request that cannot be served is refused clearly, and never forwarded", arguments: rows)
        func refused(_ row: Row) async throws {
            let models: @Sendable (String) -> String = { url in
                "models: [{name: m, endpoints: [\"\(url)\"]}, {name: other, endpoints: [\"\(url)\"]}]"
            }
            let upstream = try FakeUpstream()
            try await withGateway(models(upstream.url), upstreams: [upstream]) { gateway in
                let client = try gateway.client()
                try await client.send(row.method, row.target, row.fields, body: row.body)
                let answer = try await client.response()
                #expect(answer.status == row.status, "\(answer.text)")
                #expect(answer["content-type"] == "application/json")
                #expect(answer["x-request-id"] != nil)
                #expect(answer.text.contains(#""type":"\#(row.type)""#))
                if let code = row.code { #expect(answer.text.contains(#""code":"\#(code)""#), "\(answer.text)") }
                if let param = row.param { #expect(answer.text.contains(#""param":"\#(param)""#), "\(answer.text)") }
                #expect(answer.text.utf8.count < 1024)
                #expect((answer["allow"] != nil) == (row.status == 405))
                // The connection still serves.
                let next = try await client.post("/v1/embeddings", #"{"model":"m"}"#)
                #expect(next.status == 200)
                #expect(upstream.requests.map(\.text) == [#"{"model":"m"}"#])
            }
        }

        @Test("on /v1/messages errors have Anthropic's shape")
        func anthropic() async throws {
            try await withEngine { gateway, _ in
                let client = try gateway.client()
                for (body, type) in [
                    ("{", "invalid_request_error"), (#"{"model":"x"}"#, "not_found_error"),
                    ("{}", "invalid_request_error"),
                ] {
                    let answer = try await client.post("/v1/messages", body)
                    #expect(answer.text.hasPrefix(#"{"type":"error","error":{"type":"\#(type)","message":""#))
                    #expect(answer.text.contains(#""request_id":"\#(answer["x-request-id"] ?? "-")""#))
                    #expect(answer["request-id"] == answer["x-request-id"])
                }
                #expect(try await client.get("/v1/messages").status == 405)
            }
        }

        @Test("an unknown model's answer names those that are spelt alike, and shortens what it quotes")
        func nearMatches() async throws {
            let upstream = try FakeUpstream()
            let models = """
                models:
                  - {name: llama-3.1-8b, aliases: [gpt-4o-mini], endpoints: ["\(upstream.url)"]}
                  - {name: qwen3-30b, endpoints: ["\(upstream.url)"]}
                """
            try await withGateway(models, upstreams: [upstream]) { gateway in
                let client = try gateway.client()
                let near = try await client.post("/v1/chat/completions", #"{"model":"llama-3.1-8B"}"#)
                #expect(near.status == 404)
                #expect(near.text.contains("Did you mean 'llama-3.1-8b'?"))
                let alias = try await client.post("/v1/chat/completions", #"{"model":"gpt-4o-mni"}"#)
                #expect(alias.text.contains("'gpt-4o-mini'"))
                let far = try await client.post("/v1/chat/completions", #"{"model":"claude"}"#)
                #expect(!far.text.contains("Did you mean"))
                let long = String(repeating: "y", count: 120)
                let cut = try await client.post("/v1/chat/completions", #"{"model":"\#(long)"}"#)
                #expect(cut.status == 404 && !cut.text.contains(long))
                let scrape = try await gateway.metrics()
                #expect(!scrape.text.contains("claude") && !scrape.text.contains("yyyy"))
            }
        }

        @Test("what goes beyond a limit is refused in the shape of the API")
        func limits() async throws {
            let preamble = """
                listeners: [{address: "127.0.0.1:0"}]
                admin: {address: "127.0.0.1:0"}
                limits: {bodyBytes: 1KiB, headerBytes: 1KiB}
                shutdown: {timeout: 2s}

                """
            let upstream = try FakeUpstream()
            let models = "models: [{name: m, endpoints: [\"\(upstream.url)\"]}]"
            let lines = try await withGateway(models, upstreams: [upstream], preamble: preamble) { gateway in
                let body = #"{"model":"m","a":""# + String(repeating: "x", count: 2000) + #""}"#
                let large = try await gateway.post("/v1/embeddings", body)
                #expect(large.status == 413)
                #expect(large.text.contains(#""code":"request_too_large""#))
                #expect(large["x-request-id"] != nil)
                let client = try gateway.client()
                try await client.send(
                    "POST /v1/embeddings HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n\r\n"
                        + String(body.utf8.count, radix: 16) + "\r\n" + body + "\r\n0\r\n\r\n")
                #expect(try await client.response().status == 413)
                let field = "x-large: " + String(repeating: "x", count: 2000)
                let fields = try await gateway.post("/v1/embeddings", #"{"model":"m"}"#, [field])
                #expect(fields.status == 431)
                #expect(fields.text.contains(#""code":"header_too_large""#))
                #expect(upstream.requests.isEmpty)
                let scrape = try await gateway.metrics()
                #expect(scrape.sum("penstock_requests_total", #"code="413""#) == 2)
                #expect(scrape.sum("penstock_requests_total", #"code="499""#) == 0)
                #expect(scrape.sum("penstock_requests_total", #"code="431""#) == 1)
            }
            #expect(lines.exchanges.filter { $0.contains(#""status":413"#) }.count == 2)
            #expect(lines.exchanges.count == 3)
        }
    }
}
