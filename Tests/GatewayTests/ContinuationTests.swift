import Testing

extension GatewayTests {
    /// Engines that die in the middle of a text, which another goes on with.
    @Suite struct Continuations {
        /// Engines with one text in mind: each goes on behind what the request already holds of it, and dies after
        /// `tokens` of its own unless the text ends before.
        struct Narrator: Sendable {
            static let text = ["Once", " upon", " a", " time", " \\\"there\\\"", " w\\u00e4s", " a", " fox."]
            var tokens = 3
            var ending = Ending.fin
            var isChat = true

            /// How an engine dies.
            enum Ending: String, CaseIterable, Sendable { case fin, reset, garbage, halfEvent, errorEvent, hang }

            /// How much of the text a request holds.
            private func progress(_ request: String) -> Int {
                let whole = Narrator.text.joined()
                for count in stride(from: Narrator.text.count, to: 0, by: -1)
                where request.contains(Narrator.text.prefix(count).joined() + "\"") { return count }
                precondition(!whole.isEmpty)
                return 0
            }

            private func event(_ engine: UInt16, _ choice: String, _ more: String = "") -> String {
                #"{"id":"id-\#(engine)","object":"x","created":\#(engine),"model":"e\#(engine)","choices":[\#(choice)]"#
                    + more + "}"
            }

            private func content(_ token: String) -> String {
                isChat
                    ? #"{"index":0,"delta":{"content":"\#(token)"},"finish_reason":null}"#
                    : #"{"index":0,"text":"\#(token)","finish_reason":null}"#
            }

            func tell(_ exchange: UpstreamExchange, _ engine: UInt16) throws {
                let start = progress(exchange.request.text)
                let end = min(start + tokens, Narrator.text.count)
                try exchange.begin()
                if isChat {
                    try exchange.event(event(engine, #"{"index":0,"delta":{"role":"assistant","content":""}}"#))
                }
                for token in Narrator.text[start..<end] { try exchange.event(event(engine, content(token))) }
                guard end == Narrator.text.count else { return try die(exchange) }
                let last = isChat ? #""delta":{}"# : #""text":"""#
                try exchange.event(event(engine, #"{"index":0,\#(last),"finish_reason":"stop"}"#))
                // What was told before came as a part of the prompt.
                let usage =
                    #","usage":{"prompt_tokens":\#(10 + start),"completion_tokens":\#(end - start),"#
                    + #""total_tokens":\#(10 + end)}"#
                if exchange.request.text.contains("include_usage") { try exchange.event(event(engine, "", usage)) }
                try exchange.event("[DONE]")
                try exchange.end()
            }

            private func die(_ exchange: UpstreamExchange) throws {
                switch ending {
                case .fin: break
                case .reset: exchange.socket.reset()
                case .garbage:
                    try exchange.write("this is no chunk\r\n")
                    try exchange.waitForClose()
                case .halfEvent: try exchange.chunk(#"data: {"id":"x","choices":[{"index":0,"delta":{"cont"#)
                case .errorEvent:
                    try exchange.event(
                        #"{"error":{"message":"EngineCore died","type":"InternalServerError","code":500}}"#)
                    return try exchange.end()
                case .hang: try exchange.waitForClose()
                }
                throw SocketError.ended
            }
        }

        private static let chat = #"{"model":"m","stream":true,"messages":[{"role":"user","content":"Tell."}]}"#
        private static let usageChat =
            #"{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Tell."}]}"#

        /// Several engines with the same text in mind.
        private static func withNarrators(
            _ narrator: Narrator, count: Int, pool: String = "", engine: String = "vllm", _ more: String = "",
            _ body: (RunningGateway, [FakeUpstream]) async throws -> Void
        ) async throws -> [String] {
            let script: FakeUpstream.Script = { exchange in
                try narrator.tell(exchange, UInt16(exchange.request["host"]?.split(separator: ":").last ?? "") ?? 0)
            }
            return try await withPool(
                Array(repeating: script, count: count), pool: pool, provider: "engine: \(engine)\(more)", body)
        }

        /// The pieces of text in a stream, put together; escapes as they are.
        private static func text(_ stream: String, key: String = "content") -> String {
            stream.split(separator: "\n\n").compactMap { event in
                guard let start = event.range(of: "\"\(key)\":\"") else { return nil }
                var text = ""
                var isEscaped = false
                for character in event[start.upperBound...] {
                    if character == "\"", !isEscaped { return text }
                    isEscaped = character == "\\" && !isEscaped
                    text.append(character)
                }
                return text
            }.joined()
        }

        /// All values of a member, each once.
        private static func values(_ stream: String, _ key: String) -> Set<Substring> {
            var found: Set<Substring> = []
            for event in stream.split(separator: "\n\n") {
                guard let start = event.range(of: "\"\(key)\":") else { continue }
                found.insert(event[start.upperBound...].prefix { $0 != "," && $0 != "}" })
            }
            return found
        }

        private static func expectUnbroken(_ answer: WireMessage, key: String = "content") {
            #expect(answer.status == 200)
            #expect(text(answer.text, key: key) == Narrator.text.joined(), "\(answer.text)")
            #expect(answer.text.hasSuffix("data: [DONE]\n\n"))
            #expect(answer.text.split(separator: "[DONE]").count == 2 && !answer.text.contains("error"))
            for member in ["id", "created", "model"] { #expect(values(answer.text, member).count == 1, "\(member)") }
            #expect(answer.text.split(separator: #""role""#).count <= 2)
            #expect(answer.text.split(separator: #""finish_reason":"stop""#).count == 2)
        }

        @Test("a chat goes on elsewhere as if nothing had happened", arguments: Narrator.Ending.allCases)
        func chat(_ ending: Narrator.Ending) async throws {
            let lines = try await Continuations.withNarrators(
                Narrator(tokens: 5, ending: ending), count: 2, engine: "vllm, timeouts: {idle: 300ms}"
            ) { gateway, engines in
                let answer = try await gateway.post("/v1/chat/completions", Continuations.chat)
                Continuations.expectUnbroken(answer)
                #expect(!answer.text.contains("usage"))
                #expect(engines.map(\.requestCount) == [1, 1])
                let second = try #require(engines.flatMap(\.requests).first { $0.text.contains("assistant") })
                #expect(second.text.contains(#""continue_final_message":true"#))
                #expect(second.text.contains(#"{"role":"assistant","content":"Once upon a time \"there\""}]"#))
                let scrape = try await gateway.metrics()
                #expect(scrape.attempts == 2 && scrape.attempts("ok") == 1)
                #expect(scrape.sum("penstock_continuations_total", #"result="continued""#) == 1)
                #expect(scrape.sum("penstock_continuations_total") == 1)
                #expect(scrape.sum("penstock_requests_total", #"code="200""#) == 1)
                // Asked for on our own account, and kept from the client.
                #expect(scrape.sum("penstock_tokens_total", #"direction="output""#) == 8)
                #expect(scrape.sum("penstock_tokens_total", #"direction="input""#) == 10)
                try await gateway.expectSettled()
            }
            let line = try #require(lines.exchanges.first)
            #expect(line.contains(#""attempts":2"#) && line.contains("CT") && !line.contains("aborted_by"))
            #expect(line.contains(#""prompt_tokens":10,"completion_tokens":8"#))
        }

        @Test("a completion goes on behind its prompt and the text so far")
        func completion() async throws {
            let body = #"{"model":"m","stream":true,"prompt":"Tell: ","max_tokens":50}"#
            _ = try await Continuations.withNarrators(Narrator(isChat: false), count: 3) { gateway, engines in
                let answer = try await gateway.post("/v1/completions", body)
                Continuations.expectUnbroken(answer, key: "text")
                let prompts = engines.flatMap(\.requests).map(\.text)
                #expect(
                    prompts.contains { $0.contains(#""prompt":"Tell: Once upon a","max_tokens":47"#) }, "\(prompts)")
                #expect(prompts.contains { $0.contains(#"there\" w\u00e4s","max_tokens":44"#) }, "\(prompts)")
                try await gateway.expectSettled()
            }
        }

        @Test("usage is that of one answer, if the client asked for it")
        func usage() async throws {
            _ = try await Continuations.withNarrators(Narrator(tokens: 5), count: 2) { gateway, _ in
                let answer = try await gateway.post("/v1/chat/completions", Continuations.usageChat)
                Continuations.expectUnbroken(answer)
                #expect(
                    answer.text.contains(#""usage":{"prompt_tokens":10,"completion_tokens":8,"total_tokens":18}"#),
                    "\(answer.text)")
            }
        }

        @Test("the engine that goes on may die, too, and the next one")
        func again() async throws {
            let lines = try await Continuations.withNarrators(Narrator(tokens: 2), count: 4) { gateway, engines in
                Continuations.expectUnbroken(try await gateway.post("/v1/chat/completions", Continuations.chat))
                #expect(engines.map(\.requestCount) == [1, 1, 1, 1])
                #expect(try await gateway.metrics().attempts == 4)
                try await gateway.expectSettled()
            }
            #expect(lines.exchanges.first?.contains(#""attempts":4"#) == true)
        }

        @Test("the engine that goes on may refuse: another one does it", arguments: [500, 503, 0])
        func refusedContinuation(_ status: Int) async throws {
            let narrator = Narrator(tokens: 5)
            let refused = SharedCount()
            let script: FakeUpstream.Script = { exchange in
                if exchange.request.text.contains("continue_final_message"), refused.value == 0 {
                    refused.add(1)
                    if status == 0 { throw SocketError.ended }
                    return try Engines.refuse(exchange, status)
                }
                try narrator.tell(exchange, 1)
            }
            let lines = try await withPool([script, script, script], provider: "engine: vllm") { gateway, engines in
                Continuations.expectUnbroken(try await gateway.post("/v1/chat/completions", Continuations.chat))
                #expect(engines.map(\.requestCount) == [1, 1, 1])
                try await gateway.expectSettled()
            }
            let line = try #require(lines.exchanges.first)
            #expect(line.contains(#""status":200"#) && line.contains(#""attempts":3"#), "\(line)")
        }

        @Test("when no endpoint is left, the client sees that the text is not whole")
        func allDie() async throws {
            let lines = try await Continuations.withNarrators(Narrator(tokens: 3), count: 2) { gateway, engines in
                let client = try gateway.client()
                try await client.send("POST", "/v1/chat/completions", body: Array(Continuations.chat.utf8))
                #expect(try await client.head().status == 200)
                let rest = try await client.rest()
                #expect(!rest.isWhole && !rest.text.contains("[DONE]"))
                #expect(Continuations.text(rest.text) == Narrator.text.prefix(6).joined())
                #expect(rest.text.hasSuffix("}}\n\n") && rest.text.contains(#""code":"upstream_error""#))
                let scrape = try await gateway.metrics()
                #expect(scrape.sum("penstock_continuations_total", #"result="failed""#) == 1)
                try await gateway.expectSettled()
            }
            #expect(lines.exchanges.first?.contains(#""aborted_by":"upstream""#) == true)
        }

        struct Row: Sendable, CustomTestStringConvertible {
            let testDescription: String
            var addition = ""
            var pool = ""
            var engine = "vllm"
        }

        @Test(
            "what another engine cannot go on with ends with an error event",
            arguments: [
                Row(testDescription: "tools", addition: #","tools":[{"type":"function","function":{"name":"f"}}]"#),
                Row(testDescription: "log probabilities", addition: #","logprobs":true"#),
                Row(testDescription: "several answers", addition: #","n":2"#),
                Row(testDescription: "a grammar", addition: #","response_format":{"type":"json_object"}"#),
                Row(testDescription: "not wanted", pool: "continuation: never"),
                Row(testDescription: "an engine that cannot", engine: "other"),
            ])
        func impossible(_ row: Row) async throws {
            _ = try await Continuations.withNarrators(Narrator(), count: 2, pool: row.pool, engine: row.engine) {
                gateway, engines in
                let client = try gateway.client()
                let body = Continuations.chat.dropLast() + row.addition + "}"
                try await client.send("POST", "/v1/chat/completions", body: Array(body.utf8))
                #expect(try await client.head().status == 200)
                let rest = try await client.rest()
                #expect(!rest.isWhole && !rest.text.contains("[DONE]"))
                #expect(rest.text.contains(#"data: {"error":{"message":"#))
                #expect(Continuations.text(rest.text) == Narrator.text.prefix(3).joined())
                #expect(engines.map(\.requestCount).reduce(0, +) == 1)
                try await gateway.expectSettled()
            }
        }

        @Test("a text whose end alone is missing is ended without another engine")
        func onlyEnd() async throws {
            let script: FakeUpstream.Script = { exchange in
                try exchange.begin()
                try exchange.event(Streams.content)
                try exchange.event(Streams.finish)
                throw SocketError.ended
            }
            try await withPool([script, script], provider: "engine: vllm") { gateway, engines in
                let answer = try await gateway.post("/v1/chat/completions", Continuations.chat)
                #expect(answer.text == "data: \(Streams.content)\n\ndata: \(Streams.finish)\n\ndata: [DONE]\n\n")
                #expect(engines.map(\.requestCount).reduce(0, +) == 1)
                try await gateway.expectSettled()
            }
        }

        @Test("a client that leaves while another engine goes on ends that one's work")
        func clientLeaves() async throws {
            let (reached, closed) = (Signal(), Signal())
            let narrator = Narrator(tokens: 5)
            let script: FakeUpstream.Script = { exchange in
                guard exchange.request.text.contains("continue_final_message") else {
                    return try narrator.tell(exchange, 1)
                }
                reached.raise()
                try exchange.waitForClose()
                closed.raise()
            }
            let lines = try await withPool([script, script], provider: "engine: vllm") { gateway, _ in
                let client = try gateway.client()
                try await client.send("POST", "/v1/chat/completions", body: Array(Continuations.chat.utf8))
                try await reached.happened()
                client.reset()
                try await closed.happened()
                try await gateway.expectSettled()
            }
            #expect(lines.exchanges.first?.contains(#""aborted_by":"client""#) == true)
        }

        @Test("many streams at once, each broken twice, are all whole")
        func many() async throws {
            let pool = "ejection: {consecutiveErrors: 1000, errorRatio: 100%, minimumRequests: 100000}"
            _ = try await Continuations.withNarrators(Narrator(), count: 4, pool: pool) { gateway, _ in
                let clients = try (1...24).map { _ in try gateway.client() }
                for client in clients {
                    try await client.send("POST", "/v1/chat/completions", body: Array(Continuations.chat.utf8))
                }
                for client in clients { Continuations.expectUnbroken(try await client.response()) }
                let scrape = try await gateway.metrics()
                #expect(scrape.attempts == 72)
                #expect(scrape.sum("penstock_requests_total", #"code="200""#) == 24)
                try await gateway.expectSettled()
            }
        }
    }
}

extension Substring {
    /// Where a text stands first.
    fileprivate func range(of text: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}
