import Bytes
import HTTP

/// The octets of a text whose scalars are all below 256: one octet each, so that rows can hold any octet.
func octets(_ text: String) -> [UInt8] {
    text.unicodeScalars.map { UInt8($0.value) }
}

/// A head that tests can pass on: heads themselves are not copied.
final class Held<Head: ~Copyable> {
    var head: Head

    init(_ head: consuming Head) {
        self.head = head
    }
}

/// What became of the first request in a stretch of bytes.
enum Verdict: Equatable, CustomStringConvertible {
    /// Refused with that error.
    case refused(HTTP1Error)
    /// More bytes are needed.
    case incomplete
    /// Read: method, target, authority, body, and what is left for the next message.
    case request(Method, String, host: String, body: String, left: String)

    var description: String {
        switch self {
        case .refused(let error): "refused: \(error) (\(error.status))"
        case .incomplete: "incomplete"
        case .request(let method, let target, let host, let body, let left):
            "\(method.text) \(target) at \(host), body \(body.debugDescription), left \(left.debugDescription)"
        }
    }
}

/// Reads requests as a server does: the bytes come in pieces, unread ones are kept.
struct RequestReader: ~Copyable {
    var limits = HTTP1Limits()
    private(set) var head = RequestHead()

    init(limits: HTTP1Limits = HTTP1Limits()) {
        self.limits = limits
    }

    /// Reads the first request of `bytes`, which arrive in pieces that end at `ends`.
    mutating func read(_ bytes: [UInt8], ends: [Int] = []) -> Verdict {
        var scanner = HTTP1HeadScanner(for: .request)
        for end in ends + [bytes.count] {
            do throws(HTTP1Error) {
                guard let headEnd = try scanner.scan(bytes.span.extracting(0..<end), limits: limits) else { continue }
                let text = bytes.span.extracting(scanner.leadingBytes..<headEnd)
                try parseRequestHead(text, limits: limits, into: &head)
                return try readBody(bytes, from: headEnd, ends: ends.filter { $0 > headEnd } + [bytes.count])
            } catch {
                return .refused(error)
            }
        }
        return .incomplete
    }

    private func readBody(_ bytes: [UInt8], from start: Int, ends: [Int]) throws(HTTP1Error) -> Verdict {
        var offset = start
        var body: [UInt8] = []
        switch head.framing {
        case .none: break
        case .length(let length):
            guard bytes.count - start >= length else { return .incomplete }
            offset += length
            body = Array(bytes[start..<offset])
        case .chunked:
            guard let decoded = try decodeChunks(bytes, from: &offset, ends: ends, limits: limits) else {
                return .incomplete
            }
            body = decoded
        case .untilClose: preconditionFailure("no framing of requests")
        }
        return .request(
            head.method, latin(head.target), host: latin(head.authority), body: latin(body),
            left: latin(Array(bytes[offset...])))
    }
}

/// The body of a chunked message whose bytes arrive in pieces; `nil` if it does not end.
func decodeChunks(
    _ bytes: [UInt8], from offset: inout Int, ends: [Int], limits: HTTP1Limits = HTTP1Limits()
) throws(HTTP1Error) -> [UInt8]? {
    var decoder = ChunkedDecoder(limits: limits)
    var body: [UInt8] = []
    for end in ends {
        let piece = bytes.span.extracting(offset..<max(end, offset))
        var read = 0
        reading: while true {
            switch try decoder.decode(piece, at: &read) {
            case .data(let range): body.append(copying: piece.extracting(range))
            case .needMore: break reading
            case .end:
                offset += read
                return body
            }
        }
        offset += read
    }
    return nil
}

/// The text of octets, one scalar each.
func latin(_ bytes: [UInt8]) -> String {
    var text = ""
    for byte in bytes { text.unicodeScalars.append(Unicode.Scalar(byte)) }
    return text
}
