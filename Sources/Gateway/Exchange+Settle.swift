internal import Bytes
internal import Health
internal import HTTP
internal import OpenAI
internal import Reactor
internal import Routing
internal import Telemetry
internal import Topology
internal import Transport

/// What is counted and written of an exchange, exactly once.
extension Exchange {
    /// Ends the attempt under way, if there is one: its endpoint's record learns how it went.
    func endAttempt(_ result: AttemptResult, _ outcome: AttemptOutcome, retryAfterNanos: Int64 = 0) {
        guard let place else { return }
        self.place = nil
        let now = worker.reactor.now
        route?.attemptEnded(result)
        if result != .ok || attempts > 1 {
            let label = state.authorities[place.slot]
            tries.append(
                endpoint: label.span, status: status, nanos: Int(now - attemptedAt),
                reason: result == .ok ? "" : result.label)
        }
        let change = place.record.release(place.claim, outcome, retryAfterNanos: retryAfterNanos, at: now)
        if change != nil { worker.note(change, pool, place.slot, state) }
        state.loads[pool].leave(at: now)
    }

    /// Counts the exchange and writes its line of the access log. The stream is still there.
    func settle() {
        guard phase != .idle, let stream else { return }
        let now = worker.reactor.now
        phase = .idle
        timer.clear()
        dropHedge()
        worker.exchangesInFlight -= 1
        self.route?.requestLeft()
        let route = self.route ?? worker.route(path?.operation)
        self.route = nil
        poolOfRoute = -1
        if let usage = relay.usage {
            route.tokens(input: usage.promptTokens, output: usage.completionTokens, cached: usage.cachedTokens)
        }
        route.requestAnswered(status: status, durationNanos: Int(now - startedAt))
        worker.log { record in describe(stream.request, endedAt: now, in: &record) }
    }

    private func describe(_ request: borrowing RequestHead, endedAt now: Int64, in record: inout AccessRecord) {
        record.startMillis = worker.wallMillis(at: startedAt)
        record.method = request.method.text
        record.operation = path?.operation.label ?? "unknown"
        record.httpVersion = request.version.text
        record.isTLS = origin.isTLS
        record.isStream = relay.kind == .events
        record.status = status
        record.errorCode = errorCode
        record.flags = flags
        record.abortedBy = abortedBy
        record.attempts = attempts
        record.durationNanos = Int(now - startedAt)
        if let first = relay.firstTokenAt { record.firstTokenNanos = Int(first - startedAt) }
        if attempts > 0 { record.upstreamNanos = Int(now - attemptedAt) }
        if let usage = relay.usage {
            record.promptTokens = usage.promptTokens
            record.completionTokens = usage.completionTokens
            record.cachedTokens = usage.cachedTokens
        }
        record.bytesIn = relay.bytesIn
        record.bytesOut = relay.bytesOut
        let (id, client, model) = (requestID, origin.peerText, model)
        record.set(.requestID, id.span)
        record.set(.clientAddress, client.span)
        record.set(.path, request.target.span)
        record.set(.modelRequested, model.span)
        if modelIndex >= 0 {
            let label = state.modelLabels[modelIndex]
            record.set(.modelServed, label.span)
        }
        if pool >= 0 {
            let poolLabel = state.poolLabels[pool]
            record.set(.pool, poolLabel.span)
            describePlacing(in: &record)
        }
        if endpoint >= 0 {
            let label = state.authorities[endpoint]
            record.set(.endpoint, label.span)
        }
        describeClient(request, in: &record)
    }

    /// How the request found its endpoint.
    private func describePlacing(in record: inout AccessRecord) {
        record.tier = plan.tier
        record.hasSession = hints.session != nil
        if queueNanos > 0 { record.queueNanos = Int(queueNanos) }
        if let tenant = hints.tenant { record.tenant = tenant }
        let priority = priority
        if priority != 0 { record.priority = Int(priority) }
        if let fallback { record.fallback = fallback.label }
        if droppedReason.utf8CodeUnitCount > 0 { record.droppedReason = droppedReason }
        let route = state.snapshot.models.models[modelIndex].routes[routeIndex].name
        if !route.isEmpty { record.set(.route, route) }
        if tries.isWorthTelling { record.take(&tries) }
    }

    private func describeClient(_ request: borrowing RequestHead, in record: inout AccessRecord) {
        let fields = request.fields
        if let agent = fields.first(.userAgent) {
            record.set(.userAgent, fields.bytes.span.extracting(agent.valueRange))
        }
        if let retry = fields.first(.stainlessRetryCount) {
            var offset = retry.valueRange.lowerBound
            record.clientRetry = try? readDecimal(fields.bytes.span, at: &offset, limit: 1000)
        }
    }

    /// Leaves a trace of how the upstream failed.
    func note(_ failure: UpstreamFailure) {
        switch failure {
        case .unresolved, .connect, .connectTimeout, .tls: flags.insert(.connectFailed)
        case .closed, .refused, .malformed: flags.insert(.upstreamReset)
        case .firstByteTimeout: flags.insert(.upstreamTimeout)
        case .idleTimeout: flags.insert(.streamStalled)
        case .totalTimeout: flags.insert(.totalTimeout)
        case .queueFull: flags.insert(.queueFull)
        }
    }
}
