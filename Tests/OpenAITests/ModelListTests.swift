import Bytes
import OpenAI
import Testing

@Suite("Model list")
struct ModelListTests {
    private let tiny = ModelList.Entry(id: octets("tiny"), created: 1_700_000_000, ownedBy: octets("penstock"))

    @Test("a model satisfies both families of SDKs")
    func one() {
        #expect(
            written { ModelList.write(tiny, into: &$0) }
                == #"{"id":"tiny","object":"model","created":1700000000,"owned_by":"penstock","type":"model","display_name":"tiny","created_at":"2023-11-14T22:13:20Z","lifecycle":"active"}"#
        )
    }

    @Test("the list has its first and last id")
    func list() {
        let other = ModelList.Entry(id: octets("a\"b"), created: 0, ownedBy: octets("x"))
        let text = written { ModelList.write([tiny, other], into: &$0) }
        #expect(text.hasPrefix(#"{"object":"list","data":[{"id":"tiny","#))
        #expect(text.hasSuffix(#""lifecycle":"active"}],"has_more":false,"first_id":"tiny","last_id":"a\"b"}"#))
        #expect(ModelList.readNames(octets(text).span) == [octets("tiny"), octets("a\"b")])
        #expect(
            written { ModelList.write([], into: &$0) }
                == #"{"object":"list","data":[],"has_more":false,"first_id":null,"last_id":null}"#)
    }

    @Test(
        "dates are those of the calendar",
        arguments: [
            (0, "1970-01-01T00:00:00Z"), (951_782_400, "2000-02-29T00:00:00Z"), (951_868_800, "2000-03-01T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"), (1_767_225_599, "2025-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"), (253_402_300_799, "9999-12-31T23:59:59Z"),
            (-5, "1970-01-01T00:00:00Z"),
        ]
    )
    func dates(_ seconds: Int, _ date: String) {
        let entry = ModelList.Entry(id: octets("m"), created: seconds, ownedBy: octets("o"))
        #expect(written { ModelList.write(entry, into: &$0) }.contains("\"created_at\":\"\(date)\""))
    }

    @Test(
        "engines' lists are read",
        arguments: [
            (
                #"{"object":"list","data":[{"id":"a","object":"model","created":1,"owned_by":"vllm"},{"id":"b"}]}"#,
                ["a", "b"]
            ),
            (#"{"models":[{"name":"x:latest","model":"x:latest"}],"object":"list","data":[{"id":"x"}]}"#, ["x"]),
            (#"{"models":[{"name":"llama3:8b","model":"llama3:8b","size":1}]}"#, ["llama3:8b"]),
            (#"{"data":[{"id":"a"},{"id":"a"},{"id":""},{"id":null},{},3,{"id":"\u0062"}]}"#, ["a", "b"]),
            (#"[{"id":"a"},"b"]"#, ["a", "b"]), (#"{"data":[]}"#, []), (#"{"data":null}"#, []),
            (#"{"data":{}}"#, nil), ("{}", nil), ("null", nil), ("<html>", nil), (#"{"data":[{"id":"a"}"#, nil),
            ("", nil),
        ] as [(String, [String]?)]
    )
    func engines(_ body: String, _ names: [String]?) {
        let found = ModelList.readNames(octets(body).span)
        #expect(found?.map { String(decoding: $0, as: UTF8.self) } == names)
    }
}

@Suite("Usage")
struct UsageTests {
    @Test(
        "usage of complete answers",
        arguments: [
            (#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#, [3, 4, 7, 0, 0]),
            (#"{"usage":{"prompt_tokens":3,"total_tokens":3},"data":[{"embedding":[0.1,-2e-5]}]}"#, [3, 0, 3, 0, 0]),
            (
                #"{"usage":{"input_tokens":3,"cache_read_input_tokens":2,"cache_creation_input_tokens":1,"output_tokens":4}}"#,
                [6, 4, 10, 2, 0]
            ),
            (
                #"{"usage":{"input_tokens":3,"input_tokens_details":{"cached_tokens":1},"output_tokens":4,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":7}}"#,
                [3, 4, 7, 1, 2]
            ),
            (#"{"usage":{"total_tokens":9}}"#, [9, 0, 9, 0, 0]),
            (#"{"usage":{"prompt_tokens":9223372036854775807,"completion_tokens":1}}"#, [.max, 1, .max, 0, 0]),
            (#"{"usage":null}"#, nil), (#"{"usage":{}}"#, nil), (#"{"usage":{"prompt_tokens":-3}}"#, nil),
            (#"{"x":{"usage":{"prompt_tokens":3}}}"#, nil), ("[]", nil), ("", nil),
            (#"{"usage":{"prompt_tokens":3"#, nil),
            (#"{"usage":{"prompt_tokens":3}, rubbish"#, [3, 0, 3, 0, 0]),
        ] as [(String, [Int]?)]
    )
    func read(_ body: String, _ numbers: [Int]?) {
        let usage = UsageReader.read(octets(body).span)
        let found = usage.map {
            [$0.promptTokens, $0.completionTokens, $0.totalTokens, $0.cachedTokens, $0.reasoningTokens]
        }
        #expect(found == numbers)
    }
}
