internal import Bytes
internal import Config
internal import HTTP
internal import OpenAI
internal import Reactor
internal import Routing
internal import Telemetry
internal import Topology
internal import Transport

/// What every worker is given.
struct WorkerResources: Sendable {
    let state: GatewayState
    let metrics: GatewayMetrics
    let serving: ServingStatus
    let log: Log
    let configuration: Configuration
    let resolver = Resolver()
    let tenantSeed: UInt64
    /// How many workers there are.
    let workers: Int
}

/// The gateway on one reactor: what exchanges there share.
final class GatewayWorker: RequestService, TimerHandler {
    let reactor: Reactor
    let metrics: GatewayMetrics
    let shard: MetricShard
    let serving: ServingStatus
    private(set) var state: GatewayState
    /// By slot of the endpoint.
    private(set) var endpoints: [EndpointConnections] = []
    /// Memory for the head of the response that is being written; on a reactor there is one at a time.
    var responseHead = ResponseHead()
    /// Exchanges that have begun and not ended.
    var exchangesInFlight = 0
    /// Exchanges of this reactor that wait in the queue of a pool.
    var queuedExchanges = 0
    var random: SplitMix64
    /// Memory for picking; there is one pick at a time.
    var scratch = PickScratch()
    /// Mixed into hashes of credentials, so that they cannot be guessed from a log.
    let tenantSeed: UInt64
    let log: Log

    let transportMetrics: TransportMetrics
    private let resolver: Resolver
    private let accessLog: AccessLogBuffer?
    private var record = AccessRecord()
    private var requestIDs = RequestIDGenerator()
    private var nextInPool: [Int] = []
    private var routes: [Int: RouteMetrics] = [:]
    private var unrouted: [RouteMetrics?] = Array(repeating: nil, count: APIOperation.allCases.count + 1)
    private var unused: [Exchange] = []
    private var clockOffset: Int64 = 0
    private var clockReadAt: Int64 = 0
    private let workerCount: Int
    private var poolCounters: [PoolMetrics] = []
    private var samples = 0
    private var dispatching: Dispatching?

    /// How long a line of the access log may wait for others, in nanoseconds.
    private static let logDelay: Int64 = 100_000_000
    /// Exchanges kept for the next requests.
    private static let keptExchanges = 512

    init(_ reactor: Reactor, _ resources: WorkerResources) {
        self.reactor = reactor
        state = resources.state
        metrics = resources.metrics
        serving = resources.serving
        resolver = resources.resolver
        workerCount = resources.workers
        log = resources.log
        var system = SystemRandomNumberGenerator()
        random = SplitMix64(seed: system.next())
        tenantSeed = resources.tenantSeed
        shard = MetricShard(reactor: reactor.index + 1)
        transportMetrics = TransportMetrics(metrics, reactor: reactor.index + 1)
        accessLog =
            resources.configuration.logging.access
            ? AccessLogBuffer(resources.log.writer, format: resources.log.format) : nil
        let (lag, shard) = (metrics.eventLoopLag(reactor: reactor.index + 1), shard)
        reactor.onRound = { lag.observe(nanos: Int($0), on: shard) }
        connectEndpoints(before: [], of: nil)
    }

    // MARK: State

    /// Goes over to a new state. Exchanges under way end with the one they began with.
    func update(_ next: GatewayState) {
        let (before, old) = (endpoints, state)
        state = next
        routes.removeAll()
        connectEndpoints(before: before, of: old)
    }

    /// Keeps the connections of endpoints that are the same, makes those of new ones, closes those of gone ones.
    private func connectEndpoints(before: [EndpointConnections], of old: GatewayState?) {
        var kept: [Endpoint: (connections: EndpointConnections, policy: ProviderPolicy)] = [:]
        if let old {
            for (slot, endpoint) in old.snapshot.endpoints.enumerated() {
                kept[endpoint] = (before[slot], old.providers[old.providerOfEndpoint[slot]])
            }
        }
        endpoints = state.snapshot.endpoints.enumerated().map { slot, endpoint in
            let policy = state.providers[state.providerOfEndpoint[slot]]
            if let known = kept[endpoint], known.policy.source == policy.source {
                kept[endpoint] = nil
                return known.connections
            }
            return makeConnections(endpoint, policy)
        }
        nextInPool = state.snapshot.pools.map { _ in reactor.index }
        poolCounters = state.snapshot.pools.map { metrics.pool($0.name) }
        // Last, for calls that waited there start anew.
        for gone in kept.values { gone.connections.close() }
    }

    /// Connections to an endpoint, not opened yet.
    func makeConnections(_ endpoint: Endpoint, _ policy: ProviderPolicy) -> EndpointConnections {
        makeConnections(EndpointSettings(endpoint, policy, workers: workerCount))
    }

    /// Connections that behave as said, not opened yet.
    func makeConnections(_ settings: EndpointSettings) -> EndpointConnections {
        EndpointConnections(settings, resolver: resolver, metrics: transportMetrics, on: reactor)
    }

    /// In the place of connections to an endpoint that is not known any more: calls are refused.
    private(set) lazy var goneConnections: EndpointConnections = {
        let none = EndpointConnections(
            EndpointSettings(host: "localhost", port: 9), resolver: resolver, metrics: transportMetrics, on: reactor)
        none.close()
        return none
    }()

    /// Closes what is open to endpoints, at the end.
    func closeEndpoints() {
        for connections in endpoints { connections.close() }
        // They hold the worker that keeps them.
        unused.removeAll()
    }

    /// Whose turn it is in a pool: the place among its endpoints, modulo their number.
    func takeTurn(inPool slot: Int) -> Int {
        // An exchange may keep to a state with more pools than there are now.
        while nextInPool.count <= slot { nextInPool.append(0) }
        let turn = nextInPool[slot]
        nextInPool[slot] = turn &+ 1
        return turn
    }

    /// One in eight.
    func takesSample() -> Bool {
        samples &+= 1
        return samples & 7 == 0
    }

    // MARK: Exchanges

    func makeHandler(_ origin: Origin) -> any RequestHandler {
        guard let exchange = unused.popLast() else { return Exchange(self, origin) }
        exchange.origin = origin
        return exchange
    }

    func recycle(_ handler: any RequestHandler) {
        guard unused.count < GatewayWorker.keptExchanges, let exchange = handler as? Exchange else { return }
        exchange.forget()
        unused.append(exchange)
    }

    func render(_ refusal: Refusal, head: inout ResponseHead, body: inout ByteQueue) {
        let error = APIError(refusal)
        head.status = error.status
        head.fields.append(.contentType, "application/json")
        var id: [UInt8] = []
        requestIDs.append(to: &id)
        head.fields.append(.xRequestID, value: id.span)
        if let seconds = error.retryAfterSeconds { head.fields.append(name: "retry-after", value: "\(seconds)") }
        error.write(.openai, requestID: id.span, into: &body)
        if !refusal.isKnownToHandler { settle(error, id) }
    }

    /// Counts and logs a request of which nothing is known but that it was refused.
    private func settle(_ error: APIError, _ id: [UInt8]) {
        route(nil).requestAnswered(status: error.status, durationNanos: 0)
        log { record in
            record.startMillis = wallMillis(at: reactor.now)
            record.operation = "unknown"
            record.status = error.status
            record.errorCode = error.kind.label
            record.set(.requestID, id.span)
        }
    }

    /// The id of a request: the client's own if it is well-formed, else a new one.
    func takeRequestID(from head: borrowing RequestHead, into id: inout [UInt8]) {
        id.removeAll(keepingCapacity: true)
        if let field = head.fields.first(.xRequestID), isRequestID(head.fields.bytes.span.extracting(field.valueRange))
        {
            id.append(copying: head.fields.bytes.span.extracting(field.valueRange))
        } else {
            requestIDs.append(to: &id)
        }
    }

    // MARK: Telemetry

    /// The counters of a way through the gateway.
    func route(
        _ operation: APIOperation, model: Int, pool: Int, endpoint: Int, _ state: GatewayState
    ) -> RouteMetrics {
        let isCurrent = state === self.state
        let key = ((model << 20 | pool) << 20 | endpoint) << 8 | Int(operation.rawValue)
        if isCurrent, let known = routes[key] { return known }
        let snapshot = state.snapshot
        let made = metrics.route(
            operation: "\(operation.label)", model: snapshot.models.models[model].name,
            pool: snapshot.pools[pool].name, endpoint: snapshot.endpoints[endpoint].address.authority,
            reactor: reactor.index + 1)
        if isCurrent { routes[key] = made }
        return made
    }

    /// The counters of a pool, by its slot in a state that may not be that of now.
    func poolMetrics(_ pool: Int, _ state: GatewayState) -> PoolMetrics {
        state === self.state ? poolCounters[pool] : metrics.pool(state.snapshot.pools[pool].name)
    }

    /// The counters of requests that got no further than us.
    func route(_ operation: APIOperation?) -> RouteMetrics {
        let index = operation.map { Int($0.rawValue) } ?? APIOperation.allCases.count
        if let known = unrouted[index] { return known }
        let made = metrics.route(
            operation: operation.map { "\($0.label)" } ?? "unknown", model: nil, pool: nil, endpoint: nil,
            reactor: reactor.index + 1)
        unrouted[index] = made
        return made
    }

    /// Milliseconds since 1970 at a time of the reactor's clock.
    func wallMillis(at nanos: Int64) -> Int {
        if reactor.now - clockReadAt > 1_000_000_000 || clockReadAt == 0 {
            clockReadAt = reactor.now
            clockOffset = wallClockNanos() - reactor.now
        }
        return Int((nanos + clockOffset) / 1_000_000)
    }

    /// Writes one line of the access log, filled in by `fill`.
    func log(_ fill: (inout AccessRecord) -> Void) {
        guard let accessLog else { return }
        record.reset()
        fill(&record)
        if accessLog.isEmpty { _ = reactor.schedule(self, at: reactor.now + GatewayWorker.logDelay) }
        accessLog.write(record)
    }

    /// Hands what the access log has gathered to its writer.
    func timerFired() { accessLog?.handOver() }

    // MARK: Queues

    /// Sees to it that queues are looked through while requests of this reactor wait: time alone brings endpoints back.
    func keepDispatching() {
        queuedExchanges += 1
        if dispatching == nil { dispatching = Dispatching(self) }
        dispatching?.start()
    }
}

/// Looks through the queues of pools again and again while requests wait in them.
private final class Dispatching: TimerHandler {
    private unowned let worker: GatewayWorker
    private var isScheduled = false

    private static let interval: Int64 = 20_000_000

    init(_ worker: GatewayWorker) { self.worker = worker }

    func start() {
        guard !isScheduled else { return }
        isScheduled = true
        _ = worker.reactor.schedule(self, at: worker.reactor.now + Dispatching.interval)
    }

    func timerFired() {
        isScheduled = false
        let now = worker.reactor.now
        for load in worker.state.loads where load.hasWaiting { load.dispatch(at: now) }
        if worker.queuedExchanges > 0 { start() }
    }
}
