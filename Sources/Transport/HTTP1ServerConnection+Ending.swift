internal import Bytes
internal import HTTP
internal import Reactor
internal import Telemetry

/// How an HTTP/1.1 connection refuses, ends and is ended.
extension HTTP1ServerConnection {
    /// Ends the connection so that the client can still read the answer: says that we send no more, then reads and
    /// throws away what it still sends, for a second at most (closing with unread bytes would reset the connection).
    func closeAfterAnswer() {
        if phase == .complete, inbox.isEmpty {
            leave()
            return
        }
        releaseHandler()
        phase = .discarding
        stream.endOutputWhenSent()
        inbox.removeAll()
        stream.setDeadline(stream.reactor.now + 1_000_000_000)
        stream.resumeReading()
    }

    func refuseBody() {
        refuseRequest(Refusal(status: 413, reason: "the request body is too large"))
    }

    /// Refuses a request that has a handler.
    func refuseRequest(_ refusal: Refusal) {
        guard response == .none else {
            abandonRequest(refusal.status == 408 ? .clientStalled : .protocolError)
            return refuse(refusal)
        }
        var known = refusal
        known.isKnownToHandler = true
        abandonRequest(.refused(status: refusal.status))
        refuse(known)
    }

    /// Answers what no handler will answer, and closes.
    func refuse(_ refusal: Refusal) {
        server.metrics.cut(refusal.status == 408 ? .headerTimeout : .protocolError)
        guard response == .none else { return shut() }
        var head = ResponseHead()
        var body = ByteQueue()
        server.service.render(refusal, head: &head, body: &body)
        head.framing = .length(body.count)
        closesAfterResponse = true
        head.keepsAlive = false
        HTTP1Writer.responseHead(head, to: .get, date: server.date.span, into: &stream.output)
        stream.output.append(body.bytes)
        response = .done
        phase = .discarding
        stream.touch()
        closeAfterAnswer()
    }

    // MARK: Ending

    func abandonRequest(_ reason: Abort) {
        guard response != .done, phase != .idle, phase != .head, let handler else { return }
        self.handler = nil
        handler.requestAborted(reason)
        server.service.recycle(handler)
    }

    private func releaseHandler() {
        if let handler { server.service.recycle(handler) }
        handler = nil
    }

    func shut(reset: Bool = false) {
        guard phase != .closed else { return }
        stream.close(reset: reset)
        leave()
    }

    /// Leaves the stream to itself: it sends what waits, then closes.
    func leave() {
        guard phase != .closed else { return }
        phase = .closed
        releaseHandler()
        stream.detach()
        server.left(place)
    }

    package func deadlinePassed() {
        switch phase {
        case .discarding where stream.unsent > 0: stream.setDeadline(stream.reactor.now + 1_000_000_000)
        case .idle, .discarding, .closed: shut()
        case .head:
            // A client that has sent nothing at all learns nothing.
            inbox.isEmpty ? shut() : refuse(Refusal(status: 408, reason: "the request head came too slowly"))
        case .fixedBody, .chunkedBody:
            refuseRequest(Refusal(status: 408, reason: "the request body came too slowly"))
        case .complete: break
        }
    }

    package func failed(_ failure: StreamFailure) {
        abandonRequest(failure == .writeStalled ? .clientStalled : .clientGone)
        leave()
    }

    func drain() {
        isDraining = true
        // A connection just accepted still has its first request answered. An idle one does not close at once: the
        // answer before may still wait to be sent.
        if phase == .idle, !(isFirstRequest && server.isAccepting) { leave() }
    }

    func closeNow() {
        abandonRequest(.shutdown)
        shut()
    }
}
