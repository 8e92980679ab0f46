@testable import Config
import Testing

/// What hostile or broken files do to the reader: an error with its place, soon.
@Suite struct YAMLReaderTests {
    struct Row: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let text: [UInt8]
        let problem: String

        init(_ testDescription: String, _ text: String, _ problem: String) {
            self.init(testDescription, bytes: Array(text.utf8), problem)
        }

        init(_ testDescription: String, bytes: [UInt8], _ problem: String) {
            (self.testDescription, text, self.problem) = (testDescription, bytes, problem)
        }
    }

    @Test(
        "refused",
        arguments: [
            Row("NUL", bytes: Array("a: b\nc: \0".utf8), "2:4: error: NUL byte; not a text file, or not UTF-8"),
            Row("invalid UTF-8", bytes: Array("a: ä".utf8) + [0xFF], "1:5: error: not UTF-8"),
            Row("an overlong form", bytes: Array("a\nb: ".utf8) + [0xC0, 0x80], "2:4: error: not UTF-8"),
            Row("UTF-16", bytes: [0xFF, 0xFE, 0x61, 0x00], "1:4: error: NUL byte; not a text file, or not UTF-8"),
            Row("control characters", "a: \u{1}", "1:4: error: not YAML: control characters are not allowed"),
            Row(
                "a tab", "a:\n\t- b",
                "2:1: error: a tab cannot indent, and @ ` % cannot begin an unquoted value, while scanning for the next token"
            ),
            Row(
                "an open quote", "a: \"b\nc: d",
                "2:5: error: not YAML: found unexpected end of stream, while scanning a quoted scalar that begins at 1:4"
            ),
            Row(
                "bad indentation", "a:\n  b: 1\n c: 2\n",
                "3:2: error: not YAML: did not find expected key, while parsing a block mapping that begins at 1:1"),
            Row(
                "a merge key", "a: &x {b: 1}\nc:\n  <<: *x\n",
                "3:3: error: merge keys (<<) are not supported; write the settings out"),
            Row("a tag", "a: !ruby/object x\n", "1:4: error: tag \"!ruby/object\" is not supported"),
            Row("two documents", "a: 1\n---\nb: 2\n", "2:1: error: a second document; a configuration is one"),
            Row("a list as a key", "[a]: b\n", "1:1: error: a key that is not a plain word"),
            Row("an unknown alias", "a: *b\n", "1:4: error: alias *b of an unknown anchor"),
            Row("an alias of what holds it", "a: &b [*b]\n", "1:8: error: alias *b of an unknown anchor"),
            Row("deep lists", String(repeating: "[", count: 5000), "1:65: error: nested deeper than 64 levels"),
            Row(
                "deep mappings", "a: " + String(repeating: "{a: ", count: 5000),
                "1:253: error: nested deeper than 64 levels"),
            Row(
                "deep blocks", (0..<200).map { String(repeating: " ", count: $0) + "a:\n" }.joined(),
                "64:64: error: nested deeper than 64 levels"),
            Row(
                "an alias bomb",
                "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
                    + (1...9).map {
                        "a\($0): &a\($0) [" + Array(repeating: "*a\($0 - 1)", count: 10).joined(separator: ", ") + "]\n"
                    }.joined(),
                "5:45: error: more than 100000 values, aliases counted out"),
            Row(
                "a long list", "a: [" + String(repeating: "1,", count: 200_000) + "]",
                "1:200003: error: more than 100000 values, aliases counted out"),
            Row("a large file", "#" + String(repeating: "x", count: 8 << 20), " error: larger than 8 MiB"),
        ])
    func refused(_ row: Row) {
        let loaded = Configuration.load(text: row.text, file: "f", in: surroundings())
        #expect(loaded.problems.first?.description == "f:" + row.problem)
        #expect(loaded.configuration == nil)
        for problem in loaded.problems { _ = problem.rendered() }
    }

    @Test("anchors and aliases, quotes, comments, a byte order mark and Windows line ends")
    func accepted() throws {
        let text =
            "\u{FEFF}---\r\n# a comment\r\nmodels:\r\n  - &m {name: 'a', \"endpoints\": &e [http://h:1]}\r\n  - {name: !!str b, endpoints: *e}\r\n...\r\n"
        let loaded = load(text)
        #expect(loaded.problems == [])
        #expect(loaded.configuration?.models.map(\.name) == ["a", "b"])
        #expect(loaded.configuration?.pools.map(\.endpoints.count) == [1, 1])
    }

    @Test("a column counts characters, and the caret stands below it")
    func caret() {
        let loaded = load("models: [{name: \"äöü日本\", endpoint: [http://h:1]}]\n")
        #expect(
            loaded.problems.last?.rendered() == """
                gateway.yaml:1:26: error: unknown key "endpoint" in model "äöü日本"; did you mean "endpoints"?
                 1 | models: [{name: "äöü日本", endpoint: …
                   |                          ^
                """)
    }

    @Test("a file full of mistakes yields the first hundred and the number of the others")
    func bounded() {
        let loaded = load((0..<5000).map { "k\($0): 1\n" }.joined())
        #expect(loaded.problems.count == 101)
        #expect(loaded.problems.last?.description == "gateway.yaml: error: and 4900 more problems")
    }

    @Test("colour is for terminals")
    func colored() {
        let problem = ConfigurationProblem(
            severity: .warning, file: "f", position: Position(line: 2, column: 3), message: "m", excerpt: "\ta\u{1B}")
        #expect(problem.rendered() == "f:2:3: warning: m\n 2 | \ta\u{FFFD}\n   | \t ^")
        #expect(problem.rendered(colored: true).contains("\u{1B}[33mwarning:\u{1B}[0m m"))
    }
}
