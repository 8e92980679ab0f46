internal import Bytes
internal import CNghttp2
internal import HTTP

// What nghttp2 calls. The user data is the session, which owns the nghttp2 session and so outlives it; the user data
// of a stream is in the session's list of open streams until `on_stream_close`.

private func session(_ owner: UnsafeMutableRawPointer?) -> Unmanaged<HTTP2ClientSession> {
    .fromOpaque(owner.unsafelyUnwrapped)
}

extension HTTP2ClientSession {
    /// The callbacks of a client; nghttp2 copies them.
    internal static func makeCallbacks() -> OpaquePointer {
        var made: OpaquePointer?
        guard nghttp2_session_callbacks_new(&made) == 0, let callbacks = made else { fatalError("out of memory") }
        nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) { _, frame, owner in
            session(owner)._withUnsafeGuaranteedRef { $0.beginHeaders(frame.unsafelyUnwrapped) }
        }
        nghttp2_session_callbacks_set_on_header_callback(callbacks) {
            _, _, name, nameCount, value, valueCount, _, owner in
            session(owner)._withUnsafeGuaranteedRef {
                $0.header(
                    UnsafeBufferPointer(start: name, count: nameCount),
                    UnsafeBufferPointer(start: value, count: valueCount))
            }
        }
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, owner in
            session(owner)._withUnsafeGuaranteedRef { $0.frameReceived(frame.unsafelyUnwrapped) }
        }
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) { _, _, id, bytes, count, owner in
            session(owner)._withUnsafeGuaranteedRef {
                $0.dataReceived(id, UnsafeBufferPointer(start: bytes, count: count))
            }
        }
        nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks) { _, _, _, owner in
            session(owner)._withUnsafeGuaranteedRef { $0.engine.countGlitch() }
        }
        setSending(callbacks)
        return callbacks
    }

    private static func setSending(_ callbacks: OpaquePointer) {
        nghttp2_session_callbacks_set_send_data_callback(callbacks) { _, _, header, count, source, owner in
            session(owner)._withUnsafeGuaranteedRef {
                $0.sendData(header.unsafelyUnwrapped, count, source.unsafelyUnwrapped)
            }
        }
        nghttp2_session_callbacks_set_on_frame_send_callback(callbacks) { _, frame, owner in
            session(owner)._withUnsafeGuaranteedRef { $0.frameSent(frame.unsafelyUnwrapped) }
        }
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, id, code, owner in
            session(owner)._withUnsafeGuaranteedRef { session in
                if let stream = session.takeStream(id) { session.close(stream, code: code) }
            }
            // Never an error: nghttp2 1.52 leaks then (CVE-2023-35945).
            return 0
        }
    }

    // MARK: Receiving

    private func beginHeaders(_ frame: UnsafePointer<nghttp2_frame>) -> CInt {
        guard let stream = stream(frame.header.stream_id) else {
            current = nil
            return 0
        }
        current = Unmanaged.passUnretained(stream)
        block.begin(isTrailer: stream.isResponseStarted)
        // An interim head has been here.
        if !stream.isResponseStarted { stream.response.reset() }
        return 0
    }

    private func header(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) -> CInt {
        guard let current else { return 0 }
        let goesOn = current._withUnsafeGuaranteedRef {
            block.take(Span(_unsafeElements: name), Span(_unsafeElements: value), into: &$0.response, limits: limits)
        }
        return goesOn ? 0 : engine.fail(.headerList)
    }

    private func frameReceived(_ frame: UnsafePointer<nghttp2_frame>) -> CInt {
        let header = frame.header
        let endsStream = header.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
        switch FrameKind(rawValue: header.type) {
        case .data:
            if endsStream, let stream = stream(header.stream_id) { responseEnded(stream) }
        case .headers:
            guard let stream = stream(header.stream_id), !stream.isReset else { return 0 }
            if block.isTooLarge {
                stream.reset(HTTP2Code.enhanceYourCalm)
                return engine.countGlitch()
            }
            if !stream.isResponseStarted {
                if block.status < 200 { return 0 }
                if block.status > 599 {
                    stream.reset(HTTP2Code.protocolError)
                    return 0
                }
                stream.isResponseStarted = true
                block.finish(&stream.response, endsStream: endsStream)
                delegate?.responseHead(stream)
            }
            if endsStream { responseEnded(stream) }
        default:
            engine.received(header)
        }
        return 0
    }

    private func responseEnded(_ stream: HTTP2ClientStream) {
        stream.isResponseComplete = true
        if !stream.isReset { delegate?.responseEnd(stream) }
    }

    private func dataReceived(_ id: Int32, _ bytes: UnsafeBufferPointer<UInt8>) -> CInt {
        // At once: the streams' windows bound what waits, and the connection's must not stop the other streams.
        let status = nghttp2_session_consume_connection(engine.session, bytes.count)
        guard status == 0, let stream = stream(id), !stream.isReset else { return status }
        current = Unmanaged.passUnretained(stream)
        stream.unconsumed += bytes.count
        delegate?.responseData(stream, Span(_unsafeElements: bytes))
        return 0
    }

    // MARK: Sending

    private func sendData(
        _ header: UnsafePointer<UInt8>, _ count: Int, _ source: UnsafePointer<nghttp2_data_source>
    ) -> CInt {
        Unmanaged<HTTP2ClientStream>.fromOpaque(source.pointee.ptr)._withUnsafeGuaranteedRef { stream in
            let status = engine.sendData(header, from: &stream.output.queue, count: count)
            if status != 0 { return status }
            if stream.output.isOverHighWater && stream.output.queue.count <= limits.outputLowWater {
                noteDrained(stream)
            }
            return 0
        }
    }

    private func frameSent(_ frame: UnsafePointer<nghttp2_frame>) -> CInt {
        let header = frame.header
        switch FrameKind(rawValue: header.type) {
        case .headers: stream(header.stream_id)?.isSent = true
        case .goAway: engine.sentGoAway(frame)
        default: break
        }
        return 0
    }

    /// Takes the stream out of nghttp2.
    private func takeStream(_ id: Int32) -> HTTP2ClientStream? {
        guard let stream = stream(id) else { return nil }
        nghttp2_session_set_stream_user_data(engine.session, id, nil)
        // Its head failed before it was written: the server has said GOAWAY, or we have reset it.
        if !stream.isSent { stream.isUnprocessed = true }
        return stream
    }

    /// Queues the head of a request from `engine.nameValues`.
    internal func submit(_ stream: HTTP2ClientStream, endStream: Bool) -> Int32 {
        // Unretained: until nghttp2 closes the stream it is in `open`.
        let reference = Unmanaged.passUnretained(stream).toOpaque()
        let list = (base: engine.nameValues.base, count: engine.nameValues.count)
        if endStream {
            return nghttp2_submit_request(engine.session, nil, list.base, list.count, nil, reference)
        }
        var provider = nghttp2_data_provider()
        provider.source.ptr = reference
        provider.read_callback = { _, _, _, limit, flags, source, _ in
            Unmanaged<HTTP2ClientStream>.fromOpaque(source.unsafelyUnwrapped.pointee.ptr)._withUnsafeGuaranteedRef {
                $0.output.offer(limit, flags.unsafelyUnwrapped)
            }
        }
        return nghttp2_submit_request(engine.session, nil, list.base, list.count, &provider, reference)
    }
}
