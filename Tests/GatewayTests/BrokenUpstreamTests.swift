import Testing

extension GatewayTests {
    /// Engines that fail: before they answer, and in the middle of it.
    @Suite struct BrokenUpstreams {
        /// How an engine breaks off.
        enum Break: String, CaseIterable, Sendable { case fin, reset, garbage }

        private static func breakOff(_ exchange: UpstreamExchange, _ how: Break) throws {
            switch how {
            case .fin: break
            case .reset: exchange.socket.reset()
            case .garbage:
                try exchange.write("this is no chunk\r\n")
                try exchange.waitForClose()
            }
            throw SocketError.ended
        }

        @Test(
            "a chat stream that breaks off ends with an error event and no end of the body", arguments: Break.allCases)
        func chat(_ how: Break) async throws {
            let seen = Signal()
            let lines = try await withEngine({ exchange in
                try exchange.begin()
                try exchange.event(Streams.content)
                try seen.wait()
                try BrokenUpstreams.breakOff(exchange, how)
            }) { gateway, _ in
                let client = try gateway.client()
                try await client.send("POST", "/v1/chat/completions", body: Array(Streams.request.utf8))
                #expect(try await client.head().status == 200)
                #expect(try await client.chunk() == "data: \(Streams.content)\n\n")
                seen.raise()
                let rest = try await client.rest()
                #expect(!rest.isWhole)
                #expect(rest.text.hasPrefix(#"data: {"error":{"message":"#))
                #expect(rest.text.contains(#""code":"upstream_error""#) && rest.text.hasSuffix("}}\n\n"))
                #expect(!rest.text.contains("[DONE]") && !rest.text.contains("finish_reason"))
                let scrape = try await gateway.metrics()
                #expect(scrape.sum("penstock_stream_breaks_total") == 1)
                #expect(scrape.sum("penstock_requests_in_flight") == 0)
                #expect(scrape.sum("penstock_upstream_requests_in_flight") == 0)
            }
            let line = try #require(lines.exchanges.first)
            #expect(line.contains(#""aborted_by":"upstream""#) && line.contains(#""error_code":"upstream_failed""#))
            #expect(line.contains(#""status":200"#))
        }

        struct Dialect: Sendable, CustomTestStringConvertible {
            let target: String
            let first: String
            let error: String
            var testDescription: String { target }
        }

        @Test(
            "in the other dialects the error event has their form",
            arguments: [
                Dialect(
                    target: "/v1/responses",
                    first: "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0}\n\n",
                    error: "event: error\ndata: {\"type\":\"error\""),
                Dialect(
                    target: "/v1/messages",
                    first: "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\n",
                    error: "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\""),
            ], Break.allCases)
        func dialects(_ dialect: Dialect, _ how: Break) async throws {
            let seen = Signal()
            try await withEngine({ exchange in
                try exchange.begin()
                try exchange.chunk(dialect.first)
                try seen.wait()
                try BrokenUpstreams.breakOff(exchange, how)
            }) { gateway, _ in
                let client = try gateway.client()
                try await client.send("POST", dialect.target, body: Array(Streams.request.utf8))
                #expect(try await client.head().status == 200)
                #expect(try await client.chunk() == dialect.first)
                seen.raise()
                let rest = try await client.rest()
                #expect(!rest.isWhole)
                #expect(rest.text.hasPrefix(dialect.error), "\(rest.text)")
            }
        }

        @Test("an event cut in two is ended before the error event")
        func cutEvent() async throws {
            let seen = Signal()
            try await withEngine({ exchange in
                try exchange.begin()
                try exchange.chunk("data: {\"choi")
                try seen.wait()
                throw SocketError.ended
            }) { gateway, _ in
                let client = try gateway.client()
                try await client.send("POST", "/v1/responses", body: Array(Streams.request.utf8))
                #expect(try await client.head().status == 200)
                #expect(try await client.chunk() == "data: {\"choi")
                seen.raise()
                let rest = try await client.rest()
                #expect(rest.text.hasPrefix("\n\nevent: error\ndata: {\"type\":\"error\""))
                #expect(!rest.isWhole)
            }
        }

        @Test("half an event of a chat stream, with which another engine may go on, is never sent")
        func halfEvent() async throws {
            try await withEngine(
                { exchange in
                    try exchange.begin()
                    try exchange.event(Streams.content)
                    try exchange.chunk("data: {\"choi")
                    throw SocketError.ended
                }, provider: "includeUsage: never", pool: "continuation: always"
            ) { gateway, _ in
                let client = try gateway.client()
                try await client.send("POST", "/v1/chat/completions", body: Array(Streams.request.utf8))
                #expect(try await client.head().status == 200)
                let rest = try await client.rest()
                #expect(rest.text.hasPrefix("data: \(Streams.content)\n\ndata: {\"error\":"))
                #expect(!rest.isWhole)
            }
        }

        @Test("a body that is no event stream just breaks off", arguments: Break.allCases)
        func otherBody(_ how: Break) async throws {
            let seen = Signal()
            try await withEngine({ exchange in
                try exchange.begin("audio/mpeg")
                try exchange.chunk("0123456789")
                try seen.wait()
                try BrokenUpstreams.breakOff(exchange, how)
            }) { gateway, _ in
                let client = try gateway.client()
                try await client.send("POST", "/v1/audio/speech", body: Array(#"{"model":"m"}"#.utf8))
                #expect(try await client.head().status == 200)
                #expect(try await client.chunk() == "0123456789")
                seen.raise()
                let rest = try await client.rest()
                #expect(rest.text.isEmpty && !rest.isWhole)
            }
        }

        private static func answerShort(_ exchange: UpstreamExchange, _ type: String, _ text: String) throws {
            try exchange.write("HTTP/1.1 200 OK\r\ncontent-type: \(type)\r\ncontent-length: 100\r\n\r\n\(text)")
            throw SocketError.ended
        }

        @Test("a body shorter than its length breaks off, too")
        func shortBody() async throws {
            try await withEngine({ try BrokenUpstreams.answerShort($0, "audio/mpeg", "abc") }) { gateway, _ in
                let client = try gateway.client()
                try await client.send("POST", "/v1/audio/speech", body: Array(#"{"model":"m"}"#.utf8))
                let head = try await client.head()
                #expect(head.contentLength == 100)
                let end = try await client.toEnd()
                #expect(end.text == "abc")
            }
        }

        @Test("of a JSON answer shorter than its length the client sees nothing, but a 502")
        func shortJSON() async throws {
            try await withEngine(
                { try BrokenUpstreams.answerShort($0, "application/json", "{\"a\":") }, pool: once
            ) { gateway, _ in
                let client = try gateway.client()
                for _ in 1...2 {
                    let answer = try await client.post("/v1/embeddings", #"{"model":"m"}"#)
                    #expect(answer.status == 502)
                    #expect(answer.text.contains(#""code":"upstream_error""#) && !answer.text.contains("\"a\""))
                }
            }
        }

        @Test("a stream that ends in good order, but without its last event, does not look complete")
        func missingEnd() async throws {
            try await withEngine({ exchange in
                try exchange.begin()
                try exchange.event(Streams.content)
                try exchange.end()
            }) { gateway, _ in
                let client = try gateway.client()
                try await client.send("POST", "/v1/chat/completions", body: Array(Streams.request.utf8))
                #expect(try await client.head().status == 200)
                let rest = try await client.rest()
                #expect(rest.text.hasPrefix("data: \(Streams.content)\n\ndata: {\"error\":"))
                #expect(!rest.isWhole)
            }
        }

        @Test("a stream with a finish reason is complete without [DONE], and gets it")
        func finishReason() async throws {
            let text = "data: \(Streams.content)\n\ndata: \(Streams.finish)\n\n"
            try await withEngine({ exchange in
                try exchange.begin()
                try exchange.chunk(text)
                try exchange.end()
            }) { gateway, _ in
                let answer = try await gateway.post("/v1/chat/completions", Streams.request)
                #expect(answer.text == text + "data: [DONE]\n\n")
            }
        }

        /// What an engine does instead of answering.
        enum Refusal: String, CaseIterable, Sendable {
            case fin, reset, garbage, badHead, switching, tooManyInterim, redirect, status1000

            func carry(out exchange: UpstreamExchange) throws {
                switch self {
                case .fin: break
                case .reset: exchange.socket.reset()
                case .garbage: try exchange.write("hello\r\n\r\n")
                case .badHead: try exchange.write("HTTP/1.1 200 OK\r\nbad name: x\r\ncontent-length: 2\r\n\r\n{}")
                case .switching:
                    try exchange.write("HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nx")
                case .tooManyInterim:
                    try exchange.write(String(repeating: "HTTP/1.1 103 Early\r\n\r\n", count: 50))
                case .redirect:
                    return try exchange.answer(302, ["location: http://169.254.169.254/"])
                case .status1000: try exchange.write("HTTP/1.1 1000 OK\r\ncontent-length: 0\r\n\r\n")
                }
                throw SocketError.ended
            }
        }

        @Test(
            "an engine that does not answer in order is a 502 in the dialect of the path", arguments: Refusal.allCases)
        func noAnswer(_ how: Refusal) async throws {
            try await withEngine({ try how.carry(out: $0) }, pool: once) { gateway, upstream in
                let client = try gateway.client()
                let answer = try await client.post("/v1/chat/completions", #"{"model":"m","stream":true}"#)
                #expect(answer.status == 502)
                #expect(answer["content-type"] == "application/json")
                #expect(answer.text.contains(#""type":"server_error""#))
                #expect(answer.text.contains(#""code":"upstream_error""#))
                #expect(!answer.text.contains("127.0.0.1") && !answer.text.contains("169.254"))
                let messages = try await client.post("/v1/messages", #"{"model":"m"}"#)
                #expect(messages.status == 502)
                #expect(messages.text.hasPrefix(#"{"type":"error","error":{"type":"api_error""#))
                #expect(upstream.requests.count == 2)
                let scrape = try await gateway.metrics()
                #expect(scrape.sum("penstock_requests_total", #"code="502""#) == 2)
                #expect(scrape.sum("penstock_requests_in_flight") == 0)
            }
        }

        @Test("an endpoint that refuses connections costs nothing while another accepts them")
        func connectRefused() async throws {
            let gone = try Socket.listen()
            let closedPort = gone.port
            gone.close()
            let upstream = try FakeUpstream()
            let models = """
                models: [{name: m, endpoints: ["http://127.0.0.1:\(closedPort)", "\(upstream.url)"]}]
                """
            var refused = 0
            let lines = try await withGateway(models, upstreams: [upstream]) { gateway in
                let client = try gateway.client()
                for _ in 1...10 { #expect(try await client.post("/v1/embeddings", #"{"model":"m"}"#).status == 200) }
                #expect(upstream.requests.count == 10)
                let scrape = try await gateway.metrics()
                #expect(scrape.sum("penstock_requests_total", #"code="200""#) == 10)
                // After three the endpoint is known to be away.
                refused = Int(scrape.sum("penstock_upstream_attempts_total", #"result="connect_failed""#))
                #expect(refused <= 3)
                #expect(scrape.sum("penstock_upstream_attempts_total", #"result="ok""#) == 10)
                #expect(scrape.sum("penstock_requests_in_flight") == 0)
                #expect(scrape.sum("penstock_upstream_requests_in_flight") == 0)
            }
            #expect(lines.exchanges.filter { $0.contains(#""attempts":2"#) }.count == refused)
        }

        @Test("requests at the same time do not come back to an endpoint that refused them")
        func concurrentConnectRefused() async throws {
            let gone = try Socket.listen()
            let closedPort = gone.port
            gone.close()
            let upstream = try FakeUpstream()
            let models = """
                models: [{name: m, endpoints: ["http://127.0.0.1:\(closedPort)", "\(upstream.url)"]}]
                """
            try await withGateway(models, upstreams: [upstream]) { gateway in
                // One write, so that all are read, and fail, in the same rounds.
                let client = try HTTP2Client(port: gateway.port)
                for _ in 1...20 { try client.post("/v1/embeddings", #"{"model":"m"}"#) }
                let answers = try await client.answers(20)
                #expect(answers.map(\.status) == Array(repeating: 200, count: 20))
            }
        }

        @Test("no endpoint that accepts connections is a 502")
        func allRefuse() async throws {
            let gone = try Socket.listen()
            let closedPort = gone.port
            gone.close()
            let models = "models: [{name: m, endpoints: [\"http://127.0.0.1:\(closedPort)\"]}]"
            try await withGateway(models) { gateway in
                let answer = try await gateway.post("/v1/embeddings", #"{"model":"m"}"#)
                #expect(answer.status == 502)
                #expect(!answer.text.contains("refused") && !answer.text.contains("127.0.0.1"))
            }
        }

        @Test("an engine that is silent for too long is a 504")
        func firstByteTimeout() async throws {
            try await withEngine({ try $0.waitForClose() }, provider: "timeouts: {firstByte: 50ms}") { gateway, _ in
                let answer = try await gateway.post("/v1/embeddings", #"{"model":"m"}"#)
                #expect(answer.status == 504)
                #expect(answer.text.contains(#""code":"upstream_timeout""#))
            }
        }

        @Test("an engine that falls silent in mid-stream ends it with an error event")
        func idleTimeout() async throws {
            try await withEngine(
                { exchange in
                    try exchange.begin()
                    try exchange.event(Streams.content)
                    try exchange.waitForClose()
                }, provider: "timeouts: {idle: 50ms}"
            ) { gateway, _ in
                let client = try gateway.client()
                try await client.send("POST", "/v1/chat/completions", body: Array(Streams.request.utf8))
                #expect(try await client.head().status == 200)
                let rest = try await client.rest()
                #expect(rest.text.contains(#""code":"upstream_timeout""#) && !rest.isWhole)
            }
        }

        @Test("a connection that the engine closed while it was idle is replaced without notice")
        func staleConnection() async throws {
            try await withEngine({ exchange in
                try exchange.answer()
                throw SocketError.ended
            }) { gateway, upstream in
                let client = try gateway.client()
                for _ in 1...50 { #expect(try await client.post("/v1/embeddings", #"{"model":"m"}"#).status == 200) }
                #expect(upstream.requests.count == 50)
            }
        }
    }
}
