import Bytes
import Testing

/// The names of the marks found, in the order of the declarations.
private func names(_ marks: JSONMarks) -> [String] {
    [
        marks.usage ? "usage" : nil, marks.nullUsage ? "null" : nil, marks.error ? "error" : nil,
        marks.finishReason ? "finish" : nil,
    ]
    .compactMap { $0 }
}

private func line(_ text: String, from start: Int = 0) -> (end: Int?, marks: [String]) {
    let found = markLine(Array(text.utf8).span, from: start)
    return (found.end, names(found.marks))
}

@Suite("Marks of a line")
struct JSONMarksTests {
    @Test(
        "names are found at any place, with what follows",
        arguments: [
            (#""usage":{"#, ["usage"]), (#""usage" : {"#, ["usage"]), (#""usage":null"#, ["null"]),
            (#""usage": null"#, ["null"]), (#""error":{"#, ["error"]), (#""finish_reason":"stop""#, ["finish"]),
            (#""finish_reason":null"#, []), (#""finish_reason": null"#, []), (#""usagx":1"#, []), (#"\"usage\":1"#, []),
            (#""user":"u","event":1,"function":{}"#, []),
            (#""error":1,"usage":2,"finish_reason":3"#, ["usage", "error", "finish"]),
        ] as [(String, [String])]
    )
    func marks(_ text: String, _ marks: [String]) {
        for before in 0..<70 {
            for after in [0, 1, 40] {
                let padded = String(repeating: "é", count: before) + text + String(repeating: "x", count: after)
                #expect(line(padded).marks == marks, "\(before)")
                let ended = line(padded + "\n" + #""usage":1,"error":1"#)
                #expect(ended.end == padded.utf8.count)
                #expect(ended.marks == marks)
            }
        }
    }

    @Test("the end is the first LF or CR, and no other byte")
    func ends() {
        for count in 0..<100 {
            let text = String(repeating: "\t\u{1}x\u{8A}", count: count / 4) + String(repeating: "y", count: count % 4)
            #expect(line(text).end == nil)
            #expect(line(text + "\n\r").end == text.utf8.count)
            #expect(line(text + "\r\n").end == text.utf8.count)
        }
        #expect(line("ab\ncd\n", from: 3).end == 5)
        #expect(line("", from: 0).end == nil)
        #expect(line("a", from: 1).end == nil)
    }
}
