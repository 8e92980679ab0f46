internal import Bytes
internal import CNghttp2
internal import HTTP

// What nghttp2 calls. The user data is the session, which owns the nghttp2 session and so outlives it; the user data
// of a stream is in the session's list of open streams until `on_stream_close`.

private func session(_ owner: UnsafeMutableRawPointer?) -> Unmanaged<HTTP2ServerSession> {
    .fromOpaque(owner.unsafelyUnwrapped)
}

extension HTTP2ServerSession {
    /// The callbacks of a server; nghttp2 copies them.
    internal static func makeCallbacks() -> OpaquePointer {
        var made: OpaquePointer?
        guard nghttp2_session_callbacks_new(&made) == 0, let callbacks = made else { fatalError("out of memory") }
        nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) { _, frame, owner in
            session(owner)._withUnsafeGuaranteedRef { $0.beginHeaders(frame.unsafelyUnwrapped) }
        }
        // The plain callback hands out name and value as they lie in HPACK's tables; nothing is copied before we do.
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
        nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks) { _, frame, code, owner in
            session(owner)._withUnsafeGuaranteedRef { $0.invalidFrame(frame.unsafelyUnwrapped, code) }
        }
        setSending(callbacks)
        return callbacks
    }

    private static func setSending(_ callbacks: OpaquePointer) {
        nghttp2_session_callbacks_set_send_data_callback(callbacks) { _, frame, header, count, source, owner in
            session(owner)._withUnsafeGuaranteedRef {
                $0.sendData(frame.unsafelyUnwrapped, header.unsafelyUnwrapped, count, source.unsafelyUnwrapped)
            }
        }
        nghttp2_session_callbacks_set_on_frame_send_callback(callbacks) { _, frame, owner in
            session(owner)._withUnsafeGuaranteedRef { $0.frameSent(frame.unsafelyUnwrapped) }
        }
        nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks) { _, frame, _, owner in
            session(owner)._withUnsafeGuaranteedRef { $0.frameNotSent(frame.unsafelyUnwrapped) }
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
        let id = frame.header.stream_id
        if frame.category == NGHTTP2_HCAT_REQUEST {
            block.begin(isTrailer: false)
            return openStream(id)
        }
        block.begin(isTrailer: true)
        current = stream(id)
        return 0
    }

    private func header(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) -> CInt {
        guard let current else { return 0 }
        let goesOn = current._withUnsafeGuaranteedRef {
            block.take(Span(_unsafeElements: name), Span(_unsafeElements: value), into: &$0.request, limits: limits)
        }
        return goesOn ? 0 : engine.fail(.headerList)
    }

    private func frameReceived(_ frame: UnsafePointer<nghttp2_frame>) -> CInt {
        let header = frame.header
        let endsStream = header.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
        switch FrameKind(rawValue: header.type) {
        case .data:
            if endsStream { stream(header.stream_id)?._withUnsafeGuaranteedRef { requestEnded($0) } }
        case .headers:
            let isRequest = frame.category == NGHTTP2_HCAT_REQUEST
            return stream(header.stream_id)?._withUnsafeGuaranteedRef {
                headersReceived($0, isRequest: isRequest, endsStream: endsStream)
            } ?? 0
        default:
            let pingsBefore = engine.pingsOutstanding
            engine.received(header)
            if engine.pingsOutstanding < pingsBefore { pingAnswered() }
        }
        return 0
    }

    private func headersReceived(_ stream: HTTP2ServerStream, isRequest: Bool, endsStream: Bool) -> CInt {
        if isRequest {
            let status = requestBegan(stream, endsStream: endsStream)
            if status != 0 { return status }
        } else if block.rejection != nil {
            stream.reset(HTTP2Code.enhanceYourCalm)
            return engine.countGlitch()
        }
        if endsStream { requestEnded(stream) }
        return 0
    }

    private func requestBegan(_ stream: HTTP2ServerStream, endsStream: Bool) -> CInt {
        block.finish(&stream.request, endsStream: endsStream)
        stream.isAnnounced = true
        guard let rejection = block.rejection else {
            delegate?.requestHead(stream)
            return 0
        }
        stream.isRejected = true
        stream.isRequestComplete = endsStream
        delegate?.requestRejected(stream, status: rejection.status, reason: rejection.reason)
        return rejection.status == 431 ? engine.countGlitch() : 0
    }

    private func requestEnded(_ stream: HTTP2ServerStream) {
        stream.isRequestComplete = true
        if !stream.isReset && !stream.isRejected { delegate?.requestEnd(stream) }
    }

    private func dataReceived(_ id: Int32, _ bytes: UnsafeBufferPointer<UInt8>) -> CInt {
        guard let found = stream(id) else { return 0 }
        current = found
        found._withUnsafeGuaranteedRef { stream in
            if stream.isReset || stream.isRejected {
                engine.consume(id, bytes.count)
            } else {
                stream.unconsumed += bytes.count
                delegate?.requestData(stream, Span(_unsafeElements: bytes))
            }
        }
        return 0
    }

    private func invalidFrame(_ frame: UnsafePointer<nghttp2_frame>, _ code: CInt) -> CInt {
        // Streams above the limit are opened in good faith before our SETTINGS have arrived.
        if code == NGHTTP2_ERR_REFUSED_STREAM.rawValue { return 0 }
        stream(frame.header.stream_id)?._withUnsafeGuaranteedRef { $0.isGlitchCounted = true }
        return engine.countGlitch()
    }

    // MARK: Sending

    private func sendData(
        _ frame: UnsafePointer<nghttp2_frame>, _ header: UnsafePointer<UInt8>, _ count: Int,
        _ source: UnsafePointer<nghttp2_data_source>
    ) -> CInt {
        Unmanaged<HTTP2ServerStream>.fromOpaque(source.pointee.ptr)._withUnsafeGuaranteedRef { stream in
            let status = engine.sendData(header, from: &stream.output.queue, count: count)
            if status != 0 { return status }
            if stream.output.isOverHighWater && stream.output.queue.count <= limits.outputLowWater {
                noteDrained(stream)
            }
            if frame.header.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0 { responseEnded(stream) }
            return 0
        }
    }

    private func frameSent(_ frame: UnsafePointer<nghttp2_frame>) -> CInt {
        let header = frame.header
        switch FrameKind(rawValue: header.type) {
        case .headers where header.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0:
            stream(header.stream_id)?._withUnsafeGuaranteedRef { responseEnded($0) }
        case .reset: resetSent(header.stream_id, code: frame.resetCode)
        case .goAway: engine.sentGoAway(frame)
        default: break
        }
        return 0
    }

    /// A reset has been sent: ours, or one with which nghttp2 answers what is invalid.
    private func resetSent(_ id: Int32, code: UInt32) {
        engine.tap.streams.markReset(UInt32(bitPattern: id))
        guard code != HTTP2Code.noError, code != HTTP2Code.refusedStream, let found = stream(id) else { return }
        let isCounted = found._withUnsafeGuaranteedRef { $0.isReset || $0.isGlitchCounted }
        if !isCounted { _ = engine.countGlitch() }
    }

    private func frameNotSent(_ frame: UnsafePointer<nghttp2_frame>) -> CInt {
        let header = frame.header
        // A head that nghttp2 cannot send would leave the client waiting for ever.
        if header.type == FrameKind.headers.rawValue {
            stream(header.stream_id)?._withUnsafeGuaranteedRef { $0.reset(HTTP2Code.internalError) }
        }
        return 0
    }

    /// The whole response has been sent. If the request has not come whole, the rest of it is declined: RFC 9113
    /// section 8.1.
    private func responseEnded(_ stream: HTTP2ServerStream) {
        if !stream.isRequestComplete { stream.reset(HTTP2Code.noError) }
    }

    /// Takes the stream out of nghttp2.
    private func takeStream(_ id: Int32) -> Unmanaged<HTTP2ServerStream>? {
        guard let stream = stream(id) else { return nil }
        nghttp2_session_set_stream_user_data(engine.session, id, nil)
        return stream
    }

    // MARK: Messages

    /// Queues the head of a response.
    internal func submit(
        status: Int, _ fields: HeaderFields, contentLength: Int?, of stream: HTTP2ServerStream, endStream: Bool
    ) {
        let result = fields.bytes.withUnsafeBytes { bytes in
            engine.nameValues.begin(status: status)
            engine.nameValues.append(fields, bytes)
            if let contentLength { engine.nameValues.append(contentLength: contentLength) }
            if endStream {
                return nghttp2_submit_response(
                    engine.session, stream.id, engine.nameValues.base, engine.nameValues.count, nil)
            }
            var provider = nghttp2_data_provider()
            // Unretained: nghttp2 drops the provider when the stream closes, and until then it is in `open`.
            provider.source.ptr = Unmanaged.passUnretained(stream).toOpaque()
            provider.read_callback = { _, _, _, limit, flags, source, _ in
                Unmanaged<HTTP2ServerStream>.fromOpaque(source.unsafelyUnwrapped.pointee.ptr)._withUnsafeGuaranteedRef {
                    $0.output.offer(limit, flags.unsafelyUnwrapped)
                }
            }
            return nghttp2_submit_response(
                engine.session, stream.id, engine.nameValues.base, engine.nameValues.count, &provider)
        }
        engine.tap.streams.markAnswered(UInt32(bitPattern: stream.id))
        if result != 0 { stream.reset(HTTP2Code.internalError) }
    }

    /// Queues `100 Continue`.
    internal func submitContinue(of stream: HTTP2ServerStream) {
        engine.nameValues.begin(status: 100)
        let result = nghttp2_submit_headers(
            engine.session, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream.id, nil, engine.nameValues.base,
            engine.nameValues.count, nil)
        // Without it the client sends its body a little later.
        if result < 0 && nghttp2_is_fatal(result) != 0 { engine.close(.library) }
    }
}
