internal import Bytes
internal import HTTP
internal import Reactor
internal import TLS

/// One HTTP/1.1 connection to an endpoint: one call at a time.
final class HTTP1ClientConnection: ByteStreamDelegate {
    let stream: ByteStream
    private let pool: EndpointConnections
    private var call: UpstreamCall?
    // The call's; it outlives the call, so while there is one.
    private unowned(unsafe) var handler: (any ResponseHandler)?
    private var inbox = ByteQueue()
    private var scanner = HTTP1HeadScanner(for: .response)
    private var head = ResponseHead()
    private var chunks: ChunkedDecoder
    private var phase = Phase.idle
    private var remaining = 0
    private var interimHeads = 0
    private var hasServed = false
    private var isWaitingForFirstByte = false

    /// More interim (1xx) responses than this are an attack.
    private static let interimLimit = 16

    private enum Phase { case idle, head, fixedBody, chunkedBody, bodyUntilClose, closed }

    init(_ stream: ByteStream, pool: EndpointConnections) {
        self.stream = stream
        self.pool = pool
        chunks = ChunkedDecoder(limits: pool.settings.responseLimits)
        stream.delegate = self
        stream.readSize = 32 * 1024
        stream.writeTimeout = pool.settings.timeouts.idle
    }

    // MARK: Calls

    /// Sends a call's request. The connection is idle.
    func start(_ call: UpstreamCall) {
        self.call = call
        handler = call.handler
        call.carrier = .http1(self)
        call.usedIdleConnection = hasServed
        call.sentAt = stream.reactor.now
        phase = .head
        scanner.reset()
        interimHeads = 0
        isWaitingForFirstByte = true
        let body = call.body
        HTTP1Writer.requestHead(
            call.head, framing: body.bytes.isEmpty ? .none : .length(body.bytes.count), into: &stream.output)
        stream.send(body)
        let now = stream.reactor.now
        stream.setDeadline(min(call.deadline, now &+ pool.settings.timeouts.firstByte))
    }

    /// Whether the kernel has all of the request.
    var isRequestSent: Bool { stream.unsent == 0 }

    /// The call under way is another's from now on.
    func report(to handler: any ResponseHandler) { self.handler = handler }

    /// The caller gives up: HTTP/1.1 knows no other way than to close.
    func cancel() {
        call = nil
        shut()
    }

    func pause() {
        stream.pauseReading()
        // Waiting for our own client is not the upstream's fault: only the call's own deadline runs.
        stream.setDeadline(call?.deadline ?? .max)
    }

    func resume() {
        stream.resumeReading()
        noteProgress()
    }

    private func noteProgress() {
        guard let call else { return }
        stream.setDeadline(min(call.deadline, stream.reactor.now &+ pool.settings.timeouts.idle))
    }

    // MARK: Reading

    func received(_ bytes: Span<UInt8>) {
        guard call != nil else {
            // Bytes nobody asked for: whatever it is, the next response could not be trusted.
            return shut()
        }
        isWaitingForFirstByte = false
        let receiver = call
        if inbox.isEmpty {
            let used = consume(bytes)
            if used < bytes.count, phase != .closed { inbox.append(bytes.extracting(used...)) }
        } else {
            inbox.append(bytes)
            var waiting = ByteQueue()
            swap(&waiting, &inbox)
            let used = consume(waiting.span)
            waiting.consume(used)
            if phase != .closed, !waiting.isEmpty { swap(&waiting, &inbox) }
        }
        // A call that took over the connection just now waits for its first byte.
        if call === receiver, !stream.isReadingPaused { noteProgress() }
    }

    private func consume(_ bytes: Span<UInt8>) -> Int {
        var offset = 0
        while offset < bytes.count {
            switch phase {
            case .head:
                let used = readHead(bytes.extracting(offset...))
                if used == 0 { return offset }
                offset += used
            case .fixedBody:
                let count = min(remaining, bytes.count - offset)
                remaining -= count
                if call != nil { handler?.responseBody(bytes.extracting(offset..<offset + count)) }
                offset += count
                if remaining == 0, phase == .fixedBody { complete(extra: offset < bytes.count) }
            case .chunkedBody:
                offset += readChunks(bytes.extracting(offset...))
            case .bodyUntilClose:
                if call != nil { handler?.responseBody(bytes.extracting(offset...)) }
                return bytes.count
            case .idle, .closed:
                return bytes.count
            }
        }
        return offset
    }

    private func readHead(_ bytes: Span<UInt8>) -> Int {
        do throws(HTTP1Error) {
            guard let call, let length = try scanner.scan(bytes, limits: pool.settings.responseLimits) else { return 0 }
            scanner.reset()
            try parseResponseHead(
                bytes.extracting(..<length), requestMethod: call.head.method, limits: pool.settings.responseLimits,
                into: &head)
            if head.status < 200 {
                interimHeads += 1
                if interimHeads > HTTP1ClientConnection.interimLimit { fail(.malformed("too many interim responses")) }
                return length
            }
            begin()
            return length
        } catch {
            fail(.malformed(error.reason))
            return bytes.count
        }
    }

    private func begin() {
        switch head.framing {
        case .length(let length) where length > 0:
            remaining = length
            phase = .fixedBody
        case .chunked:
            chunks = ChunkedDecoder(limits: pool.settings.responseLimits)
            phase = .chunkedBody
        case .untilClose:
            phase = .bodyUntilClose
        case .none, .length:
            remaining = 0
            phase = .fixedBody
        }
        handler?.responseHead(head)
        if phase == .fixedBody, remaining == 0 { complete(extra: false) }
    }

    private func readChunks(_ bytes: Span<UInt8>) -> Int {
        var offset = 0
        do throws(HTTP1Error) {
            while phase == .chunkedBody {
                switch try chunks.decode(bytes, at: &offset) {
                case .data(let range): if call != nil { handler?.responseBody(bytes.extracting(range)) }
                case .needMore: return bytes.count
                case .end: complete(extra: offset < bytes.count)
                }
            }
        } catch {
            fail(.malformed(error.reason))
            return bytes.count
        }
        return offset
    }

    /// The response is complete: the connection goes back to the pool, if it can serve again.
    private func complete(extra: Bool) {
        guard let call = self.call.take() else { return }
        call.carrier = .none
        hasServed = true
        stream.resumeReading()
        // A request that was not sent whole, or bytes after the response, leave the connection in an unknown state.
        if head.keepsAlive, !extra, stream.unsent == 0, phase != .bodyUntilClose {
            phase = .idle
            stream.setDeadline(stream.reactor.now &+ pool.settings.idleTimeout)
            call.handler?.responseEnd()
            if phase == .idle { pool.released(self) }
        } else {
            shut()
            call.handler?.responseEnd()
        }
    }

    func inputEnded() {
        // Paused: bytes may still wait in the socket; the end is met again when they are read.
        if stream.isReadingPaused { return }
        switch phase {
        case .bodyUntilClose:
            complete(extra: false)
        case .idle, .closed:
            shut()
        case .head, .fixedBody, .chunkedBody:
            fail(.closed(afterHead: phase != .head))
        }
    }

    // MARK: Ending

    /// Ends the connection and the call on it.
    private func fail(_ failure: UpstreamFailure) {
        let call = self.call
        self.call = nil
        let neverAnswered = isWaitingForFirstByte && phase == .head
        let wasReused = hasServed
        shut()
        guard let call else { return }
        if case .closed = failure, neverAnswered, wasReused, !call.isRetriedOnFresh {
            // The upstream closed an idle connection as we wrote: it has not seen the request.
            call.isRetriedOnFresh = true
            pool.startOnFresh(call)
        } else {
            call.fail(failure)
        }
    }

    private func shut() {
        guard phase != .closed else { return }
        phase = .closed
        stream.close(reset: false)
        pool.closed(self)
    }

    func close() { shut() }

    func established() {}
    func drained() {}
    func prepareOutput() -> Bool { false }

    func deadlinePassed() {
        guard let call else { return shut() }
        let failure: UpstreamFailure =
            call.deadline <= stream.reactor.now
            ? .totalTimeout : phase == .head ? .firstByteTimeout : .idleTimeout
        fail(failure)
    }

    func failed(_ failure: StreamFailure) {
        switch failure {
        case .system: fail(.closed(afterHead: phase != .head))
        // Many servers end idle connections without TLS's farewell: no other end than that of a plain connection.
        case .tls(let error) where error.kind == .truncated: fail(.closed(afterHead: phase != .head))
        case .tls(let error): fail(.tls(error))
        case .writeStalled: fail(phase == .head ? .firstByteTimeout : .idleTimeout)
        }
    }
}
