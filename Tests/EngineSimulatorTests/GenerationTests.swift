import EngineSimulator
import Testing

@Suite("Generated answers", .timeLimit(.minutes(1)))
struct GenerationTests {
    @Test("a chat is answered with text and consistent usage")
    func chat() async throws {
        try await withEngine { engine in
            let answer = try await engine.chat("hi", "\"max_completion_tokens\":5")
            #expect(answer.status == 200 && answer.isWhole)
            #expect(answer.fields["content-type"] == "application/json")
            #expect(answer.text.contains("\"object\":\"chat.completion\""))
            #expect(answer.text.contains("\"finish_reason\":\"length\""))
            #expect(answer.text.contains("\"prompt_tokens\":8,\"completion_tokens\":5,\"total_tokens\":13"))
            #expect(answer.text.contains("\"cached_tokens\":0"))
        }
    }

    @Test("the same prompt gets the same answer from every engine, another prompt another one")
    func deterministic() async throws {
        try await withEngine { one in
            try await withEngine { other in
                let first = try await one.chat("a").content
                #expect(first == (try await one.chat("a").content))
                #expect(first == (try await other.chat("a").content))
                var others: [String] = []
                for number in 0..<8 { others.append(try await one.chat("b\(number)").content) }
                #expect(others.contains { $0 != first })
            }
        }
    }

    @Test("a stream says the same as the whole answer, and ends with [DONE]")
    func stream() async throws {
        try await withEngine { engine in
            let answer = try await engine.chat("hi", "\"stream\":true")
            #expect(answer.status == 200 && answer.isWhole)
            #expect(answer.fields["content-type"] == "text/event-stream; charset=utf-8")
            #expect(answer.events.first?.contains("\"delta\":{\"role\":\"assistant\",\"content\":\"\"}") == true)
            #expect(answer.events.last == "[DONE]")
            // Role, 24 words, the reason of the end, [DONE].
            #expect(answer.events.count == 27)
            #expect(answer.events[25].contains("\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\""))
            #expect(!answer.text.contains("usage"))
            #expect(answer.content == (try await engine.chat("hi").content))
        }
    }

    @Test("usage comes last in a stream that asked for it")
    func usage() async throws {
        try await withEngine { engine in
            let answer = try await engine.chat("hi", "\"stream\":true,\"stream_options\":{\"include_usage\":true}")
            let last = try #require(answer.events.dropLast().last)
            #expect(last.contains("\"choices\":[],\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":24"))
            #expect(answer.events[0].contains("\"usage\":null"))
        }
    }

    @Test("several answers differ and are counted together, in a stream too")
    func choices() async throws {
        try await withEngine { engine in
            let answer = try await engine.chat("hi", "\"n\":3,\"max_tokens\":2")
            #expect(answer.text.contains("\"completion_tokens\":6"))
            #expect(answer.text.contains("{\"index\":2,"))
            let stream = try await engine.chat("hi", "\"n\":3,\"max_tokens\":2,\"stream\":true")
            // Three roles, twice three words, three ends, [DONE].
            #expect(stream.events.count == 13)
        }
    }

    @Test("a stop sequence cuts the text before itself", arguments: ["\"the\"", "[\"zzz\",\"the\"]"])
    func stop(_ sequence: String) async throws {
        try await withEngine { engine in
            let whole = try await engine.chat("hi").content
            let cut = try await engine.chat("hi", "\"stop\":\(sequence)")
            let range = try #require(whole.firstRange(of: "the"))
            #expect(cut.content == String(whole[..<range.lowerBound]))
            #expect(cut.text.contains("\"finish_reason\":\"stop\""))
            #expect(try await engine.chat("hi", "\"stream\":true,\"stop\":\(sequence)").content == cut.content)
        }
    }

    struct ToolRow: CustomTestStringConvertible {
        let testDescription: String
        let content: String
        let choice: String
        let isCalled: Bool
    }

    @Test(
        "a tool is called",
        arguments: [
            ToolRow(testDescription: "when demanded", content: "hi", choice: "\"required\"", isCalled: true),
            ToolRow(
                testDescription: "by name", content: "hi",
                choice: "{\"type\":\"function\",\"function\":{\"name\":\"look\"}}", isCalled: true),
            ToolRow(testDescription: "for the weather", content: "The Weather?", choice: "\"auto\"", isCalled: true),
            ToolRow(testDescription: "not for else", content: "hi", choice: "\"auto\"", isCalled: false),
            ToolRow(testDescription: "not if forbidden", content: "weather", choice: "\"none\"", isCalled: false),
        ])
    func tools(_ row: ToolRow) async throws {
        let schema = "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"},\"n\":{\"enum\":[7]}}}"
        let tools = "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"look\",\"parameters\":\(schema)}}]"
        let members = "\(tools),\"tool_choice\":\(row.choice)"
        try await withEngine { engine in
            let answer = try await engine.chat(row.content, members)
            #expect(answer.text.contains("\"finish_reason\":\"tool_calls\"") == row.isCalled)
            guard row.isCalled else { return }
            #expect(
                answer.text.contains("\"name\":\"look\",\"arguments\":\"{\\\"city\\\":\\\"Delft\\\",\\\"n\\\":7}\""))
            let stream = try await engine.chat(row.content, "\(members),\"stream\":true")
            #expect(stream.events.last == "[DONE]")
            #expect(stream.text.contains("\"finish_reason\":\"tool_calls\""))
            let parts = stream.events.compactMap { $0.string(after: "\"function\":{\"arguments\":\"") }
            #expect(parts.joined() == "{\\\"city\\\":\\\"Delft\\\",\\\"n\\\":7}")
        }
    }

    @Test("an answer to a schema is JSON of that schema")
    func schema() async throws {
        let format = """
            "response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"object","properties":\
            {"größe":{"type":"integer"},"tags":{"type":"array","items":{"type":"boolean"}}}}}}
            """
        try await withEngine { engine in
            for answer in [
                try await engine.chat("hi", format), try await engine.chat("hi", format + ",\"stream\":true"),
            ] {
                #expect(answer.content == "{\\\"größe\\\":1,\\\"tags\\\":[true]}")
            }
        }
    }

    @Test("completions answer each prompt")
    func completions() async throws {
        try await withEngine { engine in
            let body = "{\"model\":\"demo\",\"prompt\":[\"a\",\"b\"],\"max_tokens\":3"
            let answer = try await engine.ask("/v1/completions", body + "}")
            #expect(answer.text.contains("\"object\":\"text_completion\""))
            #expect(answer.text.contains("{\"index\":1,\"text\":\""))
            #expect(answer.text.contains("\"completion_tokens\":6"))
            let stream = try await engine.ask("/v1/completions", body + ",\"stream\":true}")
            // Three words for each of two prompts, two ends, [DONE].
            #expect(stream.events.count == 9)
        }
    }

    @Test("max_tokens sets the length where that is wanted")
    func longAnswers() async throws {
        try await withEngine { engine in
            #expect(try await engine.chat("hi", "\"max_tokens\":100").text.contains("\"completion_tokens\":24"))
            #expect(
                try await engine.chat("hi", "\"max_tokens\":100,\"ignore_eos\":true").text.contains(
                    "\"completion_tokens\":100"))
            let answer = try await engine.chat("hi", "\"max_tokens\":50", fields: ["x-sim-max-tokens-wins: 1"])
            #expect(answer.text.contains("\"completion_tokens\":50"))
            #expect(
                try await engine.chat("hi", "", fields: ["x-mock-chunks: 7"]).text.contains("\"completion_tokens\":7"))
        }
    }

    @Test(
        "extreme numbers are answered",
        arguments: [
            ("\"n\":9223372036854775807", 400), ("\"n\":0", 400), ("\"max_tokens\":9223372036854775807", 200),
            ("\"max_tokens\":9223372036854775807,\"ignore_eos\":true,\"stop\":\"gate\"", 200),
            ("\"max_tokens\":0", 200),
            ("\"n\":129", 400), ("\"messages\":null", 200),
        ])
    func extremes(_ members: String, status: Int) async throws {
        try await withEngine { engine in
            let answer = try await engine.chat("hi", members)
            #expect(answer.status == status)
        }
    }

    @Test("responses stream their events in order, numbered without a gap")
    func responses() async throws {
        try await withEngine { engine in
            let body = "{\"model\":\"demo\",\"input\":\"hi\",\"max_output_tokens\":2"
            let whole = try await engine.ask("/v1/responses", body + "}")
            #expect(whole.text.contains("\"status\":\"incomplete\"") && whole.text.contains("\"output_tokens\":2"))
            let stream = try await engine.ask("/v1/responses", body + ",\"stream\":true}")
            #expect(
                stream.events.compactMap { $0.string(after: "{\"type\":\"response.") } == [
                    "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta",
                    "output_text.delta", "output_text.done", "content_part.done", "output_item.done", "incomplete",
                ])
            for (number, event) in stream.events.enumerated() {
                #expect(event.contains("\"sequence_number\":\(number)"))
            }
        }
    }

    @Test("messages stream their events in order")
    func messages() async throws {
        try await withEngine { engine in
            let body = "{\"model\":\"demo\",\"max_tokens\":2,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
            let whole = try await engine.ask("/v1/messages", body + "}")
            #expect(
                whole.text.contains("\"type\":\"message\"") && whole.text.contains("\"stop_reason\":\"max_tokens\""))
            let stream = try await engine.ask("/v1/messages", body + ",\"stream\":true}")
            #expect(
                stream.events.compactMap { $0.string(after: "{\"type\":\"") } == [
                    "message_start", "content_block_start", "ping", "content_block_delta", "content_block_delta",
                    "content_block_stop", "message_delta", "message_stop",
                ])
        }
    }
}

extension WireAnswer {
    /// The content of the first choice as it stands in the JSON, whole or put together from events.
    var content: String {
        if fields["content-type"] == "application/json" { return text.string(after: "\"content\":\"") ?? "" }
        return events.compactMap { $0.string(after: "\"delta\":{\"content\":\"") }.joined()
    }
}

extension String {
    /// What stands between the first occurrence of a text and the next quote that is not escaped.
    func string(after text: String) -> String? {
        guard let range = firstRange(of: text) else { return nil }
        var found = ""
        var isEscaped = false
        for character in self[range.upperBound...] {
            if character == "\"", !isEscaped { return found }
            isEscaped = character == "\\" && !isEscaped
            found.append(character)
        }
        return nil
    }
}
