package import Bytes
internal import CNghttp2
package import HTTP

/// Hears what a server answers. All methods are called from inside `HTTP2ClientSession.receive`; the last two also
/// from inside `produce` and `abandon`.
///
/// They may use any stream in any way, but neither feed nor drain the session, nor touch the queue that `produce` is
/// filling.
package protocol HTTP2ClientDelegate: AnyObject {
    /// The final head of a response has come; `stream.response` is complete. Interim heads (1xx) are not reported.
    func responseHead(_ stream: HTTP2ClientStream)
    /// Bytes of the body; give credit with `stream.consumed` when they have gone on.
    func responseData(_ stream: HTTP2ClientStream, _ bytes: Span<UInt8>)
    /// The response is complete. Not called for a response that breaks off.
    func responseEnd(_ stream: HTTP2ClientStream)
    /// A paused writer may go on: few bytes are left of those it wrote.
    func requestDrained(_ stream: HTTP2ClientStream)
    /// The stream is over; with `HTTP2Code.noError` if both sides had finished. See `isUnprocessed`. Do not use it any
    /// more.
    func streamClosed(_ stream: HTTP2ClientStream, code: UInt32)
}

/// The client's side of one HTTP/2 connection. No I/O: bytes go in and out of memory.
///
/// The owner feeds what it reads to `receive`, sends what `produce` yields, and obeys the verdicts.
package final class HTTP2ClientSession {
    // The connection owns its session and is its delegate: a strong reference would never be freed.
    @exclusivity(unchecked) package unowned(unsafe) var delegate: (any HTTP2ClientDelegate)?
    internal let engine: HTTP2Engine
    internal let limits: HTTP2Limits
    private let pool: HTTP2StreamPool<HTTP2ClientStream>
    @exclusivity(unchecked) private var open: [HTTP2ClientStream] = []
    /// Streams whose writers may go on; told after nghttp2 has returned.
    @exclusivity(unchecked) private var drained: [HTTP2ClientStream] = []
    @exclusivity(unchecked) internal var block = ResponseBlock()
    /// The stream of the header block or DATA frame being read. Not retained: it is in `open`, or this is nil.
    @exclusivity(unchecked) internal var current: Unmanaged<HTTP2ClientStream>?

    /// A session for a connection just made; the preface and our SETTINGS are the first `produce`.
    ///
    /// - Parameters:
    ///   - pool: Where streams come from; share one among the sessions of a reactor.
    ///   - now: Monotonic nanoseconds.
    package init(limits: HTTP2Limits, pool: HTTP2StreamPool<HTTP2ClientStream> = .init(), now: Int64) {
        self.limits = limits
        self.pool = pool
        engine = HTTP2Engine(peer: .server, budgets: limits.frames, now: now)
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
    /// The server has acknowledged our SETTINGS; it should within 10 s.
    package var settingsAcknowledged: Bool { engine.settingsAcknowledged }
    /// When the header block that is not complete began, in the clock of `receive`; `nil` if none is.
    package var headerBlockOpenSince: Int64? { engine.tap.headerBlockOpenSince }
    /// PINGs of ours that are not answered.
    package var pingsOutstanding: Int { engine.pingsOutstanding }

    /// Whether new requests may be made at all; once false it stays so, and the connection is to be replaced.
    package var isAcceptingStreams: Bool {
        engine.verdict.isOK && !engine.peerIsLeaving && nghttp2_session_check_request_allowed(engine.session) != 0
    }

    /// How many more requests may be made now, by the server's leave and by our own limit.
    package var availableStreams: Int {
        guard isAcceptingStreams else { return 0 }
        return max(0, min(limits.concurrentStreams, engine.peerStreamLimit) - open.count)
    }

    // MARK: Bytes

    /// Takes what the server sent.
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
            for stream in streams where !stream.isClosed { delegate?.requestDrained(stream) }
            if output.count < limit { engine.produce(into: &output, limit: limit) }
        }
        return engine.settle()
    }

    // MARK: Requests

    /// Makes a request with the method, target, authority and fields of `head`.
    package func request(
        _ head: borrowing RequestHead, isSecure: Bool, contentLength: Int?, endStream: Bool
    ) -> HTTP2ClientStream? {
        request(
            head.method, isSecure: isSecure, authority: head.authority.span, path: head.target.span,
            fields: head.fields, contentLength: contentLength, endStream: endStream)
    }

    /// Makes a request.
    ///
    /// - Parameters:
    ///   - isSecure: Whether the scheme is `https`.
    ///   - authority: Host and port as the server knows itself.
    ///   - path: Path and query.
    ///   - fields: Copied. Those of HTTP/1.1 connections are left out, and `host` and `content-length`.
    ///   - contentLength: The length of the body, if it is known.
    ///   - endStream: There is no body. Otherwise `write` it and `finish`.
    /// - Returns: The stream; `nil` if the connection takes no more: see `availableStreams`.
    package func request(
        _ method: Method, isSecure: Bool, authority: Span<UInt8>, path: Span<UInt8>, fields: HeaderFields,
        contentLength: Int? = nil, endStream: Bool
    ) -> HTTP2ClientStream? {
        guard availableStreams > 0 else { return nil }
        let stream = pool.take() ?? HTTP2ClientStream()
        let id = authority.withUnsafeBytes { authority in
            path.withUnsafeBytes { path in
                fields.bytes.withUnsafeBytes { bytes in
                    engine.nameValues.begin(
                        method, scheme: isSecure ? "https" : "http", authority: authority, path: path)
                    engine.nameValues.append(fields, bytes)
                    if let contentLength { engine.nameValues.append(contentLength: contentLength) }
                    return submit(stream, endStream: endStream)
                }
            }
        }
        guard id > 0 else {
            pool.put(stream)
            return nil
        }
        stream.id = id
        stream.session = self
        stream.output.isFinished = endStream
        stream.slot = open.count
        open.append(stream)
        engine.tap.ledger.countStream()
        return stream
    }

    // MARK: Ends

    /// Makes no more requests, and tells the server so. The verdict becomes `.finished` when the last has ended.
    package func goAway() {
        if nghttp2_submit_goaway(engine.session, 0, 0, HTTP2Code.noError, nil, 0) != 0 { engine.close(.library) }
    }

    /// Cuts the connection with that error; send what `produce` yields, then close.
    package func close(_ reason: HTTP2CloseReason) { engine.close(reason) }

    /// Asks for a sign of life; see `pingsOutstanding`.
    package func ping() { engine.ping() }

    /// The connection is gone: closes all streams with `code`. Call it once, at the end, and not from inside a
    /// delegate's method; nothing is produced after it.
    package func abandon(code: UInt32 = HTTP2Code.cancel) {
        engine.abandon()
        while let stream = open.last {
            // What was never written cannot have been acted on.
            if !stream.isSent { stream.isUnprocessed = true }
            close(stream, code: code)
        }
    }

    // MARK: Streams, from callbacks

    /// The open stream with that number.
    internal func stream(_ id: Int32) -> HTTP2ClientStream? {
        if let current, current._withUnsafeGuaranteedRef({ $0.id == id }) { return current.takeUnretainedValue() }
        guard let found = nghttp2_session_get_stream_user_data(engine.session, id) else { return nil }
        return Unmanaged<HTTP2ClientStream>.fromOpaque(found).takeUnretainedValue()
    }

    /// Gives credit for a stream; that for the connection was given at once, lest one slow reader stop all others.
    internal func consume(_ count: Int, of id: Int32) {
        _ = nghttp2_session_consume_stream(engine.session, id, count)
    }

    /// The stream has ended, here and in nghttp2.
    internal func close(_ stream: consuming HTTP2ClientStream, code: UInt32) {
        if let current, current.toOpaque() == Unmanaged.passUnretained(stream).toOpaque() { self.current = nil }
        if code == HTTP2Code.refusedStream { stream.isUnprocessed = true }
        // A stream whose both sides had ended is closed without error, whatever we still had to say.
        let code = code == HTTP2Code.noError ? stream.resetCode : code
        stream.isReset = true
        delegate?.streamClosed(stream, code: code)
        stream.session = nil
        do {
            let last = open.removeLast()
            if last !== stream {
                last.slot = stream.slot
                open[stream.slot] = last
            }
        }
        // A stream that somebody still holds must not become another request's under his hands.
        if isKnownUniquelyReferenced(&stream) {
            stream.recycle()
            pool.put(stream)
        }
    }

    /// Remembers to tell the writer of `stream` that it may go on.
    internal func noteDrained(_ stream: HTTP2ClientStream) {
        stream.output.isOverHighWater = false
        drained.append(stream)
    }
}
