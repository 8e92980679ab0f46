internal import Bytes
internal import CNghttp2
internal import HTTP

/// What server and client sessions share: the nghttp2 session, the tap ahead of it, and the way of bytes in and out.
///
/// nghttp2's user data is the `HTTP2ServerSession` or `HTTP2ClientSession` that owns this engine and outlives the
/// nghttp2 session, which lives as long as the engine. A class, for nghttp2 calls back while it is being called: a
/// struct would be accessed twice at once.
internal final class HTTP2Engine {
    /// The nghttp2 session; set once by `start`.
    @exclusivity(unchecked) private(set) var session: OpaquePointer?
    // `@exclusivity(unchecked)` here and in sessions and streams: the checks at run time took a sixth of a request, and no
    // access of these lasts over a call of nghttp2 or of a delegate, so that none can nest.
    @exclusivity(unchecked) var tap: FrameTap
    /// The time of the last `receive`, for what callbacks count.
    @exclusivity(unchecked) private(set) var now: Int64
    @exclusivity(unchecked) private(set) var verdict = HTTP2Verdict.ok
    @exclusivity(unchecked) private(set) var isReceiving = false
    /// The session's streams are closed without nghttp2's knowing.
    @exclusivity(unchecked) private var isAbandoned = false
    /// Why a callback stopped nghttp2.
    @exclusivity(unchecked) private var breach: HTTP2CloseReason?

    /// Where frames go; set during `produce` only.
    @exclusivity(unchecked) private var output: UnsafeMutablePointer<ByteQueue>?
    @exclusivity(unchecked) private var outputLimit = 0

    @exclusivity(unchecked) var nameValues = NameValueList()

    /// The peer has acknowledged our SETTINGS.
    @exclusivity(unchecked) var settingsAcknowledged = false
    /// The peer has sent GOAWAY.
    @exclusivity(unchecked) var peerIsLeaving = false
    /// The peer's SETTINGS have come.
    @exclusivity(unchecked) private var hasPeerSettings = false
    /// PINGs of ours not yet answered.
    @exclusivity(unchecked) var pingsOutstanding = 0

    /// Whether nghttp2 is at work, and so its callbacks.
    var isBusy: Bool { isReceiving || output != nil }

    init(peer: FrameTap.Peer, budgets: FrameBudgets, now: Int64) {
        tap = FrameTap(peer: peer, budgets: budgets, now: now)
        self.now = now
    }

    deinit { nghttp2_session_del(session) }

    /// Makes the nghttp2 session and queues our SETTINGS.
    func start(_ callbacks: OpaquePointer, owner: UnsafeMutableRawPointer, limits: HTTP2Limits) {
        var option: OpaquePointer?
        guard nghttp2_option_new(&option) == 0 else { fatalError("out of memory") }
        defer { nghttp2_option_del(option) }
        // Credit is given back by `consumed`, when the bytes have gone on.
        nghttp2_option_set_no_auto_window_update(option, 1)
        // The tap knows closed streams; nghttp2 would keep them for a priority tree that does not exist.
        nghttp2_option_set_no_closed_streams(option, 1)
        nghttp2_option_set_max_outbound_ack(option, 200)
        // A last resort: the tap counts resets and spares those of answered requests, which nghttp2 does not.
        nghttp2_option_set_stream_reset_rate_limit(option, 2000, 500)
        let isServer = tap.peer == .client
        let status =
            isServer
            ? nghttp2_session_server_new2(&session, callbacks, owner, option)
            : nghttp2_session_client_new2(&session, callbacks, owner, option)
        guard status == 0 else { fatalError("out of memory") }
        submitSettings(isServer: isServer, limits: limits)
    }

    private func submitSettings(isServer: Bool, limits: HTTP2Limits) {
        var entries = [
            entry(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.streamWindow),
            entry(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits.headerListBytes),
            entry(NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1),
        ]
        if isServer {
            entries.append(entry(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.concurrentStreams))
        } else {
            entries.append(entry(NGHTTP2_SETTINGS_ENABLE_PUSH, 0))
        }
        var status = nghttp2_submit_settings(session, 0, entries, entries.count)
        if status == 0 {
            status = nghttp2_session_set_local_window_size(session, 0, 0, Int32(clamping: limits.connectionWindow))
        }
        if status != 0 { close(.library) }
    }

    private func entry(_ id: nghttp2_settings_id, _ value: Int) -> nghttp2_settings_entry {
        nghttp2_settings_entry(settings_id: Int32(id.rawValue), value: UInt32(clamping: value))
    }

    // MARK: Bytes in

    /// Judges and reads bytes; callbacks come from inside.
    func receive(_ bytes: UnsafeRawBufferPointer, now: Int64) -> HTTP2Verdict {
        precondition(!isBusy, "not from inside a delegate's method")
        if case .close = verdict { return verdict }
        self.now = now
        let fault = tap.inspect(bytes, now: now)
        let count = fault?.offset ?? bytes.count
        isReceiving = true
        let taken = nghttp2_session_mem_recv(session, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), count)
        isReceiving = false
        if taken < 0 {
            close(breach ?? Self.reason(taken))
        } else if let reason = breach ?? fault?.reason {
            close(reason)
        } else if nghttp2_session_want_read(session) == 0 && nghttp2_session_want_write(session) == 0 {
            verdict = .finished
        }
        return verdict
    }

    private static func reason(_ status: Int) -> HTTP2CloseReason {
        switch nghttp2_error(Int32(clamping: status)) {
        case NGHTTP2_ERR_BAD_CLIENT_MAGIC: .badPreface
        case NGHTTP2_ERR_FLOODED: .acknowledgements
        case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS: .continuations
        default: .library
        }
    }

    /// Remembers that the connection must be cut. From callbacks; what they return then stops nghttp2, and must do so
    /// only while receiving: when sending, nghttp2 would leave the frame half done.
    func fail(_ reason: HTTP2CloseReason) -> CInt {
        if breach == nil { breach = reason }
        return NGHTTP2_ERR_CALLBACK_FAILURE.rawValue
    }

    /// Counts an invalid frame; what it returns is for nghttp2.
    func countGlitch() -> CInt {
        if let reason = tap.ledger.count(.glitches, now: now) { return fail(reason) }
        return 0
    }

    /// Queues a GOAWAY and lets nothing but what is queued out any more.
    func close(_ reason: HTTP2CloseReason) {
        if case .close = verdict { return }
        verdict = .close(reason)
        // The only failure is lack of memory; the connection closes either way.
        _ = nghttp2_session_terminate_session(session, reason.code)
    }

    // MARK: Bytes out

    /// Whether `produce` would yield something.
    var wantsWrite: Bool { nghttp2_session_want_write(session) != 0 }

    /// The connection is gone, and with it the session's streams, which nghttp2 still knows: it is not called again.
    func abandon() {
        // Callbacks use their streams without holding them.
        precondition(!isBusy, "not from inside a delegate's method")
        close(.local)
        isAbandoned = true
    }

    /// Appends frames to `output` until there are none or `limit` bytes wait in it.
    func produce(into output: inout ByteQueue, limit: Int) {
        precondition(!isBusy, "not from inside a delegate's method")
        if isAbandoned { return }
        withUnsafeMutablePointer(to: &output) { target in
            self.output = target
            outputLimit = limit
            defer { self.output = nil }
            drain(into: target)
            if let breach, verdict.isOK {
                close(breach)
                drain(into: target)
            }
        }
    }

    private func drain(into target: UnsafeMutablePointer<ByteQueue>) {
        while target.pointee.count < outputLimit {
            var frames: UnsafePointer<UInt8>?
            let count = nghttp2_session_mem_send(session, &frames)
            if count == 0 { return }
            // Nothing can be sent any more, not even a GOAWAY.
            if count < 0 { return close(.library) }
            target.pointee.append(UnsafeRawBufferPointer(start: frames, count: count))
        }
    }

    /// Settles the verdict after frames were sent.
    func settle() -> HTTP2Verdict {
        if verdict.isOK && nghttp2_session_want_read(session) == 0 && nghttp2_session_want_write(session) == 0 {
            verdict = .finished
        }
        return verdict
    }

    /// nghttp2 wants a DATA frame written: its header, and payload from the stream's queue.
    ///
    /// So the payload is copied once, from there to the connection's output, instead of through nghttp2's buffer.
    func sendData(_ header: UnsafePointer<UInt8>, from body: inout ByteQueue, count: Int) -> CInt {
        guard let output else { return NGHTTP2_ERR_CALLBACK_FAILURE.rawValue }
        if output.pointee.count >= outputLimit { return NGHTTP2_ERR_WOULDBLOCK.rawValue }
        output.pointee.append(UnsafeRawBufferPointer(start: header, count: 9))
        output.pointee.append(UnsafeRawBufferPointer(rebasing: body.bytes[..<count]))
        body.consume(count)
        tap.ledger.countDataSent()
        return 0
    }

    // MARK: What both roles hear and say

    /// A frame of the connection has come.
    func received(_ header: nghttp2_frame_hd) {
        let isAcknowledgement = header.flags & UInt8(NGHTTP2_FLAG_ACK.rawValue) != 0
        switch FrameKind(rawValue: header.type) {
        case .settings where isAcknowledgement: settingsAcknowledged = true
        case .settings: hasPeerSettings = true
        case .ping where isAcknowledgement: pingsOutstanding = max(0, pingsOutstanding - 1)
        case .goAway: peerIsLeaving = true
        default: break
        }
    }

    /// A GOAWAY of ours has been written. One that nghttp2 made by itself means a broken rule.
    func sentGoAway(_ frame: UnsafePointer<nghttp2_frame>) {
        if frame.goAway.error_code != HTTP2Code.noError && verdict.isOK { verdict = .close(.protocolViolation) }
    }

    /// How many streams the peer lets us have open.
    var peerStreamLimit: Int {
        // Before its SETTINGS come nobody can know; RFC 9113 section 6.5.2 asks for no less than 100.
        guard hasPeerSettings else { return 100 }
        return Int(nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS))
    }

    /// Asks the peer for a sign of life.
    func ping() {
        if nghttp2_submit_ping(session, 0, nil) == 0 { pingsOutstanding += 1 }
    }

    /// Queues RST_STREAM.
    func reset(_ id: Int32, code: UInt32) {
        _ = nghttp2_submit_rst_stream(session, 0, id, code)
    }

    /// Takes up a body that had nothing to send.
    func resume(_ id: Int32) {
        // Fails only if the stream has gone, which is no matter then.
        _ = nghttp2_session_resume_data(session, id)
    }

    /// Gives the peer credit for body bytes that have gone on.
    func consume(_ id: Int32, _ count: Int) {
        _ = nghttp2_session_consume(session, id, count)
    }
}

/// Views of a frame without copying nghttp2's union.
extension UnsafePointer<nghttp2_frame> {
    /// The header all frames begin with.
    @inline(__always)
    internal var header: nghttp2_frame_hd { UnsafeRawPointer(self).load(as: nghttp2_frame_hd.self) }

    /// The category of a HEADERS frame.
    @inline(__always)
    internal var category: nghttp2_headers_category {
        UnsafeRawPointer(self).assumingMemoryBound(to: nghttp2_headers.self).pointee.cat
    }

    /// The error code of a RST_STREAM frame.
    internal var resetCode: UInt32 {
        UnsafeRawPointer(self).load(as: nghttp2_rst_stream.self).error_code
    }

    /// A GOAWAY frame.
    internal var goAway: nghttp2_goaway {
        UnsafeRawPointer(self).load(as: nghttp2_goaway.self)
    }
}
