internal import Bytes
internal import Health
internal import Reactor
internal import Routing
internal import Telemetry
internal import Topology
internal import Transport

/// What the reactors tell of the health of endpoints.
extension GatewayWorker {
    /// Logs and counts a change of an endpoint's standing, and lets go who waited for it.
    func note(_ change: HealthChange?, _ pool: Int, _ slot: Int, _ state: GatewayState) {
        guard let change else { return }
        HealthReport(metrics: metrics, log: log).note(
            change, pool: state.snapshot.pools[pool].name,
            endpoint: state.snapshot.endpoints[slot].address.authority)
        if change.isRecovery, state.loads[pool].hasWaiting { state.loads[pool].dispatch(at: reactor.now) }
    }

    /// Counts a request that another model answers.
    func countFallback(of model: Int, _ cause: FallbackCause, _ state: GatewayState) {
        let reason: FallbackReason =
            switch cause {
            case .contextLength: .contextLength
            case .contentPolicy: .contentPolicy
            case .overload: .overload
            }
        metrics.fallbacks(model: state.snapshot.models.models[model].name)[reason].add(on: shard)
    }

    /// The connections of this reactor to an endpoint of a state that may not be that of now.
    func connections(to slot: Int, of state: GatewayState) -> EndpointConnections {
        if state === self.state { return endpoints[slot] }
        let endpoint = state.snapshot.endpoints[slot]
        if let slot = self.state.snapshot.endpoints.firstIndex(of: endpoint) { return endpoints[slot] }
        return goneConnections
    }
}

/// Writes what changed of an endpoint to log and metrics.
struct HealthReport {
    let metrics: GatewayMetrics
    let log: Log

    func note(_ change: HealthChange, pool: String, endpoint: String) {
        if change.isEjection || change.to == .full {
            metrics.endpoint(endpoint, pool: pool).ejected(EjectionReason(change.reason))
        }
        let fields: LogFields = [
            "pool": .text(pool), "endpoint": .text(endpoint), "from": .text("\(change.from.label)"),
            "to": .text("\(change.to.label)"), "reason": .text("\(change.reason.label)"),
            "for_ms": .integer(Int(change.forNanos / 1_000_000)),
        ]
        if change.isEjection {
            log.write(.warning, "endpoint ejected", fields)
        } else {
            log.write(change.to == .full ? .debug : .notice, "endpoint standing changed", fields)
        }
    }
}

extension EjectionReason {
    init(_ reason: HealthReason) {
        self =
            switch reason {
            case .connectFailures: .connectFailed
            case .errorRatio: .errorRatio
            case .saidFull: .full
            case .probesFailed: .probe
            case .modelMissing: .modelMissing
            default: .serverError
            }
    }
}
