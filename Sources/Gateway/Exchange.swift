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

/// One request and its response: the life of a request, from top to bottom.
///
/// ```
/// requestHead   what is asked for; what can be refused is refused before the body comes
/// requestEnd    inspect (the facts of the body, read once) → route (model to tiers of pools)
/// seek          pick an endpoint and take a place there, or wait in the queue of a pool        Exchange+Placing
/// send          write the request the endpoint gets, and send it                               Exchange+Attempts
/// responseHead  hold (until the answer is certain) … relay, or gather an error                 Exchange+Relay
/// attemptFailed another endpoint, pool, tier or model; a pause only if that is all that is left
/// settle        metrics and the access log, exactly once                                       Exchange+Settle
/// ```
///
/// Lives on one reactor and is used for many requests, one after another.
final class Exchange: RequestHandler, ResponseHandler, TimerHandler {
    var origin: Origin
    let worker: GatewayWorker
    /// The attempt that is going to answer, as far as is known.
    var call = UpstreamCall()
    /// A second attempt, sent because the first is slow.
    var hedge: Hedge?

    /// What the client sent; `nil` between requests.
    var stream: ServerStream?
    var state: GatewayState
    var requestID: [UInt8] = []
    var path: APIPath?
    var facts = RequestFacts()
    var hints = RequestHints()
    var multipart: MultipartFacts?
    var boundary: [UInt8] = []
    let body = RequestBody()
    let rewrittenBody = RequestBody()
    /// The model as the client wrote it.
    var model: [UInt8] = []
    /// Index in the model table, once routed.
    var modelIndex = -1
    var resolvedModel: [UInt8]?

    // Where the request goes.
    var trail = FallbackTrail(model: -1)
    var routeIndex = 0
    var plan = TierPlan(session: nil)
    /// Where the request may go, in order.
    var tiers: [Tier] = []
    /// The target whose body `call` holds; `nil` if none is prepared.
    var prepared: (tier: Int, target: Int)?
    var pool = -1
    /// Slot of the endpoint of the last attempt.
    var endpoint = -1
    /// The place the attempt under way has at its endpoint.
    var place: Place?
    var tried: [Int32] = []
    var outlook = Outlook()

    // What the attempts came to.
    var attempts = 0
    /// Attempts made before the model that is tried now.
    var attemptsAtModel = 0
    var tries = AccessTries()
    var lastError: APIError?
    /// Why the next attempt is made, if it is made.
    var retryCause: RetryReason?
    /// Whether the last attempt was made for want of a better endpoint.
    var isGamble = false
    var droppedReason: StaticString = ""
    var fallback: FallbackCause?

    // Waiting.
    var stay: QueueStay?
    var queuedAt: Int64 = 0
    var queueNanos: Int64 = 0

    var phase = Phase.idle
    var relay = Relay()
    /// The head the client gets, until it is sent.
    var heldHead = ResponseHead()
    var isHeadSent = false
    var startedAt: Int64 = 0
    var attemptedAt: Int64 = 0
    var status = 0
    var errorCode: StaticString = ""
    var flags: AccessFlags = []
    var abortedBy = AccessRecord.Aborter.nobody
    var route: RouteMetrics?
    /// The pool whose requests in flight `route` counts this one among; -1 for none.
    var poolOfRoute = -1
    var modelOfRoute = -1

    /// When the client must have all of its answer; `Int64.max`: no limit.
    var deadline = Int64.max
    var due = DueTimes()
    var timer = MovingDeadline()

    enum Phase {
        case idle
        /// The body is coming.
        case receiving
        /// In the queue of a pool.
        case queued
        /// Waiting a moment before an endpoint is asked again.
        case pausing
        /// Sent to an endpoint; nothing has come back.
        case waiting
        /// An error of the upstream is being gathered.
        case gatheringError
        /// A good head has come, and nothing of the body has gone to the client: another endpoint may still answer.
        case holding
        /// Body has gone to the client.
        case relaying
    }

    init(_ worker: GatewayWorker, _ origin: Origin) {
        self.worker = worker
        self.origin = origin
        state = worker.state
        call.report(to: self)
        call.body = body
    }

    // MARK: The request

    func requestHead(_ stream: ServerStream) {
        begin(stream, stream.request)
        let target = stream.request.target
        switch APITarget.classify(APIMethod(stream.request.method), target.span) {
        case .operation(let path):
            self.path = path
            // What we answer ourselves waits for the end of the request, as there is no body to spare.
            if path.operation.isForwarded { awaitBody(path, stream.request) }
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
        attemptsAtModel = 0
        endpoint = -1
        pool = -1
        modelIndex = -1
        route = nil
        errorCode = ""
        flags = []
        abortedBy = .nobody
        multipart = nil
        resolvedModel = nil
        prepared = nil
        isHeadSent = false
        lastError = nil
        retryCause = nil
        droppedReason = ""
        fallback = nil
        queueNanos = 0
        deadline = .max
        due = DueTimes()
        hints = RequestHints()
        isGamble = false
        tries.removeAll()
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
            try inspectBody(path, stream.request)
            hints = RequestHints(stream.request.fields)
            try findModel(path, stream.request.target)
            chooseRoute(stream.request)
        } catch {
            return fail(error)
        }
        if let timeout = hints.timeoutNanos { deadline = startedAt &+ timeout }
        seek()
    }

    // MARK: The response

    func responseHead(_ head: borrowing ResponseHead) {
        guard stream != nil else { return }
        if head.status >= 300 {
            status = head.status
            phase = .gatheringError
            relay.begin(error: head)
        } else {
            beginRelay(head)
        }
    }

    func responseBody(_ bytes: Span<UInt8>) {
        switch phase {
        case .relaying, .holding: relayBody(bytes)
        case .gatheringError:
            relay.gather(bytes)
            // What it says is known by now, and it may never end.
            if relay.isCut {
                call.cancel()
                upstreamRefused()
            }
        case .idle, .receiving, .queued, .pausing, .waiting: break
        }
    }

    func responseEnd() {
        switch phase {
        case .relaying, .holding: endRelay()
        case .gatheringError: upstreamRefused()
        case .idle, .receiving, .queued, .pausing, .waiting: break
        }
    }

    func responseFailed(_ failure: UpstreamFailure) {
        note(failure)
        switch phase {
        case .waiting, .holding: attemptFailed(failure)
        case .gatheringError: upstreamRefused()
        case .relaying: breakRelay(failure)
        case .idle, .receiving, .queued, .pausing: break
        }
    }

    func responseDrained() {
        call.resume()
    }

    // MARK: The end

    func requestAborted(_ reason: Abort) {
        guard phase != .idle else { return }
        leaveQueue()
        call.cancel()
        dropHedge()
        endAttempt(.cancelled, .cancelled)
        if case .refused(let answered) = reason {
            let error = APIError(Refusal(status: answered, reason: ""))
            status = answered
            errorCode = error.kind.label
            if error.kind == .bodyTooLarge { flags.insert(.bodyTooLarge) }
            if error.kind == .requestTimeout { flags.insert(.clientStalled) }
        } else {
            abortedBy = reason == .shutdown ? .gateway : .client
            flags.insert(reason == .clientStalled ? .clientStalled : reason == .shutdown ? .draining : .clientCancelled)
            if status == 0 || !isHeadSent { status = 499 }
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
        place = nil
        timer.cancel(on: worker.reactor)
        body.bytes.removeAll(keeping: 4096)
        rewrittenBody.bytes.removeAll(keeping: 4096)
        relay.reset()
    }
}
