import Bytes
import OpenAI
import Testing

struct ErrorRow: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let error: APIError
    let openai: String
    let anthropic: String

    init(_ error: APIError, _ openai: String, _ anthropic: String) {
        testDescription = "\(error.kind)"
        self.error = error
        self.openai = openai
        self.anthropic = anthropic
    }
}

private let model = octets("gpt-x")

@Suite("API errors")
struct APIErrorTests {
    @Test(
        "each condition has the status, type, code and parameter SDKs test for",
        arguments: [
            ErrorRow(
                .init(BodyError.missingModel), "400 invalid_request_error missing_required_parameter model",
                "400 invalid_request_error"),
            ErrorRow(.init(BodyError.notAnObject), "400 invalid_request_error - -", "400 invalid_request_error"),
            ErrorRow(.invalidKey, "401 invalid_request_error invalid_api_key -", "401 authentication_error"),
            ErrorRow(
                .notPermitted(model: model.span), "403 invalid_request_error model_not_allowed model",
                "403 permission_error"),
            ErrorRow(.insufficientQuota, "429 insufficient_quota insufficient_quota -", "429 billing_error"),
            ErrorRow(
                .unknownModel(model.span), "404 invalid_request_error model_not_found model", "404 not_found_error"),
            ErrorRow(.unknownPath(model.span), "404 invalid_request_error unknown_url -", "404 not_found_error"),
            ErrorRow(
                .methodNotAllowed(allow: .post), "405 invalid_request_error method_not_allowed -",
                "405 invalid_request_error"),
            ErrorRow(.requestTimeout, "408 invalid_request_error request_timeout -", "408 timeout_error"),
            ErrorRow(.conflict, "409 invalid_request_error conflict -", "409 conflict_error"),
            ErrorRow(.bodyTooLarge(limit: 5), "413 invalid_request_error request_too_large -", "413 request_too_large"),
            ErrorRow(
                .unsupportedContentType(expected: "application/json"),
                "415 invalid_request_error unsupported_content_type -", "415 invalid_request_error"),
            ErrorRow(
                .unsupportedContentEncoding, "415 invalid_request_error unsupported_content_encoding -",
                "415 invalid_request_error"),
            ErrorRow(
                .rateLimited(.tokens, retryAfterSeconds: 3), "429 tokens rate_limit_exceeded -", "429 rate_limit_error"),
            ErrorRow(.headerTooLarge, "431 invalid_request_error header_too_large -", "431 invalid_request_error"),
            ErrorRow(.internal, "500 server_error internal_error -", "500 api_error"),
            ErrorRow(
                .notSupported(param: "x"), "501 invalid_request_error not_supported x", "501 invalid_request_error"),
            ErrorRow(.upstreamFailed(.reset), "502 server_error upstream_error -", "502 api_error"),
            ErrorRow(.upstreamRefusedCredentials, "502 server_error upstream_error -", "502 api_error"),
            ErrorRow(.overloaded(), "503 server_error server_is_overloaded -", "529 overloaded_error"),
            ErrorRow(.tooManyConnections, "503 server_error server_is_overloaded -", "503 overloaded_error"),
            ErrorRow(
                .noHealthyEndpoint(model: model.span), "503 server_error no_healthy_backend -", "503 overloaded_error"),
            ErrorRow(.upstreamTimeout, "504 server_error upstream_timeout -", "504 timeout_error"),
        ]
    )
    func table(_ row: ErrorRow) {
        let error = row.error
        #expect("\(error.status(in: .openai)) \(error.type) \(error.code ?? "-") \(error.param ?? "-")" == row.openai)
        #expect("\(error.status(in: .anthropic)) \(error.anthropicType)" == row.anthropic)
    }

    @Test("bodies have the four members of OpenAI, or Anthropic's shape with the request id")
    func bodies() {
        let error = APIError(BodyError.missingModel)
        let id = octets("req-1")
        #expect(
            written { error.write(.openai, requestID: id.span, into: &$0) }
                == #"{"error":{"message":"Missing required parameter: 'model'.","type":"invalid_request_error","param":"model","code":"missing_required_parameter"}}"#
        )
        #expect(
            written { APIError.headerTooLarge.write(.openai, requestID: Span(), into: &$0) }
                == #"{"error":{"message":"The request header fields are too large.","type":"invalid_request_error","param":null,"code":"header_too_large"}}"#
        )
        #expect(
            written { error.write(.anthropic, requestID: id.span, into: &$0) }
                == #"{"type":"error","error":{"type":"invalid_request_error","message":"Missing required parameter: 'model'."},"request_id":"req-1"}"#
        )
        #expect(
            written { error.write(.anthropic, requestID: Span(), into: &$0) }
                == #"{"type":"error","error":{"type":"invalid_request_error","message":"Missing required parameter: 'model'."}}"#
        )
    }

    @Test("events in the stream are one event each, in the words that make SDKs raise")
    func events() {
        let error = APIError.upstreamFailed(.truncated)
        #expect(
            written { error.writeEvent(.completions, into: &$0) }
                == #"data: {"error":{"message":"The model's backend stopped in the middle of its answer.","type":"server_error","param":null,"code":"upstream_error"}}"#
                + "\n\n")
        #expect(
            written { error.writeEvent(.messages, into: &$0) }
                == "event: error\n"
                + #"data: {"type":"error","error":{"type":"api_error","message":"The model's backend stopped in the middle of its answer."}}"#
                + "\n\n")
        let responses = written { error.writeEvent(.responses, into: &$0) }
        #expect(responses.hasPrefix("event: error\ndata: {\"type\":\"error\",\"code\":\"upstream_error\","))
        #expect(
            responses.hasSuffix(
                "\"error\":{\"message\":\"The model's backend stopped in the middle of its answer.\",\"type\":\"server_error\",\"param\":null,\"code\":\"upstream_error\"}}\n\n"
            ))
        for dialect in [EventDialect.completions, .messages, .responses, .other] {
            var scanner = EventStreamScanner(dialect: dialect)
            var queue = ByteQueue()
            let event = octets(written { error.writeEvent(dialect, into: &$0) })
            #expect(throws: Never.self) { try scanner.receive(event.span, into: &queue) }
            #expect(scanner.summary.hasError == true)
            #expect(scanner.summary.events == 1)
        }
    }

    @Test("at most 64 octets of the client's input are echoed, escaped and in whole characters")
    func echo() throws {
        let hostile = octets("\"\r\n<script>" + String(repeating: "é", count: 500))
        for error in [
            APIError.unknownModel(hostile.span), .unknownPath(hostile.span), .notPermitted(model: hostile.span),
        ] {
            let body = written { error.write(.openai, requestID: Span(), into: &$0) }
            #expect(body.utf8.count < 300)
            #expect(!body.contains("\n"))
            #expect(!body.contains("\u{FFFD}"))
            #expect(try readJSON(octets(body).span).kind == .object)
        }
        let broken = written { APIError.unknownModel([0xFF, 0xFE].span).write(.openai, requestID: Span(), into: &$0) }
        #expect(try readJSON(octets(broken).span).kind == .object)
    }

    @Test("an unknown model names near matches")
    func near() {
        let names = [octets("gpt-4o"), octets("gpt-4o-mini")]
        #expect(
            APIError.unknownModel(model.span, near: names).message.hasSuffix("Did you mean 'gpt-4o' or 'gpt-4o-mini'?"))
    }

    @Test(
        "near matches come nearest first",
        arguments: [
            ("gpt-4", ["gpt-4o", "gpt-4.1", "gpt-4o-mini"]), ("GPT-4O", ["gpt-4o", "gpt-4.1", "gpt-4o-mini"]),
            ("llama-3.1-8b", ["meta/llama-3.1-8b-instruct"]), ("llama-3.1-8b-instruct", ["meta/llama-3.1-8b-instruct"]),
            ("tinny", ["tiny"]), ("mistral", []), ("", []),
        ] as [(String, [String])]
    )
    func nearest(_ name: String, _ expected: [String]) {
        let known = ["gpt-4o", "gpt-4o-mini", "gpt-4.1", "meta/llama-3.1-8b-instruct", "tiny", "whisper-1"].map(octets)
        #expect(nearMatches(of: octets(name), among: known).map { String(decoding: $0, as: UTF8.self) } == expected)
    }

    @Test("names of any length cost little")
    func bounded() {
        let many = (0..<5000).map { octets("model-\($0)-" + String(repeating: "x", count: 200)) }
        #expect(nearMatches(of: [UInt8](repeating: 120, count: 100_000), among: many) == [])
        #expect(nearMatches(of: octets("model-1-" + String(repeating: "x", count: 120)), among: many).count <= 3)
    }
}
