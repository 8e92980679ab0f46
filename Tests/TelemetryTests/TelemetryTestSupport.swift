import Bytes
import Glibc
import Testing

@testable import Telemetry

/// What `body` appends, as text; invalid UTF-8 fails the test.
func written(_ body: (inout ByteQueue) -> Void) -> String {
    var queue = ByteQueue()
    body(&queue)
    guard let text = Bytes.text(queue.span) else {
        Issue.record("the output is not UTF-8")
        return ""
    }
    return text
}

/// All metrics of a registry as text.
func exposition(_ registry: MetricRegistry, _ format: ExpositionFormat = .prometheus) -> String {
    written { registry.write(format, to: &$0) }
}

/// The lines of an exposition that begin with `name`.
func samples(_ registry: MetricRegistry, _ name: String) -> [String] {
    exposition(registry).split(separator: "\n").filter { $0.hasPrefix(name) }.map(String.init)
}

/// A pipe whose ends the test closes.
struct Pipe {
    let reader: Int32
    let writer: Int32

    init() {
        var ends: [Int32] = [0, 0]
        precondition(pipe(&ends) == 0, "no pipe")
        (reader, writer) = (ends[0], ends[1])
        // A reader that goes away must show as an error, as it does in the gateway.
        signal(SIGPIPE, SIG_IGN)
    }

    /// Reads until `count` bytes have come or the pipe has ended.
    func read(_ count: Int) -> [UInt8] {
        var all: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 65536)
        while all.count < count {
            let got = Glibc.read(reader, &part, min(part.count, count - all.count))
            if got <= 0 { break }
            all += part[0..<got]
        }
        return all
    }
}

/// The bytes of a file; empty if there is none.
func fileContents(_ path: String) -> [UInt8] {
    guard let file = fopen(path, "r") else { return [] }
    defer { fclose(file) }
    var all: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 65536)
    while case let got = fread(&part, 1, part.count, file), got > 0 { all += part[0..<got] }
    return all
}

/// A row of a table that is told by its name.
struct Row<Input: Sendable, Output: Sendable>: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let input: Input
    let output: Output

    init(_ name: String, _ input: Input, _ output: Output) {
        (testDescription, self.input, self.output) = (name, input, output)
    }
}
