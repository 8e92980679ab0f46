internal import Bytes
internal import HTTP
package import HTTP2
internal import Reactor
internal import Telemetry
internal import TLS

/// One HTTP/2 connection from a client: joins the session, which knows the protocol, with the socket and the handlers.
/// - SeeAlso: RFC 9113.
package final class HTTP2ServerConnection: ByteStreamDelegate, ServerConnection, HTTP2ServerDelegate {
    let stream: ByteStream
    let server: HTTPServer
    private let session: HTTP2ServerSession
    private let place: Int
    private let origin: Origin
    private let openedAt: Int64
    private var responders: [HTTP2Responder] = []
    private var idleSince: Int64
    private var goAwayAt = Int64.max
    private var isClosed = false
    private var hasServed = false
    private var owesRead = false
    private var drainsAfterRequest = false

    /// How often the timeouts of streams and header blocks are looked at.
    private static let tick: Int64 = 1_000_000_000
    /// How long a connection that is to be cut may take to read the reason.
    private static let farewell: Int64 = 1_000_000_000

    init(_ stream: ByteStream, server: HTTPServer, place: Int, origin: Origin) {
        self.stream = stream
        self.server = server
        self.place = place
        self.origin = origin
        openedAt = stream.reactor.now
        idleSince = openedAt
        session = HTTP2ServerSession(
            limits: HTTP2Limits(server.limits), pool: server.http2Streams, now: stream.reactor.now)
        session.delegate = self
        stream.delegate = self
        stream.asksForOutput = true
        stream.writeTimeout = server.limits.writeTimeout
        stream.setDeadline(openedAt + HTTP2ServerConnection.tick)
        stream.touch()
    }

    // MARK: The socket

    package func received(_ bytes: Span<UInt8>) {
        guard !isClosed else { return }
        owesRead = false
        let verdict = session.receive(bytes, now: stream.reactor.now)
        stream.touch()
        if !verdict.isOK { obey(verdict) }
    }

    package func prepareOutput() -> Bool {
        guard !isClosed else { return false }
        if stream.unsent >= ByteStream.highWater {
            // A peer that does not read what it asks for is not read either, until it does: then once at least, for a
            // producer may fill the output again at once.
            if !owesRead { stream.pauseReading() }
            return false
        }
        // Taken out while it is filled, for streams that end call back.
        var output = ByteQueue()
        swap(&output, &stream.output)
        let verdict = session.produce(into: &output, limit: ByteStream.highWater)
        swap(&output, &stream.output)
        if !verdict.isOK { obey(verdict) }
        return !isClosed && session.wantsWrite
    }

    private func obey(_ verdict: HTTP2Verdict) {
        guard !isClosed else { return }
        if case .close(let reason) = verdict {
            server.metrics.cut(reason.code == HTTP2Code.enhanceYourCalm ? .glitches : .protocolError)
        }
        // The GOAWAY that says why goes first; a peer that does not read it is closed all the same.
        var output = ByteQueue()
        swap(&output, &stream.output)
        _ = session.produce(into: &output, limit: ByteStream.highWater * 2)
        swap(&output, &stream.output)
        leave(lingering: verdict != .finished)
    }

    package func inputEnded() { leave(lingering: false) }

    package func failed(_ failure: StreamFailure) {
        guard !isClosed else { return }
        isClosed = true
        if failure == .writeStalled { server.metrics.cut(.writeTimeout) }
        abandon(failure == .writeStalled ? .clientStalled : .clientGone)
        server.left(place)
    }

    private func leave(lingering: Bool) {
        guard !isClosed else { return }
        isClosed = true
        abandon(.clientGone)
        stream.detach(within: lingering ? HTTP2ServerConnection.farewell : 0)
        server.left(place)
    }

    private func abandon(_ reason: Abort) {
        releaseResponders(reason)
        session.abandon()
    }

    private func releaseResponders(_ reason: Abort) {
        let open = responders
        responders.removeAll()
        for responder in open {
            responder.stream.owner = nil
            responder.abandon(reason, server.service)
        }
    }

    package func established() {}
    package func drained() {
        if stream.isReadingPaused { owesRead = true }
        stream.resumeReading()
        stream.touch()
    }

    package func deadlinePassed() {
        let now = stream.reactor.now
        let limits = server.limits
        stream.setDeadline(now + HTTP2ServerConnection.tick)
        if goAwayAt <= now {
            goAwayAt = .max
            session.goAway()
            stream.touch()
        }
        // What a client has not sent is held against it only while we read.
        let isReading = !stream.isReadingPaused
        if isReading, let since = session.headerBlockOpenSince, now - since >= limits.headerTimeout {
            return cut(.headerTimeout)
        }
        let isUnready = !session.isPrefaceComplete || !session.settingsAcknowledged
        if isReading, isUnready, now - openedAt >= limits.headerTimeout { return cut(.headerTimeout) }
        if session.isIdle, now - idleSince >= limits.idleTimeout { return cut(.idleTimeout) }
        for responder in responders { responder.checkProgress(now, limits, isReading: isReading) }
    }

    private func cut(_ reason: CutReason) {
        server.metrics.cut(reason)
        if reason == .idleTimeout {
            session.goAway()
        } else {
            session.close(.local)
        }
        obey(.finished)
    }

    func drain() {
        guard !isClosed, goAwayAt == .max else { return }
        // A client that is told to go before its first request would only come again.
        guard hasServed || !server.isAccepting else {
            drainsAfterRequest = true
            return
        }
        session.shutdownNotice()
        goAwayAt = stream.reactor.now + HTTP2ServerConnection.tick
        stream.touch()
    }

    func closeNow() {
        guard !isClosed else { return }
        isClosed = true
        releaseResponders(.shutdown)
        session.goAway()
        var output = ByteQueue()
        swap(&output, &stream.output)
        _ = session.produce(into: &output, limit: ByteStream.highWater * 2)
        swap(&output, &stream.output)
        session.abandon()
        stream.detach(within: HTTP2ServerConnection.farewell)
        server.left(place)
    }

    // MARK: Streams

    package func requestHead(_ stream: HTTP2ServerStream) {
        let responder = HTTP2Responder(stream, self, place: responders.count)
        stream.owner = Unmanaged.passUnretained(responder)
        responders.append(responder)
        let handler = server.service.makeHandler(origin)
        responder.handler = handler
        hasServed = true
        if drainsAfterRequest {
            drainsAfterRequest = false
            drain()
        }
        handler.requestHead(.http2(responder))
        responder.began()
    }

    package func requestRejected(_ stream: HTTP2ServerStream, status: Int, reason: StaticString) {
        let responder = HTTP2Responder(stream, self, place: responders.count)
        stream.owner = Unmanaged.passUnretained(responder)
        responders.append(responder)
        responder.refuse(Refusal(status: status, reason: reason))
    }

    package func requestData(_ stream: HTTP2ServerStream, _ bytes: Span<UInt8>) {
        responder(of: stream)?._withUnsafeGuaranteedRef { $0.received(bytes) }
        stream.consumed(bytes.count)
    }

    package func requestEnd(_ stream: HTTP2ServerStream) {
        responder(of: stream)?._withUnsafeGuaranteedRef { $0.ended() }
    }

    package func responseDrained(_ stream: HTTP2ServerStream) {
        responder(of: stream)?._withUnsafeGuaranteedRef { $0.handler?.responseDrained() }
    }

    package func streamClosed(_ stream: HTTP2ServerStream, code: UInt32) {
        guard let place = responder(of: stream)?._withUnsafeGuaranteedRef({ $0.place }) else { return }
        stream.owner = nil
        let last = responders.count - 1
        if place != last {
            responders.swapAt(place, last)
            responders[place].place = place
        }
        let responder = responders.removeLast()
        responder.abandon(.clientGone, server.service)
        if responders.isEmpty { idleSince = self.stream.reactor.now }
    }

    /// The responder of a stream. Not retained: it is in `responders` until `streamClosed`, or until the connection
    /// abandons its streams, which it never does from inside the session.
    private func responder(of stream: HTTP2ServerStream) -> Unmanaged<HTTP2Responder>? {
        // Only this class sets the owner, and to nothing else.
        stream.owner.map { .fromOpaque($0.toOpaque()) }
    }
}

extension HTTP2Limits {
    /// What the session enforces of a listener's limits.
    init(_ limits: ServerLimits) {
        self.init()
        concurrentStreams = limits.concurrentStreams
        headerListBytes = limits.http1.headBytes
        headerFields = limits.http1.headFields
        targetBytes = limits.http1.requestLineBytes
        // A stalled stream holds this much, what one read adds, and what the queue grew by.
        outputHighWater = 24 * 1024
        outputLowWater = 8 * 1024
    }
}
