internal import Bytes
internal import HTTP
internal import OpenAI
internal import Reactor
internal import Transport

/// One request of a client, after another on the same connection.
internal final class SimulatedExchange: RequestHandler, TimerHandler, SocketHandler, CapacityClaimant {
    let service: SimulatorService
    var stream: ServerStream?
    var phase = Phase.idle
    /// What goes wrong with this request.
    var fault: EngineFault?
    /// The settings for this request.
    var settings: EngineSettings
    var work = Work.none
    var promptTokens = 0
    /// The step of the engine that comes next, and when.
    var step = 0
    var steps = 0
    var nextStepAt: Int64 = 0
    /// Whether the client takes too little for more to be written.
    var isBlocked = false
    var beganAt: Int64 = 0
    var lastStepAt: Int64 = 0
    private var body: [UInt8] = []
    /// Whether this request is one to the API, which are counted.
    private var isCounted = false
    /// Whether the request holds a turn.
    private var isRunning = false
    private var timer: TimerToken?

    enum Phase {
        case idle
        /// The body is coming.
        case reading
        /// Others are computed.
        case waiting
        /// The prompt is read, up to the first token.
        case prefill
        /// Tokens are made, shown or not.
        case decoding
        /// Nothing more will happen until the client leaves.
        case hanging
        /// The end was said, without an answer; the client should close.
        case closing
    }

    enum Work {
        case none
        case document(Document)
        case generation(AnswerContext, any AnswerWriter)
    }

    init(_ service: SimulatorService) {
        self.service = service
        settings = service.settings
    }

    // MARK: The request

    func requestHead(_ stream: ServerStream) {
        self.stream = stream
        reset()
        phase = .reading
        beganAt = service.reactor.now
        isCounted = isForAPI(stream)
        if isCounted {
            service.statistics.requests += 1
            service.statistics.open += 1
            service.statistics.mostOpen = max(service.statistics.mostOpen, service.statistics.open)
        }
        stream.sendContinue()
    }

    private func reset() {
        body.removeAll(keepingCapacity: body.capacity <= 64 * 1024)
        work = .none
        fault = nil
        (step, steps, promptTokens) = (0, 0, 0)
        (isBlocked, isRunning) = (false, false)
    }

    private func isForAPI(_ stream: ServerStream) -> Bool {
        guard stream.request.method == .post else { return false }
        return !bytesBegin(stream.request.target.span, with: "/simulator/")
            && !bytesBegin(stream.request.target.span, with: "/mock/")
    }

    func requestBody(_ bytes: Span<UInt8>) { body.append(copying: bytes) }

    func requestEnd() {
        guard let stream, phase == .reading else { return }
        let body = self.body
        self.body = []
        if isCounted { service.lastRequest = RecordedRequest(stream.request, body: body) }
        let wishes = RequestWishes(service.settings, stream.request.fields)
        settings = wishes.settings
        if let problem = wishes.problem { return refuse(APIError(.malformedBody, 400, problem)) }
        if !isCounted, answerOperator(stream, body) { return }
        if !showsKey(stream) { return refuse(.invalidKey) }
        guard isCounted else { return answerRead(stream) }
        fault = service.chooseFault(wishes)
        if let fault, breakBeforeAnswer(fault) { return }
        do throws(APIError) {
            work = try plan(stream, body)
        } catch {
            return refuse(error)
        }
        enter()
    }

    private func refuse(_ error: APIError) {
        if isCounted { service.statistics.badRequests += 1 }
        fail(error)
    }

    private func showsKey(_ stream: ServerStream) -> Bool {
        guard let key = settings.apiKey, bytesBegin(stream.request.target.span, with: "/v1/") else { return true }
        let fields = stream.request.fields
        return fields.text(of: .authorization) == "Bearer \(key)" || fields.text(of: .xAPIKey) == key
            || fields.text(of: .apiKey) == key
    }

    // MARK: Turns

    private func enter() {
        phase = .waiting
        if !service.enter(self) {
            service.statistics.refused += 1
            let refusal = APIError.overloaded(retryAfterSeconds: settings.faults.retryAfterSeconds ?? 1)
            fail(refusal, status: settings.capacity.refusalStatus)
        }
    }

    func turnCame(prefillEnd: Int64) {
        phase = .prefill
        isRunning = true
        let now = service.reactor.now
        service.meters.queue.record(nanos: now - beganAt)
        service.statistics.promptTokens += promptTokens
        nextStepAt = prefillEnd + settings.firstToken.nanos
        if fault == .slow { nextStepAt += settings.faults.slowness.nanos }
        // Never within this call: a turn that ends at once would begin the next one, and so on down the stack.
        if nextStepAt > now { arm(at: nextStepAt) } else { service.reactor.callAgain(self) }
    }

    // MARK: Time

    func arm(at deadline: Int64) {
        disarm()
        timer = service.reactor.schedule(self, at: deadline)
    }

    private func disarm() {
        if let timer { service.reactor.cancel(timer) }
        timer = nil
    }

    func timerFired() {
        timer = nil
        goOn()
    }

    /// The next round, for what is due at once.
    func socketReady(_ readiness: Readiness) {
        let isDue = phase == .prefill || phase == .decoding && !isBlocked
        if isDue, timer == nil { goOn() }
    }

    func responseDrained() {
        guard isBlocked else { return }
        isBlocked = false
        // What the client did not take was not made.
        nextStepAt = max(nextStepAt, service.reactor.now)
        if phase == .decoding { goOn() }
    }

    private func goOn() {
        switch phase {
        case .prefill: beginAnswer()
        case .decoding: decode()
        case .closing: breakOff()
        case .idle, .reading, .waiting, .hanging: break
        }
    }

    // MARK: The end

    func requestAborted(_ reason: Abort) {
        if isCounted, phase != .closing {
            service.statistics.clientAborts += 1
            service.statistics.lastAbortAt = wallClockNanos()
            service.meters.finishedByAbort += 1
        }
        end()
    }

    /// Lets go of everything; the stream is not touched.
    func end() {
        disarm()
        if phase == .waiting { service.cancelWaiting(self) }
        let wasRunning = isRunning
        if isCounted, phase != .idle { service.statistics.open -= 1 }
        phase = .idle
        stream = nil
        work = .none
        isRunning = false
        body = []
        if wasRunning { service.leave(self) }
    }

    /// The answer is complete and as it should be.
    func finish() {
        guard let stream else { return }
        stream.finish()
        if isCounted { service.statistics.finished += 1 }
        end()
    }
}
