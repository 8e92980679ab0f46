internal import Bytes
internal import Config
internal import Health
internal import HTTP
internal import Limits
internal import OpenAI
internal import TLS
internal import Topology

/// How the endpoints of one provider are spoken to; made when the configuration loads.
final class ProviderPolicy: Sendable {
    /// What it was made from, to see whether a reload changed it.
    let source: Configuration.Provider
    /// Set on every request: the credential and the configured fields.
    let fields: HeaderFields
    /// Whether the client's credentials go on to the endpoint.
    let forwardsCredentials: Bool
    /// Whether engines are asked to report usage at the end of a stream.
    let asksForUsage: Bool
    /// `nil` if no endpoint needs it: to load the system's authorities takes 20 ms and a megabyte.
    let tls: TLSClientContext?

    init(
        source: Configuration.Provider, fields: HeaderFields, forwardsCredentials: Bool, asksForUsage: Bool,
        tls: TLSClientContext?
    ) {
        self.source = source
        self.fields = fields
        self.forwardsCredentials = forwardsCredentials
        self.asksForUsage = asksForUsage
        self.tls = tls
    }

    /// Whether a field of the client gives way to one of the provider's.
    func replaces(_ field: HeaderFields.Field, of head: borrowing HeaderFields) -> Bool {
        let fields = fields
        for own in fields.fields {
            if field.name != .other || own.name != .other {
                if own.name == field.name { return true }
            } else if bytesEqual(
                fields.bytes.span.extracting(own.nameRange), head.bytes.span.extracting(field.nameRange))
            {
                return true
            }
        }
        return false
    }
}

/// All that the reactors route by at one time; immutable, replaced whole.
final class GatewayState: Sendable {
    let snapshot: Snapshot
    /// By `Pool.provider`.
    let providers: [ProviderPolicy]
    /// Slot of the provider, by slot of the endpoint.
    let providerOfEndpoint: [Int]
    /// The path put before every request, by slot of the endpoint.
    let prefixes: [[UInt8]]
    /// The value of `Host`, by slot of the endpoint.
    let authorities: [[UInt8]]
    /// The models that can be listed.
    let models: [ModelList.Entry]
    /// For the log, by index.
    let modelLabels: [[UInt8]]
    let poolLabels: [[UInt8]]
    /// Every endpoint with its health and load, by slot.
    let members: [EndpointMember]
    /// The same by pool, in the order of the pool.
    let membersOfPool: [[EndpointMember]]
    /// By slot of the pool.
    let policies: [PoolPolicy]
    let loads: [PoolLoad]
    let budgets: [RetryBudget]

    /// - Parameters:
    ///   - policies: By slot of the pool.
    ///   - previous: Health, load, queues and budgets are taken over from it.
    ///   - created: Seconds since 1970 that `/v1/models` shows.
    ///   - now: On the clock of the reactors.
    init(
        snapshot: Snapshot, providers: [ProviderPolicy], policies: [PoolPolicy], previous: GatewayState?, created: Int,
        at now: Int64
    ) {
        self.snapshot = snapshot
        self.providers = providers
        self.policies = policies
        members = GatewayState.members(snapshot, providers, policies, previous, at: now)
        let members = members
        membersOfPool = snapshot.pools.map { pool in pool.endpoints.map { members[$0] } }
        var seed = UInt64(truncatingIfNeeded: now)
        // A model that was found may have the name of a configured pool.
        var kept: [String: PoolLoad] = [:]
        for load in previous?.loads ?? [] where kept[load.name] == nil { kept[load.name] = load }
        loads = snapshot.pools.enumerated().map { slot, pool in
            seed &+= 1
            let isLimited = policies[slot].limit != .max
            if let known = kept.removeValue(forKey: pool.name), known.isLimited == isLimited { return known }
            return PoolLoad(name: pool.name, policies[slot], seed: seed)
        }
        budgets = snapshot.pools.enumerated().map { slot, pool in
            let budget = policies[slot].budget
            if let previous, let old = previous.snapshot.pools.firstIndex(where: { $0.name == pool.name }),
                previous.policies[old].budget == budget
            {
                return previous.budgets[old]
            }
            return RetryBudget(
                ratio: budget.ratio, floorPerSecond: budget.floorPerSecond, initial: budget.ratio > 0 ? 50 : 0)
        }
        var providerOfEndpoint = [Int](repeating: 0, count: snapshot.endpoints.count)
        for pool in snapshot.pools {
            for slot in pool.endpoints { providerOfEndpoint[slot] = pool.provider }
        }
        self.providerOfEndpoint = providerOfEndpoint
        prefixes = snapshot.endpoints.enumerated().map { slot, endpoint in
            let provider = providers[providerOfEndpoint[slot]].source
            return Array((endpoint.address.pathPrefix + provider.pathPrefix).utf8)
        }
        authorities = snapshot.endpoints.map { Array($0.address.authority.utf8) }
        modelLabels = snapshot.models.models.map { Array($0.name.utf8) }
        poolLabels = snapshot.pools.map { Array($0.name.utf8) }
        models = snapshot.models.exactNames.map {
            ModelList.Entry(id: $0, created: created, ownedBy: Array("penstock".utf8))
        }
    }

    /// Puts the state in force for what the reactors share; to be called before they go over to it.
    func takeForce() {
        for (slot, load) in loads.enumerated() {
            load.update(policies[slot], membersOfPool[slot], generation: snapshot.generation)
        }
    }

    private static func members(
        _ snapshot: Snapshot, _ providers: [ProviderPolicy], _ policies: [PoolPolicy], _ previous: GatewayState?,
        at now: Int64
    ) -> [EndpointMember] {
        var known: [Endpoint: EndpointMember] = [:]
        if let previous {
            for (slot, endpoint) in previous.snapshot.endpoints.enumerated() {
                known[endpoint] = previous.members[slot]
            }
        }
        // An endpoint of several pools is treated as the first of them wants.
        var poolOf = [Int?](repeating: nil, count: snapshot.endpoints.count)
        for (slot, pool) in snapshot.pools.enumerated() {
            for endpoint in pool.endpoints where poolOf[endpoint] == nil { poolOf[endpoint] = slot }
        }
        return snapshot.endpoints.enumerated().map { slot, endpoint in
            let pool = poolOf[slot] ?? 0
            let policy = policies[pool]
            let old = known[endpoint]
            let record =
                old?.record
                ?? EndpointRecord(policy.health, at: now, seed: stableHash(endpoint.provider.utf8.span) ^ UInt64(slot))
            if old != nil { record.update(policy.health) }
            let limiter = policy.isAdaptive ? old?.limiter ?? EndpointLimiter() : nil
            if !policy.isAdaptive || old?.limiter == nil { record.setLimit(policy.endpointLimit) }
            let configured = EngineKind(providers[snapshot.pools[pool].provider].source.engine)
            return EndpointMember(
                slot: slot, endpoint, record: record, limiter: limiter,
                traits: configured.map(EndpointTraits.init) ?? old?.traits ?? EndpointTraits(.other))
        }
    }

    /// The policy of a pool's provider.
    func provider(ofPool slot: Int) -> ProviderPolicy { providers[snapshot.pools[slot].provider] }
}

extension EngineKind {
    /// The kind that is configured; `nil` if it is to be found out.
    init?(_ configured: Configuration.Provider.Engine) {
        switch configured {
        case .auto: return nil
        case .vllm: self = .vllm
        case .sglang: self = .sglang
        case .llamacpp: self = .llamacpp
        case .tgi: self = .tgi
        case .ollama: self = .ollama
        case .openai: self = .openai
        case .anthropic: self = .anthropic
        case .other: self = .other
        }
    }
}
