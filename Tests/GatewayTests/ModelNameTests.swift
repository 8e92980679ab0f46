import Testing

extension GatewayTests {
    /// Which name the engine sees.
    @Suite struct ModelNames {
        private static func models(_ url: String) -> String {
            """
            models:
              - {name: exact, aliases: [nick, "nick-*"], endpoints: ["\(url)"]}
              - {name: renamed, upstreamModel: org/Real-1B, endpoints: ["\(url)"]}
              - {name: "wild-*", endpoints: ["\(url)"]}
              - {name: "wild-special-*", upstreamModel: special, endpoints: ["\(url)"]}
            """
        }

        struct Row: Sendable, CustomTestStringConvertible {
            let model: String
            let upstream: String
            var testDescription: String { model }
        }

        private static let rows = [
            Row(model: "exact", upstream: "exact"), Row(model: "nick", upstream: "exact"),
            Row(model: "nick-1", upstream: "exact"), Row(model: "renamed", upstream: "org/Real-1B"),
            Row(model: "wild-1", upstream: "wild-1"), Row(model: "wild-special-2", upstream: "special"),
        ]

        @Test("in a JSON body the name alone is replaced", arguments: rows)
        func json(_ row: Row) async throws {
            let upstream = try FakeUpstream()
            try await withGateway(ModelNames.models(upstream.url), upstreams: [upstream]) { gateway in
                let answer = try await gateway.post(
                    "/v1/embeddings", #"{"a":{"model":"x"},  "model" :  "\#(row.model)" ,"b":"\u0041"}"#)
                #expect(answer.status == 200)
                let request = try #require(upstream.requests.first)
                #expect(request.text == #"{"a":{"model":"x"},  "model" :  "\#(row.upstream)" ,"b":"\u0041"}"#)
            }
        }

        @Test("in a multipart body the name alone is replaced", arguments: rows)
        func multipart(_ row: Row) async throws {
            let upstream = try FakeUpstream()
            try await withGateway(ModelNames.models(upstream.url), upstreams: [upstream]) { gateway in
                let answer = try await gateway.post(
                    "/v1/audio/transcriptions", form(model: row.model), [formType])
                #expect(answer.status == 200)
                let request = try #require(upstream.requests.first)
                #expect(request.text == form(model: row.upstream))
                #expect("content-type: \(request["content-type"] ?? "")" == formType)
            }
        }

        @Test("in Azure's paths the deployment is the model, and stands in the body", arguments: rows)
        func azure(_ row: Row) async throws {
            let upstream = try FakeUpstream()
            try await withGateway(ModelNames.models(upstream.url), upstreams: [upstream]) { gateway in
                let client = try gateway.client()
                let target = "/openai/deployments/\(row.model)/chat/completions?api-version=2024-10-21"
                #expect(try await client.post(target, #"{"model":"other","n":1}"#).status == 200)
                #expect(try await client.post(target, #"{"n":1}"#).status == 200)
                let requests = upstream.requests
                #expect(requests.map(\.target) == ["/v1/chat/completions", "/v1/chat/completions"])
                #expect(requests.first?.text == #"{"model":"\#(row.upstream)","n":1}"#)
                #expect(requests.last?.text.contains(#""model":"\#(row.upstream)""#) == true)
            }
        }

        @Test("in Azure's multipart paths, too", arguments: rows)
        func azureMultipart(_ row: Row) async throws {
            let upstream = try FakeUpstream()
            try await withGateway(ModelNames.models(upstream.url), upstreams: [upstream]) { gateway in
                let client = try gateway.client()
                let target = "/openai/deployments/\(row.model)/audio/transcriptions?api-version=2024-10-21"
                for body in [form(model: "other"), form(model: nil)] {
                    #expect(try await client.post(target, body, [formType]).status == 200)
                    let request = try #require(upstream.requests.last)
                    #expect(request.target == "/v1/audio/transcriptions")
                    #expect(request.text.contains("name=\"model\"\r\n\r\n\(row.upstream)\r\n"))
                    #expect(!request.text.contains("other"))
                    #expect(request.text.hasSuffix(form(model: nil).dropFirst(formBoundary.count)))
                }
            }
        }

        @Test("a name with escapes is understood")
        func escapes() async throws {
            try await withEngine { gateway, upstream in
                let body = #"{"model":"\u006d"}"#
                let answer = try await gateway.post("/v1/embeddings", body)
                #expect(answer.status == 200)
                #expect(upstream.requests.count == 1)
            }
        }

        @Test("where the API lets the model be left out, the only one is meant")
        func onlyModel() async throws {
            try await withEngine { gateway, upstream in
                let client = try gateway.client()
                #expect(try await client.post("/v1/moderations", #"{"input":"x"}"#).status == 200)
                #expect(try await client.post("/v1/chat/completions", #"{"input":"x"}"#).status == 400)
                #expect(upstream.requests.map(\.text) == [#"{"input":"x"}"#])
            }
        }
    }
}

let formBoundary = "--X-b0undary"
let formType = "content-type: multipart/form-data; boundary=X-b0undary"

/// A form as SDKs send it, with a file that looks like a form itself.
func form(model: String?) -> String {
    let file = "RIFF\0\u{1}--X-b0undar\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n"
    let field = model.map { "\(formBoundary)\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n\($0)\r\n" } ?? ""
    return field + "\(formBoundary)\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n"
        + "Content-Type: audio/wav\r\n\r\n\(file)\r\n\(formBoundary)--\r\n"
}
