internal import Bytes
internal import HTTP
internal import OpenAI
internal import Reactor
internal import Telemetry
internal import Transport

/// The answer of an engine on its way to the client.
extension Exchange {
    /// Sends the head on, and finds out how the body is to be read.
    func beginRelay(_ head: borrowing ResponseHead) {
        guard let stream, let path else { return }
        releaseBody()
        relay.kind = kind(of: head)
        if case .length(let length) = head.framing { relay.expected = length }
        if relay.kind == .events {
            relay.scanner = EventStreamScanner(dialect: path.operation.events, stripsUsage: relay.stripsUsage)
        }
        writeResponseHead(head, path)
        stream.respond(worker.responseHead)
    }

    private func writeResponseHead(_ head: borrowing ResponseHead, _ path: APIPath) {
        worker.responseHead.reset()
        worker.responseHead.status = head.status
        let fields = head.fields
        for field in fields.fields where fields.isForwardedDownstream(field) {
            if field.name == .xRequestID || field.name == .requestID { continue }
            worker.responseHead.fields.append(field, of: fields)
        }
        if relay.kind == .events {
            if fields.first(.cacheControl) == nil { worker.responseHead.fields.append(.cacheControl, "no-cache") }
            worker.responseHead.fields.append(.xAccelBuffering, "no")
        }
        appendRequestID(path.dialect)
        // What is stripped or added changes the length of a stream.
        switch head.framing {
        case .length(let length) where relay.kind != .events: worker.responseHead.framing = .length(length)
        case .none: worker.responseHead.framing = .none
        case .length, .chunked, .untilClose: worker.responseHead.framing = .chunked
        }
    }

    private func kind(of head: borrowing ResponseHead) -> Relay.Kind {
        let fields = head.fields
        guard let field = fields.first(.contentType) else { return .other }
        let type = fields.bytes.span.extracting(field.valueRange)
        if bytesBeginIgnoringCase(type, with: "text/event-stream") { return .events }
        return bytesBeginIgnoringCase(type, with: "application/json") ? .json : .other
    }

    /// The body is not needed any more once the engine has begun to answer. A small one keeps its memory.
    private func releaseBody() {
        // An engine may answer before it has read everything.
        if call.isRequestSent { body.bytes.removeAll(keeping: 4096) }
    }

    /// Sends the next bytes on, at once.
    func relayBody(_ bytes: Span<UInt8>) {
        guard let stream else { return }
        switch relay.kind {
        case .events:
            guard relayEvents(bytes, to: stream) else { return }
        case .json:
            relay.take(json: bytes)
            send(bytes, to: stream)
        case .other:
            send(bytes, to: stream)
        }
        if stream.isFull { call.pause() }
    }

    private func send(_ bytes: Span<UInt8>, to stream: ServerStream) {
        relay.bytesOut += bytes.count
        stream.write(bytes)
    }

    /// Returns whether the exchange goes on.
    private func relayEvents(_ bytes: Span<UInt8>, to stream: ServerStream) -> Bool {
        do throws(EventStreamError) {
            var kept = ByteQueue()
            guard let forwarding = try relay.scanner?.follow(bytes, into: &kept) else { return false }
            switch forwarding {
            case .all: send(bytes, to: stream)
            case .appended: if !kept.isEmpty { send(kept.span, to: stream) }
            }
        } catch {
            call.cancel()
            endAttempt(.protocolError)
            breakRelay(.malformed("an event is too large"))
            return false
        }
        noteTokens()
        return true
    }

    /// Measures when content came, once for each read: what comes together was written together.
    private func noteTokens() {
        guard let content = relay.scanner?.summary.contentEvents, content > relay.contentEvents else { return }
        let now = worker.reactor.now
        if relay.firstTokenAt == nil {
            relay.firstTokenAt = now
            route?.firstToken(afterNanos: Int(now - startedAt))
        } else {
            route?.nextToken(afterNanos: Int(now - relay.lastTokenAt))
        }
        relay.lastTokenAt = now
        relay.contentEvents = content
    }

    /// The engine has said all.
    func endRelay() {
        guard let stream else { return }
        if relay.kind == .events, !streamIsWhole {
            endAttempt(.broken)
            return breakRelay(.closed(afterHead: true))
        }
        relay.usage = relay.kind == .events ? relay.scanner?.summary.usage : readUsage()
        endAttempt(.ok)
        settle()
        self.stream = nil
        stream.finish()
    }

    /// A stream that ends without its terminal event looks complete to the SDKs: it must not end like that.
    private var streamIsWhole: Bool {
        guard let summary = relay.scanner?.summary, path?.operation.events != .other else { return true }
        return summary.isTerminated || summary.hasFinishReason || summary.hasError
    }

    private func readUsage() -> Usage? {
        guard relay.kind == .json, relay.usage == nil, !relay.isCut, !relay.kept.isEmpty else { return relay.usage }
        return relay.keptUsage
    }

    /// The engine failed in the middle of its answer: the client must see that it is not whole.
    func breakRelay(_ failure: UpstreamFailure) {
        guard let stream, let path else { return }
        worker.metrics.streamBreaks[failure.breakReason].add(1, on: worker.shard)
        abortedBy = .upstream
        let error = failure.isTimeout ? APIError.upstreamTimeout : APIError.upstreamFailed(.truncated)
        errorCode = error.kind.label
        if relay.kind == .events {
            var event = ByteQueue()
            // An event that was cut off is ended first, so that ours stands alone.
            if relay.scanner?.isBetweenEvents == false { event.append("\n\n") }
            error.writeEvent(path.operation.events, into: &event)
            send(event.span, to: stream)
        }
        relay.usage = relay.scanner?.summary.usage
        settle()
        self.stream = nil
        stream.abort()
    }
}
