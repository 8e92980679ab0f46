internal import Bytes
internal import Config
internal import Health
internal import Limits
internal import OpenAI
internal import Reactor
internal import Routing
internal import Topology

/// A pool as it stands: what is configured, what runs and waits, and every endpoint. For operators; no secrets.
struct PoolReport: Sendable {
    let name: String
    let provider: String
    let policy: PoolPolicy
    let running: Int
    let limit: Int
    let bands: [Limits.QueueBand]
    let queueBytes: Int
    /// Retries that the budget allows at once.
    let budget: Int
    let connect: Int64
    let firstByte: Int64
    let endpoints: [EndpointReport]

    /// An endpoint of a pool.
    struct EndpointReport: Sendable {
        let name: String
        let engine: EngineKind
        let description: EndpointDescription
    }

    /// - Parameter slot: Of the pool.
    init(_ slot: Int, of state: GatewayState, at now: Int64) {
        let pool = state.snapshot.pools[slot]
        let source = state.providers[pool.provider].source
        let load = state.loads[slot]
        name = pool.name
        provider = source.name
        policy = state.policies[slot]
        let occupancy = load.occupancy
        let atEndpoints = state.membersOfPool[slot].reduce(0) { $0 + $1.record.inFlight }
        (running, limit) = (load.isLimited ? occupancy.running : atEndpoints, occupancy.limit)
        (bands, queueBytes) = load.bands(at: now)
        budget = state.budgets[slot].available
        connect = (source.timeouts.connect + source.timeouts.tlsHandshake).nanoseconds
        firstByte = source.timeouts.firstByte?.nanoseconds ?? .max
        endpoints = state.membersOfPool[slot].map { member in
            EndpointReport(
                name: state.snapshot.endpoints[member.slot].address.description, engine: member.traits.engine,
                description: member.record.describe(at: now))
        }
    }

    /// How many requests wait.
    var waiting: Int { bands.reduce(0) { $0 + $1.requests } }
}

/// Every pool of a state: `GET /admin/v1/endpoints`.
struct PoolsReport: Sendable {
    let generation: Int
    let pools: [PoolReport]

    init(_ state: GatewayState, at now: Int64) {
        generation = state.snapshot.generation
        pools = state.snapshot.pools.indices.map { PoolReport($0, of: state, at: now) }
    }

    var json: [UInt8] {
        var queue = ByteQueue()
        queue.append("{")
        queue.member("generation", generation)
        queue.member("pools", list: pools) { $0.append(json: $1, withEndpoints: true) }
        queue.append("}\n")
        return [UInt8](copying: queue.span)
    }

    /// As tables for a terminal.
    var text: [UInt8] {
        var lines: [String] = []
        for pool in pools {
            lines.append(
                "pool \(pool.name): \(pool.running) running, \(pool.waiting) waiting, \(pool.budget) retries saved")
            let heading = [
                "  endpoint", "standing", "since", "reason", "in flight", "weight", "latency", "errors", "ejections",
                "back in",
            ]
            lines += tableLines([heading] + pool.endpoints.map(\.cells))
        }
        return Array((lines.joined(separator: "\n") + "\n").utf8)
    }
}

extension PoolReport.EndpointReport {
    fileprivate var cells: [String] {
        let it = description
        let back = max(it.ejectedForNanos, it.fullForNanos)
        return [
            "  " + name, "\(it.standing.label)", "\(it.lastChangeAgoNanos / 1_000_000_000) s",
            "\(it.lastReason.label)", it.limit == .max ? "\(it.inFlight)" : "\(it.inFlight)/\(it.limit)",
            "\((it.weight * 100 + 512) / 1024) %", it.latencyNanos == 0 ? "-" : durationText(Int64(it.latencyNanos)),
            "\(it.consecutiveErrors + it.connectFailures + it.probeFailures)", "\(it.ejections)",
            back == 0 ? "-" : durationText(back),
        ]
    }
}

extension ByteQueue {
    /// Appends a pool as a JSON object.
    mutating func append(json pool: PoolReport, withEndpoints: Bool) {
        let policy = pool.policy
        append("{")
        member("name", pool.name)
        member("provider", pool.provider)
        member("balancing", policy.pick.balancing.label)
        member("affinity", policy.pick.hasAffinity ? "session" as StaticString : "none")
        member("running", pool.running)
        member("limit", bound: pool.limit)
        member("queue") { queue in
            queue.member("waiting", pool.waiting)
            queue.member("bytes", pool.queueBytes)
            queue.member("max_requests", policy.queue.maxRequests)
            queue.member("max_bytes", policy.queue.maxBytes)
            queue.member("timeout_seconds", seconds: policy.queue.timeoutNanos)
            queue.member("bands", list: pool.bands) { $0.append(json: $1) }
        }
        member("retries") { $0.appendRetries(of: pool) }
        member("timeouts") { queue in
            queue.member("connect_seconds", seconds: pool.connect)
            queue.member("first_byte_seconds", seconds: pool.firstByte)
            queue.member("first_token_seconds", seconds: policy.firstToken)
            queue.member("attempt_seconds", seconds: policy.attempt)
            queue.member("request_seconds", seconds: policy.request)
        }
        member("hedging_after_seconds", seconds: policy.hedgeAfter)
        member("continuation", "\(policy.continuation)")
        if withEndpoints { member("endpoints", list: pool.endpoints) { $0.append(json: $1) } }
        append("}")
    }

    private mutating func appendRetries(of pool: PoolReport) {
        let (policy, budget) = (pool.policy.retries, pool.policy.budget)
        member("attempts", policy.attempts)
        member("statuses", list: policy.statuses.list) { $0.append(decimal: $1) }
        member("backoff_seconds", seconds: policy.backoffNanos)
        member("max_backoff_seconds", seconds: policy.maxBackoffNanos)
        member("budget", fraction: budget.ratio)
        member("min_per_second", budget.floorPerSecond)
        member("available", pool.budget)
    }

    private mutating func append(json band: Limits.QueueBand) {
        append("{")
        member("priority", Int(band.priority))
        member("requests", band.requests)
        member("bytes", band.bytes)
        member("tenants", band.tenants)
        member("oldest_seconds", seconds: band.oldestNanos)
        append("}")
    }

    private mutating func append(json endpoint: PoolReport.EndpointReport) {
        let it = endpoint.description
        append("{")
        member("endpoint", endpoint.name)
        member("engine", "\(endpoint.engine)")
        member("standing", it.standing.label)
        member("reason", it.lastReason.label)
        member("since_seconds", seconds: it.lastChangeAgoNanos)
        member("in_flight", it.inFlight)
        member("limit", bound: it.limit)
        member("weight", fraction: Double(it.weight) / Double(Candidate.fullWeight))
        member("latency_seconds", seconds: it.latencyNanos == 0 ? .max : Int64(it.latencyNanos))
        member("consecutive_errors", it.consecutiveErrors)
        member("connect_failures", it.connectFailures)
        member("probe_failures", it.probeFailures)
        member("ejections", it.ejections)
        member("ejected_for_seconds", seconds: it.ejectedForNanos)
        member("full_for_seconds", seconds: it.fullForNanos)
        member("half_open_taken", it.isHalfOpenTaken)
        member("draining", it.isDraining)
        member("successes", it.successes)
        member("failures", it.failures)
        append("}")
    }
}

extension StatusSet {
    /// Its members in order.
    var list: [Int] { (100...599).filter { contains($0) } }
}
