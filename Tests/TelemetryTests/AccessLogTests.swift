import Bytes
import Glibc
import Testing

@testable import Telemetry

@Suite struct AccessLogTests {
    private func line(_ record: AccessRecord, _ format: LogFormat = .json) -> String {
        var log = AccessLog(format: format)
        return written { log.append(record, to: &$0) }
    }

    private func octets(_ record: AccessRecord, _ text: AccessRecord.Text) -> [UInt8] {
        [UInt8](copying: record.text(text))
    }

    private func streamed() -> AccessRecord {
        var record = AccessRecord()
        record.startMillis = 1_795_471_262_123
        record.set(.requestID, "abc123")
        record.set(.clientAddress, "127.0.0.1:5000")
        record.method = "POST"
        record.set(.path, "/v1/chat/completions")
        record.operation = "chat"
        record.httpVersion = "2"
        record.isTLS = true
        record.isStream = true
        record.set(.modelRequested, "small")
        record.set(.modelServed, "tiny-8b")
        record.set(.pool, "tiny")
        record.set(.endpoint, "10.0.0.1:8000")
        record.attempts = 2
        record.status = 200
        record.durationNanos = 1_234_567_890
        record.firstTokenNanos = 20_001_999
        record.upstreamNanos = 999
        record.promptTokens = 12
        record.completionTokens = 34
        record.cachedTokens = 5
        record.bytesIn = 100
        record.bytesOut = 2000
        record.flags = [.clientCancelled, .fallbackUsed]
        record.abortedBy = .client
        record.clientRetry = 1
        record.set(.userAgent, "OpenAI/Python 1.99")
        return record
    }

    @Test("every field in JSON")
    func json() {
        #expect(
            line(streamed())
                == #"{"ts":"2026-11-23T22:01:02.123Z","level":"info","message":"exchange","request_id":"abc123","#
                + #""client":"127.0.0.1:5000","method":"POST","path":"/v1/chat/completions","operation":"chat","#
                + #""http_version":"2","tls":true,"model_requested":"small","model_served":"tiny-8b","pool":"tiny","#
                + #""endpoint":"10.0.0.1:8000","attempts":2,"status":200,"flags":"FB,CC","stream":true,"#
                + #""duration_ms":1234.567,"ttft_ms":20.001,"upstream_ms":0.000,"prompt_tokens":12,"#
                + #""completion_tokens":34,"cached_tokens":5,"bytes_in":100,"bytes_out":2000,"aborted_by":"client","#
                + #""client_retry":1,"user_agent":"OpenAI/Python 1.99"}"# + "\n")
    }

    @Test("a line for people")
    func console() {
        #expect(
            line(streamed(), .console(colour: false))
                == "2026-11-23T22:01:02.123Z info    POST /v1/chat/completions 200 1234.567ms  model=small "
                + "served=tiny-8b pool=tiny endpoint=10.0.0.1:8000 attempts=2 ttft_ms=20.001 prompt_tokens=12 "
                + "completion_tokens=34 aborted_by=client flags=FB,CC http=2 client=127.0.0.1:5000 id=abc123\n")
    }

    @Test("what is not known is left out")
    func sparse() {
        var record = AccessRecord()
        record.status = 502
        record.errorCode = "upstream_error"
        #expect(
            line(record)
                == #"{"ts":"1970-01-01T00:00:00.000Z","level":"warning","message":"exchange","tls":false,"attempts":0,"#
                + #""status":502,"error_code":"upstream_error","stream":false,"duration_ms":0.000,"bytes_in":0,"#
                + #""bytes_out":0}"# + "\n")
    }

    @Test("hostile texts forge no line in either form", arguments: AccessRecord.Text.allCases)
    func forging(_ text: AccessRecord.Text) {
        let attack = Array("a\"}\n{\"status\":200}\r\n\u{85}\u{2028}\u{1B}[1m status=200 \\".utf8) + [0xFF, 0xC0]
        var record = AccessRecord()
        record.set(text, attack.span)
        for format in [LogFormat.json, .console(colour: false)] {
            let line = line(record, format)
            #expect(line.utf8.count { $0 == 10 } == 1 && line.utf8.last == 10)
            #expect(line.utf8.allSatisfy { $0 == 10 || $0 >= 0x20 })
            #expect(!line.unicodeScalars.contains { $0 == "\u{85}" || $0 == "\u{2028}" })
            if case .json = format {
                #expect(line.contains(#"a\"}\n{\"status\":200}\r\n\u0085\u2028\u001b[1m status=200 \\\ufffd\ufffd""#))
            }
        }
    }

    @Test("a path is logged without its query, where clients put keys")
    func query() {
        var record = AccessRecord()
        record.set(.path, "/v1/models?api-key=secret")
        #expect(line(record).contains(#""path":"/v1/models""#))
        record.set(.path, "?secret")
        #expect(!line(record).contains("secret"))
    }

    @Test("texts are cut to their limits", arguments: AccessRecord.Text.allCases)
    func limits(_ text: AccessRecord.Text) {
        var record = AccessRecord()
        record.set(text, String(repeating: "é", count: 4000))
        #expect(octets(record, text).count == text.limit)
        record.set(text, String(repeating: "x", count: text.limit - 1) + "é")
        #expect(octets(record, text).count == text.limit - 1, "no character cut in two")
        record.set(text, [UInt8](repeating: 0x80, count: 4000).span)
        #expect(octets(record, text).count <= text.limit)
    }

    @Test("a record that is set over and over stays small and keeps its newest texts as long as it can")
    func overwriting() {
        var record = AccessRecord()
        for index in 0..<100 { record.set(.endpoint, "endpoint-\(index)") }
        #expect(octets(record, .endpoint) == Array("endpoint-99".utf8))
        for _ in 0..<100_000 { record.set(.endpoint, "another") }
        #expect(octets(record, .endpoint) == Array("another".utf8))
        #expect(!octets(record, .endpoint).isEmpty && octets(record, .pool).isEmpty)
    }

    @Test("a record that is used again remembers nothing")
    func reset() {
        var record = streamed()
        record.reset()
        #expect(line(record) == line(AccessRecord()))
    }

    @Test("each flag has its letters")
    func flags() {
        var record = AccessRecord()
        record.flags = AccessFlags(rawValue: (1 << 18) - 1)
        #expect(line(record).contains(#""flags":"NR,NM,UA,RL,QF,NB,CF,UR,UT,ST,TT,RX,FB,CC,CS,ML,TX,DR""#))
    }

    @Test("lines are handed over in batches, the rest on the tick", .timeLimit(.minutes(1)))
    func buffer() throws {
        let pipe = Pipe()
        let writer = try LogWriter(.descriptor(pipe.writer))
        let buffer = AccessLogBuffer(writer, format: .json)
        let record = streamed()
        let length = line(record).utf8.count
        buffer.write(record)
        #expect(!buffer.isEmpty)
        buffer.handOver()
        #expect(buffer.isEmpty)
        #expect(pipe.read(length).count == length)
        let lines = AccessLogBuffer.batchBytes / length + 1
        for _ in 0..<lines { buffer.write(record) }
        #expect(pipe.read(lines * length).count == lines * length, "a full batch goes without a tick")
        #expect(buffer.isEmpty)
        buffer.write(record)
        buffer.handOver()
        #expect(pipe.read(length).count == length)
        #expect(writer.flush())
        close(pipe.writer)
        close(pipe.reader)
    }
}

@Suite struct RequestIDTests {
    private func accepts(_ id: [UInt8]) -> Bool { isRequestID(id.span) }

    @Test("ids are of the promised form and do not repeat")
    func ids() {
        var generator = RequestIDGenerator()
        var seen: Set<[UInt8]> = []
        var characters: Set<UInt8> = []
        for _ in 0..<10_000 {
            var id: [UInt8] = []
            generator.append(to: &id)
            #expect(id.count == RequestIDGenerator.length && accepts(id))
            characters.formUnion(id)
            seen.insert(id)
        }
        #expect(seen.count == 10_000)
        #expect(String(decoding: characters.sorted(), as: UTF8.self) == "23456789abcdefghijkmnpqrstuvwxyz")
    }

    @Test("two reactors do not make the same ids")
    func seeds() {
        var (first, second) = (RequestIDGenerator(), RequestIDGenerator())
        var (one, other): ([UInt8], [UInt8]) = ([], [])
        first.append(to: &one)
        second.append(to: &other)
        #expect(one != other)
    }

    @Test(
        "a client's id is taken if it is harmless",
        arguments: [
            Row("usual", "req_01AbZz.9-x", true), Row("one", "a", true), Row("empty", "", false),
            Row("longest", String(repeating: "a", count: 128), true),
            Row("too long", String(repeating: "a", count: 129), false),
            Row("blank", "a b", false), Row("line feed", "a\n", false), Row("quote", "a\"", false),
            Row("umlaut", "ä", false),
            Row("bracket next to Z", "[", false), Row("at sign", "@", false), Row("backtick", "`", false),
            Row("brace", "{", false),
            Row("slash", "/", false), Row("colon", ":", false),
        ])
    func validation(_ row: Row<String, Bool>) { #expect(accepts(Array(row.input.utf8)) == row.output) }
}
