import Bytes
import OpenAI
import Testing

struct UpstreamRow: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let status: Int
    let body: String
    let result: String

    init(_ name: String, _ status: Int, _ body: String, _ result: String) {
        testDescription = name
        self.status = status
        self.body = body
        self.result = result
    }
}

@Suite("Errors of engines")
struct UpstreamErrorTests {
    @Test(
        "every known shape becomes OpenAI's",
        arguments: [
            UpstreamRow(
                "vLLM", 404,
                #"{"error":{"message":"The model `x` does not exist.","type":"NotFoundError","param":"model","code":404}}"#,
                "404 invalid_request_error - model The model `x` does not exist."),
            UpstreamRow(
                "vLLM, too long", 400,
                #"{"error":{"message":"This model's maximum context length is 64 tokens. However, you requested 99.","type":"BadRequestError","param":"input_tokens","code":400}}"#,
                "400 invalid_request_error context_length_exceeded messages This model's maximum context length is 64 tokens. However, you requested 99."
            ),
            UpstreamRow(
                "vLLM, key", 401, #"{"error":"Unauthorized"}"#,
                "401 invalid_request_error invalid_api_key - Unauthorized"),
            UpstreamRow(
                "SGLang", 400, #"{"object":"error","message":"bad","type":"BadRequest","param":null,"code":400}"#,
                "400 invalid_request_error - - bad"),
            UpstreamRow(
                "llama.cpp", 503, #"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#,
                "503 server_error server_is_overloaded - Loading model"),
            UpstreamRow(
                "llama.cpp, too long", 400,
                #"{"error":{"code":400,"message":"the request exceeds","type":"exceed_context_size_error","n_ctx":64}}"#,
                "400 invalid_request_error context_length_exceeded messages the request exceeds"),
            UpstreamRow(
                "TGI", 422, #"{"error":"Input validation error","error_type":"validation"}"#,
                "422 invalid_request_error - - Input validation error"),
            UpstreamRow(
                "Ollama", 404, #"{"error":"model 'x' not found"}"#, "404 invalid_request_error - - model 'x' not found"),
            UpstreamRow("FastAPI, text", 404, #"{"detail":"Not Found"}"#, "404 invalid_request_error - - Not Found"),
            UpstreamRow(
                "FastAPI, list", 422,
                #"{"detail":[{"loc":["body","messages",0],"msg":"field required","type":"missing"},{"loc":["body"],"msg":"no"}]}"#,
                "422 invalid_request_error - - body.messages.0: field required; body: no"),
            UpstreamRow(
                "Anthropic", 529,
                #"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"r"}"#,
                "503 server_error server_is_overloaded - Overloaded"),
            UpstreamRow(
                "Google in an array", 400, #"[{"error":{"code":400,"message":"Bad","status":"INVALID_ARGUMENT"}}]"#,
                "400 invalid_request_error - - Bad"),
            UpstreamRow(
                "AWS", 429, #"{"message":"Too many requests"}"#, "429 requests rate_limit_exceeded - Too many requests"),
            UpstreamRow(
                "OpenAI, quota", 429,
                #"{"error":{"message":"m","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
                "429 insufficient_quota insufficient_quota - m"),
            UpstreamRow(
                "number that is not the status", 400, #"{"error":{"message":"m","code":1234}}"#,
                "400 invalid_request_error 1234 - m"),
            UpstreamRow(
                "HTML", 500, "<html>secret</html>",
                "500 server_error upstream_error - The model's backend had an error."),
            UpstreamRow("nothing", 502, "", "502 server_error upstream_error - The model's backend had an error."),
            UpstreamRow(
                "broken JSON", 400, #"{"error":{"message":"x""#,
                "400 invalid_request_error - - The model's backend refused the request."),
            UpstreamRow(
                "code with spaces", 400, #"{"error":{"message":"m","code":"a b\n","param":"x y"}}"#,
                "400 invalid_request_error - - m"),
            UpstreamRow(
                "empty message", 400, #"{"error":{"message":""}}"#,
                "400 invalid_request_error - - The model's backend refused the request."),
            UpstreamRow(
                "redirect", 302, "",
                "502 server_error upstream_error - The model's backend gave an answer that could not be understood."),
            UpstreamRow(
                "proxy authentication", 407, "",
                "502 server_error upstream_error - The model's backend gave an answer that could not be understood."),
            UpstreamRow(
                "timeout", 504, "{}", "504 server_error upstream_timeout - The model's backend did not answer in time."),
        ]
    )
    func shapes(_ row: UpstreamRow) {
        let error = APIError.upstream(status: row.status, body: octets(row.body).span, credentialsAreOurs: false)
        #expect(
            "\(error.status) \(error.type) \(error.code ?? "-") \(error.param ?? "-") \(error.message)" == row.result)
    }

    @Test("a provider that refuses our credentials does not look like a client's bad key")
    func credentials() {
        let body = octets(#"{"error":{"message":"Incorrect API key provided: sk-abc","code":"invalid_api_key"}}"#)
        for status in [401, 403] {
            let error = APIError.upstream(status: status, body: body.span, credentialsAreOurs: true)
            #expect(error == .upstreamRefusedCredentials)
            #expect(!error.message.contains("sk-"))
        }
        #expect(APIError.upstream(status: 401, body: body.span, credentialsAreOurs: false).status == 401)
    }

    @Test("a message is cut at 4 KiB")
    func long() {
        let body = octets(#"{"error":{"message":"\#(String(repeating: "x ", count: 10_000))"}}"#)
        #expect(APIError.upstream(status: 400, body: body.span, credentialsAreOurs: true).message.utf8.count == 4096)
    }

    @Test(
        "addresses of inner hosts are taken out, public names stay",
        arguments: [
            ("cannot reach http://10.0.0.7:8000/v1 now", "cannot reach [address] now"),
            ("host 127.0.0.1:8000", "host [address]"), ("at (http://vllm-0:8000)", "at ([address])"),
            ("localhost:11434 is down", "[address] is down"), ("vllm.default.svc.cluster.local", "[address]"),
            ("ip-10-0-0-1.ec2.internal refused", "[address] refused"),
            ("see https://platform.openai.com/docs", "see https://platform.openai.com/docs"),
            ("version 1.2.3 of 4096 tokens", "version 1.2.3 of 4096 tokens"), ("llama-3.1-8b", "llama-3.1-8b"),
            ("http://[::1]:80/", "[address]"), ("0.7 and 1.5", "0.7 and 1.5"),
            ("", "The model's backend refused the request."),
        ]
    )
    func addresses(_ message: String, _ shown: String) {
        let body = written {
            $0.append("{\"error\":")
            $0.append(jsonString: octets(message).span)
            $0.append("}")
        }
        #expect(APIError.upstream(status: 400, body: octets(body).span, credentialsAreOurs: true).message == shown)
    }
}
