internal import Bytes
internal import HTTP
internal import OpenAI
internal import Reactor
internal import Telemetry
internal import Transport

/// What is counted and written of an exchange, exactly once.
extension Exchange {
    /// Ends the attempt under way.
    func endAttempt(_ result: AttemptResult) {
        guard isAttemptOpen else { return }
        isAttemptOpen = false
        route?.attemptEnded(result)
    }

    /// Counts the exchange and writes its line of the access log. The stream is still there.
    func settle() {
        guard phase != .idle, let stream else { return }
        let now = worker.reactor.now
        phase = .idle
        worker.exchangesInFlight -= 1
        self.route?.requestLeft()
        let route = self.route ?? worker.route(path?.operation)
        self.route = nil
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
            let (label, poolLabel) = (state.modelLabels[modelIndex], state.poolLabels[pool])
            record.set(.modelServed, label.span)
            record.set(.pool, poolLabel.span)
        }
        if endpoint >= 0 {
            let label = state.authorities[endpoint]
            record.set(.endpoint, label.span)
        }
        describeClient(request, in: &record)
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
