import EngineSimulator
import Testing

@Suite("The simulated engine's API", .timeLimit(.minutes(1)))
struct APITests {
    struct Row: CustomTestStringConvertible {
        let path: String
        let body: String
        let answer: String
        var testDescription: String { "\(path) \(body)" }
    }

    @Test(
        "answers",
        arguments: [
            Row(path: "/v1/messages/count_tokens", body: #""messages":[1,2]"#, answer: #"{"input_tokens":2}"#),
            Row(
                path: "/v1/rerank", body: #""query":"q","documents":["a","b"],"top_n":1"#,
                answer: #""results":[{"index":"#),
            Row(path: "/rerank", body: #""query":"q","documents":[]"#, answer: #""results":[]"#),
            Row(path: "/score", body: #""text_1":"a","text_2":["b","c"]"#, answer: #"{"index":1,"object":"score""#),
            Row(path: "/v1/score", body: #""text_1":["a","b"],"text_2":["c","d"]"#, answer: #"{"index":1,"object":"#),
            Row(
                path: "/tokenize", body: #""prompt":"ab""#,
                answer: #"{"count":2,"max_model_len":131072,"tokens":[97,98]}"#),
            Row(path: "/detokenize", body: #""tokens":[97,98]"#, answer: #"{"prompt":"ab"}"#),
            Row(path: "/v1/moderations", body: #""input":["a","an attack"]"#, answer: #"{"flagged":true,"#),
            Row(path: "/v1/images/generations", body: #""prompt":"x","n":2"#, answer: #","data":[{"b64_json":"iVBOR"#),
            Row(path: "/v1/audio/speech", body: #""input":"a b""#, answer: "RIFF"),
            Row(path: "/v1/decisions", body: #""a":1"#, answer: #"{"object":"simulated","model":"demo"}"#),
            Row(path: "/pooling", body: #""a":1"#, answer: #"{"object":"simulated","model":"demo"}"#),
            Row(path: "/openai/deployments/demo/embeddings", body: #""input":"a""#, answer: #""embedding":["#),
        ])
    func answers(_ row: Row) async throws {
        try await withEngine { engine in
            let answer = try await engine.ask(row.path, "{\"model\":\"demo\",\(row.body)}")
            #expect(answer.status == 200 && answer.isWhole)
            #expect(answer.text.contains(row.answer))
        }
    }

    @Test(
        "refuses",
        arguments: [
            ("/v1/chat/completions", "{", 400, "could not parse"),
            ("/v1/chat/completions", "[]", 400, "must be a JSON object"),
            ("/v1/chat/completions", #"{"messages":[]}"#, 400, "missing_required_parameter"),
            ("/v1/chat/completions", #"{"model":"demo"}"#, 400, "'messages'"),
            ("/v1/chat/completions", #"{"model":"other","messages":[]}"#, 404, "model_not_found"),
            ("/v1/embeddings", #"{"model":"demo"}"#, 400, "'input'"),
            ("/v1/embeddings", #"{"model":"demo","input":"a","dimensions":99999999999}"#, 400, "'dimensions'"),
            (
                "/v1/messages", #"{"model":"other","messages":[]}"#, 404,
                #"{"type":"error","error":{"type":"not_found_error""#
            ),
            ("/v1/audio/transcriptions", #"{"model":"demo"}"#, 415, "unsupported_content_type"),
            ("/v1/files", #"{"model":"demo"}"#, 404, "unknown_url"),
            ("/v1/models", #"{"model":"demo"}"#, 405, "method_not_allowed"),
        ])
    func refuses(_ path: String, _ body: String, _ status: Int, _ text: String) async throws {
        try await withEngine { engine in
            let answer = try await engine.ask(path, body)
            #expect(answer.status == status && answer.isWhole)
            #expect(answer.text.contains(text))
            let statistics = await engine.statistics()
            #expect(statistics.badRequests == 1 && statistics.open == 0)
        }
    }

    @Test("embeddings are unit vectors, and the same in base64")
    func embeddings() async throws {
        try await withEngine { engine in
            let body = "{\"model\":\"demo\",\"input\":[\"a\",\"b\"],\"dimensions\":2"
            let plain = try await engine.ask("/v1/embeddings", body + "}")
            let numbers = try #require(plain.text.firstRange(of: "\"embedding\":[")).upperBound
            let vector = plain.text[numbers...].prefix { $0 != "]" }.split(separator: ",").compactMap { Float($0) }
            try #require(vector.count == 2)
            #expect(abs(vector[0] * vector[0] + vector[1] * vector[1] - 1) < 1e-5)
            let coded = try await engine.ask("/v1/embeddings", body + ",\"encoding_format\":\"base64\"}")
            #expect(coded.text.string(after: "\"embedding\":\"") == base64(vector))
            #expect(plain.text.contains("\"usage\":{\"prompt_tokens\":2,\"total_tokens\":2"))
        }
    }

    @Test("transcriptions take multipart, whole and as a stream")
    func transcriptions() async throws {
        func form(_ more: String) -> String {
            let head = "content-disposition: form-data; name="
            return
                "--b\r\n\(head)\"model\"\r\n\r\ndemo\r\n\(more)--b\r\n\(head)\"file\"; filename=\"a\"\r\n\r\nRIFF\r\n--b--\r\n"
        }
        let stream = "--b\r\ncontent-disposition: form-data; name=\"stream\"\r\n\r\ntrue\r\n"
        try await withEngine { engine in
            let fields = ["content-type: multipart/form-data; boundary=b"]
            let whole = try await engine.ask("/v1/audio/transcriptions", form(""), fields: fields)
            #expect(whole.status == 200 && whole.text.hasPrefix("{\"text\":\""))
            let events = try await engine.ask("/v1/audio/translations", form(stream), fields: fields).events
            #expect(events.count == 13 && events.last?.contains("transcript.text.done") == true)
        }
    }

    @Test("a key is demanded below /v1 alone")
    func key() async throws {
        try await withEngine(swift { $0.apiKey = "k" }) { engine in
            #expect(try await engine.chat().status == 401)
            #expect(try await engine.chat("hi", fields: ["authorization: Bearer wrong"]).status == 401)
            #expect(try await engine.chat("hi", fields: ["authorization: Bearer k"]).status == 200)
            #expect(try await engine.chat("hi", fields: ["x-api-key: k"]).status == 200)
            #expect(try await engine.ask("/v1/models").status == 401)
            let health = try await engine.ask("/health")
            #expect(health.status == 200)
        }
    }

    @Test("models are listed and found, health and models can fail")
    func reads() async throws {
        try await withEngine(swift { $0.models = ["a", "b/c"] }) { engine in
            let list = try await engine.ask("/v1/models")
            #expect(list.text.contains("\"id\":\"a\"") && list.text.contains("\"id\":\"b/c\""))
            #expect(try await engine.ask("/v1/models/b/c").status == 200)
            #expect(try await engine.ask("/v1/models/d").status == 404)
            #expect(try await engine.ask("/version").status == 200)
            #expect(try await engine.ask("/ping").status == 200)
            await engine.configure { $0.faults.healthStatus = 503 }
            #expect(try await engine.ask("/health").status == 503)
            #expect(try await engine.ask("/simulator/config?models_status=500").status == 200)
            #expect(try await engine.ask("/v1/models").status == 500)
        }
    }

    @Test("the operator sees counts, the last request, and can change the engine")
    func operation() async throws {
        try await withEngine { engine in
            #expect(try await engine.ask("/simulator/last").text == "null")
            _ = try await engine.chat("hi", "\"stream\":true", fields: ["X-Mark: a\"b"])
            let stats = try await engine.ask("/simulator/stats").text
            #expect(stats.contains("\"requests\":1,\"streams\":1,\"finished\":1,\"client_aborts\":0"))
            #expect(stats.contains("\"open\":0,\"most_open\":1"))
            let last = try await engine.ask("/simulator/last").text
            #expect(last.contains("\"target\":\"/v1/chat/completions\",\"version\":\"1.1\",\"authority\":\"engine\""))
            #expect(last.contains("[\"x-mark\",\"a\\\"b\"]"))
            #expect(last.contains("\"body\":\"{\\\"model\\\":\\\"demo\\\""))
            #expect(await engine.lastRequest()?.value(of: "x-mark") == "a\"b")
            let change = "{\"tokens\":2,\"models\":[\"x\",\"demo\"]}"
            #expect(try await engine.ask("/simulator/config", change).status == 200)
            #expect(try await engine.chat().text.contains("\"completion_tokens\":2"))
            #expect(try await engine.ask("/simulator/config", "{\"tokens\":3,\"tokenz\":1}").status == 400)
            #expect(try await engine.chat().text.contains("\"completion_tokens\":2"))
            #expect(try await engine.ask("/simulator/reset", "{}").status == 200)
            #expect(await engine.statistics().requests == 0)
        }
    }

    @Test("metrics have vLLM's names and the truth")
    func metrics() async throws {
        try await withEngine { engine in
            _ = try await engine.chat("hi", "\"max_tokens\":3")
            let text = try await engine.ask("/metrics").text
            let labels = "{engine=\"0\",model_name=\"demo\""
            for line in [
                "vllm:num_requests_running\(labels)} 0", "vllm:num_requests_waiting\(labels)} 0",
                "vllm:kv_cache_usage_perc\(labels)} 0.0", "vllm:prompt_tokens_total\(labels)} 8",
                "vllm:generation_tokens_total\(labels)} 3",
                "vllm:request_success_total\(labels),finished_reason=\"length\"} 1",
                "vllm:time_to_first_token_seconds_count\(labels)} 1",
                "vllm:inter_token_latency_seconds_bucket\(labels),le=\"+Inf\"} 2",
            ] { #expect(text.contains(line + "\n")) }
        }
    }

    @Test(
        "a wish that is not understood is refused",
        arguments: ["x-sim-fault: nonsense", "x-sim-tokenz: 1", "x-sim-tokens: a"])
    func wishes(_ field: String) async throws {
        try await withEngine { engine in
            let answer = try await engine.chat("hi", fields: [field])
            #expect(answer.status == 400)
        }
    }
}

/// RFC 4648 section 4 of the numbers' bytes, low ones first.
private func base64(_ vector: [Float]) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    var bits: [Int] = []
    for number in vector {
        for byte in 0..<4 {
            for bit in 0..<8 { bits.append(Int(number.bitPattern >> UInt32(8 * byte + 7 - bit) & 1)) }
        }
    }
    while bits.count % 6 > 0 { bits.append(0) }
    var text = ""
    for start in stride(from: 0, to: bits.count, by: 6) {
        text.append(alphabet[bits[start..<(start + 6)].reduce(0) { $0 << 1 | $1 }])
    }
    while text.count % 4 > 0 { text.append("=") }
    return text
}
