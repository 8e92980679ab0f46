package import Bytes

/// Every metric of Penstock: declared here, listed in `docs/metrics.md`.
///
/// Label values are configured names and the closed sets of `MetricLabels.swift`, never anything a client wrote.
/// Handles are made at start, or by `route` when a route is first used on a reactor.
package struct GatewayMetrics: Sendable {
    /// What the metrics are registered with; writes `/metrics`.
    package let registry: MetricRegistry

    // By route: through `RouteMetrics`.
    internal let requests: MetricFamily
    internal let requestDuration: MetricFamily
    internal let timeToFirstToken: MetricFamily
    internal let interTokenLatency: MetricFamily
    internal let tokens: MetricFamily
    internal let requestsInFlight: MetricFamily
    internal let attempts: MetricFamily
    internal let upstreamRequestsInFlight: MetricFamily

    // By pool and endpoint: through `PoolMetrics`, `EndpointMetrics`, and `collectPools`.
    internal let pools: PoolFamilies
    internal let poolCollector = PoolCollector()

    // By connection: through `ConnectionMetrics`.
    private let connectionMetrics: [ConnectionMetrics]

    /// Connections that were not served.
    package let connectionRefusals: CounterTable<RefusalReason>
    /// Client connections that we ended for a reason of ours.
    package let connectionsCut: CounterTable<CutReason>
    /// Exchanges whose client went away before the end of the response.
    package let clientAborts: CounterHandle
    /// Responses that had begun and could not be ended properly.
    package let streamBreaks: CounterTable<StreamBreakReason>
    /// Suspicious but legal events on HTTP/2 connections.
    package let http2Glitches: CounterHandle
    /// Configurations read after the first.
    package let configReloads: CounterTable<ReloadResult>
    /// Unix time in seconds at which a configuration was last applied.
    package let configLastReloadSuccess: GaugeHandle
    /// Number of the configuration in force.
    package let configGeneration: GaugeHandle
    private let eventLoopLag: MetricFamily
    private let reactors: Int

    /// - Parameters:
    ///   - reactors: How many reactors write.
    ///   - version: Shown in `penstock_build_info`.
    ///   - droppedLogLines: Reads how many lines the log had to drop; called at each scrape.
    package init(reactors: Int, version: String, droppedLogLines: @escaping @Sendable () -> Int) {
        let registry = MetricRegistry(reactors: reactors)
        self.registry = registry
        self.reactors = reactors
        registry.family(.buildInformation).gauge(version, swiftVersion).set(1)
        requests = registry.family(.requests)
        requestDuration = registry.family(.requestDuration)
        timeToFirstToken = registry.family(.timeToFirstToken)
        interTokenLatency = registry.family(.interTokenLatency)
        tokens = registry.family(.tokens)
        requestsInFlight = registry.family(.requestsInFlight)
        attempts = registry.family(.attempts)
        upstreamRequestsInFlight = registry.family(.upstreamRequestsInFlight)
        clientAborts = registry.family(.clientAborts).counter()
        streamBreaks = CounterTable(registry.family(.streamBreaks))
        connectionMetrics = ConnectionMetrics.all(registry)
        connectionRefusals = CounterTable(registry.family(.connectionRefusals))
        connectionsCut = CounterTable(registry.family(.connectionsCut))
        http2Glitches = registry.family(.http2Glitches).counter()
        configReloads = CounterTable(registry.family(.configReloads))
        configLastReloadSuccess = registry.family(.configLastReloadSuccess).gauge()
        configGeneration = registry.family(.configGeneration).gauge()
        eventLoopLag = registry.family(.eventLoopLag)
        pools = PoolFamilies(registry)
        registry.collected(PoolCollector.declarations) { [poolCollector] in poolCollector.collect() }
        registry.sampled([.logLinesDropped]) { [Double(droppedLogLines())] }
        registry.sampled(ProcessMetrics.declarations) { ProcessMetrics.read() }
    }

    /// The counters of connections on one side that speak one protocol.
    package func connections(_ side: ConnectionSide, _ spoken: WireProtocol) -> ConnectionMetrics {
        connectionMetrics[Int(side.rawValue) * WireProtocol.allCases.count + Int(spoken.rawValue)]
    }

    /// Where a reactor counts. Reactors are numbered from 1, to as many as were announced.
    package func shard(reactor: Int) -> MetricShard {
        precondition(reactor <= reactors, "what that reactor counts would not be summed")
        return MetricShard(reactor: reactor)
    }

    /// How late a reactor serves what is ready. Reactors are numbered from 1.
    package func eventLoopLag(reactor: Int) -> HistogramHandle { eventLoopLag.histogram("\(reactor)") }

    /// Takes an endpoint that has gone out of the exposition.
    package func retire(pool: String, endpoint: String) {
        registry.retire(where: ["pool": pool, "endpoint": endpoint])
    }

    /// Takes a pool that has gone out of the exposition, with all its endpoints.
    package func retire(pool: String) { registry.retire(where: ["pool": pool]) }
}

/// What is counted of connections on one side that speak one protocol.
package struct ConnectionMetrics: Sendable {
    /// Connections open now.
    package let open: GaugeHandle
    /// Connections made.
    package let opened: CounterHandle
    /// Bytes read from sockets.
    package let received: CounterHandle
    /// Bytes written to sockets.
    package let sent: CounterHandle

    /// In the order of sides, then protocols.
    internal static func all(_ registry: MetricRegistry) -> [ConnectionMetrics] {
        let open = registry.family(.connections)
        let opened = registry.family(.connectionsOpened)
        let received = registry.family(.receivedBytes)
        let sent = registry.family(.sentBytes)
        return ConnectionSide.allCases.flatMap { side in
            WireProtocol.allCases.map { spoken in
                ConnectionMetrics(
                    open: open.gauge("\(side.label)", "\(spoken.label)"),
                    opened: opened.counter("\(side.label)", "\(spoken.label)"),
                    received: received.counter("\(side.label)"),
                    sent: sent.counter("\(side.label)"))
            }
        }
    }
}

extension MetricDeclaration {
    internal static let buildInformation = MetricDeclaration(
        "penstock_build_info", .gauge, labels: ["version", "swift"], "Always 1; what is running stands in the labels.")
    internal static let requests = MetricDeclaration(
        "penstock_requests_total", .counter, labels: ["operation", "model", "pool", "endpoint", "code"],
        "Requests answered, or given up by the client.")
    internal static let requestDuration = MetricDeclaration(
        "penstock_request_duration_seconds",
        .histogram(
            nanos: seconds(
                0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84,
                327.68)),
        labels: ["model", "pool"], "Time from the first byte of a request to the last byte of its response.")
    internal static let timeToFirstToken = MetricDeclaration(
        "penstock_time_to_first_token_seconds",
        .histogram(
            nanos: seconds(
                0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60)),
        labels: ["model", "pool"], "Time from the first byte of a streamed request to the first event with content.")
    internal static let interTokenLatency = MetricDeclaration(
        "penstock_inter_token_latency_seconds",
        .histogram(
            nanos: seconds(
                0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5)),
        labels: ["model", "pool"], "Time between two events with content of one stream.")
    internal static let tokens = MetricDeclaration(
        "penstock_tokens_total", .counter, labels: ["model", "pool", "direction"],
        "Model tokens that engines reported; cached ones are part of the input.")
    internal static let requestsInFlight = MetricDeclaration(
        "penstock_requests_in_flight", .gauge, labels: ["model", "pool"],
        "Requests sent to an endpoint and not yet answered; penstock_queue_length has those that wait.")
    internal static let attempts = MetricDeclaration(
        "penstock_upstream_attempts_total", .counter, labels: ["pool", "endpoint", "result"],
        "Tries at an endpoint, by how they ended.")
    internal static let upstreamRequestsInFlight = MetricDeclaration(
        "penstock_upstream_requests_in_flight", .gauge, labels: ["pool", "endpoint"],
        "Requests sent to an endpoint and not yet answered by it.")
    internal static let clientAborts = MetricDeclaration(
        "penstock_client_aborts_total", .counter, "Exchanges whose client went away before the end of the response.")
    internal static let streamBreaks = MetricDeclaration(
        "penstock_stream_breaks_total", .counter, labels: ["reason"],
        "Responses that had begun and could not be ended properly.")
    internal static let connections = MetricDeclaration(
        "penstock_connections", .gauge, labels: ["side", "protocol"], "Connections open now.")
    internal static let connectionsOpened = MetricDeclaration(
        "penstock_connections_opened_total", .counter, labels: ["side", "protocol"], "Connections made.")
    internal static let receivedBytes = MetricDeclaration(
        "penstock_received_bytes_total", .counter, labels: ["side"], "Bytes read from sockets.")
    internal static let sentBytes = MetricDeclaration(
        "penstock_sent_bytes_total", .counter, labels: ["side"], "Bytes written to sockets.")
    internal static let connectionRefusals = MetricDeclaration(
        "penstock_connection_refusals_total", .counter, labels: ["reason"],
        "Client connections that were not accepted, or closed before they carried a request.")
    internal static let connectionsCut = MetricDeclaration(
        "penstock_connections_cut_total", .counter, labels: ["reason"],
        "Client connections that were ended from our side.")
    internal static let http2Glitches = MetricDeclaration(
        "penstock_http2_glitches_total", .counter, "Events on HTTP/2 connections that are legal but suspicious.")
    internal static let configReloads = MetricDeclaration(
        "penstock_config_reloads_total", .counter, labels: ["result"], "Configurations read after the first.")
    internal static let configLastReloadSuccess = MetricDeclaration(
        "penstock_config_last_reload_success_timestamp_seconds", .gauge,
        "Unix time at which a configuration was last applied.")
    internal static let configGeneration = MetricDeclaration(
        "penstock_config_generation", .gauge, "Number of the configuration in force.")
    internal static let eventLoopLag = MetricDeclaration(
        "penstock_event_loop_lag_seconds",
        .histogram(nanos: seconds(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1)),
        labels: ["reactor"], "How late a reactor serves what is due.")
    internal static let logLinesDropped = MetricDeclaration(
        "penstock_log_lines_dropped_total", .counter, "Log lines dropped because the output did not keep up.")
}

/// Bounds of buckets, given in seconds, in nanoseconds.
internal func seconds(_ bounds: Double...) -> [Int] { bounds.map { Int(($0 * 1e9).rounded()) } }

#if compiler(>=6.4)
    private let swiftVersion = "6.4 or later"
#elseif compiler(>=6.3)
    private let swiftVersion = "6.3"
#else
    private let swiftVersion = "6.2"
#endif
