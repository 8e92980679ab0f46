internal import Config
internal import HTTP
internal import TLS
internal import Topology
internal import Transport

/// Models that engines were seen to serve, by endpoint; what was seen once is remembered.
typealias DiscoveredModels = [Endpoint: [String]]

extension GatewayState {
    /// What a configuration and the models found at its engines come to.
    ///
    /// - Parameters:
    ///   - previous: Its TLS contexts are taken over where nothing changed, with their sessions.
    ///   - created: Seconds since 1970 that `/v1/models` shows.
    ///   - now: On the clock of the reactors.
    static func make(
        _ configuration: Configuration, discovered: DiscoveredModels, previous: GatewayState?, generation: Int,
        created: Int, at now: Int64
    ) throws(TLSConfigurationError) -> GatewayState {
        var builder = StateBuilder(previous: previous, configuration.pools)
        for pool in configuration.pools { try builder.add(pool) }
        for model in configuration.models { builder.add(model) }
        for pool in configuration.pools where pool.discoverModels { builder.addDiscovered(pool, discovered) }
        builder.addFallbacks(configuration.models)
        let defaultModel = configuration.defaultModel.flatMap { name in
            builder.models.firstIndex { $0.name == name }
        }
        let snapshot = Snapshot(
            generation: generation, endpoints: builder.endpoints, pools: builder.pools, models: builder.models,
            defaultModel: defaultModel)
        return GatewayState(
            snapshot: snapshot, providers: builder.providers, policies: builder.policies, previous: previous,
            created: created, at: now)
    }
}

/// Collects endpoints, pools and models, each once.
private struct StateBuilder {
    private(set) var endpoints: [Endpoint] = []
    private(set) var pools: [Pool] = []
    private(set) var models: [Model] = []
    private(set) var providers: [ProviderPolicy] = []
    /// By slot of the pool.
    private(set) var policies: [PoolPolicy] = []
    private let previous: GatewayState?
    private var slotOf: [Endpoint: Int] = [:]
    private var names: Set<String> = []

    /// Names of the providers with an https endpoint.
    private let needsTLS: Set<String>

    init(previous: GatewayState?, _ pools: [Configuration.Pool]) {
        self.previous = previous
        needsTLS = Set(pools.filter { $0.endpoints.contains(where: \.address.usesTLS) }.map(\.provider.name))
    }

    mutating func add(_ pool: Configuration.Pool) throws(TLSConfigurationError) {
        let provider = try slot(of: pool.provider)
        let slots = pool.endpoints.map { slot(of: Endpoint($0, pool.provider)) }
        let upstream = pool.upstreamModel.map { Array($0.utf8) }
        pools.append(Pool(name: pool.name, upstreamModel: upstream, endpoints: slots, provider: provider))
        policies.append(PoolPolicy(pool))
    }

    mutating func add(_ model: Configuration.Model) {
        let own = tiers(model.tiers)
        guard !own.isEmpty else { return }
        let priority = Int32(truncatingIfNeeded: model.priority)
        var routes = model.routes.map { route in
            let wanted = tiers(route.tiers)
            return Route(
                name: route.name, match: RouteMatch(route.match), tiers: wanted.isEmpty ? own : wanted,
                priority: route.priority.map { Int32(truncatingIfNeeded: $0) } ?? priority)
        }
        routes.append(Route(tiers: own, priority: priority))
        models.append(Model(name: model.name, routes: routes, aliases: model.aliases))
        names.insert(model.name)
        names.formUnion(model.aliases)
    }

    private func tiers(_ tiers: [Configuration.Model.Tier]) -> [Tier] {
        tiers.compactMap { tier in
            let targets = tier.targets.compactMap { target in
                pools.firstIndex { $0.name == target.pool }.map { pool in
                    Target(
                        pool: pool, weight: target.weight,
                        upstreamModel: target.upstreamModel.map { Array($0.utf8) })
                }
            }
            return targets.isEmpty ? nil : Tier(targets: targets)
        }
    }

    /// Fallbacks name models, so all of these must be known.
    mutating func addFallbacks(_ configured: [Configuration.Model]) {
        func indices(_ wanted: [String]) -> [Int] {
            wanted.compactMap { name in models.firstIndex { $0.name == name } }
        }
        for model in configured where model.fallbacks != Configuration.Model.Fallbacks() {
            guard let index = models.firstIndex(where: { $0.name == model.name }) else { continue }
            var fallbacks = Fallbacks()
            fallbacks.contextLength = indices(model.fallbacks.contextLength)
            fallbacks.contentPolicy = indices(model.fallbacks.contentPolicy)
            fallbacks.overload = indices(model.fallbacks.overload)
            let known = models[index]
            models[index] = Model(
                name: known.name, routes: known.routes, aliases: known.aliases, fallbacks: fallbacks)
        }
    }

    /// One pool for each model found, of the endpoints that list it. Configured names win.
    mutating func addDiscovered(_ pool: Configuration.Pool, _ discovered: DiscoveredModels) {
        var servers: [String: [Int]] = [:]
        var order: [String] = []
        for endpoint in pool.endpoints.map({ Endpoint($0, pool.provider) }) {
            for model in discovered[endpoint] ?? [] where !names.contains(model) {
                if servers[model] == nil { order.append(model) }
                servers[model, default: []].append(slot(of: endpoint))
            }
        }
        guard let provider = providers.firstIndex(where: { $0.source == pool.provider }) else { return }
        for name in order {
            let upstream = pool.upstreamModel.map { Array($0.utf8) }
            pools.append(Pool(name: name, upstreamModel: upstream, endpoints: servers[name] ?? [], provider: provider))
            policies.append(PoolPolicy(pool))
            models.append(Model(name: name, pool: pools.count - 1))
            names.insert(name)
        }
    }

    private mutating func slot(of endpoint: Endpoint) -> Int {
        if let known = slotOf[endpoint] { return known }
        endpoints.append(endpoint)
        slotOf[endpoint] = endpoints.count - 1
        return endpoints.count - 1
    }

    private mutating func slot(of provider: Configuration.Provider) throws(TLSConfigurationError) -> Int {
        if let known = providers.firstIndex(where: { $0.source == provider }) { return known }
        if let kept = previous?.providers.first(where: { $0.source == provider }),
            kept.tls != nil || !needsTLS.contains(provider.name)
        {
            providers.append(kept)
        } else {
            providers.append(try ProviderPolicy(provider, needsTLS: needsTLS.contains(provider.name)))
        }
        return providers.count - 1
    }
}

extension RouteMatch {
    init(_ match: Configuration.Model.RouteMatch) {
        self.init(
            headers: match.headers.map {
                HeaderMatch(name: Array($0.name.utf8), prefix: $0.prefix, suffix: $0.suffix)
            }, tags: match.tags.map { Array($0.utf8) })
    }
}

extension Endpoint {
    /// The endpoint a configuration names.
    init(_ endpoint: Configuration.Endpoint, _ provider: Configuration.Provider) {
        let wanted = endpoint.httpProtocol == .auto ? provider.httpProtocol : endpoint.httpProtocol
        let spoken: SpokenProtocol =
            switch wanted {
            case .auto: .automatic
            case .http1: .http1
            case .http2: .http2
            }
        self.init(address: endpoint.address, provider: provider.name, spoken: spoken)
    }
}

extension ProviderPolicy {
    /// The policy a configuration asks for.
    convenience init(_ provider: Configuration.Provider, needsTLS: Bool) throws(TLSConfigurationError) {
        var fields = HeaderFields()
        if let key = provider.apiKey {
            switch provider.apiKeyHeader {
            case .authorization: fields.append(.authorization, value: (Array("Bearer ".utf8) + key.revealed).span)
            case .xAPIKey: fields.append(.xAPIKey, value: key.revealed.span)
            case .apiKey: fields.append(.apiKey, value: key.revealed.span)
            }
        }
        for header in provider.headers {
            let name = Array(header.name.utf8)
            fields.append(FieldName(name.span), name: name.span, value: header.value.revealed.span)
        }
        let forwards: Bool =
            switch provider.forwardClientCredentials {
            case .auto: provider.apiKey == nil
            case .always: true
            case .never: false
            }
        self.init(
            source: provider, fields: fields, forwardsCredentials: forwards,
            asksForUsage: provider.includeUsage != .never, tls: needsTLS ? try TLSClientContext(provider) : nil)
    }
}

extension TLSClientContext {
    /// The context for a provider's https endpoints.
    convenience init(_ provider: Configuration.Provider) throws(TLSConfigurationError) {
        let settings = provider.tls
        var verification = ServerVerification.off
        if settings.verifiesPeer {
            let trust: TrustStore
            if let authorities = settings.authorities {
                trust = try TrustStore(PEMSource(authorities))
            } else {
                trust = TrustStore.system()
            }
            verification = .required(trust)
        }
        var certificate: TLSCertificate?
        if let own = settings.certificate {
            certificate = try TLSCertificate(PEMSource(own.chain), key: PEMSource(own.key))
        }
        let protocols: [ALPNProtocol] =
            switch provider.httpProtocol {
            case .auto: [.h2, .http1]
            case .http1: [.http1]
            case .http2: [.h2]
            }
        try self.init(verification: verification, protocols: protocols, certificate: certificate)
    }
}

extension PEMSource {
    /// A file as it was when the configuration was loaded.
    init(_ file: Configuration.PEMFile) {
        self.init(name: file.path, bytes: file.contents.revealed)
    }
}

extension EndpointSettings {
    /// How the connections of one reactor to an endpoint behave.
    init(_ endpoint: Endpoint, _ policy: ProviderPolicy, workers: Int) {
        let source = policy.source
        self.init(host: endpoint.address.host, port: endpoint.address.port)
        upstreamProtocol =
            switch endpoint.spoken {
            case .automatic: .automatic
            case .http1: .http1
            case .http2: .http2
            }
        tls = endpoint.address.usesTLS ? policy.tls : nil
        if let name = source.tls.serverName { serverName = name }
        timeouts.connect = (source.timeouts.connect + source.timeouts.tlsHandshake).nanoseconds
        timeouts.firstByte = source.timeouts.firstByte?.nanoseconds ?? UpstreamTimeouts.unlimited
        timeouts.idle = source.timeouts.idle?.nanoseconds ?? UpstreamTimeouts.unlimited
        timeouts.total = source.timeouts.total?.nanoseconds ?? UpstreamTimeouts.unlimited
        maxConnections = max(1, source.connections.maxPerEndpoint / workers)
        maxPending = max(1, source.connections.maxPending / workers)
        idleTimeout = source.connections.idleTimeout.nanoseconds
        maxStreams = source.connections.maxStreams
    }
}

extension ServerLimits {
    /// What a listener of the configuration grants, on one of several reactors.
    init(_ limits: Configuration.Limits, workers: Int) {
        self.init()
        http1.headBytes = limits.headerBytes
        http1.headFields = limits.headerCount
        http1.requestLineBytes = limits.requestLineBytes
        bodyBytes = limits.bodyBytes
        concurrentStreams = limits.concurrentStreams
        connections = max(1, (limits.connections + workers - 1) / workers)
        let never = UpstreamTimeouts.unlimited
        idleTimeout = limits.timeouts.idle?.nanoseconds ?? never
        handshakeTimeout = limits.timeouts.tlsHandshake.nanoseconds
        headerTimeout = limits.timeouts.header.nanoseconds
        bodyIdleTimeout = limits.timeouts.bodyIdle?.nanoseconds ?? never
        bodyTimeout = limits.timeouts.body?.nanoseconds ?? never
        writeTimeout = limits.timeouts.write?.nanoseconds ?? never
    }
}

extension Duration {
    /// The duration in nanoseconds, as reactors count; 292 years at most.
    var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        return overflow ? .max / 2 : min(.max / 2, whole + attoseconds / 1_000_000_000)
    }
}
