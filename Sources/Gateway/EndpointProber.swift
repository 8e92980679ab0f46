internal import Bytes
internal import Health
internal import OpenAI
internal import Reactor
internal import Routing
internal import Telemetry
internal import Topology
internal import Transport

/// Asks every endpoint again and again whether it is there, is well and has its model: without tokens, on connections
/// of its own. On one reactor, for all of them.
final class EndpointProber {
    /// What came of asking an endpoint for its models.
    enum Finding: Sendable, Equatable {
        case models([String])
        /// It answers, but not with a list of models.
        case refused(status: Int)
        /// It does not answer.
        case silent(String)
    }

    /// Is told what is new about an endpoint whose models are served as it lists them; on the reactor.
    typealias Report = @Sendable (Endpoint, Finding) -> Void

    private let worker: GatewayWorker
    private let report: Report
    private var probes: [Endpoint: EndpointProbe] = [:]

    init(_ worker: GatewayWorker, report: @escaping Report) {
        self.worker = worker
        self.report = report
    }

    /// Probes the endpoints of this state from now on, and no others. Those it knows keep their turn and what they
    /// were found to be.
    func follow(_ state: GatewayState) {
        var kept: [Endpoint: EndpointProbe] = [:]
        var new: [EndpointProbe] = []
        for subject in ProbeSubject.subjects(of: state, worker.metrics) {
            let probe: EndpointProbe
            if let known = probes[subject.endpoint], known.takesOver(subject) {
                probes[subject.endpoint] = nil
                probe = known
            } else {
                probe = EndpointProbe(subject, worker, report)
                new.append(probe)
            }
            kept[subject.endpoint] = probe
        }
        stop()
        probes = kept
        for probe in new { probe.start() }
    }

    func stop() {
        for probe in probes.values { probe.stop() }
        probes.removeAll()
    }
}

/// An endpoint as its probe needs it; made anew with each state.
struct ProbeSubject {
    let endpoint: Endpoint
    let provider: ProviderPolicy
    let plan: ProbePlan
    let member: EndpointMember
    /// Of all pools that it is in.
    let loads: [PoolLoad]
    /// The first of them, under which it is counted.
    let pool: String
    let counters: EndpointMetrics

    /// The endpoints of a state that are to be probed.
    static func subjects(of state: GatewayState, _ metrics: GatewayMetrics) -> [ProbeSubject] {
        let snapshot = state.snapshot
        let demands = ModelDemand.byPool(snapshot)
        var poolsOf = [[Int]](repeating: [], count: snapshot.endpoints.count)
        for (slot, pool) in snapshot.pools.enumerated() {
            for endpoint in pool.endpoints { poolsOf[endpoint].append(slot) }
        }
        return snapshot.endpoints.enumerated().compactMap { slot, endpoint in
            guard let first = poolsOf[slot].first else { return nil }
            var demand = ModelDemand()
            for pool in poolsOf[slot] { demand.add(demands[pool]) }
            let provider = state.providers[state.providerOfEndpoint[slot]]
            let plan = ProbePlan(
                endpoint, provider, state.policies[first], demand,
                discovers: poolsOf[slot].contains { state.policies[$0].discovers })
            guard plan.isOfUse else { return nil }
            let name = snapshot.pools[first].name
            return ProbeSubject(
                endpoint: endpoint, provider: provider, plan: plan, member: state.members[slot],
                loads: poolsOf[slot].map { state.loads[$0] }, pool: name,
                counters: metrics.endpoint(endpoint.address.authority, pool: name))
        }
    }
}

extension ProbeFinding {
    init(_ result: ProbeResult) {
        self =
            switch result {
            case .healthy: .healthy
            case .missingModel: .missingModel
            case .refused: .refused
            case .silent: .silent
            }
    }
}
