internal import Bytes
internal import Config
internal import Health
internal import HTTP
internal import OpenAI
internal import Reactor
internal import Telemetry
internal import Transport

/// The answer of an engine on its way to the client.
extension Exchange {
    /// How long the head of a stream waits for its first event, so that an engine that dies before it is not noticed.
    private static let headPatience: Int64 = 250_000_000

    /// A good head has come: finds out how the body is to be read. The client gets it with the first of the body.
    func beginRelay(_ head: borrowing ResponseHead) {
        guard let path else { return }
        let kind = kind(of: head)
        guard isExpected(kind, head, path), !isHeadSent || kind == relay.kind else { return answerIsGarbage() }
        if relay.hasSent {
            relay.continued = relay.scanner?.beginContinuation()
            phase = .relaying
            return
        }
        phase = .holding
        relay.kind = kind
        relay.expected = -1
        if case .length(let length) = head.framing { relay.expected = length }
        let keepsText = kind == .events && mayBeContinued(path.operation)
        if kind == .events {
            relay.scanner = EventStreamScanner(
                dialect: path.operation.events, stripsUsage: relay.stripsUsage, keepsText: keepsText,
                holdsErrors: true)
            if !isHeadSent {
                due.head = worker.reactor.now &+ Exchange.headPatience
                armTimer()
            }
        }
        if !isHeadSent {
            status = head.status
            writeResponseHead(head, path)
        }
    }

    private func writeResponseHead(_ head: borrowing ResponseHead, _ path: APIPath) {
        heldHead.reset()
        heldHead.status = head.status
        let fields = head.fields
        for field in fields.fields where fields.isForwardedDownstream(field) {
            if field.name == .xRequestID || field.name == .requestID { continue }
            heldHead.fields.append(field, of: fields)
        }
        if relay.kind == .events {
            if fields.first(.cacheControl) == nil { heldHead.fields.append(.cacheControl, "no-cache") }
            heldHead.fields.append(.xAccelBuffering, "no")
        }
        let id = requestID
        heldHead.fields.append(.xRequestID, value: id.span)
        if path.dialect == .anthropic { heldHead.fields.append(.requestID, value: id.span) }
        if hints.wantsTrace { appendTrace(to: &heldHead) }
        // What is stripped or added changes the length of a stream.
        switch head.framing {
        case .length(let length) where relay.kind != .events: heldHead.framing = .length(length)
        case .none: heldHead.framing = .none
        case .length, .chunked, .untilClose: heldHead.framing = .chunked
        }
    }

    private func kind(of head: borrowing ResponseHead) -> Relay.Kind {
        let fields = head.fields
        guard let field = fields.first(.contentType) else { return .other }
        let type = fields.bytes.span.extracting(field.valueRange)
        if bytesBeginIgnoringCase(type, with: "text/event-stream") { return .events }
        return bytesBeginIgnoringCase(type, with: "application/json") ? .json : .other
    }

    /// Whether a good head is that of an answer to this request.
    func expects(_ head: borrowing ResponseHead) -> Bool {
        guard let path else { return false }
        return isExpected(kind(of: head), head, path)
    }

    /// Whether an engine of the API answers like this: a page of HTML comes from something else.
    private func isExpected(_ kind: Relay.Kind, _ head: borrowing ResponseHead, _ path: APIPath) -> Bool {
        guard kind == .other else { return true }
        let fields = head.fields
        guard let field = fields.first(.contentType) else { return true }
        if bytesBeginIgnoringCase(fields.bytes.span.extracting(field.valueRange), with: "text/html") { return false }
        return !path.operation.answersJSON
    }

    /// Sends the head; from here on the status is said.
    func sendHead() {
        guard !isHeadSent, let stream else { return }
        isHeadSent = true
        due.head = .max
        stream.respond(heldHead)
    }

    /// Sends the next bytes on, at once.
    func relayBody(_ bytes: Span<UInt8>) {
        guard let stream else { return }
        switch relay.kind {
        case .events:
            guard relayEvents(bytes, to: stream) else { return }
        case .json:
            guard relayJSON(bytes, to: stream) else { return }
        case .other:
            send(bytes, to: stream)
        }
        if stream.isFull { call.pause() }
    }

    private func send(_ bytes: Span<UInt8>, to stream: ServerStream) {
        if phase == .holding { commit() }
        relay.bytesOut += bytes.count
        stream.write(bytes)
    }

    /// Something of the body goes to the client: no other endpoint can answer any more.
    private func commit() {
        phase = .relaying
        relay.hasSent = true
        dropHedge()
        sendHead()
        due.hedge = .max
        if relay.kind != .events || path?.operation.events == .other {
            due.firstToken = .max
            noteFirstToken(worker.reactor.now)
        }
        let mayNeedBody = relay.scanner?.keepsText == true
        // An engine may answer before it has read everything. A small body keeps its memory.
        if !mayNeedBody, call.isRequestSent { body.bytes.removeAll(keeping: 4096) }
    }

    /// Holds a JSON answer until it is whole, so that half of one is never seen; one too large to hold goes on as it
    /// comes. Returns whether the exchange goes on.
    private func relayJSON(_ bytes: Span<UInt8>, to stream: ServerStream) -> Bool {
        if phase == .holding {
            if bytes.count == relay.expected, relay.kept.isEmpty {
                guard looksLikeJSON(bytes) else {
                    answerIsGarbage()
                    return false
                }
                relay.usage = UsageReader.read(bytes)
                send(bytes, to: stream)
                return true
            }
            due.firstToken = .max
            if relay.keep(bytes) { return true }
            if !relay.kept.isEmpty {
                let relay = relay.takeKept()
                send(relay.span, to: stream)
            }
        }
        send(bytes, to: stream)
        return true
    }

    /// Returns whether the exchange goes on.
    private func relayEvents(_ bytes: Span<UInt8>, to stream: ServerStream) -> Bool {
        do throws(EventStreamError) {
            if relay.continued != nil {
                var rewritten = ByteQueue()
                try relay.continued?.receive(bytes, into: &rewritten)
                try follow(rewritten.span, to: stream)
            } else {
                try follow(bytes, to: stream)
            }
        } catch {
            call.cancel()
            breakRelay(.malformed("an event is too large"))
            return false
        }
        noteTokens()
        if relay.scanner?.hasHeldError == true { return streamTellsOfError() }
        return true
    }

    private func follow(_ bytes: Span<UInt8>, to stream: ServerStream) throws(EventStreamError) {
        var kept = ByteQueue()
        guard let forwarding = try relay.scanner?.follow(bytes, into: &kept) else { return }
        switch forwarding {
        case .all: if !bytes.isEmpty { send(bytes, to: stream) }
        case .appended: if !kept.isEmpty { send(kept.span, to: stream) }
        }
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
        if !relay.isTokenNoted {
            due.firstToken = .max
            noteFirstToken(now)
        }
        relay.lastTokenAt = now
        relay.contentEvents = content
    }

    /// Tells the endpoint's record how long this attempt took to begin its answer.
    private func noteFirstToken(_ now: Int64) {
        guard !relay.isTokenNoted, let place else { return }
        relay.isTokenNoted = true
        let nanos = Int(now - attemptedAt)
        // The record is shared by all reactors: what is only looked at is not written by each request.
        if !state.policies[pool].needsLatency, state.members[place.slot].limiter == nil, !place.claim.isProbe,
            place.record.isBlameless, !worker.takesSample()
        {
            return
        }
        worker.note(place.record.firstToken(place.claim, afterNanos: nanos, at: now), pool, place.slot, state)
        if let limiter = state.members[place.slot].limiter {
            limiter.observe(
                ttftNanos: Int64(nanos), inFlight: place.record.inFlight, at: now, place.record)
        }
    }

    // MARK: The end of an answer

    /// The engine has said all.
    func endRelay() {
        guard let stream else { return }
        if relay.kind == .events, !streamIsWhole { return breakRelay(.closed(afterHead: true)) }
        if phase == .holding {
            if relay.kind == .json, heldHead.framing != .none, !relay.kept.isEmpty || relay.expected != 0 {
                guard looksLikeJSON(relay.kept.span) else { return answerIsGarbage() }
                relay.usage = relay.keptUsage
                heldHead.framing = .length(relay.kept.count)
                let whole = relay.takeKept()
                send(whole.span, to: stream)
            } else {
                commit()
            }
        }
        if relay.kind == .events {
            relay.usage = relay.scanner?.summary.usage
            endWithTerminator(stream)
        }
        if relay.continued != nil { worker.poolMetrics(pool, state).continuations[.continued].add(on: worker.shard) }
        endAttempt(.ok, .success)
        settle()
        self.stream = nil
        stream.finish()
    }

    /// Some engines leave out the event that SDKs wait for, although all else was said.
    private func endWithTerminator(_ stream: ServerStream) {
        guard path?.operation.events == .completions, let summary = relay.scanner?.summary, summary.hasFinishReason,
            !summary.isTerminated, !summary.hasError
        else { return }
        var event = ByteQueue()
        event.append("data: [DONE]\n\n")
        send(event.span, to: stream)
    }

    /// A stream that ends without its terminal event looks complete to the SDKs: it must not end like that.
    private var streamIsWhole: Bool {
        guard let summary = relay.scanner?.summary, path?.operation.events != .other else { return true }
        return summary.isTerminated || summary.hasFinishReason || summary.hasError
    }

    /// The engine failed in the middle of its answer: another one goes on, or the client must see that it is not whole.
    func breakRelay(_ failure: UpstreamFailure) {
        worker.metrics.streamBreaks[failure.breakReason].add(1, on: worker.shard)
        if phase == .holding {
            call.cancel()
            return attemptFailed(failure)
        }
        // That the client has no more time says nothing of the endpoint.
        let isOutOfTime = failure.isTimeout && deadline <= worker.reactor.now
        endAttempt(failure.attemptResult(afterHead: true), isOutOfTime ? .cancelled : .broken)
        if continuesElsewhere() { return }
        endBroken(failure.isTimeout ? .upstreamTimeout : .upstreamFailed(.truncated))
    }

    /// The client has part of an answer, and there will not be more.
    func endBroken(_ error: APIError) {
        guard let stream, let path else { return }
        abortedBy = .upstream
        errorCode = error.kind.label
        if relay.kind == .events {
            var event = ByteQueue()
            // An event that was cut off is ended first, so that ours stands alone.
            if relay.scanner?.isBetweenEvents == false { event.append("\n\n") }
            error.writeEvent(path.operation.events, into: &event)
            relay.bytesOut += event.count
            stream.write(event.span)
        }
        relay.usage = relay.scanner?.summary.usage
        settle()
        self.stream = nil
        stream.abort()
    }
}
