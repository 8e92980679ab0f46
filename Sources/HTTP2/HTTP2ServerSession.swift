package import Bytes
internal import CNghttp2

/// Hears what clients ask. All methods are called from inside `HTTP2ServerSession.receive`; the last two also from
/// inside `produce` and `abandon`.
///
/// They may use any stream in any way, but neither feed nor drain the session, nor touch the queue that `produce` is
/// filling.
package protocol HTTP2ServerDelegate: AnyObject {
    /// A request has begun; `stream.request` is complete and valid.
    func requestHead(_ stream: HTTP2ServerStream)
    /// A request that breaks a rule; answer it with that status. Nothing more is heard of it but `streamClosed`.
    func requestRejected(_ stream: HTTP2ServerStream, status: Int, reason: StaticString)
    /// Bytes of the body; give credit with `stream.consumed` when they have gone on.
    func requestData(_ stream: HTTP2ServerStream, _ bytes: Span<UInt8>)
    /// The request is complete.
    func requestEnd(_ stream: HTTP2ServerStream)
    /// A paused writer may go on: few bytes are left of those it wrote.
    func responseDrained(_ stream: HTTP2ServerStream)
    /// The stream is over; with `HTTP2Code.noError` if both sides had finished. Do not use it any more.
    func streamClosed(_ stream: HTTP2ServerStream, code: UInt32)
}

/// The server's side of one HTTP/2 connection. No I/O: bytes go in and out of memory.
///
/// The owner feeds what it reads to `receive`, sends what `produce` yields, and obeys the verdicts.
package final class HTTP2ServerSession {
    // The connection owns its session and is its delegate: a strong reference would never be freed.
    @exclusivity(unchecked) package unowned(unsafe) var delegate: (any HTTP2ServerDelegate)?
    internal let engine: HTTP2Engine
    internal let limits: HTTP2Limits
    private let pool: HTTP2StreamPool<HTTP2ServerStream>
    @exclusivity(unchecked) private var open: [HTTP2ServerStream] = []
    /// Streams whose writers may go on; told after nghttp2 has returned.
    @exclusivity(unchecked) private var drained: [HTTP2ServerStream] = []
    @exclusivity(unchecked) internal var block = RequestBlock()
    /// The stream of the header block or DATA frame being read. Not retained: it is in `open`, or this is nil.
    @exclusivity(unchecked) internal var current: Unmanaged<HTTP2ServerStream>?
    private var hasAnnouncedShutdown = false
    private var hasSentGoAway = false

    /// A session for a connection just accepted; our SETTINGS are the first `produce`.
    ///
    /// - Parameters:
    ///   - pool: Where streams come from; share one among the sessions of a reactor.
    ///   - now: Monotonic nanoseconds.
    package init(limits: HTTP2Limits, pool: HTTP2StreamPool<HTTP2ServerStream> = .init(), now: Int64) {
        self.limits = limits
        self.pool = pool
        engine = HTTP2Engine(peer: .client, budgets: limits.frames, now: now)
        let callbacks = Self.makeCallbacks()
        defer { nghttp2_session_callbacks_del(callbacks) }
        // Unretained: the nghttp2 session is freed with the engine, that is with self.
        engine.start(callbacks, owner: Unmanaged.passUnretained(self).toOpaque(), limits: limits)
    }

    deinit {
        for stream in open { stream.session = nil }
    }

    // MARK: State

    /// What to do with the connection.
    package var verdict: HTTP2Verdict { engine.verdict }
    /// Streams that are open.
    package var streamCount: Int { open.count }
    /// No stream is open.
    package var isIdle: Bool { open.isEmpty }
    /// Whether `produce` would yield something.
    package var wantsWrite: Bool { engine.wantsWrite }
    /// The client has acknowledged our SETTINGS; it should within 10 s.
    package var settingsAcknowledged: Bool { engine.settingsAcknowledged }
    /// The client's preface is through.
    package var isPrefaceComplete: Bool { engine.tap.isPrefaceComplete }
    /// When the header block that is not complete began, in the clock of `receive`; `nil` if none is.
    package var headerBlockOpenSince: Int64? { engine.tap.headerBlockOpenSince }
    /// PINGs of ours that are not answered.
    package var pingsOutstanding: Int { engine.pingsOutstanding }

    // MARK: Bytes

    /// Takes what the client sent.
    ///
    /// Not to be called while much output waits unsent: a peer that does not read is not read either.
    ///
    /// - Parameter now: Monotonic nanoseconds.
    /// - Returns: What to do next; before obeying, send what `produce` yields.
    package func receive(_ bytes: Span<UInt8>, now: Int64) -> HTTP2Verdict {
        bytes.withUnsafeBytes { engine.receive($0, now: now) }
    }

    /// Appends what is to be sent to `output`, until there is nothing, or `limit` bytes wait there.
    @discardableResult
    package func produce(into output: inout ByteQueue, limit: Int = 65_536) -> HTTP2Verdict {
        engine.produce(into: &output, limit: limit)
        while !drained.isEmpty {
            let streams = drained
            drained.removeAll(keepingCapacity: true)
            for stream in streams where !stream.isClosed { delegate?.responseDrained(stream) }
            if output.count < limit { engine.produce(into: &output, limit: limit) }
        }
        return engine.settle()
    }

    // MARK: Ends

    /// First step of a graceful end: tells the client to open no more streams, and accepts those on their way.
    ///
    /// `goAway` follows by itself when the client has answered; call it after a second at the latest.
    package func shutdownNotice() {
        guard !hasAnnouncedShutdown else { return }
        hasAnnouncedShutdown = true
        if nghttp2_submit_shutdown_notice(engine.session) == 0 { engine.ping() }
    }

    /// Second step: accepts no new stream. The verdict becomes `.finished` when the last has ended.
    package func goAway() {
        guard !hasSentGoAway else { return }
        hasAnnouncedShutdown = true
        hasSentGoAway = true
        let last = nghttp2_session_get_last_proc_stream_id(engine.session)
        if nghttp2_submit_goaway(engine.session, 0, last, HTTP2Code.noError, nil, 0) != 0 { engine.close(.library) }
    }

    /// Cuts the connection with that error; send what `produce` yields, then close.
    package func close(_ reason: HTTP2CloseReason) { engine.close(reason) }

    /// Asks for a sign of life; see `pingsOutstanding`.
    package func ping() { engine.ping() }

    /// The connection is gone: closes all streams with `code`. Call it once, at the end, and not from inside a
    /// delegate's method; nothing is produced after it.
    package func abandon(code: UInt32 = HTTP2Code.cancel) {
        engine.abandon()
        while !open.isEmpty { close(Unmanaged.passUnretained(open[open.count - 1]), code: code) }
    }

    // MARK: Streams, from callbacks

    /// The open stream with that number. Not retained: it is in `open` until `close`, which nghttp2 calls from no
    /// other callback, and `abandon` is not called from any.
    internal func stream(_ id: Int32) -> Unmanaged<HTTP2ServerStream>? {
        if let current, current._withUnsafeGuaranteedRef({ $0.id == id }) { return current }
        return nghttp2_session_get_stream_user_data(engine.session, id).map { .fromOpaque($0) }
    }

    /// A request begins.
    internal func openStream(_ id: Int32) -> CInt {
        let stream = pool.take() ?? HTTP2ServerStream()
        stream.id = id
        stream.session = Unmanaged.passUnretained(self)
        stream.slot = open.count
        let reference = Unmanaged.passUnretained(stream)
        current = reference
        open.append(stream)
        return nghttp2_session_set_stream_user_data(engine.session, id, reference.toOpaque())
    }

    /// The stream has ended, here and in nghttp2.
    internal func close(_ reference: Unmanaged<HTTP2ServerStream>, code: UInt32) {
        if let current, current.toOpaque() == reference.toOpaque() { self.current = nil }
        // In `open` until it is taken out below.
        let slot = reference._withUnsafeGuaranteedRef { stream in
            if stream.unconsumed > 0 {
                // The connection's window would shrink for ever by what died with the stream.
                _ = nghttp2_session_consume_connection(engine.session, stream.unconsumed)
                stream.unconsumed = 0
            }
            // A stream whose both sides had ended is closed without error, whatever we still had to say.
            let code = code == HTTP2Code.noError ? stream.resetCode : code
            stream.isReset = true
            if stream.isAnnounced { delegate?.streamClosed(stream, code: code) }
            stream.session = nil
            return stream.slot
        }
        let last = open.count - 1
        if slot != last {
            open.swapAt(slot, last)
            open[slot].slot = slot
        }
        var stream = open.removeLast()
        // A stream that somebody still holds must not become another request's under his hands.
        if isKnownUniquelyReferenced(&stream) {
            stream.recycle()
            pool.put(stream)
        }
    }

    /// The client has answered a PING. The only one we send unasked follows the shutdown notice.
    internal func pingAnswered() {
        if hasAnnouncedShutdown { goAway() }
    }

    /// Remembers to tell the writer of `stream` that it may go on.
    internal func noteDrained(_ stream: HTTP2ServerStream) {
        stream.output.isOverHighWater = false
        drained.append(stream)
    }
}
