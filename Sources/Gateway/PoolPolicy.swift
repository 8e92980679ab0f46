internal import Config
internal import Health
internal import Limits
internal import Routing

/// How requests to a pool are treated; made when the configuration loads. Times are nanoseconds, `Int64.max` is never.
struct PoolPolicy: Sendable {
    let pick: PickPolicy
    let retries: RetryPolicy
    let health: HealthPolicy
    let queue: QueuePolicy
    /// Requests in flight at one endpoint at the start.
    let endpointLimit: Int
    let isAdaptive: Bool
    /// Requests in flight of the pool.
    let limit: Int
    let firstToken: Int64
    let attempt: Int64
    let request: Int64
    let hedgeAfter: Int64
    let continuation: Configuration.Pool.Continuation
    let probe: Configuration.Pool.Health
    /// Whether the models that its endpoints list are served.
    let discovers: Bool
    let budget: Budget

    /// Whether every request's time to its first token is of use, and not only one in eight.
    let needsLatency: Bool

    /// What the retry budget is made of.
    struct Budget: Sendable, Equatable {
        let ratio: Double
        let floorPerSecond: Int
    }

    init(_ pool: Configuration.Pool) {
        pick = PickPolicy(
            balancing: Balancing(pool.balancing), panicThreshold: pool.ejection.panicThreshold,
            hasAffinity: pool.affinity == .session)
        retries = RetryPolicy(
            attempts: pool.retries.attempts, statuses: StatusSet(pool.retries.statuses),
            backoffNanos: pool.retries.backoff.nanoseconds, maxBackoffNanos: pool.retries.maxBackoff.nanoseconds)
        health = HealthPolicy(pool)
        queue = QueuePolicy(
            maxRequests: pool.queue.maxRequests, maxBytes: pool.queue.maxBytes,
            timeoutNanos: pool.queue.timeout.nanoseconds)
        switch pool.concurrency.perEndpoint {
        case .off: (endpointLimit, isAdaptive) = (.max, false)
        case .fixed(let limit): (endpointLimit, isAdaptive) = (limit, false)
        case .adaptive: (endpointLimit, isAdaptive) = (AdaptiveLimit().limit, true)
        }
        limit = pool.concurrency.pool ?? .max
        firstToken = pool.timeouts.firstToken?.nanoseconds ?? .max
        attempt = pool.timeouts.attempt?.nanoseconds ?? .max
        request = pool.timeouts.request?.nanoseconds ?? .max
        hedgeAfter = pool.hedgeAfter?.nanoseconds ?? .max
        continuation = pool.continuation
        needsLatency = pool.balancing == .ewma || pool.balancing == .p2c
        probe = pool.health
        discovers = pool.discoverModels
        budget = Budget(ratio: pool.retries.budget, floorPerSecond: min(1000, pool.retries.minPerSecond))
    }
}

extension Balancing {
    init(_ wanted: Configuration.Pool.Balancing) {
        self =
            switch wanted {
            case .leastRequest: .leastRequest
            case .roundRobin: .roundRobin
            case .random: .random
            case .p2c: .p2c
            case .ewma: .ewma
            }
    }
}

extension HealthPolicy {
    init(_ pool: Configuration.Pool) {
        self.init()
        consecutiveErrors = pool.ejection.consecutiveErrors
        connectFailures = pool.ejection.connectFailures
        errorRatio = pool.ejection.errorRatio
        minimumRequests = pool.ejection.minimumRequests
        window = pool.ejection.window.nanoseconds
        ejection = pool.ejection.duration.nanoseconds
        maxEjection = pool.ejection.maxDuration.nanoseconds
        slowStart = pool.slowStart?.nanoseconds ?? 0
        probeFailures = pool.health.path == .off && !pool.health.confirmModel ? 0 : pool.health.failures
        probeInterval = pool.health.interval.nanoseconds
        panicThreshold = pool.ejection.panicThreshold
        // Engines that are full without saying until when are asked again soon: while nothing else is left, it is
        // what requests wait for.
        maxFull = 1_500_000_000
    }
}
