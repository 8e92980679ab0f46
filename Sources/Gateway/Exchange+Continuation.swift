internal import Bytes
internal import Config
internal import Health
internal import HTTP
internal import Limits
internal import OpenAI
internal import Reactor
internal import Routing
internal import Telemetry
internal import Topology
internal import Transport

/// Going on with an answer whose engine died in the middle of it.
extension Exchange {
    /// Whether an answer of this endpoint is kept in a way that another one can go on with it.
    func mayBeContinued(_ operation: APIOperation) -> Bool {
        switch state.policies[pool].continuation {
        case .never: false
        case .always: true
        case .auto: state.members[endpoint].traits.engine.supportsContinuation(of: operation)
        }
    }

    /// Lets another endpoint go on where the dead one stopped. Returns whether the exchange goes on.
    func continuesElsewhere() -> Bool {
        guard let path, let stream, relay.kind == .events, path.operation.events == .completions else { return false }
        let policy = state.policies[pool]
        guard policy.continuation != .never else { return false }
        let now = worker.reactor.now
        guard attempts - attemptsAtModel < policy.retries.attempts, deadline > now else { return false }
        let (body, facts) = (body, facts)
        let last = state.members[endpoint].traits.engine
        if relay.scanner?.continuationVerdict(path.operation, body: body.contents, facts: facts, engine: last)
            == .complete
        {
            return endComplete(path, stream)
        }
        guard let place = worker.findPlaceForRest(pool, self) else { return continuationFailed() }
        let engine = state.members[place.slot].traits.engine
        if policy.continuation == .auto, !engine.supportsContinuation(of: path.operation) {
            giveBack(place)
            return continuationIsImpossible()
        }
        switch relay.scanner?.continuationVerdict(
            path.operation, body: body.contents, facts: facts, engine: engine) ?? .not(.operation)
        {
        case .possible: break
        case .complete:
            giveBack(place)
            return endComplete(path, stream)
        case .not:
            giveBack(place)
            return continuationIsImpossible()
        }
        guard state.budgets[pool].withdraw(at: now) else {
            giveBack(place)
            flags.insert(.retryBudgetExhausted)
            return continuationFailed()
        }
        continueAnswer(at: place, engine, path, stream)
        return true
    }

    private func continueAnswer(at place: Place, _ engine: EngineKind, _ path: APIPath, _ stream: ServerStream) {
        guard let target = plan.target else { return }
        flags.insert(.continued)
        let rewrite = rewrite(path, state.provider(ofPool: pool), upstreamModel(target))
        let (body, facts) = (body, facts)
        var text = ByteQueue()
        relay.scanner?.writeContinuation(
            path.operation, body: body.contents, facts: facts, rewrite: rewrite, engine: engine, into: &text)
        rewrittenBody.bytes.removeAll(keeping: 65536)
        rewrittenBody.bytes.append(text.span)
        call.body = rewrittenBody
        prepared = nil
        relay.isTokenNoted = false
        begin(place, path)
        writeHead(call, path, stream.request)
        start(call)
    }

    /// The text was whole; only the end of the stream was missing.
    private func endComplete(_ path: APIPath, _ stream: ServerStream) -> Bool {
        var ending = ByteQueue()
        relay.scanner?.writeEnding(path.operation, includesUsage: facts.wantsUsage, into: &ending)
        relay.bytesOut += ending.count
        stream.write(ending.span)
        relay.usage = relay.scanner?.summary.usage
        worker.poolMetrics(pool, state).continuations[.continued].add(on: worker.shard)
        settle()
        self.stream = nil
        stream.finish()
        return true
    }

    private func continuationFailed() -> Bool {
        worker.poolMetrics(pool, state).continuations[.failed].add(on: worker.shard)
        return false
    }

    private func continuationIsImpossible() -> Bool {
        worker.poolMetrics(pool, state).continuations[.notPossible].add(on: worker.shard)
        return false
    }

    /// The engine told of an error inside the stream. Returns whether the exchange goes on with this call.
    func streamTellsOfError() -> Bool {
        guard let stream, let kind = relay.scanner?.heldError else { return true }
        let isOurs = kind == .server || kind == .full
        if phase == .relaying, isOurs {
            call.cancel()
            endAttempt(.broken, .broken)
            if continuesElsewhere() { return false }
        }
        var text = ByteQueue()
        // What is too long to follow is not an event the client can read either.
        try? relay.scanner?.release(into: &text)
        if phase == .holding, !isHeadSent {
            // Nothing has been said yet: the error is an answer like any other, and so is what follows from it.
            call.cancel()
            status = kind == .full ? 503 : kind == .server ? 500 : 400
            relay.beginKept(error: jsonObject(in: text.span))
            upstreamRefused()
            return false
        }
        if phase == .holding, isOurs {
            // The client knows the status and nothing else: another endpoint can still answer.
            call.cancel()
            endAttempt(.broken, .serverError)
            lastError = .upstreamFailed(.truncated)
            goOn(after: .broken)
            return false
        }
        sendHead()
        relay.bytesOut += text.count
        stream.write(text.span)
        guard isOurs else { return true }
        call.cancel()
        endAttempt(.broken, .broken)
        abortedBy = .upstream
        errorCode = "upstream_failed"
        relay.usage = relay.scanner?.summary.usage
        settle()
        self.stream = nil
        stream.abort()
        return false
    }
}

/// From the first `{` to the last `}`; empty if there are none.
@_lifetime(copy text)
private func jsonObject(in text: Span<UInt8>) -> Span<UInt8> {
    guard let start = firstIndex(of: UInt8(ascii: "{"), in: text, from: 0) else { return text.extracting(0..<0) }
    var end = text.count
    while end > start, text[end - 1] != UInt8(ascii: "}") { end -= 1 }
    return text.extracting(start..<end)
}
