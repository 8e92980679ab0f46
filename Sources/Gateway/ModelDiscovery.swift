internal import Bytes
internal import Config
internal import HTTP
internal import OpenAI
internal import Reactor
internal import Topology
internal import Transport

/// Asks engines again and again which models they serve, over their `GET /v1/models`. On one reactor.
///
/// An engine that does not answer is asked every two seconds, so that it is found soon after it has come up.
final class ModelDiscovery {
    /// What came of asking an endpoint.
    enum Finding: Sendable, Equatable {
        case models([String])
        /// It answers, but not with a list of models.
        case refused(status: Int)
        /// It does not answer.
        case silent(String)
    }

    /// Is told what is new about an endpoint; on the reactor.
    typealias Report = @Sendable (Endpoint, Finding) -> Void

    private let worker: GatewayWorker
    private let report: Report
    private var probes: [ModelProbe] = []

    init(_ worker: GatewayWorker, report: @escaping Report) {
        self.worker = worker
        self.report = report
    }

    /// Asks these endpoints from now on, and no others.
    func watch(_ endpoints: [Endpoint], _ policies: [ProviderPolicy]) {
        stop()
        probes = zip(endpoints, policies).map { ModelProbe($0, $1, worker, report) }
        for probe in probes { probe.start() }
    }

    func stop() {
        for probe in probes { probe.stop() }
        probes.removeAll()
    }
}

/// Asks one endpoint.
private final class ModelProbe: ResponseHandler, TimerHandler {
    private let endpoint: Endpoint
    private let policy: ProviderPolicy
    private let reactor: Reactor
    private let connections: EndpointConnections
    private let report: ModelDiscovery.Report
    private let call = UpstreamCall()
    private var answer = ByteQueue()
    private var isAnswerGood = false
    private var status = 0
    private var lastFinding: ModelDiscovery.Finding?
    private var timer: TimerToken?
    private var isStopped = false

    private static let intervalUnknown: Int64 = 2_000_000_000
    private static let intervalKnown: Int64 = 10_000_000_000
    private static let timeout: Int64 = 5_000_000_000
    private static let answerLimit = 4 << 20

    init(
        _ endpoint: Endpoint, _ policy: ProviderPolicy, _ worker: GatewayWorker,
        _ report: @escaping ModelDiscovery.Report
    ) {
        self.endpoint = endpoint
        self.policy = policy
        self.report = report
        reactor = worker.reactor
        connections = worker.makeConnections(endpoint, policy)
        call.report(to: self)
    }

    func start() {
        call.head.reset()
        call.head.method = .get
        call.head.target.append(contentsOf: (endpoint.address.pathPrefix + policy.source.pathPrefix).utf8)
        call.head.target.append("/v1/models")
        call.head.authority.append(contentsOf: endpoint.address.authority.utf8)
        let fields = policy.fields
        for field in fields.fields {
            call.head.fields.append(field, of: fields)
        }
        call.deadline = reactor.now + ModelProbe.timeout
        answer.removeAll(keeping: 4096)
        isAnswerGood = false
        connections.start(call)
    }

    func stop() {
        isStopped = true
        if let timer { reactor.cancel(timer) }
        timer = nil
        call.cancel()
        connections.close()
    }

    func timerFired() {
        timer = nil
        start()
    }

    func responseHead(_ head: borrowing ResponseHead) {
        status = head.status
        isAnswerGood = head.status == 200
    }

    func responseBody(_ bytes: Span<UInt8>) {
        if answer.count + bytes.count > ModelProbe.answerLimit { isAnswerGood = false }
        if isAnswerGood { answer.append(bytes) }
    }

    func responseEnd() {
        guard isAnswerGood, let names = ModelList.readNames(answer.span) else {
            return again(.refused(status: status))
        }
        again(.models(names.filter(isModelName).compactMap { String(validating: $0, as: UTF8.self) }))
    }

    func responseFailed(_ failure: UpstreamFailure) { again(.silent(failure.detail)) }

    private func again(_ finding: ModelDiscovery.Finding) {
        guard !isStopped else { return }
        if finding != lastFinding { report(endpoint, finding) }
        lastFinding = finding
        var isFound = false
        if case .models(let names) = finding { isFound = !names.isEmpty }
        let interval = isFound ? ModelProbe.intervalKnown : ModelProbe.intervalUnknown
        timer = reactor.schedule(self, at: reactor.now + interval)
    }
}

/// Whether a name that an engine lists can be served under: text, and no `*`, which would make it a pattern.
private func isModelName(_ name: [UInt8]) -> Bool {
    (1...RequestFacts.modelLimit).contains(name.count)
        && name.allSatisfy { $0 >= 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "*") }
}
