// Differential fuzzing of the HTTP/1 codec: however its bytes are cut, a message must be read the same way, and what
// is accepted must still be the same message after it was written again.
import Bytes
import HTTP

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzHTTP1(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    guard input.count >= 2 else { return 0 }
    let bytes = Array(input[2...])
    let kind = Message.Kind(selector: input[0])
    let whole = Message(kind, bytes, ends: [bytes.count])
    for ends in cuts(of: bytes.count, seed: input[1]) {
        let other = Message(kind, bytes, ends: ends)
        precondition(other.outcome == whole.outcome, "\(kind), cut at \(ends): \(other.outcome), not \(whole.outcome)")
    }
    whole.checkRoundTrip()
    return 0
}

/// Ways to cut a stretch of bytes: each octet by itself, and two drawn from the seed.
private func cuts(of count: Int, seed: UInt8) -> [[Int]] {
    var random = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 | 1
    var drawn: [[Int]] = [Array(0...count)]
    for _ in 0..<2 {
        var ends: [Int] = []
        for _ in 0..<3 {
            random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            ends.append(Int(random >> 33) % (count + 1))
        }
        drawn.append(ends.sorted() + [count])
    }
    return drawn
}

/// One message read from bytes that arrive in pieces.
private struct Message {
    enum Kind {
        case request, response(HTTP.Method), chunks

        init(selector: UInt8) {
            switch selector % 4 {
            case 0: self = .request
            case 1: self = .response(.post)
            case 2: self = .response(.head)
            default: self = .chunks
            }
        }
    }

    enum Outcome: Equatable {
        case refused, incomplete
        /// The text of the message after reading, and where it ended.
        case read(summary: [UInt8], end: Int)
    }

    private let kind: Kind
    private let limits: HTTP1Limits
    private var request = RequestHead()
    private var response = ResponseHead()
    private var body: [UInt8] = []
    private(set) var outcome = Outcome.incomplete

    init(_ kind: Kind, _ bytes: [UInt8], ends: [Int]) {
        self.kind = kind
        var limits = HTTP1Limits()
        // Small, so that inputs of a few hundred bytes reach them.
        limits.headBytes = 512
        limits.headFields = 10
        limits.requestLineBytes = 128
        limits.trailerBytes = 64
        limits.chunkExtensionBytes = 16
        limits.chunkExtensionTotalBytes = 64
        limits.connectionOptions = 4
        self.limits = limits
        do throws(HTTP1Error) { outcome = try read(bytes, ends: ends) } catch { outcome = .refused }
    }

    private mutating func read(_ bytes: [UInt8], ends: [Int]) throws(HTTP1Error) -> Outcome {
        if case .chunks = kind { return try readChunks(bytes, from: 0, ends: ends) }
        var isRequest = false
        if case .request = kind { isRequest = true }
        var scanner = HTTP1HeadScanner(for: isRequest ? .request : .response)
        for end in ends {
            guard let headEnd = try scanner.scan(bytes.span.extracting(0..<end), limits: limits) else { continue }
            precondition(headEnd <= end, "the head ends in what has come")
            let head = bytes.span.extracting(scanner.leadingBytes..<headEnd)
            let framing: BodyFraming
            if case .response(let method) = kind {
                try parseResponseHead(head, requestMethod: method, limits: limits, into: &response)
                framing = response.framing
            } else {
                try parseRequestHead(head, limits: limits, into: &request)
                framing = request.framing
            }
            guard framing == .chunked else { return .read(summary: summary(), end: headEnd) }
            return try readChunks(bytes, from: headEnd, ends: ends.filter { $0 > headEnd })
        }
        return .incomplete
    }

    private mutating func readChunks(_ bytes: [UInt8], from start: Int, ends: [Int]) throws(HTTP1Error) -> Outcome {
        var decoder = ChunkedDecoder(limits: limits)
        var offset = start
        for end in ends {
            let piece = bytes.span.extracting(0..<end)
            reading: while true {
                switch try decoder.decode(piece, at: &offset) {
                case .data(let range):
                    precondition(!range.isEmpty && range.upperBound == offset, "data ends where it was read to")
                    body.append(copying: piece.extracting(range))
                case .needMore:
                    precondition(offset == end, "all input is used up")
                    break reading
                case .end: return .read(summary: summary(), end: offset)
                }
            }
        }
        return .incomplete
    }

    /// All that was read, as text to compare.
    private func summary() -> [UInt8] {
        var text = Array("\(request.method) \(request.version) \(request.framing) \(request.keepsAlive) ".utf8)
        text += Array("\(request.expectsContinue) \(response.status) \(response.framing) \(response.keepsAlive)".utf8)
        for part in [request.target, request.authority, request.fields.bytes, response.fields.bytes, body] {
            text += [0] + part
        }
        return text
    }

    /// Writes an accepted message and reads it again: nothing may have changed that the next hop sees.
    func checkRoundTrip() {
        guard case .read = outcome else { return }
        var queue = ByteQueue()
        switch kind {
        case .request:
            check(request.fields)
            let authority = request.authority.isEmpty ? [0x61] : request.authority
            HTTP1Writer.requestHead(
                request.method, target: request.target.span, authority: authority.span,
                fields: request.fields, framing: request.framing, into: &queue)
            var again = RequestHead()
            do throws(HTTP1Error) { try parseRequestHead(queue.span, limits: HTTP1Limits(), into: &again) } catch {
                // An expectation HTTP/1.0 lets stand is refused in the HTTP/1.1 we write.
                precondition(error == .unsupportedExpectation, "what we wrote is refused: \(error)")
                return
            }
            precondition(again.target == request.target, "the target changed")
            precondition(again.framing == request.framing, "the framing changed")
            precondition(again.method == request.method, "the method changed")
            precondition(endToEnd(again.fields) == endToEnd(request.fields), "the fields changed")
        case .response(let method):
            check(response.fields)
            HTTP1Writer.responseHead(response, to: method, date: Span(), into: &queue)
            var again = ResponseHead()
            do throws(HTTP1Error) {
                try parseResponseHead(queue.span, requestMethod: method, limits: HTTP1Limits(), into: &again)
            } catch {
                preconditionFailure("what we wrote is refused: \(error)")
            }
            precondition(again.status == response.status, "the status changed")
            precondition(again.framing == response.framing, "the framing changed")
            precondition(endToEnd(again.fields) == endToEnd(response.fields), "the fields changed")
        case .chunks:
            HTTP1Writer.chunk(body.span, into: &queue)
            HTTP1Writer.lastChunk(into: &queue)
            var written: [UInt8] = []
            written.append(copying: queue.span)
            let again = Message(.chunks, written, ends: [written.count])
            precondition(again.body == body, "the body changed")
        }
    }

    /// Every field kept is one that may be written.
    private func check(_ fields: HeaderFields) {
        let text = fields.bytes.span
        for field in fields.fields {
            let name = text.extracting(field.nameRange)
            precondition(isToken(name), "a name is no token")
            precondition(isFieldValue(text.extracting(field.valueRange)), "a value is malformed")
            precondition(FieldName(name) == field.name, "a name has the wrong token")
            precondition(field.name != .host, "the host is no field")
        }
    }

    /// The fields that are passed on, as lines.
    private func endToEnd(_ fields: HeaderFields) -> [[UInt8]] {
        fields.fields.filter { !$0.name.isHopByHop && $0.name != .contentLength }.map {
            Array(fields.bytes[$0.nameRange]) + Array(": ".utf8) + Array(fields.bytes[$0.valueRange])
        }
    }
}
