internal import Bytes
internal import Health
internal import HTTP
internal import OpenAI
internal import Reactor
internal import Routing
internal import Telemetry
internal import Topology
internal import Transport

/// Asks one endpoint how it is: its health path first, then its models. One request at a time.
final class EndpointProbe: ResponseHandler, TimerHandler {
    private var subject: ProbeSubject
    private let reactor: Reactor
    private let connections: EndpointConnections
    private let health: HealthReport
    private let report: EndpointProber.Report
    private let call = UpstreamCall()
    private var random: SplitMix64

    private var step = Step.health
    private var status = 0
    private var received = 0
    private var answer = ByteQueue()
    private var timer: TimerToken?
    private var startedAt: Int64 = 0
    /// When the timer fires.
    private var nextAt: Int64 = 0
    private var isStopped = false

    // What it was found to be.
    private var lacksHealthPath = false
    private var knowsEngine = false
    private var listDueAt = Int64.min
    private var lastResult: ProbeResult?
    private var lastFinding: EndpointProber.Finding?
    private var lastMissing: [[UInt8]] = []

    private enum Step { case health, models }

    /// Of a list of models. What a health path says is not read.
    private static let answerLimit = 4 << 20
    /// A health path that says more than this is hung up on.
    private static let unreadLimit = 64 << 10

    init(_ subject: ProbeSubject, _ worker: GatewayWorker, _ report: @escaping EndpointProber.Report) {
        self.subject = subject
        self.report = report
        reactor = worker.reactor
        health = HealthReport(metrics: worker.metrics, log: worker.log)
        random = SplitMix64(seed: worker.random.next())
        var settings = EndpointSettings(subject.endpoint, subject.provider, workers: 1)
        // One, so that the second request of a probe takes the connection of the first.
        settings.maxConnections = 1
        settings.maxPending = 1
        settings.timeouts.connect = min(settings.timeouts.connect, subject.plan.timeout)
        connections = worker.makeConnections(settings)
        call.report(to: self)
    }

    // MARK: Schedule

    func start() {
        timer = nil
        startedAt = reactor.now
        if let target = subject.plan.healthTarget, !lacksHealthPath {
            send(.health, target)
        } else {
            send(.models, subject.plan.listTarget)
        }
    }

    /// Goes over to what a new state says of the endpoint.
    ///
    /// - Returns: Whether it does; if not, the endpoint is talked to in another way now and needs a new probe.
    func takesOver(_ next: ProbeSubject) -> Bool {
        guard next.provider.source == subject.provider.source, next.plan.timeout == subject.plan.timeout else {
            return false
        }
        if next.plan.isHealthAssumed != subject.plan.isHealthAssumed { lacksHealthPath = false }
        subject = next
        let latest = reactor.now + jittered(delay)
        if timer != nil, nextAt > startedAt + delay + delay / 5, nextAt > latest { schedule(at: latest) }
        return true
    }

    func stop() {
        isStopped = true
        if let timer { reactor.cancel(timer) }
        timer = nil
        call.cancel()
        connections.close()
    }

    func timerFired() { start() }

    /// How long after the beginning of a probe the next one begins.
    private var delay: Int64 {
        if lastResult == .healthy { return subject.plan.interval }
        switch subject.member.record.standing(at: reactor.now) {
        case .ready, .full, .draining: return subject.plan.interval
        case .warming, .halfOpen, .suspect, .unreachable, .gone: return subject.plan.urgentInterval
        }
    }

    private func jittered(_ nanos: Int64) -> Int64 {
        nanos - nanos / 5 + Int64.random(in: 0...(2 * (nanos / 5)), using: &random)
    }

    private func schedule(at time: Int64) {
        if let timer { reactor.cancel(timer) }
        nextAt = time
        timer = reactor.schedule(self, at: time)
    }

    // MARK: Asking

    private func send(_ step: Step, _ target: [UInt8]) {
        self.step = step
        status = 0
        received = 0
        answer.removeAll(keeping: 4096)
        call.head.reset()
        call.head.method = .get
        call.head.target.append(contentsOf: target)
        call.head.authority.append(contentsOf: subject.endpoint.address.authority.utf8)
        let fields = subject.provider.fields
        for field in fields.fields { call.head.fields.append(field, of: fields) }
        call.deadline = reactor.now + subject.plan.timeout
        connections.start(call)
    }

    func responseHead(_ head: borrowing ResponseHead) { status = head.status }

    func responseBody(_ bytes: Span<UInt8>) {
        received += bytes.count
        let isRead = step == .models && status == 200
        if received > (isRead ? EndpointProbe.answerLimit : EndpointProbe.unreadLimit) {
            // What it is has been said; the rest is not waited for.
            call.cancel()
            answer.removeAll(keeping: 4096)
            answered()
        } else if isRead {
            answer.append(bytes)
        }
    }

    func responseEnd() { answered() }

    func responseFailed(_ failure: UpstreamFailure) {
        guard !isStopped else { return }
        if step == .models { found(.silent(failure.detail)) }
        conclude(step == .models && !isListDecisive ? .healthy : .silent, failure.detail)
    }

    private func answered() {
        switch step {
        case .health: healthAnswered()
        case .models: modelsAnswered()
        }
    }

    private func healthAnswered() {
        switch subject.plan.verdict(ofHealth: status) {
        case .healthy:
            if isListWanted { send(.models, subject.plan.listTarget) } else { conclude(.healthy) }
        case .noSuchPath:
            lacksHealthPath = true
            send(.models, subject.plan.listTarget)
        case .refused: conclude(.refused(status: status))
        }
    }

    private var isListWanted: Bool {
        guard reactor.now >= listDueAt || lastResult != .healthy else { return false }
        return subject.plan.discovers || !subject.plan.models.isEmpty || subject.plan.learnsEngine && !knowsEngine
    }

    /// Whether an endpoint that gives no list is ill.
    private var isListDecisive: Bool { subject.plan.healthTarget == nil || lacksHealthPath || subject.plan.needsList }

    private func modelsAnswered() {
        listDueAt = reactor.now + subject.plan.listInterval
        knowsEngine = true
        guard status == 200, let list = ModelList.read(answer.span) else {
            found(.refused(status: status))
            let isFine = ProbePlan.isBelieved(status) || !isListDecisive
            return conclude(isFine ? .healthy : .refused(status: status))
        }
        if subject.plan.learnsEngine, let engine = list.engine { subject.member.traits.engine = engine }
        found(.models(list.names.filter(isModelName).compactMap { String(validating: $0, as: UTF8.self) }))
        let missing = subject.plan.missing(in: list, of: subject.member.traits.engine)
        let isOfNoUse = subject.plan.isOfNoUse(missing: missing)
        note(missing, isOfNoUse: isOfNoUse)
        conclude(isOfNoUse ? .missingModel : .healthy)
    }

    // MARK: Findings

    private func found(_ finding: EndpointProber.Finding) {
        guard subject.plan.discovers, finding != lastFinding else { return }
        lastFinding = finding
        report(subject.endpoint, finding)
    }

    private func note(_ missing: [[UInt8]], isOfNoUse: Bool) {
        guard missing != lastMissing else { return }
        lastMissing = missing
        guard !missing.isEmpty else { return }
        let names = missing.map { String(decoding: $0, as: UTF8.self) }.joined(separator: ", ")
        health.log.write(
            isOfNoUse ? .warning : .notice, "endpoint does not list models that it is asked for",
            ["endpoint": .text(subject.endpoint.address.authority), "models": .text(names)])
    }

    /// The probe has ended.
    private func conclude(_ result: ProbeResult, _ detail: String = "") {
        answer.removeAll(keeping: 4096)
        if result == .silent {
            // What comes up next may be something else.
            lacksHealthPath = false
            knowsEngine = false
        }
        if subject.plan.judges { judge(result, detail) }
        lastResult = result
        let pause = jittered(delay)
        // From beginning to beginning, but never one after the other without end where answers are slow.
        schedule(at: max(startedAt + pause, reactor.now + pause / 4))
    }

    private func judge(_ result: ProbeResult, _ detail: String) {
        subject.counters.probed(ProbeFinding(result))
        if result != lastResult, result != .healthy {
            health.log.write(
                .info, "endpoint fails its probe",
                [
                    "endpoint": .text(subject.endpoint.address.authority), "status": .integer(status),
                    "result": .text("\(ProbeFinding(result).label)"), "reason": .text(detail),
                ])
        }
        guard let change = subject.member.record.probed(result, at: reactor.now) else { return }
        health.note(change, pool: subject.pool, endpoint: subject.endpoint.address.authority)
        guard change.isRecovery else { return }
        for load in subject.loads where load.hasWaiting { load.dispatch(at: reactor.now) }
    }
}

/// Whether a name that an engine lists can be served under: text, and no `*`, which would make it a pattern.
private func isModelName(_ name: [UInt8]) -> Bool {
    (1...RequestFacts.modelLimit).contains(name.count)
        && name.allSatisfy { $0 >= 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "*") }
}
