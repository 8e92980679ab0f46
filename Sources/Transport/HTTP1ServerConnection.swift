internal import Bytes
internal import HTTP
internal import Reactor
internal import Telemetry
internal import TLS

/// One HTTP/1.1 connection from a client: reads requests, answers them in order, one at a time.
///
/// While a request is answered nothing is read, so what is pipelined waits in the kernel (and at most one read of it
/// here); a client that hangs up is noticed all the same.
/// - SeeAlso: RFC 9112.
package final class HTTP1ServerConnection: ByteStreamDelegate, ServerConnection {
    package let stream: ByteStream
    /// The head of the request that is read or answered now.
    private(set) var request: RequestHead {
        unsafeAddress { UnsafePointer(requestCell.address) }
        unsafeMutableAddress { requestCell.address }
    }
    let requestCell = Cell(RequestHead())

    let server: HTTPServer
    let place: Int
    private let origin: Origin
    var handler: (any RequestHandler)?
    var inbox = ByteQueue()
    private var scanner = HTTP1HeadScanner(for: .request)
    private var chunks: ChunkedDecoder
    var phase = Phase.idle
    private var bodyRemaining = 0
    private var bodyReceived = 0
    private var bodyDeadline = Int64.max
    var response = ResponsePhase.none
    private var responseFraming = BodyFraming.none
    var closesAfterResponse = false
    private var isContinued = false
    var isDraining = false
    private var discarded = 0
    var isFirstRequest = true

    /// After a refusal, that much of an unwanted body is read so that the client can see the answer.
    private static let discardLimit = 64 * 1024
    /// The most that is read and thrown away of a client that goes on sending after its answer, within a second.
    private static let lingerLimit = 64 << 20

    enum Phase {
        /// Between requests: nothing of the next head has come.
        case idle
        case head, fixedBody, chunkedBody
        /// The request is complete; reading is paused until it is answered.
        case complete
        /// The answer is sent, the rest of what the client sends is thrown away.
        case discarding
        case closed
    }

    enum ResponsePhase { case none, body, done }

    init(_ stream: ByteStream, server: HTTPServer, place: Int, origin: Origin) {
        self.stream = stream
        self.server = server
        self.place = place
        self.origin = origin
        chunks = ChunkedDecoder(limits: server.limits.http1)
        stream.writeTimeout = server.limits.writeTimeout
        stream.delegate = self
        stream.setDeadline(stream.reactor.now + server.limits.headerTimeout)
    }

    // MARK: Reading requests

    package func received(_ bytes: Span<UInt8>) {
        if inbox.isEmpty {
            let used = consume(bytes)
            if used < bytes.count, phase != .closed { inbox.append(bytes.extracting(used...)) }
        } else {
            inbox.append(bytes)
            consumeInbox()
        }
    }

    private func consumeInbox() {
        // Taken out while it is read, for what is called here may come back to this connection.
        var waiting = ByteQueue()
        swap(&waiting, &inbox)
        let used = consume(waiting.span)
        waiting.consume(used)
        if phase != .closed, !waiting.isEmpty { swap(&waiting, &inbox) }
    }

    /// Reads as much as makes sense now; returns how many bytes that was.
    private func consume(_ bytes: Span<UInt8>) -> Int {
        var offset = 0
        while offset < bytes.count {
            let before = offset
            switch phase {
            // A client that does not read its answers gets no more of them.
            case .idle where stream.isFull: return offset
            case .idle, .head: offset += readHead(bytes.extracting(offset...))
            case .fixedBody: offset += readFixedBody(bytes.extracting(offset...))
            case .chunkedBody: offset += readChunks(bytes.extracting(offset...))
            case .discarding: offset += discard(bytes.count - offset)
            case .complete, .closed: return offset
            }
            if offset == before, phase == .head { return offset }
        }
        return offset
    }

    private func readHead(_ bytes: Span<UInt8>) -> Int {
        if phase == .idle {
            phase = .head
            scanner.reset()
            stream.setDeadline(stream.reactor.now + server.limits.headerTimeout)
        }
        do throws(HTTP1Error) {
            guard let length = try scanner.scan(bytes, limits: server.limits.http1) else { return 0 }
            try parseRequestHead(
                bytes.extracting(scanner.leadingBytes..<length), limits: server.limits.http1, into: &request)
            begin()
            return length
        } catch {
            if isFirstRequest, !isRequestLine(bytes) {
                // Not HTTP/1: an answer in HTTP/1 would be noise to whatever speaks there.
                server.metrics.refused(.notHTTP)
                shut()
            } else {
                refuse(Refusal(status: error.status, reason: error.reason))
            }
            return bytes.count
        }
    }

    /// Whether the first line names a version of HTTP/1 or is not complete.
    private func isRequestLine(_ bytes: Span<UInt8>) -> Bool {
        guard let end = firstIndex(of: UInt8(ascii: "\n"), in: bytes) else { return true }
        var word = end
        while word > 0, bytes[word - 1] != UInt8(ascii: " ") { word -= 1 }
        return bytesBegin(bytes.extracting(word..<end), with: "HTTP/")
    }

    private func begin() {
        isFirstRequest = false
        closesAfterResponse = !request.keepsAlive || isDraining
        response = .none
        isContinued = false
        bodyReceived = 0
        let handler = self.handler ?? server.service.makeHandler(origin)
        self.handler = handler
        switch request.framing {
        case .length(let length) where length > 0:
            bodyRemaining = length
            phase = .fixedBody
        case .chunked:
            chunks = ChunkedDecoder(limits: server.limits.http1)
            phase = .chunkedBody
        case .length, .none, .untilClose:
            phase = .complete
        }
        if phase == .complete {
            stream.clearDeadline()
            stream.pauseReading()
            handler.requestHead(.http1(self))
            if response != .done, phase == .complete { handler.requestEnd() }
        } else {
            bodyDeadline = stream.reactor.now + server.limits.bodyTimeout
            noteBodyProgress()
            handler.requestHead(.http1(self))
            if announcesTooMuch, response == .none { refuseBody() }
        }
    }

    private var announcesTooMuch: Bool {
        if case .length(let length) = request.framing { length > server.limits.bodyBytes } else { false }
    }

    private func noteBodyProgress() {
        stream.setDeadline(min(bodyDeadline, stream.reactor.now + server.limits.bodyIdleTimeout))
    }

    private func readFixedBody(_ bytes: Span<UInt8>) -> Int {
        let count = min(bodyRemaining, bytes.count)
        bodyRemaining -= count
        let isLast = bodyRemaining == 0
        if isLast { bodyComplete() } else { noteBodyProgress() }
        if response != .done { handler?.requestBody(bytes.extracting(..<count)) }
        if isLast { deliverEnd() }
        return count
    }

    private func bodyComplete() {
        phase = .complete
        stream.clearDeadline()
        stream.pauseReading()
    }

    /// Tells the handler that the body is complete; if it has answered already, the next request's turn has come.
    private func deliverEnd() {
        guard phase == .complete else { return }
        if response == .done { nextRequest() } else { handler?.requestEnd() }
    }

    private func readChunks(_ bytes: Span<UInt8>) -> Int {
        var offset = 0
        do throws(HTTP1Error) {
            while phase == .chunkedBody {
                switch try chunks.decode(bytes, at: &offset) {
                case .data(let range):
                    bodyReceived += range.count
                    if bodyReceived > server.limits.bodyBytes {
                        refuseBody()
                        return bytes.count
                    }
                    noteBodyProgress()
                    if response != .done { handler?.requestBody(bytes.extracting(range)) }
                case .needMore:
                    return bytes.count
                case .end:
                    bodyComplete()
                    deliverEnd()
                }
            }
        } catch {
            refuseRequest(Refusal(status: error.status, reason: error.reason))
            return bytes.count
        }
        return offset
    }

    private func discard(_ count: Int) -> Int {
        discarded += count
        if discarded > HTTP1ServerConnection.lingerLimit { shut() }
        return count
    }

    package func inputEnded() {
        switch phase {
        case .idle, .head, .discarding, .closed:
            leave()
        case .fixedBody, .chunkedBody, .complete:
            if response == .done {
                leave()
            } else {
                abandonRequest(.clientGone)
                shut()
            }
        }
    }

    // MARK: Answering

    /// Sends `100 Continue` if the client waits for it.
    func sendContinue() {
        guard request.expectsContinue, !isContinued, response == .none, phase != .complete, !announcesTooMuch else {
            return
        }
        isContinued = true
        HTTP1Writer.continueResponse(into: &stream.output)
        stream.touch()
    }

    func respond(_ head: borrowing ResponseHead) {
        precondition(response == .none, "a request is answered once")
        guard phase != .closed else { return }
        if phase != .complete, restOfBody > HTTP1ServerConnection.discardLimit { closesAfterResponse = true }
        // Nobody knows whether a client that was not asked for its body sends it.
        if request.expectsContinue, !isContinued, phase != .complete { closesAfterResponse = true }
        if isDraining || server.isDraining { closesAfterResponse = true }
        responseFraming = head.framing
        if request.version == .http10 {
            closesAfterResponse = true
            if responseFraming == .chunked { responseFraming = .untilClose }
        }
        HTTP1Writer.responseHead(
            head, framing: responseFraming, keepsAlive: !closesAfterResponse, to: request.method,
            date: server.date.span, into: &stream.output)
        response = .body
        stream.touch()
    }

    /// Bytes of the request's body that have not come yet; unknown counts as much.
    private var restOfBody: Int { phase == .fixedBody ? bodyRemaining : .max }

    func write(_ bytes: Span<UInt8>) {
        guard phase != .closed, bytes.count > 0, request.method != .head else { return }
        if responseFraming == .chunked {
            HTTP1Writer.chunk(bytes, into: &stream.output)
        } else {
            stream.output.append(bytes)
        }
        stream.touch()
    }

    func finish() {
        guard phase != .closed else { return }
        if responseFraming == .chunked, request.method != .head { HTTP1Writer.lastChunk(into: &stream.output) }
        response = .done
        stream.touch()
        // The drain may have begun after the head was sent.
        if closesAfterResponse || isDraining {
            closeAfterAnswer()
        } else if phase == .complete {
            nextRequest()
        }
        // Else the rest of the body is still to come; it is read and thrown away.
    }

    func abortResponse() {
        guard phase != .closed else { return }
        // HTTP/1.0 knows the end by the close alone: only a reset tells that it came too early.
        if responseFraming == .untilClose || (response == .none) { return shut(reset: true) }
        response = .done
        leave()
    }

    private func nextRequest() {
        phase = .idle
        response = .none
        stream.setDeadline(stream.reactor.now + server.limits.idleTimeout)
        if stream.isFull { return stream.pauseReading() }
        // What is here already is read before more is taken in.
        if inbox.isEmpty { stream.resumeReading() } else { stream.reactor.callAgain(PipelinedInput(self)) }
    }

    fileprivate func readPipelined() {
        guard phase == .idle, !stream.isFull else { return }
        consumeInbox()
        if phase != .complete, phase != .closed, !(phase == .idle && stream.isFull) { stream.resumeReading() }
    }

    package func established() {}

    package func drained() {
        if response == .body {
            handler?.responseDrained()
        } else if phase == .idle {
            stream.reactor.callAgain(PipelinedInput(self))
        }
    }

    package func prepareOutput() -> Bool { false }
}

/// Continues with pipelined bytes in a round of its own, so that a long pipeline does not recurse.
private final class PipelinedInput: SocketHandler {
    private let connection: HTTP1ServerConnection

    init(_ connection: HTTP1ServerConnection) { self.connection = connection }

    func socketReady(_ readiness: Readiness) { connection.readPipelined() }
}
