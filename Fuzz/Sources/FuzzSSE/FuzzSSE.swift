// Any bytes as an event stream, split in any way: no crash, no byte lost, and the splits make no difference.
// The first byte chooses the dialect and the stripping; 0xFF in the rest marks a split.
import Bytes
import OpenAI

struct Outcome: Equatable {
    var output: [UInt8] = []
    var summary = EventStreamSummary()
    var endsCleanly = false
}

func relay(_ pieces: [ArraySlice<UInt8>], _ dialect: EventDialect, strips: Bool) -> Outcome {
    var scanner = EventStreamScanner(dialect: dialect, stripsUsage: strips)
    var outcome = Outcome()
    var queue = ByteQueue()
    for piece in pieces {
        do throws(EventStreamError) {
            try scanner.receive(Array(piece).span, into: &queue)
        } catch {
            fatalError("no event here is that long: \(error)")
        }
    }
    outcome.output = [UInt8](copying: queue.span)
    outcome.summary = scanner.summary
    outcome.endsCleanly = scanner.endsCleanly
    return outcome
}

func check(_ data: UnsafeBufferPointer<UInt8>) {
    guard let first = data.first else { return }
    let dialect = [EventDialect.completions, .messages, .responses, .other][Int(first & 3)]
    let pieces = Array(data.dropFirst()).split(separator: 0xFF, omittingEmptySubsequences: false)
    let whole = Array(pieces.joined())
    for strips in [false, true] {
        let outcome = relay([whole[...]], dialect, strips: strips)
        precondition(outcome == relay(pieces, dialect, strips: strips), "the splits make a difference")
        if !strips { precondition(outcome.output == whole, "a byte was lost") }
        precondition(outcome.output.count <= whole.count)
    }
}

/// libFuzzer's entry.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    check(UnsafeBufferPointer(start: data, count: size))
    return 0
}
