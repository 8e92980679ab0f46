internal import Bytes
package import Config
internal import Dispatch
internal import HTTP2
internal import Reactor
package import Telemetry
internal import TLS
internal import Topology
internal import Transport

/// Why the gateway could not start or take a configuration.
package enum GatewayError: Error, CustomStringConvertible {
    /// A listener's address cannot be used.
    case cannotListen(String, reason: String)
    /// A certificate or authority cannot be used.
    case tls(String)
    case system(String)

    package var description: String {
        switch self {
        case .cannotListen(let address, let reason): "cannot listen on \(address): \(reason)"
        case .tls(let reason), .system(let reason): reason
        }
    }
}

/// The whole gateway as the control plane sees it: starts it, gives it configurations, ends it.
package actor Gateway {
    private var configuration: Configuration
    private let log: Log
    private let metrics: GatewayMetrics
    private let serving = ServingStatus()
    private let tickets = TicketKeys()
    private let workerCount: Int
    private let tenantSeed = UInt64.random(in: .min ... .max)
    private let startedAt: Int
    private let published: PublishedState
    private(set) var state: GatewayState
    private var hosts: [ReactorBound<GatewayHost>] = []
    private var discovered: DiscoveredModels = [:]
    private var generation = 1
    private var isShuttingDown = false
    /// Ports of the listeners, in the order of the configuration; of interest where it leaves the choice to the kernel.
    package private(set) var ports: [UInt16] = []
    /// Port of the admin listener; `nil` if there is none.
    package private(set) var adminPort: UInt16?

    /// - Parameters:
    ///   - cores: Reactors where the configuration does not say.
    ///   - now: Seconds since 1970.
    package init(
        _ configuration: Configuration, log: Log, version: String, cores: Int, now: Int
    ) throws(GatewayError) {
        self.configuration = configuration
        self.log = log
        workerCount = min(MetricShard.limit - 1, configuration.workers ?? cores)
        startedAt = now
        let writer = log.writer
        metrics = GatewayMetrics(reactors: workerCount, version: version) { writer.droppedLines }
        do throws(TLSConfigurationError) {
            state = try GatewayState.make(
                configuration, discovered: [:], previous: nil, generation: 1, created: startedAt,
                at: monotonicNanos())
            state.takeForce()
        } catch {
            throw .tls(error.description)
        }
        let published = PublishedState(state)
        self.published = published
        metrics.collectPools { published.samples() }
    }

    /// The libraries the data path stands on, for `--version`.
    package static var libraryVersions: String {
        "nghttp2 \(nghttp2Version()), OpenSSL \(openSSLVersion())"
    }

    // MARK: Start

    /// Binds every listener and starts to serve.
    package func start() throws(GatewayError) {
        Sockets.raiseDescriptorLimit()
        let plans = try plan(configuration)
        var sockets: [[Int32]] = []
        for plan in plans { sockets.append(try Gateway.bind(plan.address, times: workerCount)) }
        let adminSocket = try configuration.adminAddress.map { address throws(GatewayError) in
            try Gateway.bind(address, times: 1)[0]
        }
        ports = sockets.compactMap { $0.first.flatMap { SocketAddress(localOf: $0)?.port } }
        adminPort = adminSocket.flatMap { SocketAddress(localOf: $0)?.port }
        do {
            for index in 0..<workerCount {
                let descriptors = sockets.map { $0[index] }
                hosts.append(try launch(index, plans, descriptors, adminSocket: index == 0 ? adminSocket : nil))
            }
        } catch {
            throw .system("\(error)")
        }
        for plan in plans {
            log.write(.notice, "listening", ["address": "\(plan.address)", "tls": .flag(plan.tls != nil)])
        }
        if let address = configuration.adminAddress { log.write(.notice, "admin listening", ["address": "\(address)"]) }
        metrics.configGeneration.set(generation)
        serving.becomeReady()
        hosts.first?.submit { [state] in $0.prober?.follow(state) }
    }

    private func plan(_ configuration: Configuration) throws(GatewayError) -> [ListenerPlan] {
        var plans: [ListenerPlan] = []
        for listener in configuration.listeners {
            do throws(TLSConfigurationError) {
                let plan = try ListenerPlan(listener, tickets: tickets, now: Int(wallClockNanos() / 1_000_000_000))
                for warning in plan.tls?.warnings ?? [] {
                    log.write(.warning, "certificate", ["warning": .text(warning)])
                }
                plans.append(plan)
            } catch {
                throw .tls(error.description)
            }
        }
        return plans
    }

    /// One listening socket for each reactor; the kernel spreads connections over them.
    private static func bind(_ address: ListenAddress, times: Int) throws(GatewayError) -> [Int32] {
        guard let local = SocketAddress(literal: address.host, port: address.port) ?? resolve(address) else {
            throw .cannotListen("\(address)", reason: "the host has no address")
        }
        var descriptors: [Int32] = []
        var target = local
        for _ in 0..<times {
            do throws(ReactorError) {
                let descriptor = try Sockets.listen(on: target, sharesPort: times > 1)
                if target.port == 0, let chosen = SocketAddress(localOf: descriptor) { target = chosen }
                descriptors.append(descriptor)
            } catch {
                throw .cannotListen("\(address)", reason: error.description)
            }
        }
        return descriptors
    }

    private static func resolve(_ address: ListenAddress) -> SocketAddress? {
        guard case .success(let found) = Resolver.systemLookup(address.host), var first = found.first else {
            return nil
        }
        first.port = address.port
        return first
    }

    private func launch(
        _ index: Int, _ plans: [ListenerPlan], _ descriptors: [Int32], adminSocket: Int32?
    ) throws -> ReactorBound<GatewayHost> {
        let resources = WorkerResources(
            state: state, metrics: metrics, serving: serving, log: log, configuration: configuration,
            tenantSeed: tenantSeed, workers: workerCount)
        let report: EndpointProber.Report = { [weak self] endpoint, finding in
            Task { await self?.learned(finding, of: endpoint) }
        }
        return try Reactor.launch(index: index) { reactor in
            let worker = GatewayWorker(reactor, resources)
            let host = GatewayHost(worker)
            for (plan, descriptor) in zip(plans, descriptors) {
                try host.add(plan, descriptor: descriptor, workers: resources.workers)
            }
            if let adminSocket {
                host.admin = try AdminService.serve(adminSocket, worker, resources.configuration.metrics)
            }
            if index == 0 { host.prober = EndpointProber(worker, report: report) }
            return host
        }
    }

    // MARK: Configuration

    /// Goes over to another configuration, all of it or nothing.
    package func apply(_ next: Configuration) throws(GatewayError) {
        let difference = ConfigurationDifference(from: configuration, to: next)
        guard !difference.isEmpty else {
            metrics.configReloads[.unchanged].add(1, on: .control)
            log.write(.info, "configuration unchanged")
            return
        }
        let plans = try plan(next)
        let state = try makeState(next)
        configuration = next
        let workers = workerCount
        for host in hosts { host.submit { $0.update(plans, next.metrics, workers: workers) } }
        publish(state)
        metrics.configReloads[.applied].add(1, on: .control)
        metrics.configLastReloadSuccess.set(Int(wallClockNanos() / 1_000_000_000))
        log.write(
            .notice, "configuration applied", ["generation": .integer(generation), "difference": "\(difference)"])
        for item in difference.needsRestart {
            log.write(.warning, "this change needs a restart", ["setting": .text(item)])
        }
    }

    /// Counts a configuration that was not taken.
    package func rejected() {
        metrics.configReloads[.rejected].add(1, on: .control)
    }

    private func makeState(_ configuration: Configuration) throws(GatewayError) -> GatewayState {
        do throws(TLSConfigurationError) {
            return try GatewayState.make(
                configuration, discovered: discovered, previous: state, generation: generation + 1, created: startedAt,
                at: monotonicNanos())
        } catch {
            throw .tls(error.description)
        }
    }

    private func publish(_ next: GatewayState) {
        let old = state
        retireMetrics(from: old, to: next)
        next.takeForce()
        state = next
        published.publish(next)
        generation = next.snapshot.generation
        metrics.configGeneration.set(generation)
        for host in hosts { host.submit { $0.update(next) } }
        // Behind the update in every reactor's mailbox, so that who waited finds the new state.
        for load in old.loads where !next.loads.contains(where: { $0 === load }) { load.close(at: monotonicNanos()) }
    }

    /// Takes the series of pools and endpoints that are gone out of the exposition.
    private func retireMetrics(from old: GatewayState, to next: GatewayState) {
        for pool in old.snapshot.pools {
            guard let kept = next.snapshot.pools.first(where: { $0.name == pool.name }) else {
                metrics.retire(pool: pool.name)
                continue
            }
            let labels = Set(kept.endpoints.map { next.snapshot.endpoints[$0].address.authority })
            for slot in pool.endpoints {
                let label = old.snapshot.endpoints[slot].address.authority
                if !labels.contains(label) { metrics.retire(pool: pool.name, endpoint: label) }
            }
        }
    }

    // MARK: Models of engines

    /// What is new about an endpoint whose models are asked for.
    private func learned(_ finding: EndpointProber.Finding, of endpoint: Endpoint) {
        let address = LogValue.text(endpoint.address.description)
        switch finding {
        case .models(let names): found(names, at: endpoint)
        case .refused(let status):
            let fields: LogFields = ["endpoint": address, "status": .integer(status)]
            log.write(.warning, "endpoint does not list its models", fields)
        case .silent(let reason):
            log.write(.debug, "endpoint does not answer", ["endpoint": address, "reason": .text(reason)])
        }
    }

    /// What an endpoint lists. A model that it served once stays known, unless it lists others now and no longer this.
    private func found(_ models: [String], at endpoint: Endpoint) {
        guard !isShuttingDown, !models.isEmpty, discovered[endpoint] != models else { return }
        discovered[endpoint] = models
        log.write(
            .notice, "models found",
            ["endpoint": .text(endpoint.address.description), "models": .text(models.joined(separator: ", "))])
        do throws(GatewayError) {
            publish(try makeState(configuration))
        } catch {
            log.write(.error, "models not taken", ["reason": .text(error.description)])
        }
    }

    /// The names of the models that are served now.
    package var modelNames: [String] { state.snapshot.models.models.map(\.name) }

    // MARK: End

    /// Finishes what runs and ends: readiness first, then the listeners, then, past the timeout, what is left.
    package func shutDown() async {
        guard !isShuttingDown else { return }
        isShuttingDown = true
        serving.beginDraining()
        let running = await exchangesInFlight()
        log.write(.notice, "shutting down", ["exchanges": .integer(running)])
        for host in hosts { host.submit { $0.announceShutdown() } }
        try? await Task.sleep(for: configuration.shutdown.delay)
        for host in hosts { host.submit { $0.drain() } }
        let deadline = ContinuousClock.now + configuration.shutdown.timeout
        while await exchangesInFlight() + connectionCount() > 0, ContinuousClock.now < deadline {
            try? await Task.sleep(for: .milliseconds(20))
        }
        for host in hosts { await host.call { $0.closeAll() } }
        // A last round, in which what was said at the end is written.
        for host in hosts { await host.call { $0.worker.timerFired() } }
        for host in hosts { host.stop() }
        log.write(.notice, "stopped")
        log.writer.flush()
    }

    private func exchangesInFlight() async -> Int {
        var sum = 0
        for host in hosts { sum += await host.call { $0.worker.exchangesInFlight } }
        return sum
    }

    private func connectionCount() async -> Int {
        var sum = 0
        for host in hosts { sum += await host.call { $0.connectionCount } }
        return sum
    }
}
