import EngineSimulator
import Testing

/// An engine that goes on with what another one began says what that one would have said.
@Suite("Going on with an answer", .timeLimit(.minutes(1)))
struct ContinuationTests {
    /// How a request says what there is already.
    enum Way: String, CaseIterable {
        /// The text as the assistant's message in last place.
        case prefill
        /// The same, with vLLM's switches.
        case switches
        /// As the text part of that message.
        case part
        /// The end of a completion's prompt.
        case prompt
    }

    /// Words of an answer that is not cut short.
    private let words = 24

    private func ask(
        _ engine: SimulatedEngine, _ way: Way, _ begun: String, _ members: String = ""
    ) async throws -> WireAnswer {
        let more = members.isEmpty ? "" : ",\(members)"
        if way == .prompt {
            return try await engine.ask(
                "/v1/completions", "{\"model\":\"demo\",\"prompt\":\"Tell me: \(begun)\"\(more)}")
        }
        let content = way == .part ? "[{\"type\":\"text\",\"text\":\"\(begun)\"}]" : "\"\(begun)\""
        let last = begun.isEmpty ? "" : ",{\"role\":\"assistant\",\"content\":\(content)}"
        let switches =
            way == .switches && !begun.isEmpty
            ? ",\"continue_final_message\":true,\"add_generation_prompt\":false" : ""
        let messages = "[{\"role\":\"user\",\"content\":\"Tell me\"}\(last)]"
        return try await engine.ask(
            "/v1/chat/completions", "{\"model\":\"demo\",\"messages\":\(messages)\(switches)\(more)}")
    }

    private func text(_ answer: WireAnswer, _ way: Way) -> String {
        answer.text.string(after: way == .prompt ? "\"text\":\"" : "\"content\":\"") ?? ""
    }

    private func number(_ name: String, _ answer: WireAnswer) -> Int {
        guard let range = answer.text.firstRange(of: "\"\(name)\":") else { return -1 }
        return Int(answer.text[range.upperBound...].prefix { $0.isNumber }) ?? -1
    }

    @Test("text, usage and end are those of an uninterrupted answer, wherever it breaks", arguments: Way.allCases)
    func everyPlace(_ way: Way) async throws {
        try await withEngine { engine in
            let whole = try await ask(engine, way, "")
            let text = text(whole, way)
            let pieces = text.split(separator: " ", omittingEmptySubsequences: false)
            #expect(pieces.count == words)
            for made in 1...words {
                let begun = pieces[..<made].joined(separator: " ")
                let rest = try await ask(engine, way, begun)
                #expect(begun + self.text(rest, way) == text)
                #expect(number("completion_tokens", rest) == words - made)
                #expect(number("prompt_tokens", rest) == number("prompt_tokens", whole) + made)
                #expect(rest.text.contains("\"finish_reason\":\"stop\""))
            }
        }
    }

    @Test("the limit that is left ends it where the whole limit would have", arguments: Way.allCases)
    func limits(_ way: Way) async throws {
        try await withEngine { engine in
            let whole = text(try await ask(engine, way, "", "\"max_tokens\":9"), way)
            let begun = text(try await ask(engine, way, "", "\"max_tokens\":4"), way)
            let rest = try await ask(engine, way, begun, "\"max_tokens\":5")
            #expect(begun + text(rest, way) == whole)
            #expect(rest.text.contains("\"finish_reason\":\"length\""))
            let long = text(try await ask(engine, way, "", "\"max_tokens\":300,\"ignore_eos\":true"), way)
            let open = text(try await ask(engine, way, begun, "\"max_tokens\":296,\"ignore_eos\":true"), way)
            #expect(begun + open == long)
        }
    }

    @Test("a word that is there in part is completed")
    func withinWord() async throws {
        try await withEngine { engine in
            let whole = text(try await ask(engine, .prefill, ""), .prefill)
            for length in 1..<whole.count {
                let begun = String(whole.prefix(length))
                let rest = try await ask(engine, .prefill, begun)
                #expect(begun + text(rest, .prefill) == whole)
            }
        }
    }

    @Test("a prefill of the client's is gone on from, and so is what was added to it", arguments: Way.allCases)
    func ownPrefill(_ way: Way) async throws {
        try await withEngine { engine in
            for own in ["Sure, here it is: ", "Well", "A penstock is a valve. "] {
                let whole = try await ask(engine, way, own)
                let text = text(whole, way)
                let begun = text.split(separator: " ", omittingEmptySubsequences: false)[..<7].joined(separator: " ")
                let rest = try await ask(engine, way, own + begun)
                #expect(begun + self.text(rest, way) == text)
                #expect(number("prompt_tokens", rest) == number("prompt_tokens", whole) + 7)
            }
        }
    }

    @Test("the seed changes an answer, the temperature does not")
    func seed() async throws {
        try await withEngine { engine in
            let plain = try await engine.chat("hi").content
            #expect(try await engine.chat("hi", "\"temperature\":2,\"top_p\":0.5").content == plain)
            let seeded = try await engine.chat("hi", "\"seed\":7").content
            #expect(try await engine.chat("hi", "\"seed\":7,\"temperature\":1").content == seeded)
            var all: Set<String> = []
            for seed in 0..<16 { all.insert(try await engine.chat("hi", "\"seed\":\(seed)").content) }
            #expect(all.count > 1)
        }
    }

    @Test("a stream goes on as a whole answer does, its first event apart")
    func streams() async throws {
        try await withEngine { engine in
            let whole = text(try await ask(engine, .prefill, ""), .prefill)
            let begun = whole.split(separator: " ")[..<10].joined(separator: " ")
            let rest = try await ask(engine, .prefill, begun, "\"stream\":true")
            #expect(begun + rest.content == whole)
        }
    }

    @Test(
        "a contradiction is refused",
        arguments: [
            "\"continue_final_message\":true",
            "\"continue_final_message\":true,\"add_generation_prompt\":true",
        ])
    func contradiction(_ members: String) async throws {
        try await withEngine { engine in
            let answer = try await engine.chat("hi", members)
            #expect(answer.status == 400)
        }
    }
}
