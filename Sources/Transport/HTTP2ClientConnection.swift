internal import Bytes
internal import HTTP
internal import HTTP2
internal import Reactor
internal import TLS

/// One HTTP/2 connection to an endpoint: many calls at once.
final class HTTP2ClientConnection: ByteStreamDelegate, HTTP2ClientDelegate {
    let stream: ByteStream
    let pool: EndpointConnections
    private let session: HTTP2ClientSession
    private var isClosed = false
    private var isLeaving = false
    private var idleSince: Int64
    private let openedAt: Int64

    /// How often idleness and liveness are looked at.
    private static let tick: Int64 = 5_000_000_000

    init(_ stream: ByteStream, pool: EndpointConnections) {
        self.stream = stream
        self.pool = pool
        openedAt = stream.reactor.now
        idleSince = openedAt
        var limits = HTTP2Limits()
        limits.concurrentStreams = pool.settings.maxStreams
        session = HTTP2ClientSession(limits: limits, now: stream.reactor.now)
        session.delegate = self
        stream.delegate = self
        stream.asksForOutput = true
        stream.readSize = 32 * 1024
        stream.writeTimeout = min(pool.settings.timeouts.idle, 60_000_000_000)
        stream.setDeadline(openedAt + HTTP2ClientConnection.tick)
        stream.touch()
    }

    // MARK: Calls

    /// Whether another call may be started.
    var hasRoom: Bool { !isClosed && !isLeaving && session.availableStreams > 0 }

    /// Starts a call. There is room.
    func start(_ call: UpstreamCall) {
        let length = call.body.bytes.count
        let made = session.request(
            call.head, isSecure: stream.tls != nil, contentLength: length > 0 ? length : nil, endStream: length == 0)
        guard let made else { return call.fail(.refused) }
        let requester = HTTP2Requester(call, made, self)
        made.owner = requester
        call.carrier = .http2(requester)
        call.usedIdleConnection = false
        call.sentAt = stream.reactor.now
        requester.sendBody()
        stream.touch()
    }

    /// Takes no more calls and closes after the last.
    func closeWhenIdle() {
        guard !isClosed else { return }
        isLeaving = true
        session.goAway()
        stream.touch()
        if session.isIdle { shut() }
    }

    // MARK: The socket

    func received(_ bytes: Span<UInt8>) {
        guard !isClosed else { return }
        let verdict = session.receive(bytes, now: stream.reactor.now)
        stream.touch()
        if !verdict.isOK { return end(verdict) }
        pool.hasRoom(self)
    }

    func prepareOutput() -> Bool {
        guard !isClosed, stream.unsent < ByteStream.highWater else { return false }
        var output = ByteQueue()
        swap(&output, &stream.output)
        let verdict = session.produce(into: &output, limit: ByteStream.highWater)
        swap(&output, &stream.output)
        if !verdict.isOK { end(verdict) }
        // Streams that were reset end as their RST_STREAM is written.
        if !isClosed { pool.hasRoom(self) }
        return !isClosed && session.wantsWrite
    }

    private func end(_ verdict: HTTP2Verdict) {
        guard !isClosed else { return }
        var output = ByteQueue()
        swap(&output, &stream.output)
        _ = session.produce(into: &output, limit: ByteStream.highWater * 2)
        swap(&output, &stream.output)
        isClosed = true
        session.abandon()
        stream.detach(within: 0)
        pool.closed(self)
    }

    private func shut() {
        guard !isClosed else { return }
        isClosed = true
        session.abandon()
        stream.close()
        pool.closed(self)
    }

    func inputEnded() { shut() }

    func failed(_ failure: StreamFailure) {
        guard !isClosed else { return }
        isClosed = true
        session.abandon()
        pool.closed(self)
    }

    func established() {}
    func drained() { stream.touch() }

    func deadlinePassed() {
        let now = stream.reactor.now
        stream.setDeadline(now + HTTP2ClientConnection.tick)
        if session.isIdle {
            if now - idleSince >= pool.settings.idleTimeout { closeWhenIdle() }
            return
        }
        // A silent connection with calls on it is asked for a sign of life; the second unanswered one ends it.
        if session.pingsOutstanding >= 2 { return shut() }
        session.ping()
        stream.touch()
    }

    // MARK: Streams

    func responseHead(_ stream: HTTP2ClientStream) { requester(of: stream)?.head() }

    func responseData(_ stream: HTTP2ClientStream, _ bytes: Span<UInt8>) {
        guard let requester = requester(of: stream) else { return stream.consumed(bytes.count) }
        requester.body(bytes)
    }

    func responseEnd(_ stream: HTTP2ClientStream) { requester(of: stream)?.end() }

    func requestDrained(_ stream: HTTP2ClientStream) {
        requester(of: stream)?.sendBody()
        self.stream.touch()
    }

    func streamClosed(_ stream: HTTP2ClientStream, code: UInt32) {
        let requester = requester(of: stream)
        stream.owner = nil
        requester?.closed()
        if session.streamCount <= 1 { idleSince = self.stream.reactor.now }
    }

    private func requester(of stream: HTTP2ClientStream) -> HTTP2Requester? {
        // Only this class sets the owner, and to nothing else.
        stream.owner.map { unsafeDowncast($0, to: HTTP2Requester.self) }
    }
}

/// One call on an HTTP/2 connection.
final class HTTP2Requester: TimerHandler {
    private let stream: HTTP2ClientStream
    private let connection: HTTP2ClientConnection
    private var call: UpstreamCall?
    private var sent = 0
    private var uncredited = 0
    private var isPaused = false
    private var timer = MovingDeadline()

    init(_ call: UpstreamCall, _ stream: HTTP2ClientStream, _ connection: HTTP2ClientConnection) {
        self.call = call
        self.stream = stream
        self.connection = connection
        setDeadline(connection.pool.settings.timeouts.firstByte)
    }

    private var reactor: Reactor { connection.stream.reactor }

    private func setDeadline(_ timeout: Int64) {
        guard let call else { return }
        timer.set(min(call.deadline, reactor.now &+ timeout), on: reactor, self)
    }

    /// Writes as much of the body as the stream takes now.
    func sendBody() {
        guard let call else { return }
        let total = call.body.bytes.count
        guard sent < total else { return }
        while sent < total, !stream.isOverHighWater {
            let next = min(sent + 65536, total)
            // The call holds the body, and it does not change while the call runs.
            stream.write(Span(_unsafeBytes: UnsafeRawBufferPointer(rebasing: call.body.bytes.bytes[sent..<next])))
            sent = next
        }
        if sent == total { stream.finish() }
    }

    /// Whether the body has been copied to the stream.
    var isRequestSent: Bool { call.map { sent >= $0.body.bytes.count } ?? true }

    func head() {
        guard let call else { return }
        setDeadline(connection.pool.settings.timeouts.idle)
        call.handler?.responseHead(stream.response)
    }

    func body(_ bytes: Span<UInt8>) {
        guard let call else { return stream.consumed(bytes.count) }
        call.handler?.responseBody(bytes)
        if isPaused {
            uncredited += bytes.count
        } else {
            stream.consumed(bytes.count)
            setDeadline(connection.pool.settings.timeouts.idle)
        }
    }

    func end() {
        guard let call = release() else { return }
        if !stream.isResponseComplete || sent < call.body.bytes.count || stream.bufferedBytes > 0 { stream.reset() }
        call.handler?.responseEnd()
    }

    /// The stream is over; if the response was not whole, the call has failed.
    func closed() {
        let isUnprocessed = stream.isUnprocessed
        let hasHead = stream.isResponseStarted
        guard let call = release() else { return }
        call.fail(isUnprocessed ? .refused : .closed(afterHead: hasHead))
    }

    func cancel() {
        _ = release()
        stream.reset()
        connection.stream.touch()
    }

    func pause() {
        isPaused = true
        timer.set(call?.deadline ?? .max, on: reactor, self)
    }

    func resume() {
        guard isPaused else { return }
        isPaused = false
        stream.consumed(uncredited)
        uncredited = 0
        setDeadline(connection.pool.settings.timeouts.idle)
        connection.stream.touch()
    }

    func timerFired() {
        guard timer.isDue(on: reactor, self) else { return }
        let hasHead = stream.isResponseStarted
        guard let call = release() else { return }
        stream.reset()
        connection.stream.touch()
        call.fail(call.deadline <= reactor.now ? .totalTimeout : hasHead ? .idleTimeout : .firstByteTimeout)
    }

    /// Parts with the call: nothing more is told of it.
    private func release() -> UpstreamCall? {
        let call = self.call
        self.call = nil
        call?.carrier = .none
        timer.cancel(on: reactor)
        return call
    }
}
