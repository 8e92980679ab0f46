import Bytes
import Glibc
import Testing

@testable import Telemetry

@Suite struct LogTests {
    /// 2026-11-23T22:01:02.123Z
    private static let time = 1_795_471_262_123

    /// The text that a log in this format writes while `body` runs.
    private func logged(_ format: LogFormat, level: LogLevel = .info, _ body: (Log) -> Void) throws -> String {
        let pipe = Pipe()
        let writer = try LogWriter(.descriptor(pipe.writer))
        body(Log(writer, format: format, level: level, clock: { LogTests.time }))
        #expect(writer.flush())
        close(pipe.writer)
        defer { close(pipe.reader) }
        return String(decoding: pipe.read(1 << 20), as: UTF8.self)
    }

    @Test("a line for people")
    func console() throws {
        let text = try logged(.console(colour: false)) {
            $0.write(.notice, "endpoint ejected", ["endpoint": "\("10.0.0.1:8000")", "failures": 5, "why": "too slow"])
        }
        #expect(
            text
                == "2026-11-23T22:01:02.123Z notice  endpoint ejected  endpoint=10.0.0.1:8000 failures=5 "
                + "why=\"too slow\"\n"
        )
    }

    @Test("a line for machines")
    func json() throws {
        let text = try logged(.json) {
            $0.write(
                .error, "reload failed",
                ["line": 7, "share": 0.5, "kept": true, "at": .number(.infinity), "path": .bytes([47, 0xFF])])
        }
        #expect(
            text
                == #"{"ts":"2026-11-23T22:01:02.123Z","level":"error","message":"reload failed","line":7,"share":0.5,"#
                + #""kept":true,"at":"inf","path":"/\ufffd"}"# + "\n")
    }

    @Test("colours mark the level and nothing else")
    func colour() throws {
        let text = try logged(.console(colour: true)) { $0.write(.warning, "x") }
        #expect(text == "2026-11-23T22:01:02.123Z \u{1B}[33mwarning\u{1B}[0m x\n")
    }

    @Test("lines below the level are not written, nor their fields worked out")
    func levels() throws {
        let text = try logged(.console(colour: false), level: .warning) { log in
            log.write(.info, "no", ["x": .integer(unwanted())])
            log.setLevel(.debug)
            log.write(.debug, "yes")
        }
        #expect(text == "2026-11-23T22:01:02.123Z debug   yes\n")
    }

    @Test("levels are found by their names, and nothing else is")
    func levelNames() {
        for level in LogLevel.allCases { #expect(LogLevel(named: "\(level.text)") == level) }
        for name in ["", "Info", "warn", "error "] { #expect(LogLevel(named: name) == nil) }
    }

    private func unwanted() -> Int {
        Issue.record("fields of a line that is not written were worked out")
        return 0
    }

    private static let attacks: [Row<[UInt8], String>] = [
        Row("line feed", Array("a\n{\"level\":\"error\"}".utf8), #"a\n{\"level\":\"error\"}"#),
        Row("CR LF", Array("a\r\nb".utf8), #"a\r\nb"#),
        Row("nul and escape", [0, 0x1B, 0x5B, 0x32, 0x4A], #"\u0000\u001b[2J"#),
        Row("delete", [0x7F], #"\u007f"#),
        Row("tab and backslash", Array("\t\\".utf8), #"\t\\"#),
        Row("next line U+0085", Array("a\u{85}b".utf8), #"a\u0085b"#),
        Row("C1 control sequence introducer", Array("\u{9B}2J".utf8), #"\u009b2J"#),
        Row("line separators", Array("\u{2028}\u{2029}".utf8), #"\u2028\u2029"#),
        Row("text turned around", Array("\u{202E}x\u{2066}".utf8), #"\u202ex\u2066"#),
        Row("lone continuation", [0x61, 0x80, 0x62], #"a\ufffdb"#),
        Row("overlong slash", [0xC0, 0xAF], #"\ufffd\ufffd"#),
        Row("overlong line feed", [0xE0, 0x80, 0x8A], #"\ufffd\ufffd\ufffd"#),
        Row("surrogate", [0xED, 0xA0, 0x80], #"\ufffd\ufffd\ufffd"#),
        Row("beyond Unicode", [0xF4, 0x90, 0x80, 0x80], #"\ufffd\ufffd\ufffd\ufffd"#),
        Row("cut off", [0xE2, 0x80], #"\ufffd\ufffd"#),
        Row("lead byte before a line feed", [0xE2, 0x0A, 0x0A], #"\ufffd\n\n"#),
        Row("plain text of the world", Array("grüße 你好 🎉".utf8), "grüße 你好 🎉"),
    ]

    @Test("foreign bytes forge no line and hide nothing", arguments: attacks)
    func forging(_ row: Row<[UInt8], String>) throws {
        for format in [LogFormat.json, .console(colour: false)] {
            let text = try logged(format) { $0.write(.info, "m", ["x": .bytes(row.input)]) }
            #expect(text.utf8.count { $0 == 10 } == 1 && text.utf8.last == 10, "one line")
            #expect(text.contains("\"\(row.output)\""), "\(text)")
        }
    }

    @Test("a name=value pair cannot be forged in a line for people")
    func consoleForging() throws {
        let text = try logged(.console(colour: false)) {
            $0.write(.info, "m", ["x": "a status=200", "y": "", "z": "a=b"])
        }
        #expect(text.hasSuffix(#"m  x="a status=200" y="" z="a=b""# + "\n"))
    }

    @Test("long values are cut, and no character in two")
    func caps() throws {
        let long = String(repeating: "é", count: 3000)
        let text = try logged(.json) { $0.write(.info, "m", ["x": "a\(long)"]) }
        #expect(text.hasSuffix("\"x\":\"a" + String(repeating: "é", count: 1023) + "\"}\n"))
    }
}

@Suite struct TimestampTests {
    @Test(
        "times as RFC 3339 writes them",
        arguments: [
            Row("epoch", 0, "1970-01-01T00:00:00.000Z"),
            Row("before", -1, "1969-12-31T23:59:59.999Z"),
            Row("leap day", 1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            Row("century that leaps", 951_782_399_999, "2000-02-28T23:59:59.999Z"),
            Row("century that does not", 4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            Row("end of year", 1_798_761_599_007, "2026-12-31T23:59:59.007Z"),
            Row("last", Int.max, "9999-12-31T23:59:59.999Z"),
            Row("first", Int.min, "0000-01-01T00:00:00.000Z"),
        ])
    func text(_ row: Row<Int, String>) {
        var timestamp = TimestampWriter()
        #expect(written { timestamp.append(millis: row.input, to: &$0) } == row.output)
    }

    @Test("the kept date never outlives its second")
    func cache() {
        var kept = TimestampWriter()
        for millis in [999, 1000, 1999, 500, 86_400_000, -1, 0] {
            var fresh = TimestampWriter()
            let expected = written { fresh.append(millis: millis, to: &$0) }
            #expect(written { kept.append(millis: millis, to: &$0) } == expected)
        }
    }
}
