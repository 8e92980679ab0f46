import Testing

extension GatewayTests {
    /// Event streams on their way to the client.
    @Suite struct Streams {
        static let content = #"{"id":"c","choices":[{"index":0,"delta":{"content":"hi"}}]}"#
        static let finish = #"{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#
        static let usage =
            #"{"id":"c","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}"#
        static let request = #"{"model":"m","stream":true,"messages":[]}"#

        @Test(
            "each event reaches the client before the next is written", arguments: ["chat/completions", "completions"])
        func eventByEvent(_ operation: String) async throws {
            let next = Signal()
            try await withEngine({ exchange in
                try exchange.begin("text/event-stream; charset=utf-8")
                for _ in 1...5 {
                    try exchange.event(Streams.content)
                    try next.wait()
                }
                try exchange.event(Streams.finish)
                try exchange.event("[DONE]")
                try exchange.end()
            }) { gateway, _ in
                let client = try gateway.client()
                try await client.send("POST", "/v1/\(operation)", body: Array(Streams.request.utf8))
                let head = try await client.head()
                #expect(head.status == 200)
                #expect(head["content-type"] == "text/event-stream; charset=utf-8")
                #expect(head["cache-control"] == "no-cache")
                #expect(head["x-accel-buffering"] == "no")
                #expect(head["x-request-id"] != nil)
                for _ in 1...5 {
                    #expect(try await client.chunk() == "data: \(Streams.content)\n\n")
                    next.raise()
                }
                let rest = try await client.rest()
                #expect(rest.text == "data: \(Streams.finish)\n\ndata: [DONE]\n\n")
                #expect(rest.isWhole)
            }
        }

        @Test("an event written in pieces comes whole, comments and [DONE] are kept")
        func pieces() async throws {
            let text =
                ": hello\n\ndata: \(Streams.content)\n\n: keep-alive\n\ndata: \(Streams.finish)\n\ndata: [DONE]\n\n"
            try await withEngine({ exchange in
                try exchange.begin()
                for byte in text.utf8 { try exchange.chunk(String(decoding: [byte], as: UTF8.self)) }
                try exchange.end()
            }) { gateway, _ in
                let answer = try await gateway.post("/v1/chat/completions", Streams.request)
                #expect(answer.text == text)
            }
        }

        struct UsageRow: Sendable, CustomTestStringConvertible {
            let testDescription: String
            let body: String
            let forwarded: String
            let sees: Bool
        }

        @Test(
            "usage is asked for; the client sees it only if it asked itself",
            arguments: [
                UsageRow(
                    testDescription: "not asked", body: #"{"model":"m","stream":true}"#,
                    forwarded: #""stream_options":{"include_usage":true}"#, sees: false),
                UsageRow(
                    testDescription: "asked",
                    body: #"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#,
                    forwarded: #""stream_options":{"include_usage":true}"#, sees: true),
                UsageRow(
                    testDescription: "declined",
                    body: #"{"model":"m","stream":true,"stream_options":{"include_usage":false}}"#,
                    forwarded: #""include_usage":true"#, sees: false),
            ])
        func usage(_ row: UsageRow) async throws {
            let lines = try await withEngine({ exchange in
                try exchange.begin()
                try exchange.event(Streams.content)
                try exchange.event(Streams.finish)
                try exchange.event(Streams.usage)
                try exchange.event("[DONE]")
                try exchange.end()
            }) { gateway, upstream in
                let answer = try await gateway.post("/v1/chat/completions", row.body)
                #expect(upstream.requests.first?.text.contains(row.forwarded) == true)
                let stripped = "data: \(Streams.content)\n\ndata: \(Streams.finish)\n\n"
                let usage = row.sees ? "data: \(Streams.usage)\n\n" : ""
                #expect(answer.text == stripped + usage + "data: [DONE]\n\n")
                let scrape = try await gateway.metrics()
                #expect(scrape.sum("penstock_tokens_total", #"direction="input""#) == 7)
                #expect(scrape.sum("penstock_tokens_total", #"direction="output""#) == 3)
            }
            let line = try #require(lines.exchanges.first)
            #expect(line.contains(#""prompt_tokens":7,"completion_tokens":3"#))
            #expect(line.contains(#""stream":true"#) && line.contains(#""ttft_ms":"#))
        }

        @Test("a provider that wants no usage is not asked for it")
        func neverUsage() async throws {
            try await withEngine(provider: "includeUsage: never") { gateway, upstream in
                _ = try await gateway.post("/v1/chat/completions", Streams.request)
                #expect(upstream.requests.first?.text == Streams.request)
            }
        }

        struct Dialect: Sendable, CustomTestStringConvertible {
            let target: String
            let events: [String]
            var testDescription: String { target }
        }

        @Test(
            "streams of the other dialects pass unchanged",
            arguments: [
                Dialect(
                    target: "/v1/responses",
                    events: [
                        "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0}\n\n",
                        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"x\"}\n\n",
                        "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":"
                            + "{\"input_tokens\":7,\"output_tokens\":3}}}\n\n",
                    ]),
                Dialect(
                    target: "/v1/messages",
                    events: [
                        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":7}}}\n\n",
                        "event: ping\ndata: {\"type\":\"ping\"}\n\n",
                        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"x\"}}\n\n",
                        "event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":3}}\n\n",
                        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
                    ]),
            ])
        func dialects(_ dialect: Dialect) async throws {
            try await withEngine({ exchange in
                try exchange.begin()
                for event in dialect.events { try exchange.chunk(event) }
                try exchange.end()
            }) { gateway, upstream in
                let answer = try await gateway.post(dialect.target, Streams.request)
                #expect(answer.text == dialect.events.joined())
                #expect(upstream.requests.first?.text == Streams.request)
                let scrape = try await gateway.metrics()
                #expect(scrape.sum("penstock_tokens_total", #"direction="input""#) == 7)
                #expect(scrape.sum("penstock_tokens_total", #"direction="output""#) == 3)
            }
        }

        @Test("a stream framed by its length, or by the end of the connection, is relayed in chunks")
        func otherFraming() async throws {
            let text = "data: \(Streams.finish)\n\ndata: [DONE]\n\n"
            try await withEngine({ exchange in
                if exchange.request.text.contains("length") {
                    try exchange.answer(200, ["content-type: text/event-stream"], text)
                } else {
                    try exchange.write("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + text)
                    throw SocketError.ended
                }
            }) { gateway, _ in
                for user in ["length", "close"] {
                    let body = #"{"model":"m","stream":true,"user":"\#(user)"}"#
                    let answer = try await gateway.post("/v1/chat/completions", body)
                    #expect(answer.text == text)
                    #expect(answer["transfer-encoding"] == "chunked")
                    #expect(answer["content-length"] == nil)
                }
            }
        }

        @Test("a body of another type is relayed as it comes, with its length")
        func otherTypes() async throws {
            let audio = String(repeating: "\u{1}\0audio", count: 50_000)
            try await withEngine({ try $0.answer(200, ["content-type: audio/mpeg"], audio) }) { gateway, _ in
                let answer = try await gateway.post("/v1/audio/speech", #"{"model":"m","input":"x"}"#)
                #expect(answer.text == audio)
                #expect(answer["content-length"] == "\(audio.utf8.count)")
                #expect(answer["content-type"] == "audio/mpeg")
            }
        }

        @Test("usage of a JSON answer is counted")
        func jsonUsage() async throws {
            let body = #"{"choices":[],"usage":{"prompt_tokens":11,"completion_tokens":5,"total_tokens":16}}"#
            try await withEngine({ try $0.answer(200, ["content-type: application/json"], body) }) { gateway, _ in
                let answer = try await gateway.post("/v1/chat/completions", #"{"model":"m"}"#)
                #expect(answer.text == body)
                let scrape = try await gateway.metrics()
                #expect(scrape.sum("penstock_tokens_total", #"direction="input""#) == 11)
                #expect(scrape.sum("penstock_tokens_total", #"direction="output""#) == 5)
            }
        }

        @Test("an engine may answer before it has read the request")
        func earlyAnswer() async throws {
            let next = Signal()
            let upstream = try FakeUpstream(readsBodies: false) { exchange in
                try exchange.begin()
                try exchange.event(Streams.content)
                try next.wait()
                let body = try exchange.body()
                try exchange.event("\(body.count) \(body.last ?? 0)")
                try exchange.event(Streams.finish)
                try exchange.event("[DONE]")
                try exchange.end()
            }
            let models = "models: [{name: m, endpoints: [\"\(upstream.url)\"]}]"
            try await withGateway(models, upstreams: [upstream]) { gateway in
                let client = try gateway.client()
                let body = #"{"model":"m","prompt":""# + String(repeating: "x", count: 16 << 20) + #""}"#
                try await client.send("POST", "/v1/completions", body: Array(body.utf8))
                #expect(try await client.head().status == 200)
                #expect(try await client.chunk() == "data: \(Streams.content)\n\n")
                next.raise()
                let rest = try await client.rest()
                #expect(rest.isWhole)
                #expect(rest.text.hasPrefix("data: \(body.utf8.count) 125\n\n"))
            }
        }
    }
}
