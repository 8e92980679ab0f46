/// What a simulated engine can do wrong.
package enum EngineFault: String, CaseIterable, Sendable {
    /// An error answer.
    case error
    /// A TCP reset before any byte of the answer (HTTP/2: the stream is reset).
    case reset
    /// An orderly close before any byte of the answer (HTTP/2: the stream is reset).
    case close
    /// Never an answer.
    case hang
    /// The head of an answer, then silence.
    case headhang
    /// The head of an answer, then a close.
    case headclose
    /// Bytes that are no HTTP, then a close (HTTP/2: the stream is reset).
    case garbage
    /// A web page where an answer should be, with status 200.
    case html
    /// The first byte comes late.
    case slow
    /// A reset in the middle of the answer.
    case midreset
    /// A close in the middle of the answer, without the end of the body.
    case midclose
    /// Silence from the middle of the answer on.
    case midhang
    /// The first half of an answer as if it were all; of a stream, its first events.
    case cut
    /// An event, or a whole answer, that is not JSON.
    case malformed
    /// An error object as an event, after which the stream ends in order.
    case errorevent
    /// A stream that ends in order, but without its last event.
    case nodone
    /// Broken chunked framing (HTTP/2: the stream is reset).
    case badframe

    /// What happens, for operators.
    package var explanation: String {
        switch self {
        case .error: "an error answer, of --error-status and with --retry-after"
        case .reset: "a TCP reset before any byte of the answer"
        case .close: "an orderly close before any byte of the answer"
        case .hang: "never an answer"
        case .headhang: "the head of an answer, then silence"
        case .headclose: "the head of an answer, then a close"
        case .garbage: "bytes that are no HTTP, then a close"
        case .html: "status 200 with a web page"
        case .slow: "the first byte comes late, by --slowness"
        case .midreset: "a TCP reset in the middle, after --fault-after tokens"
        case .midclose: "a close in the middle"
        case .midhang: "silence from the middle on"
        case .cut: "half an answer, or the first events, ended in order"
        case .malformed: "an event, or a whole answer, that is not JSON"
        case .errorevent: "an error as an event, which ends the stream"
        case .nodone: "a stream without its last event"
        case .badframe: "broken chunked framing"
        }
    }
}
