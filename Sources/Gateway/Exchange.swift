internal import Bytes
internal import HTTP
internal import OpenAI
internal import Reactor
internal import Telemetry
internal import Topology
internal import Transport

/// One request and its response: the life of a request, from top to bottom.
///
/// ```
/// requestHead   what is asked for; what can be refused is refused before the body comes
/// requestEnd    inspect (the facts of the body, read once) → route (model to pool) → attempt
/// attempt       pick an endpoint, write the request it gets, send it
/// responseHead  relay (or gather an error) … responseBody … responseEnd
/// settle        metrics and the access log, exactly once
/// ```
///
/// Lives on one reactor and is used for many requests, one after another.
final class Exchange: RequestHandler, ResponseHandler {
    var origin: Origin
    let worker: GatewayWorker
    let call = UpstreamCall()

    /// What the client sent; `nil` between requests.
    var stream: ServerStream?
    var state: GatewayState
    var requestID: [UInt8] = []
    var path: APIPath?
    var facts = RequestFacts()
    var multipart: MultipartFacts?
    var boundary: [UInt8] = []
    let body = RequestBody()
    private let rewrittenBody = RequestBody()
    /// The model as the client wrote it.
    var model: [UInt8] = []
    /// Index in the model table, once routed.
    var modelIndex = -1
    /// Slot of the endpoint of the last attempt.
    var endpoint = -1
    var pool = -1
    private var resolvedModel: [UInt8]?
    var attempts = 0
    /// Attempts made before the pool was found in the state of now.
    private var earlierAttempts = 0
    /// Where in the pool the first attempt went; the others follow.
    private var turn = 0

    var phase = Phase.idle
    var relay = Relay()
    var startedAt: Int64 = 0
    var attemptedAt: Int64 = 0
    var status = 0
    var errorCode: StaticString = ""
    var flags: AccessFlags = []
    var abortedBy = AccessRecord.Aborter.nobody
    var route: RouteMetrics?
    var isAttemptOpen = false

    enum Phase {
        case idle
        /// The body is coming.
        case receiving
        /// Sent to an endpoint; nothing has come back.
        case waiting
        /// An error of the upstream is being gathered.
        case gatheringError
        /// The head went to the client, the body follows.
        case relaying
    }

    /// Tries at different endpoints when none of them has seen the request.
    private static let attemptLimit = 3

    init(_ worker: GatewayWorker, _ origin: Origin) {
        self.worker = worker
        self.origin = origin
        state = worker.state
        call.report(to: self)
        call.body = body
    }

    // MARK: The request

    func requestHead(_ stream: ServerStream) {
        // One copy of the head's references for all that follows: each look through `stream` makes another.
        let request = stream.request
        begin(stream, request)
        let target = request.target
        switch APITarget.classify(APIMethod(request.method), target.span) {
        case .operation(let path):
            self.path = path
            // What we answer ourselves waits for the end of the request, as there is no body to spare.
            if path.operation.isForwarded { awaitBody(path, request) }
        case .notFound(let dialect):
            flags.insert(.noRoute)
            fail(.unknownPath(target.span), dialect)
        case .methodNotAllowed(let dialect, let allow):
            flags.insert(.noRoute)
            fail(.methodNotAllowed(allow: allow), dialect, allow: allow.text)
        }
    }

    private func begin(_ stream: ServerStream, _ request: borrowing RequestHead) {
        self.stream = stream
        state = worker.state
        startedAt = worker.reactor.now
        phase = .receiving
        path = nil
        status = 0
        attempts = 0
        earlierAttempts = 0
        endpoint = -1
        pool = -1
        modelIndex = -1
        route = nil
        errorCode = ""
        flags = []
        abortedBy = .nobody
        multipart = nil
        resolvedModel = nil
        // A request that was refused, or answered with an error, has left its own here.
        body.bytes.removeAll(keeping: 4096)
        model.removeAll(keepingCapacity: true)
        relay.reset()
        worker.takeRequestID(from: request, into: &requestID)
        worker.exchangesInFlight += 1
    }

    /// Refuses what the head alone shows to be wrong; else asks for the body.
    private func awaitBody(_ path: APIPath, _ request: borrowing RequestHead) {
        guard let stream else { return }
        let fields = request.fields
        if let encoding = fields.first(.contentEncoding),
            !bytesEqualIgnoringCase(fields.bytes.span.extracting(encoding.valueRange), "identity")
        {
            return fail(.unsupportedContentEncoding)
        }
        if let error = contentTypeError(path, fields) { return fail(error) }
        if case .length(let length) = request.framing, length <= 1 << 20 { body.bytes.makeRoom(for: length) }
        stream.sendContinue()
    }

    func requestBody(_ bytes: Span<UInt8>) {
        guard path?.operation.isForwarded == true else { return }
        body.bytes.append(bytes)
    }

    func requestEnd() {
        guard phase == .receiving, let path, let stream else { return }
        guard path.operation.isForwarded else { return answerOurselves(path, stream.request.target) }
        relay.bytesIn = body.bytes.count
        // From here on the exchange keeps to one state, even if another is published while it runs.
        state = worker.state
        do throws(APIError) {
            let request = stream.request
            try inspectBody(path, request)
            try findModel(path, request.target)
            prepareBody(path)
            attempt(request)
        } catch {
            fail(error)
        }
    }

    /// Finds the pool that serves the model.
    private func findModel(_ path: APIPath, _ target: [UInt8]) throws(APIError) {
        let models = state.snapshot.models
        if let named = path.decodedModel(target.span) {
            model = named
        } else if let multipart {
            let body = body
            model.append(copying: multipart.model(in: body.contents))
        } else {
            let (body, facts) = (body, facts)
            model.append(copying: facts.model(in: body.contents))
        }
        if model.isEmpty {
            // The API lets the model be left out: that is clear only if there is a single one.
            guard models.models.count == 1, let only = models.models.first else { throw APIError(.missingModel) }
            model.append(contentsOf: only.name.utf8)
        }
        let model = model
        guard let match = models.match(model.span) else {
            flags.insert(.noModel)
            throw .unknownModel(model.span, near: nearMatches(of: model, among: models.exactNames))
        }
        modelIndex = match.model
        pool = models.models[match.model].pool
        resolvedModel = match.resolved
    }

    /// Makes the body the endpoints get: the client's own, or a copy with another model name or a wish for usage.
    private func prepareBody(_ path: APIPath) {
        let provider = state.provider(ofPool: pool)
        let upstreamModel = state.snapshot.pools[pool].upstreamModel ?? resolvedModel
        call.body = body
        if let multipart {
            guard let wanted = upstreamModel ?? (path.model == nil ? nil : model), !formNames(wanted) else { return }
            rewrittenBody.bytes.removeAll(keeping: 65536)
            let (body, boundary) = (body, boundary)
            multipart.append(
                body.contents, boundary: boundary.span, model: wanted.span, to: &rewrittenBody.bytes)
            call.body = rewrittenBody
            return
        }
        var rewrite = BodyRewrite(
            forcesUsage: provider.asksForUsage && path.operation.events == .completions && facts.isStreaming)
        if let wanted = upstreamModel ?? (path.model == nil ? nil : model), !bodyNames(wanted) {
            rewrite.model = wanted
        }
        relay.stripsUsage = rewrite.forcesUsage && !facts.wantsUsage
        if rewrite.leavesUnchanged(facts) { return }
        rewrittenBody.bytes.removeAll(keeping: 65536)
        let body = body
        rewrite.append(body.contents, facts, to: &rewrittenBody.bytes)
        call.body = rewrittenBody
    }

    private func formNames(_ name: [UInt8]) -> Bool {
        guard let multipart else { return false }
        let body = body
        return bytesEqual(multipart.model(in: body.contents), name.span)
    }

    private func bodyNames(_ name: [UInt8]) -> Bool {
        let (body, facts) = (body, facts)
        guard facts.hasModel else { return false }
        return bytesEqual(facts.model(in: body.contents), name.span)
    }

    // MARK: The attempt

    /// Sends the request to the next endpoint of the pool.
    private func attempt(_ request: borrowing RequestHead) {
        guard let path else { return }
        phase = .waiting
        if attempts == earlierAttempts { turn = worker.takeTurn(inPool: pool) }
        let endpoints = state.snapshot.pools[pool].endpoints
        endpoint = endpoints[(turn + attempts - earlierAttempts) % endpoints.count]
        attempts += 1
        attemptedAt = worker.reactor.now
        let route = worker.route(path.operation, model: modelIndex, endpoint: endpoint)
        // Requests in flight are counted by model and pool, which stay the same from attempt to attempt.
        if self.route == nil { route.requestEntered() }
        self.route = route
        route.attemptBegan()
        isAttemptOpen = true
        writeHead(path, request)
        worker.endpoints[endpoint].start(call)
    }

    /// The head the endpoint gets: the client's fields less what is not for it, and what the provider wants.
    private func writeHead(_ path: APIPath, _ request: borrowing RequestHead) {
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

    /// Tries another endpoint of the pool if the last one has not seen the request. Returns whether it does.
    private func retriesElsewhere(_ failure: UpstreamFailure) -> Bool {
        guard phase == .waiting, failure.isUnseen, attempts < Exchange.attemptLimit else { return false }
        if state !== worker.state { return startsOver() }
        guard attempts - earlierAttempts < state.snapshot.pools[pool].endpoints.count, let stream else { return false }
        attempt(stream.request)
        return true
    }

    /// Finds the pool anew after a reload, whose endpoints are others. Returns whether the exchange goes on.
    private func startsOver() -> Bool {
        guard let path, let stream else { return false }
        route?.requestLeft()
        route = nil
        state = worker.state
        earlierAttempts = attempts
        model.removeAll(keepingCapacity: true)
        do throws(APIError) {
            let request = stream.request
            try findModel(path, request.target)
            prepareBody(path)
            attempt(request)
        } catch {
            fail(error)
        }
        return true
    }

    // MARK: The response

    func responseHead(_ head: borrowing ResponseHead) {
        guard stream != nil else { return }
        status = head.status
        if head.status >= 300 {
            phase = .gatheringError
            relay.begin(error: head)
        } else {
            phase = .relaying
            beginRelay(head)
        }
    }

    func responseBody(_ bytes: Span<UInt8>) {
        switch phase {
        case .relaying: relayBody(bytes)
        case .gatheringError:
            relay.gather(bytes)
            // What it says is known by now, and it may never end.
            if relay.isCut {
                call.cancel()
                answerUpstreamError()
            }
        case .idle, .receiving, .waiting: break
        }
    }

    func responseEnd() {
        switch phase {
        case .relaying: endRelay()
        case .gatheringError: answerUpstreamError()
        case .idle, .receiving, .waiting: break
        }
    }

    func responseFailed(_ failure: UpstreamFailure) {
        endAttempt(failure.attemptResult(afterHead: phase == .relaying))
        note(failure)
        switch phase {
        case .waiting:
            if !retriesElsewhere(failure) { fail(APIError(failure)) }
        case .gatheringError:
            answerUpstreamError()
        case .relaying:
            breakRelay(failure)
        case .idle, .receiving:
            break
        }
    }

    func responseDrained() {
        call.resume()
    }

    // MARK: The end

    func requestAborted(_ reason: Abort) {
        guard phase != .idle else { return }
        call.cancel()
        if isAttemptOpen { endAttempt(.cancelled) }
        if case .refused(let answered) = reason {
            let error = APIError(Refusal(status: answered, reason: ""))
            status = answered
            errorCode = error.kind.label
            if error.kind == .bodyTooLarge { flags.insert(.bodyTooLarge) }
            if error.kind == .requestTimeout { flags.insert(.clientStalled) }
        } else {
            abortedBy = reason == .shutdown ? .gateway : .client
            flags.insert(reason == .clientStalled ? .clientStalled : reason == .shutdown ? .draining : .clientCancelled)
            if status == 0 || phase != .relaying { status = 499 }
            worker.metrics.clientAborts.add(1, on: worker.shard)
        }
        settle()
        stream = nil
    }

    /// Drops what the last request left, before the exchange waits for another connection.
    func forget() {
        stream = nil
        phase = .idle
        route = nil
        body.bytes.removeAll(keeping: 4096)
        rewrittenBody.bytes.removeAll(keeping: 4096)
        relay.reset()
    }
}
