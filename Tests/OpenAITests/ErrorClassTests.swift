import Bytes
import OpenAI
import Testing

struct ErrorClassRow: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let status: Int
    let body: String
    let expected: ErrorClass

    init(_ name: String, _ status: Int, _ body: String, _ expected: ErrorClass) {
        testDescription = name
        self.status = status
        self.body = body
        self.expected = expected
    }
}

@Suite("Error classes")
struct ErrorClassTests {
    @Test(
        "what an error means for what is tried next",
        arguments: [
            ErrorClassRow("nothing said", 400, "", .client),
            ErrorClassRow(
                "vLLM, too long", 400,
                #"{"error":{"message":"This model's maximum context length is 64 tokens.","code":400}}"#, .contextLength
            ),
            ErrorClassRow(
                "llama.cpp, too long", 400, #"{"error":{"type":"exceed_context_size_error","code":400}}"#,
                .contextLength),
            ErrorClassRow(
                "TGI, too long", 422,
                #"{"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 9"}"#, .contextLength),
            ErrorClassRow(
                "Gemini, too long", 400,
                #"[{"error":{"code":400,"message":"The input token count (9) exceeds the maximum number of tokens allowed (8)."}}]"#,
                .contextLength),
            ErrorClassRow(
                "as a 500", 500, #"{"detail":"Requested tokens exceed context window of 8"}"#, .contextLength),
            ErrorClassRow(
                "OpenAI, policy", 400, #"{"error":{"message":"x","code":"content_policy_violation"}}"#, .contentPolicy),
            ErrorClassRow(
                "Azure, policy", 400,
                #"{"error":{"message":"The response was filtered due to Azure OpenAI's content management policy.","code":"content_filter"}}"#,
                .contentPolicy),
            ErrorClassRow("rate limit", 429, #"{"error":{"message":"slow down"}}"#, .full),
            ErrorClassRow("quota", 429, #"{"error":{"code":"insufficient_quota"}}"#, .full),
            ErrorClassRow("loading", 503, #"{"error":{"code":503,"message":"Loading model"}}"#, .full),
            ErrorClassRow("Anthropic", 529, #"{"type":"error","error":{"type":"overloaded_error"}}"#, .full),
            ErrorClassRow("Bedrock", 400, #"{"__type":"ThrottlingException","message":"x"}"#, .full),
            ErrorClassRow("payment", 402, "", .full),
            ErrorClassRow("Ollama", 404, #"{"error":"model 'x' not found"}"#, .modelMissing),
            ErrorClassRow("as a 400", 400, #"{"error":{"code":"model_not_found"}}"#, .modelMissing),
            ErrorClassRow("key", 401, #"{"error":"Unauthorized"}"#, .authentication),
            ErrorClassRow("forbidden", 403, "", .authentication),
            ErrorClassRow("validation", 422, #"{"detail":[{"loc":["body"],"msg":"no"}]}"#, .client),
            ErrorClassRow("timeout", 408, "", .server),
            ErrorClassRow("broken", 500, "<html>", .server),
            ErrorClassRow("gateway", 504, "", .server),
            ErrorClassRow("no error", 200, #"{"error":{"code":"context_length_exceeded"}}"#, .server),
        ])
    func classes(_ row: ErrorClassRow) {
        #expect(ErrorClass(status: row.status, body: octets(row.body).span) == row.expected)
    }

    @Test(
        "errors inside a stream",
        arguments: [
            (#"{"error":{"message":"x","code":400}}"#, ErrorClass.client),
            (#"{"error":{"message":"x","code":"503"}}"#, .full),
            (#"{"object":"error","message":"prompt is too long","code":400}"#, .contextLength),
            (#"{"error":{"message":"EngineCore died"}}"#, .server), ("x", .server),
        ])
    func events(_ event: String, _ expected: ErrorClass) {
        #expect(ErrorClass(event: octets(event).span) == expected)
    }

    @Test(
        "an answer that says it is JSON and is not",
        arguments: [
            ("{}", true), ("[]", true), (" {\"a\":1}\r\n", true), ("[1,2]\n", true), ("{]", false), ("", false),
            ("{", false), ("  ", false), ("<html></html>", false), ("{\"a\":1", false), ("null", false), ("}{", false),
        ])
    func json(_ body: String, _ expected: Bool) {
        #expect(looksLikeJSON(octets(body).span) == expected)
    }

    @Test(
        "engines by what they call themselves",
        arguments: [
            ("vllm", EngineKind.vllm), ("sglang", .sglang), ("llamacpp", .llamacpp), ("library", .ollama),
            ("openai", .openai), ("openai-internal", .openai), ("system", .openai), ("anthropic", .anthropic),
            ("me", .other), ("", .other), ("vllm2", .other),
        ])
    func engines(_ owner: String, _ expected: EngineKind) {
        #expect(EngineKind(ownedBy: octets(owner).span) == expected)
    }

    @Test("a label names its engine, and who can go on is known")
    func support() {
        for kind in EngineKind.allCases { #expect(kind.label.description == "\(kind)") }
        #expect(EngineKind.vllm.supportsContinuation(of: .chatCompletions))
        #expect(EngineKind.other.supportsContinuation(of: .completions))
        #expect(!EngineKind.other.supportsContinuation(of: .chatCompletions))
        #expect(!EngineKind.vllm.supportsContinuation(of: .responses))
        #expect(!EngineKind.anthropic.supportsContinuation(of: .completions))
    }
}
