import Bytes
import OpenAI
import Testing

private func classify(_ method: APIMethod, _ target: String) -> APITarget {
    .classify(method, octets(target).span)
}

private func path(_ method: APIMethod, _ target: String) -> APIPath? {
    guard case .operation(let path) = classify(method, target) else { return nil }
    return path
}

@Suite("API paths")
struct APIPathTests {
    @Test(
        "each path has its operation",
        arguments: [
            (.post, "/v1/chat/completions", .chatCompletions), (.post, "/v1/completions", .completions),
            (.post, "/v1/embeddings", .embeddings), (.post, "/v1/responses", .responses),
            (.post, "/v1/responses?beta=true", .responses), (.post, "/v1/messages", .messages),
            (.post, "/v1/messages?beta=true", .messages), (.post, "/v1/messages/count_tokens", .countTokens),
            (.post, "/v1/rerank", .rerank), (.post, "/rerank", .rerank), (.post, "/v2/rerank", .rerank),
            (.post, "/score", .score), (.post, "/v1/score", .score), (.post, "/tokenize", .tokenize),
            (.post, "/v1/tokenize", .tokenize), (.post, "/detokenize", .detokenize),
            (.post, "/v1/moderations", .moderations), (.post, "/v1/audio/transcriptions", .audioTranscriptions),
            (.post, "/v1/audio/translations", .audioTranslations), (.post, "/v1/audio/speech", .speech),
            (.post, "/v1/images/generations", .images), (.post, "/v1/images/edits", .images),
            (.post, "/v1/images/variations", .images), (.post, "/v1/decisions", .generic),
            (.post, "/v1/some/new_thing-2.0", .generic), (.post, "/v1/responses/input_tokens", .generic),
            (.post, "/pooling", .generic), (.get, "/v1/models", .modelsList), (.head, "/v1/models", .modelsList),
            (.get, "/v1/models?limit=20", .modelsList), (.get, "/v1/models/gpt-4", .modelGet),
            (.get, "/health", .health), (.get, "/health/live", .healthLive), (.head, "/health/ready", .healthReady),
            (.post, "/openai/deployments/gpt/chat/completions?api-version=1", .chatCompletions),
            (.post, "/openai/deployments/gpt/audio/transcriptions", .audioTranscriptions),
            (.post, "/openai/v1/embeddings", .embeddings), (.get, "/openai/v1/models", .modelsList),
            (.get, "/openai/v1/models/x", .modelGet), (.post, "/openai/responses?api-version=2", .responses),
            (.get, "/openai/models?api-version=2", .modelsList),
        ] as [(APIMethod, String, APIOperation)]
    )
    func operations(_ method: APIMethod, _ target: String, _ operation: APIOperation) {
        #expect(path(method, target)?.operation == operation)
    }

    @Test(
        "what does not exist, or could be read in two ways, is not found",
        arguments: [
            "/", "", "*", "/v1", "/v1/", "/v1/chat/completions/", "//v1/chat/completions", "/v1//chat/completions",
            "/v1/chat/../models/x", "/v1/./chat/completions", "/v1/chat/.hidden", "/v1/x..y", "/v1/%63hat/completions",
            "/v1/chat%2Fcompletions", "/v1/%2e%2e/metrics", "/v1/chat/completions;a=b", "/v1/chat/completions%00",
            "/V1/chat/completions", "/v1/Chat/completions", "/v1\u{301}/chat/completions", "/v1/chat\\completions",
            "/v1/responses/resp_1", "/v1/responses/resp_1/cancel", "/v1/chat/completions/chatcmpl-1", "/v1/files",
            "/v1/batches", "/v1/messages/batches", "/v1/threads/t/runs", "/v1/realtime", "/v1/load_lora_adapter",
            "/v1/unload_lora_adapter", "/load_lora_adapter", "/unload_lora_adapter", "/metrics", "/admin", "/healthz",
            "/openai/deployments/gpt", "/openai/deployments//chat/completions", "/openai/deployments/gpt/messages",
            "/openai/deployments/../chat/completions", "/openai/deployments/%2e%2e/chat/completions",
            "/openai/deployments/a%zz/chat/completions", "/openai/deployments/a%0Ab/chat/completions",
            "/openai/deployments/gpt/chat/%63ompletions", "/openai/", "/openai/x", "/v1/modelsx", "/v1/models/",
            "/v1/models/a/../b", "/v1/models/a%2F..%2Fb", "/v1/models/%ff", "/v1/models/a//b",
            "/v1/load_lora_adapter/x",
            "http://x/v1/chat/completions", "/openai/v1/../../metrics",
        ]
    )
    func notFound(_ target: String) {
        for method in [APIMethod.get, .post] {
            guard case .notFound = classify(method, target) else {
                Issue.record("\(classify(method, target))")
                continue
            }
        }
    }

    @Test("the wrong method is told with the right ones")
    func methods() {
        #expect(classify(.get, "/v1/chat/completions") == .methodNotAllowed(.openai, allow: .post))
        #expect(classify(.delete, "/v1/messages") == .methodNotAllowed(.anthropic, allow: .post))
        #expect(classify(.post, "/v1/models") == .methodNotAllowed(.openai, allow: .get))
        #expect(classify(.delete, "/v1/models/x") == .methodNotAllowed(.openai, allow: .get))
        #expect(classify(.post, "/health") == .methodNotAllowed(.openai, allow: .get))
        #expect(classify(.other, "/v1/embeddings") == .methodNotAllowed(.openai, allow: .post))
        #expect(classify(.get, "/v1/new_thing") == .notFound(.openai))
        #expect(classify(.get, "/v1/messages/x") == .notFound(.anthropic))
    }

    @Test(
        "a model in the path is decoded",
        arguments: [
            ("/v1/models/gpt-4", "gpt-4"), ("/v1/models/org/name", "org/name"), ("/v1/models/org%2Fname", "org/name"),
            ("/v1/models/org%2fname?x=1", "org/name"), ("/v1/models/a%20b", "a b"), ("/v1/models/a:b", "a:b"),
            ("/v1/models/%C3%A9", "é"), ("/v1/models/a%25b", "a%b"), ("/v1/models/..a", "..a"),
            ("/v1/models/a;b", "a;b"),
        ]
    )
    func modelGet(_ target: String, _ model: String) throws {
        let found = try #require(path(.get, target))
        #expect(found.operation == .modelGet)
        #expect(found.decodedModel(octets(target).span) == octets(model))
    }

    @Test(
        "Azure's paths are forwarded as OpenAI's",
        arguments: [
            ("/openai/deployments/gpt/chat/completions?api-version=2024-10-21", "/v1/chat/completions", "gpt"),
            ("/openai/deployments/o%2Fm/embeddings", "/v1/embeddings", "o/m"),
            ("/openai/deployments/gpt/completions?a=1&api-version=2&b=2", "/v1/completions?a=1&b=2", "gpt"),
            ("/openai/deployments/gpt/completions?api-version=2&&", "/v1/completions", "gpt"),
            ("/openai/v1/responses?api-version=preview", "/v1/responses", nil),
            ("/openai/responses?api-version=preview&x=y", "/v1/responses?x=y", nil),
            ("/v1/responses?api-version=kept&beta=true", "/v1/responses?api-version=kept&beta=true", nil),
            ("/rerank", "/rerank", nil),
        ] as [(String, String, String?)]
    )
    func forward(_ target: String, _ forwarded: String, _ model: String?) throws {
        let found = try #require(path(.post, target))
        var result: [UInt8] = []
        found.appendForwardTarget(octets(target).span, to: &result)
        #expect(result == octets(forwarded))
        #expect(found.decodedModel(octets(target).span) == model.map(octets))
        #expect(found.modelSource == (model == nil ? .body : .path))
    }

    @Test("errors have the shape of the path's dialect")
    func dialects() {
        #expect(path(.post, "/v1/messages")?.dialect == .anthropic)
        #expect(path(.post, "/v1/messages/count_tokens")?.dialect == .anthropic)
        #expect(path(.post, "/v1/chat/completions")?.dialect == .openai)
        #expect(path(.post, "/v1/moderations")?.modelSource == .bodyIfAny)
    }

    @Test("labels are distinct and fit for metrics")
    func labels() {
        let labels = APIOperation.allCases.map { $0.label.description }
        #expect(Set(labels).count == labels.count)
        #expect(labels.allSatisfy { $0.allSatisfy { $0.isLowercase || $0 == "_" } })
    }

    @Test("no target stops the process")
    func anyTarget() {
        var generator = SplitMix(state: 3)
        let pieces = [
            "/v1/", "/openai/deployments/", "models/", "%", "%2", "%2F", "..", "?", "&", "x", "/", "é", "api-version=",
        ]
        for _ in 0..<20_000 {
            let target = (0..<Int.random(in: 0..<8, using: &generator))
                .map { _ in pieces.randomElement(using: &generator) ?? "" }.joined()
            for method in [APIMethod.get, .post] {
                guard let found = path(method, target) else { continue }
                var result: [UInt8] = []
                found.appendForwardTarget(octets(target).span, to: &result)
                #expect(result.first == UInt8(ascii: "/"))
                _ = found.decodedModel(octets(target).span)
            }
        }
    }
}
