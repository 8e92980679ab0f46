import Config
import OpenAI
import Telemetry
import Testing

@testable import Gateway

extension GatewayTests {
    /// What endpoints are asked, and what their answers are taken for.
    @Suite struct ProbePlans {
        /// The plans of a configuration's endpoints that are probed, in its order.
        private static func plans(_ text: String) throws -> [ProbePlan] {
            let state = try GatewayState.make(
                try RunningGateway.configuration(text), discovered: [:], previous: nil, generation: 1, created: 0, at: 0
            )
            let metrics = GatewayMetrics(reactors: 1, version: "test") { 0 }
            return ProbeSubject.subjects(of: state, metrics).map(\.plan)
        }

        private static func plan(
            _ url: String, provider: String = "", health: String = "", pool: String = "", models: [String] = ["m"]
        ) throws -> ProbePlan {
            let list = models.map { "{name: \"\($0)\", pool: p}" }.joined(separator: ", ")
            return try #require(
                try plans(
                    """
                    providers: [{name: default, tls: {verify: false}, \(provider)}]
                    pools: [{name: p, endpoints: ["\(url)"], health: {\(health)}, \(pool)}]
                    models: [\(list)]
                    """
                ).first)
        }

        private static func text(_ bytes: [UInt8]?) -> String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

        @Test("an engine of one's own is asked for both, every interval")
        func own() throws {
            let plan = try ProbePlans.plan("http://10.0.0.1/a/v1", provider: "pathPrefix: /b")
            #expect(ProbePlans.text(plan.healthTarget) == "/a/health")
            #expect(ProbePlans.text(plan.listTarget) == "/a/b/v1/models")
            #expect(plan.interval == 2_000_000_000 && plan.urgentInterval == 1_000_000_000)
            #expect(plan.timeout == 1_000_000_000 && plan.listInterval == 0)
        }

        @Test(
            "a public provider is only asked for its models, a tenth as often",
            arguments: ["engine: openai", "engine: anthropic", "apiKey: file:KEY"]
        )
        func provider(_ setting: String) throws {
            let key = temporaryPath("key")
            try writeFile(key, "secret")
            defer { removeFile(key) }
            let setting = setting.replacing("KEY", with: key)
            let plan = try ProbePlans.plan("https://api.example.com", provider: setting)
            #expect(plan.healthTarget == nil)
            #expect(plan.interval == 20_000_000_000 && plan.urgentInterval == 2_000_000_000)
            #expect(plan.timeout == 10_000_000_000)
            #expect(!plan.isOfNoUse(missing: plan.models))
            let own = try ProbePlans.plan("http://10.0.0.1", provider: setting)
            #expect(own.healthTarget != nil && own.interval == 2_000_000_000)
            let asked = try ProbePlans.plan("https://api.example.com", provider: setting, health: "path: /up")
            #expect(ProbePlans.text(asked.healthTarget) == "/up")
            #expect(asked.interval == 2_000_000_000 && asked.listInterval == 20_000_000_000)
        }

        @Test("a pool without probes is asked only if its models are to be found")
        func off() throws {
            let unasked = """
                pools: [{name: p, endpoints: ["http://10.0.0.1"], health: {path: off}}]
                models: [{name: m, pool: p}]
                """
            #expect(try ProbePlans.plans(unasked).isEmpty)
            let plan = try ProbePlans.plan("http://10.0.0.1", health: "path: off", pool: "discoverModels: true")
            #expect(plan.healthTarget == nil && !plan.judges && plan.discovers && plan.models.isEmpty)
        }

        @Test("models are confirmed under the names that the endpoint knows; patterns confirm nothing")
        func names() throws {
            let plans = try ProbePlans.plans(
                """
                pools:
                  - {name: p, endpoints: ["http://10.0.0.1"]}
                  - {name: q, endpoints: ["http://10.0.0.2"], upstreamModel: up}
                  - {name: r, endpoints: ["http://10.0.0.3"]}
                  - {name: s, endpoints: ["http://10.0.0.4"], health: {confirmModel: false}}
                models:
                  - {name: m, aliases: [n], tiers: [p, q, {pool: r, upstreamModel: lora}, s]}
                  - {name: "x-*", tiers: [q, r]}
                """)
            #expect(plans.map { $0.models.map(ProbePlans.text) } == [["m"], ["up"], ["lora"], []])
            #expect(plans.map(\.servesOthers) == [false, false, true, false])
        }

        @Test(
            "the answer to /health",
            arguments: [
                (200, .healthy, .healthy), (204, .healthy, .healthy), (429, .healthy, .healthy),
                (301, .noSuchPath, .refused), (401, .noSuchPath, .refused), (404, .noSuchPath, .refused),
                (405, .noSuchPath, .refused), (501, .noSuchPath, .refused), (500, .refused, .refused),
                (503, .refused, .refused),
            ] as [(Int, ProbePlan.HealthVerdict, ProbePlan.HealthVerdict)]
        )
        func verdicts(_ status: Int, _ assumed: ProbePlan.HealthVerdict, _ named: ProbePlan.HealthVerdict) throws {
            #expect(try ProbePlans.plan("http://10.0.0.1").verdict(ofHealth: status) == assumed)
            #expect(try ProbePlans.plan("http://10.0.0.1", health: "path: /up").verdict(ofHealth: status) == named)
        }

        @Test(
            "models that a list lacks",
            arguments: [
                (#"[{"id":"m"},{"id":"n:x"}]"#, []), (#"[{"id":"m"},{"id":"n"}]"#, ["n:x"]),
                (#"[{"id":"q","owned_by":"vllm"}]"#, ["m", "n:x"]), (#"[{"id":"q","owned_by":"llamacpp"}]"#, []),
                (#"[{"id":"q","owned_by":"llamacpp"},{"id":"m"}]"#, ["n:x"]),
                (#"[{"id":"m:latest","owned_by":"library"},{"id":"n:x"}]"#, []),
                (#"[{"id":"n","owned_by":"sglang"},{"id":"q"}]"#, ["m"]), ("[]", ["m", "n:x"]),
            ] as [(String, [String])]
        )
        func missing(_ data: String, _ expected: [String]) throws {
            let plan = try ProbePlans.plan("http://10.0.0.1", models: ["m", "n:x"])
            let answer = Array(#"{"data":\#(data)}"#.utf8)
            let read = ModelList.read(answer.span)
            let list = try #require(read)
            let missing = plan.missing(in: list, of: list.engine ?? .other)
            let names = missing.compactMap(ProbePlans.text)
            #expect(names == expected)
            #expect(plan.isOfNoUse(missing: missing) == (names.count == 2))
        }

        @Test(
            "what an engine is, as its list says",
            arguments: [
                (#"{"data":[{"id":"a","owned_by":"vllm"}]}"#, .vllm),
                (#"{"data":[{"owned_by":"me","id":"a"},{"id":"b","owned_by":"library"}]}"#, .ollama),
                (#"{"models":[{"name":"a"}],"data":[{"id":"a","owned_by":"llamacpp"}]}"#, .llamacpp),
                (#"{"data":[{"id":"a","owned_by":"me"}]}"#, .other), (#"{"data":[{"id":"a"}]}"#, nil),
                (#"{"data":[]}"#, nil),
            ] as [(String, EngineKind?)]
        )
        func engines(_ body: String, _ engine: EngineKind?) {
            let list = ModelList.read(Array(body.utf8).span)
            #expect(list?.engine == engine)
        }
    }
}
