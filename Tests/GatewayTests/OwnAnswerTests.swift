import Testing

extension GatewayTests {
    /// What the gateway answers itself: models, health, metrics.
    @Suite struct OwnAnswers {
        private static let models = """
            models:
              - {name: a, aliases: [b, "c-*"], endpoints: ["http://127.0.0.1:1"]}
              - {name: org/name, endpoints: ["http://127.0.0.1:1"]}
              - {name: "wild-*", endpoints: ["http://127.0.0.1:1"]}
            """

        @Test("the list has every exact name, once", arguments: ["/v1/models", "/openai/models", "/openai/v1/models"])
        func list(_ target: String) async throws {
            try await withGateway(OwnAnswers.models) { gateway in
                let answer = try await gateway.get(target)
                #expect(answer.status == 200)
                #expect(answer["content-type"] == "application/json")
                #expect(
                    answer.text.hasPrefix(#"{"object":"list","data":[{"id":"a","object":"model","created":1700000000,"#)
                )
                for id in ["a", "b", "org/name"] {
                    #expect(answer.text.components(between: #""id":""#, and: "\"").filter { $0 == id }.count == 1)
                }
                #expect(!answer.text.contains("*"))
            }
        }

        struct Row: Sendable, CustomTestStringConvertible {
            let target: String
            let id: String?
            var testDescription: String { target }
        }

        @Test(
            "one model is found by its name, with a slash in any writing",
            arguments: [
                Row(target: "/v1/models/a", id: "a"), Row(target: "/v1/models/b", id: "b"),
                Row(target: "/v1/models/org/name", id: "org/name"),
                Row(target: "/v1/models/org%2Fname", id: "org/name"),
                Row(target: "/v1/models/%61", id: "a"), Row(target: "/v1/models/a?x=1", id: "a"),
                Row(target: "/v1/models/none", id: nil), Row(target: "/v1/models/org", id: nil),
                Row(target: "/v1/models/", id: nil), Row(target: "/v1/models/..", id: nil),
            ])
        func one(_ row: Row) async throws {
            try await withGateway(OwnAnswers.models) { gateway in
                let answer = try await gateway.get(row.target)
                #expect(answer.status == (row.id == nil ? 404 : 200))
                if let id = row.id { #expect(answer.text.hasPrefix(#"{"id":"\#(id)","object":"model""#)) }
            }
        }

        @Test("health is told without detail", arguments: ["/health", "/health/live", "/health/ready"])
        func health(_ target: String) async throws {
            try await withGateway(OwnAnswers.models) { gateway in
                let client = try gateway.client()
                let answer = try await client.get(target)
                #expect(answer.status == 200)
                #expect(answer.text == #"{"status":"ok"}"#)
                try await client.send("HEAD", target, [], body: [])
                let head = try await client.response(toHead: true)
                #expect(head.status == 200)
                #expect(head["content-length"] == "15")
                // Nothing of a body came: the next answer is read in order.
                #expect(try await client.get(target).text == #"{"status":"ok"}"#)
            }
        }

        @Test("HEAD of the models has their length and no body")
        func head() async throws {
            try await withGateway(OwnAnswers.models) { gateway in
                let client = try gateway.client()
                let list = try await client.get("/v1/models")
                try await client.send("HEAD", "/v1/models", [], body: [])
                let head = try await client.response(toHead: true)
                #expect(head["content-length"] == list["content-length"])
                try await client.send("HEAD", "/v1/models/none", [], body: [])
                #expect(try await client.response(toHead: true).status == 404)
                #expect(try await client.get("/health").status == 200)
            }
        }

        @Test("the admin address tells metrics in both formats, and health")
        func admin() async throws {
            try await withGateway(OwnAnswers.models) { gateway in
                let client = try gateway.admin()
                let text = try await client.get("/metrics")
                #expect(text["content-type"]?.hasPrefix("text/plain; version=0.0.4") == true)
                #expect(text.text.contains("# TYPE penstock_connections gauge\n"))
                let open = try await client.get("/metrics", ["accept: application/openmetrics-text; version=1.0.0"])
                #expect(open["content-type"]?.hasPrefix("application/openmetrics-text") == true)
                #expect(open.text.hasSuffix("# EOF\n"))
                for path in ["/healthz", "/livez"] { #expect(try await client.get(path).status == 200) }
                #expect(try await client.get("/readyz").text == #"{"status":"ready"}"#)
                #expect(try await client.get("/v1/models").status == 404)
                #expect(try await client.get("/metrics/").status == 404)
                #expect(try await client.post("/metrics", "{}").status == 405)
                try await client.send("HEAD", "/metrics", [], body: [])
                #expect(try await client.response(toHead: true).status == 200)
                #expect(try await client.get("/healthz?x=1").status == 200)
            }
        }

        @Test("metrics stand where the configuration says, or nowhere")
        func metricsPath() async throws {
            try await withGateway(OwnAnswers.models + "\nmetrics: {path: /stats}") { gateway in
                let client = try gateway.admin()
                #expect(try await client.get("/stats").status == 200)
                #expect(try await client.get("/metrics").status == 404)
                try await gateway.apply(OwnAnswers.models + "\nmetrics: {path: /other}")
                #expect(try await client.get("/other").status == 200)
                #expect(try await client.get("/stats").status == 404)
            }
            try await withGateway(OwnAnswers.models + "\nmetrics: {enabled: false}") { gateway in
                let client = try gateway.admin()
                #expect(try await client.get("/metrics").status == 404)
                #expect(try await client.get("/healthz").status == 200)
            }
        }
    }
}

extension String {
    /// What stands between each `start` and the `end` that follows it.
    func components(between start: String, and end: Character) -> [String] {
        split(separator: start, omittingEmptySubsequences: false).dropFirst().map { String($0.prefix { $0 != end }) }
    }
}
