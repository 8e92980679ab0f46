import Testing

@testable import OpenAI

@Suite("Usage of whole answers")
struct UsageReaderTests {
    struct Row: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let body: String
        /// Prompt and completion tokens; `nil`: none is read.
        let expected: [Int]?
    }

    @Test(
        "only the usage of the outermost object counts, wherever it stands",
        arguments: [
            Row(
                testDescription: "last", body: #"{"a":1,"usage":{"prompt_tokens":3,"completion_tokens":4}}"#,
                expected: [3, 4]),
            Row(
                testDescription: "first", body: #"{"usage":{"prompt_tokens":3,"completion_tokens":4},"a":{}}"#,
                expected: [3, 4]),
            Row(
                testDescription: "before others",
                body: #"{"a":1,"usage":{"prompt_tokens":3,"completion_tokens":4},"b":{"c":[1]}}"#, expected: [3, 4]),
            Row(
                testDescription: "blanks behind it",
                body: "{\"a\":1,\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4} }\n", expected: [3, 4]),
            Row(
                testDescription: "one level down", body: #"{"a":{"b":1,"usage":{"prompt_tokens":3}}}"#, expected: nil),
            Row(
                testDescription: "one level down, and a real one before",
                body: #"{"usage":{"prompt_tokens":9,"completion_tokens":8},"a":{"b":1,"usage":{"prompt_tokens":3}}}"#,
                expected: [9, 8]),
            Row(
                testDescription: "in a string", body: #"{"a":",\"usage\":{\"prompt_tokens\":3}}"}"#, expected: nil),
            Row(
                testDescription: "with blanks",
                body: #"{"a":1,"usage":{ "prompt_tokens": 3, "completion_tokens": 4 }}"#,
                expected: [3, 4]),
            Row(
                testDescription: "with details and a fraction",
                body: #"{"a":1,"usage":{"prompt_tokens":3,"d":{"cached_tokens":1},"time":0.5,"completion_tokens":4}}"#,
                expected: [3, 4]),
            Row(
                testDescription: "a name with an escape",
                body: #"{"a":1,"usage":{"prompt_tokens":3,"x\"":9,"completion_tokens":4}}"#, expected: [3, 4]),
            Row(
                testDescription: "a leading zero is no JSON", body: #"{"a":1,"usage":{"prompt_tokens":03}}"#,
                expected: nil),
            Row(testDescription: "null", body: #"{"a":1,"usage":null}"#, expected: nil),
            Row(testDescription: "cut off", body: #"{"a":1,"usage":{"prompt_tokens":3"#, expected: nil),
            Row(testDescription: "empty", body: "", expected: nil),
            Row(
                testDescription: "far from the end",
                body: #"{"a":1,"usage":{"prompt_tokens":3,"completion_tokens":4},"b":""#
                    + String(repeating: "x", count: 5000) + #""}"#,
                expected: [3, 4]),
        ])
    func read(_ row: Row) {
        let usage = UsageReader.read(Array(row.body.utf8).span)
        #expect(usage.map { [$0.promptTokens, $0.completionTokens] } == row.expected)
    }
}
