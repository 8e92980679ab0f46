import Bytes
import Glibc
import Testing

@testable import Telemetry

@Suite struct AccessLogTests {
    private func line(_ record: borrowing AccessRecord, _ format: LogFormat = .json) -> String {
        var log = AccessLog(format: format)
        return written { log.append(record, to: &$0) }
    }

    private func octets(_ record: borrowing AccessRecord, _ text: AccessRecord.Text) -> [UInt8] {
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
        record.set(.route, "batch")
        record.tier = 1
        record.priority = -10
        record.tenant = 0x0123_4567_89AB_CDEF
        record.hasSession = true
        record.queueNanos = 5_500_000
        record.fallback = FallbackReason.overload.label
        record.droppedReason = DropReason.evicted.label
        record.set(.finishReason, "stop")
        var tries = AccessTries()
        tries.append(endpoint: "10.0.0.2:8000".utf8.span, status: 503, nanos: 1_250_000, reason: "full")
        tries.append(endpoint: "10.0.0.1:8000".utf8.span, status: 200, nanos: 20_000_000, reason: "")
        record.take(&tries)
        return record
    }

    @Test("every field in JSON")
    func json() {
        let line = line(streamed())
        #expect(
            line
                == #"{"ts":"2026-11-23T22:01:02.123Z","level":"info","message":"exchange","request_id":"abc123","#
                + #""client":"127.0.0.1:5000","method":"POST","path":"/v1/chat/completions","operation":"chat","#
                + #""http_version":"2","tls":true,"model_requested":"small","model_served":"tiny-8b","route":"batch","#
                + #""tier":1,"pool":"tiny","endpoint":"10.0.0.1:8000","priority":-10,"tenant":"0123456789abcdef","#
                + #""session":true,"attempts":2,"status":200,"fallback":"overload","#
                + #""dropped_reason":"evicted-priority","flags":"FB,CC","stream":true,"finish_reason":"stop","#
                + #""duration_ms":1234.567,"queue_ms":5.500,"ttft_ms":20.001,"upstream_ms":0.000,"prompt_tokens":12,"#
                + #""completion_tokens":34,"cached_tokens":5,"bytes_in":100,"bytes_out":2000,"aborted_by":"client","#
                + #""client_retry":1,"tries":[{"endpoint":"10.0.0.2:8000","status":503,"ms":1.250,"reason":"full"},"#
                + #"{"endpoint":"10.0.0.1:8000","status":200,"ms":20.000}],"user_agent":"OpenAI/Python 1.99"}"# + "\n")
    }

    @Test("a line for people")
    func console() {
        let line = line(streamed(), .console(colour: false))
        #expect(
            line
                == "2026-11-23T22:01:02.123Z info    POST /v1/chat/completions 200 1234.567ms  model=small "
                + "served=tiny-8b route=batch tier=1 pool=tiny endpoint=10.0.0.1:8000 attempts=2 queue_ms=5.500 "
                + "ttft_ms=20.001 prompt_tokens=12 completion_tokens=34 finish=stop fallback=overload "
                + "dropped=evicted-priority aborted_by=client flags=FB,CC tries=10.0.0.2:8000/503/full,"
                + "10.0.0.1:8000/200 http=2 client=127.0.0.1:5000 id=abc123\n")
    }

    @Test("what is not known is left out")
    func sparse() {
        var record = AccessRecord()
        record.status = 502
        record.errorCode = "upstream_error"
        let line = line(record)
        #expect(
            line
                == #"{"ts":"1970-01-01T00:00:00.000Z","level":"warning","message":"exchange","tls":false,"#
                + #""session":false,"attempts":0,"status":502,"error_code":"upstream_error","stream":false,"#
                + #""duration_ms":0.000,"bytes_in":0,"bytes_out":0}"# + "\n")
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
        let whole = line(record)
        #expect(whole.contains(#""path":"/v1/models""#) && !whole.contains("secret"))
        record.set(.path, "?secret")
        let empty = line(record)
        #expect(!empty.contains("secret"))
    }

    @Test("texts are cut to their limits", arguments: AccessRecord.Text.allCases)
    func limits(_ text: AccessRecord.Text) {
        var record = AccessRecord()
        record.set(text, String(repeating: "é", count: 4000))
        let cut = octets(record, text)
        #expect(cut.count == text.limit)
        record.set(text, String(repeating: "x", count: text.limit - 1) + "é")
        let shorter = octets(record, text)
        #expect(shorter.count == text.limit - 1, "no character cut in two")
        record.set(text, [UInt8](repeating: 0x80, count: 4000).span)
        let invalid = octets(record, text)
        #expect(invalid.count <= text.limit)
    }

    @Test("a text that is set over and over is the one that was set last")
    func overwriting() {
        var record = AccessRecord()
        for index in 0..<100_000 { record.set(.endpoint, "endpoint-\(index)") }
        let (endpoint, pool) = (octets(record, .endpoint), octets(record, .pool))
        #expect(endpoint == Array("endpoint-99999".utf8) && pool.isEmpty)
        record.set(.endpoint, "")
        let has = record.has(.endpoint)
        #expect(!has)
    }

    @Test("a record that is used again remembers nothing")
    func reset() {
        var record = streamed()
        record.reset()
        let (used, new) = (line(record), line(AccessRecord()))
        #expect(used == new)
        let (one, other) = (line(record, .console(colour: true)), line(AccessRecord(), .console(colour: true)))
        #expect(one == other)
    }

    @Test("each flag has its letters")
    func flags() {
        var record = AccessRecord()
        record.flags = AccessFlags(rawValue: (1 << 22) - 1)
        let line = line(record)
        #expect(
            line.contains(#""flags":"NR,NM,UA,RL,QF,NB,CF,UR,UT,ST,TT,RX,FB,CC,CS,ML,TX,DR,RB,HG,CT,SH""#))
    }

    @Test("flags are a set")
    func flagSet() {
        var flags: AccessFlags = [.shed, .hedged]
        flags.insert(.shed)
        #expect(flags.contains(.shed) && flags.contains([.hedged, .shed]) && !flags.contains([.hedged, .continued]))
        #expect(!flags.isEmpty && AccessFlags().isEmpty && flags == AccessFlags(rawValue: 1 << 21 | 1 << 19))
    }

    @Test("a line that does not fit in the room that was taken at first is whole")
    func long() {
        var record = AccessRecord()
        for text in AccessRecord.Text.allCases { record.set(text, String(repeating: "\u{1}", count: 300)) }
        let line = line(record)
        let escapes = line.split(separator: "\\u0001", omittingEmptySubsequences: false).count - 1
        #expect(escapes == AccessRecord.Text.allCases.reduce(0) { $0 + $1.limit })
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
