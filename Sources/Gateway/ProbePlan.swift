internal import Bytes
internal import Config
internal import OpenAI
internal import Topology

/// What an endpoint is asked to find out how it is, and how often. Times are nanoseconds.
struct ProbePlan: Sendable, Equatable {
    /// Asked for first; `nil`: only the list of models is.
    let healthTarget: [UInt8]?
    /// Whether `healthTarget` is a guess: an endpoint that does not know it is not ill.
    let isHealthAssumed: Bool
    let listTarget: [UInt8]
    /// Whether what is found counts for the endpoint's health, or only its models are of interest.
    let judges: Bool
    /// Whether the models that it lists are served.
    let discovers: Bool
    /// Whether a list that cannot be had counts although the endpoint is well otherwise.
    let needsList: Bool
    /// The names that the pools of the endpoint ask it for, where the list must have them.
    let models: [[UInt8]]
    /// Whether it may be asked for other models, too, or its list may have other names: then the list decides nothing.
    let servesOthers: Bool
    /// Whether `owned_by` says what the endpoint is; if not, that is configured.
    let learnsEngine: Bool
    let interval: Int64
    /// From one list to the next; 0: with every probe.
    let listInterval: Int64
    /// Of each of the two requests, connecting included.
    let timeout: Int64

    /// Public providers count requests: they are asked this much less often, and may take this much longer.
    private static let publicFactor: Int64 = 10
    /// An endpoint that is not there yet, or any more, is asked at least this often.
    private static let retryInterval: Int64 = 1_000_000_000

    /// - Parameters:
    ///   - pool: The policy of the first pool of the endpoint, which decides.
    ///   - discovers: Whether one of its pools does.
    init(
        _ endpoint: Endpoint, _ provider: ProviderPolicy, _ pool: PoolPolicy, _ demand: ModelDemand, discovers: Bool
    ) {
        let source = provider.source
        let prefix = endpoint.address.pathPrefix
        let isPublic =
            endpoint.address.usesTLS
            && (source.apiKey != nil || source.engine == .openai || source.engine == .anthropic)
        let interval = pool.probe.interval.nanoseconds
        let rarely = interval * ProbePlan.publicFactor
        judges = pool.probe.path != .off
        isHealthAssumed = pool.probe.path == .auto
        switch pool.probe.path {
        case .auto: healthTarget = isPublic ? nil : Array((prefix + "/health").utf8)
        case .off: healthTarget = nil
        case .path(let path): healthTarget = Array((prefix + path).utf8)
        }
        listTarget = Array((prefix + source.pathPrefix + "/v1/models").utf8)
        self.discovers = discovers
        needsList = pool.probe.confirmModel
        models = pool.probe.confirmModel && !discovers ? demand.names : []
        // Lists of public providers lack deployments and moving names, and some write names with a prefix.
        servesOthers = demand.isOpen || isPublic
        learnsEngine = source.engine == .auto
        self.interval = isPublic && healthTarget == nil ? rarely : interval
        listInterval = isPublic ? rarely : 0
        timeout = pool.probe.timeout.nanoseconds * (isPublic ? ProbePlan.publicFactor : 1)
    }

    /// Whether there is anything to find out.
    var isOfUse: Bool { judges || discovers }

    /// From one probe to the next while the endpoint does not serve.
    var urgentInterval: Int64 {
        listInterval > 0
            ? max(ProbePlan.retryInterval, interval / ProbePlan.publicFactor)
            : min(ProbePlan.retryInterval, interval)
    }

    // MARK: Verdicts

    enum HealthVerdict: Equatable { case healthy, refused, noSuchPath }

    /// What the status of the answer to `healthTarget` says.
    func verdict(ofHealth status: Int) -> HealthVerdict {
        // Who is asked too often is there.
        if (200..<300).contains(status) || status == 429 { return .healthy }
        return isHealthAssumed && ProbePlan.isBelieved(status) ? .noSuchPath : .refused
    }

    /// Whether an endpoint that answers so when asked for its models is there, and merely does not tell: it has no such
    /// path, wants another credential, or is asked too often.
    static func isBelieved(_ status: Int) -> Bool { status < 500 || status == 501 }

    /// The models asked for that the endpoint does not list.
    func missing(in list: ModelList.Listing, of engine: EngineKind) -> [[UInt8]] {
        if models.isEmpty || list.names.count >= ModelList.readLimit { return [] }
        if list.names.count <= 1, engine.answersToAnyName { return [] }
        let listed = Set(list.names)
        return models.filter { !ProbePlan.lists(listed, $0, engine) }
    }

    /// Whether an endpoint that does not list these serves nothing that it is asked for. One model of several is no
    /// reason to take the others away.
    func isOfNoUse(missing: [[UInt8]]) -> Bool {
        !missing.isEmpty && missing.count == models.count && !servesOthers
    }

    private static func lists(_ listed: Set<[UInt8]>, _ name: [UInt8], _ engine: EngineKind) -> Bool {
        if listed.contains(name) { return true }
        // Ollama takes a name without a tag for that with `:latest`.
        if listed.contains(name + Array(":latest".utf8)) { return true }
        // SGLang takes `base:adapter` and lists the base alone.
        guard engine == .sglang, let colon = name.firstIndex(of: UInt8(ascii: ":")) else { return false }
        return listed.contains(Array(name[..<colon]))
    }
}

extension EngineKind {
    /// Whether it serves its one model under whatever name it is asked for.
    fileprivate var answersToAnyName: Bool {
        switch self {
        case .llamacpp, .sglang, .tgi: true
        case .vllm, .ollama, .openai, .anthropic, .other: false
        }
    }
}

/// The models that a pool's, or an endpoint's, are asked for.
struct ModelDemand: Sendable, Equatable {
    /// As the endpoint knows them; each once.
    private(set) var names: [[UInt8]] = []
    /// Whether clients choose the name: a model with a `*` and no name of its own upstream.
    private(set) var isOpen = false

    mutating func add(_ name: [UInt8]?) {
        guard let name else { return isOpen = true }
        if !names.contains(name) { names.append(name) }
    }

    mutating func add(_ other: ModelDemand) {
        for name in other.names { add(name) }
        if other.isOpen { isOpen = true }
    }

    /// By slot of the pool.
    static func byPool(_ snapshot: Snapshot) -> [ModelDemand] {
        var demands = [ModelDemand](repeating: ModelDemand(), count: snapshot.pools.count)
        for model in snapshot.models.models {
            let isPattern = model.name.utf8.contains(UInt8(ascii: "*"))
            let own = isPattern ? nil : Array(model.name.utf8)
            for route in model.routes {
                for target in route.tiers.lazy.flatMap(\.targets) {
                    demands[target.pool].add(target.upstreamModel ?? snapshot.pools[target.pool].upstreamModel ?? own)
                }
            }
        }
        return demands
    }
}
