internal import Bytes
internal import Health
internal import HTTP
internal import Limits
internal import OpenAI
internal import Reactor
internal import Routing
internal import Telemetry
internal import Topology
internal import Transport

/// Attempts at endpoints, and what follows when one fails.
extension Exchange {
    /// Sends the request to an endpoint.
    func send(to place: Place) {
        guard let path, let stream, let target = plan.target else { return }
        prepareBody(path, target: target)
        begin(place, path)
        writeHead(call, path, stream.request)
        start(call)
    }

    /// Counts an attempt that begins.
    func begin(_ place: Place, _ path: APIPath) {
        let now = worker.reactor.now
        let isOtherRoute = pool != poolOfRoute || modelIndex != modelOfRoute
        relay.forgetRetryAfter()
        phase = .waiting
        self.place = place
        isGamble = place.isGamble
        endpoint = place.slot
        attempts += 1
        if attempts == attemptsAtModel + 1 { state.budgets[pool].deposit() }
        if let cause = retryCause {
            retryCause = nil
            worker.poolMetrics(pool, state).retries[cause].add(on: worker.shard)
        }
        tried.append(Int32(truncatingIfNeeded: endpoint))
        attemptedAt = now
        let route = worker.route(path.operation, model: modelIndex, pool: pool, endpoint: endpoint, state)
        // Requests in flight are counted by model and pool.
        if self.route == nil {
            route.requestEntered()
        } else if isOtherRoute {
            self.route?.requestLeft()
            route.requestEntered()
        }
        (poolOfRoute, modelOfRoute) = (pool, modelIndex)
        self.route = route
        route.attemptBegan()
    }

    func start(_ call: UpstreamCall) {
        let policy = state.policies[pool]
        call.deadline = min(deadline, policy.attempt == .max ? .max : attemptedAt &+ policy.attempt)
        if policy.firstToken != .max { due.firstToken = attemptedAt &+ policy.firstToken }
        if policy.hedgeAfter != .max, hedge == nil { due.hedge = attemptedAt &+ policy.hedgeAfter }
        if due.next != .max { armTimer() }
        worker.connections(to: endpoint, of: state).start(call)
    }

    /// The head the endpoint gets: the client's fields less what is not for it, and what the provider wants.
    func writeHead(_ call: UpstreamCall, _ path: APIPath, _ request: borrowing RequestHead) {
        let provider = state.provider(ofPool: pool)
        call.head.reset()
        call.head.method = request.method
        call.head.target.append(contentsOf: state.prefixes[endpoint])
        path.appendForwardTarget(request.target.span, to: &call.head.target)
        call.head.authority.append(contentsOf: state.authorities[endpoint])
        let fields = request.fields
        for field in fields.fields where fields.isForwardedUpstream(field) {
            if field.name.isCredential, !provider.forwardsCredentials || field.name == .cookie { continue }
            if provider.fields.count > 0, provider.replaces(field, of: fields) { continue }
            call.head.fields.append(field, of: fields)
        }
        let own = provider.fields
        for field in own.fields {
            call.head.fields.append(field, of: own)
        }
        let id = requestID
        call.head.fields.append(.xRequestID, value: id.span)
    }

    // MARK: Failure

    /// The attempt failed before anything of its body went to the client.
    func attemptFailed(_ failure: UpstreamFailure) {
        // That the client has no more time says nothing of the endpoint.
        let isOutOfTime = failure.isTimeout && deadline <= worker.reactor.now
        endAttempt(
            failure.attemptResult(afterHead: phase == .holding), isOutOfTime ? .cancelled : failure.outcome)
        lastError = APIError(failure)
        if isOutOfTime {
            flags.insert(.totalTimeout)
            return fail(.upstreamTimeout)
        }
        goOn(after: failure.attemptFailure)
    }

    /// The answer was none: what came is not what was asked for.
    func answerIsGarbage() {
        call.cancel()
        flags.insert(.upstreamReset)
        endAttempt(.protocolError, .garbage)
        lastError = .upstreamFailed(.garbage)
        goOn(after: .garbage)
    }

    /// No first token in the time of an attempt.
    func firstTokenIsLate() {
        guard phase == .waiting || phase == .holding || phase == .gatheringError else { return }
        call.cancel()
        flags.insert(.upstreamTimeout)
        endAttempt(.firstByteTimeout, .timeout)
        lastError = .upstreamTimeout
        goOn(after: .timeout)
    }

    /// The endpoint has answered with an error.
    func upstreamRefused() {
        let credentialsAreOurs = !state.provider(ofPool: pool).forwardsCredentials
        let answered = status
        let (error, kind) = relay.error(status: answered, credentialsAreOurs: credentialsAreOurs)
        let retryAfter = relay.retryAfterNanos
        let verdict = judge(kind, status: answered, credentialsAreOurs: credentialsAreOurs)
        endAttempt(result(answered, kind, verdict.outcome), verdict.outcome, retryAfterNanos: retryAfter)
        status = isHeadSent ? heldHead.status : 0
        lastError = error
        relay.resetForRetry()
        switch kind {
        case .contextLength: if fallsBack(for: .contextLength) { return }
        case .contentPolicy: if fallsBack(for: .contentPolicy) { return }
        case .full, .modelMissing, .authentication, .client, .server: break
        }
        goOn(after: verdict.failure)
    }

    /// What metrics and the log call an error answer: in order, if it was the request's fault.
    private func result(_ status: Int, _ kind: ErrorClass, _ outcome: AttemptOutcome) -> AttemptResult {
        if status == 429 { return .rateLimited }
        if status < 400 { return .protocolError }
        return status >= 500 || kind == .server || outcome == .serverError ? .serverError : .ok
    }

    /// Whether the model's name is a pattern, so that a client may ask for anything.
    private var isPattern: Bool { state.modelLabels[modelIndex].contains(UInt8(ascii: "*")) }

    /// What an error answer says of the endpoint, and of the request.
    private func judge(
        _ kind: ErrorClass, status: Int, credentialsAreOurs: Bool
    ) -> (failure: AttemptFailure, outcome: AttemptOutcome) {
        switch kind {
        case .contextLength: return (.contextLength, .success)
        case .contentPolicy: return (.contentPolicy, .success)
        // The quota of a client's own key at a provider is the client's affair; that of an engine is everybody's.
        case .full where status >= 500 || credentialsAreOurs || !state.snapshot.endpoints[endpoint].address.usesTLS:
            return (.status(status), .full)
        // With a wildcard the client may ask for anything: that an engine does not have it says nothing of the engine.
        case .modelMissing where !isPattern || state.snapshot.pools[pool].upstreamModel != nil:
            return (.modelMissing, .serverError)
        case .authentication where credentialsAreOurs: return (.authentication, .serverError)
        // No engine of the API sends elsewhere, or says that nothing has changed.
        case .server where status < 400: return (.garbage, .garbage)
        case .server: return (.status(status), status >= 500 ? .serverError : .success)
        case .full, .modelMissing, .authentication, .client: return (.status(status), .success)
        }
    }

    /// Decides what follows a failed attempt, and does it.
    func goOn(after failure: AttemptFailure) {
        guard let stream else { return }
        due.firstToken = .max
        due.hedge = .max
        due.head = .max
        if hedge != nil { return adoptHedge() }
        // The client has part of the answer: only who can go on with it helps.
        if relay.hasSent {
            if !continuesElsewhere() { endBroken(lastError ?? .upstreamFailed(.truncated)) }
            return
        }
        if state !== worker.state, failure == .connect { return startOver() }
        let policy = state.policies[pool].retries
        let now = worker.reactor.now
        let finding = worker.findPlace(pool, self, mayPass: true)
        let situation = RetrySituation(
            failure: failure, attemptsMade: attempts - attemptsAtModel, isAnswerBegun: phase == .relaying,
            place: finding.attemptPlace(orAt: now), hasNextTarget: plan.hasNext(in: tiers), deadline: deadline)
        let budget = state.budgets[pool]
        let verdict = policy.verdict(situation, at: now, &worker.random) { budget.withdraw(at: now) }
        if verdict != .elsewhere, case .place(let place) = finding { giveBack(place) }
        relay.resetForRetry()
        switch verdict {
        case .elsewhere:
            guard case .place(let place) = finding, let path else { return giveUp() }
            retryCause = failure.retryReason
            begin(place, path)
            writeHead(call, path, stream.request)
            start(call)
        case .nextTarget:
            retryCause = failure.retryReason
            guard nextTarget() else { return giveUp() }
            seek()
        case .wait(let until): wait(until, finding, after: failure)
        case .giveUp(let reason):
            if reason == .budget {
                flags.insert(.retryBudgetExhausted)
                worker.poolMetrics(pool, state).retryBudgetExhausted.add(on: worker.shard)
            }
            if let time = finding.time { outlook.soonest = outlook.soonest ?? (plan, time) }
            if reason == .notRetryable || reason == .requestFault, let error = lastError { return fail(error) }
            giveUp()
        }
    }

    /// Waiting is all that is left.
    private func wait(_ until: Int64, _ finding: Finding, after failure: AttemptFailure) {
        retryCause = failure.retryReason
        if case .again(_, nil) = finding { return pause(until: until) }
        if let time = finding.time { outlook.soonest = outlook.soonest ?? (plan, time) }
        seek()
    }

    func giveBack(_ place: Place) {
        let now = worker.reactor.now
        _ = place.record.release(place.claim, .cancelled, at: now)
        state.loads[pool].leave(at: now)
    }

    /// Finds the pool anew after a reload, whose endpoints are others.
    func startOver() {
        guard let path, let stream else { return }
        route?.requestLeft()
        route = nil
        state = worker.state
        (endpoint, pool, modelIndex, poolOfRoute) = (-1, -1, -1, -1)
        attemptsAtModel = attempts
        model.removeAll(keepingCapacity: true)
        do throws(APIError) {
            try findModel(path, stream.request.target)
        } catch {
            return fail(error)
        }
        chooseRoute(stream.request)
        seek()
    }

    // MARK: Hedging

    /// The first attempt is slow: a second one is sent to another endpoint of the pool.
    func sendHedge() {
        guard phase == .waiting || phase == .holding, hedge == nil, let path, let stream else { return }
        let now = worker.reactor.now
        guard case .place(let place) = worker.findPlace(pool, self, mayPass: true) else { return }
        guard state.budgets[pool].withdraw(at: now) else { return giveBack(place) }
        flags.insert(.hedged)
        attempts += 1
        tried.append(Int32(truncatingIfNeeded: place.slot))
        let route = worker.route(path.operation, model: modelIndex, pool: pool, endpoint: place.slot, state)
        route.attemptBegan()
        let hedge = Hedge(self, place, route, at: now)
        let first = endpoint
        endpoint = place.slot
        writeHead(hedge.call, path, stream.request)
        endpoint = first
        hedge.call.body = call.body
        hedge.call.deadline = call.deadline
        self.hedge = hedge
        worker.connections(to: place.slot, of: state).start(hedge.call)
    }

    /// The second attempt takes the place of the first.
    func adoptHedge() {
        guard let hedge else { return }
        self.hedge = nil
        let stoodFirst = place != nil
        call.cancel()
        endAttempt(.cancelled, .cancelled)
        call = hedge.call
        call.report(to: self)
        place = hedge.place
        endpoint = hedge.place.slot
        route = hedge.route
        attemptedAt = hedge.startedAt
        let firstToken = state.policies[pool].firstToken
        if firstToken != .max {
            due.firstToken = attemptedAt &+ firstToken
            armTimer()
        }
        phase = .waiting
        relay.resetForRetry()
        worker.poolMetrics(pool, state).hedges[stoodFirst ? .won : .lost].add(on: worker.shard)
        if let answer = hedge.answer {
            var head = ResponseHead()
            head.status = answer.status
            head.fields = answer.fields
            head.framing = answer.framing
            responseHead(head)
        }
    }

    /// The second attempt came to nothing; the first goes on.
    func hedgeFailed(_ result: AttemptResult, _ outcome: AttemptOutcome) {
        guard let hedge else { return }
        self.hedge = nil
        end(hedge, result, outcome)
    }

    /// The first attempt answers: the second is not needed.
    func dropHedge() {
        guard let hedge else { return }
        self.hedge = nil
        hedge.call.cancel()
        end(hedge, .cancelled, .cancelled)
    }

    private func end(_ hedge: Hedge, _ result: AttemptResult, _ outcome: AttemptOutcome) {
        let now = worker.reactor.now
        hedge.route.attemptEnded(result)
        worker.note(hedge.place.record.release(hedge.place.claim, outcome, at: now), pool, hedge.place.slot, state)
        state.loads[pool].leave(at: now)
        worker.poolMetrics(pool, state).hedges[.lost].add(on: worker.shard)
        let label = state.authorities[hedge.place.slot]
        tries.append(endpoint: label.span, status: 0, nanos: Int(now - hedge.startedAt), reason: result.label)
    }
}

extension Finding {
    /// As the verdict on retries sees it.
    func attemptPlace(orAt now: Int64) -> AttemptPlace {
        switch self {
        case .place: .elsewhere
        case .again(_, nil): .sameAgain
        case .busy: .notBefore(now)
        case .again(_, let time?), .later(let time?), .lastResort(_, let time?): .notBefore(time)
        case .later(nil), .lastResort(_, nil), .none: .nowhere
        }
    }

    /// When it is worth another try.
    var time: Int64? {
        switch self {
        case .place, .busy, .none: nil
        case .again(_, let time), .later(let time), .lastResort(_, let time): time
        }
    }
}

extension AttemptFailure {
    var retryReason: RetryReason {
        switch self {
        case .connect: .connectFailed
        case .broken: .broken
        case .timeout: .timeout
        case .garbage: .garbage
        case .modelMissing: .modelMissing
        case .status(let status):
            status == 429 || status == 503 || status == 529 ? .full : status >= 500 ? .serverError : .status
        case .authentication, .contextLength, .contentPolicy, .cancelled: .status
        }
    }
}
