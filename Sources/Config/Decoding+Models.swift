internal import Topology

/// A provider, pool or name that was read, and where; `isUsed` for the warning that it is not.
struct Defined<Value> {
    var value: Value
    var position: Position
    var isUsed = false
}

/// Joins `providers`, `pools` and `models` by their names.
struct ModelReader {
    private let decoding: Decoding
    private var providers: [Defined<Configuration.Provider>]
    private var pools: [Defined<Configuration.Pool>] = []
    private var poolIndices: [String: Int] = [:]
    private var models: [Configuration.Model] = []
    /// Names and aliases of all models.
    private var names: [String: Position] = [:]
    /// The model behind each alias.
    private var modelOfAlias: [String: String] = [:]
    /// Reads where models lead; what it collects is resolved when all is known.
    private var routing: RouteReader

    private init(_ root: Section) {
        decoding = root.decoding
        routing = RouteReader(root.decoding)
        providers = decoding.readProviders(root).map { Defined(value: $0.provider, position: $0.position) }
    }

    /// Reads all three; reports what refers to nothing and what nothing refers to.
    static func read(_ root: Section, into configuration: inout Configuration) {
        var reader = ModelReader(root)
        for item in root.items("pools") ?? [] { reader.readPool(item) }
        for item in root.items("models") ?? [] { reader.readModel(item) }
        configuration.defaultModel = reader.readDefaultModel(root)
        reader.resolve()
        configuration.models = reader.models
        configuration.pools = reader.pools.map(\.value)
    }

    private mutating func resolve() {
        for reference in routing.pools {
            if let index = poolIndices[reference.name] {
                pools[index].isUsed = true
            } else {
                let hint = suggestion(for: reference.name, among: pools.map(\.value.name))
                decoding.report("no pool is named \(quoted(reference.name))\(hint)", at: reference.position)
            }
        }
        let known = Set(models.map(\.name))
        for reference in routing.models where !known.contains(reference.name) {
            let hint =
                modelOfAlias[reference.name].map { "; it is an alias of \(quoted($0))" }
                ?? suggestion(for: reference.name, among: known.sorted())
            decoding.report("no model is named \(quoted(reference.name))\(hint)", at: reference.position)
        }
        for pool in pools where !pool.isUsed && !pool.value.discoverModels {
            decoding.report("no model uses pool \(quoted(pool.value.name))", at: pool.position, severity: .warning)
        }
        for provider in providers where !provider.isUsed {
            decoding.report(
                "no pool uses provider \(quoted(provider.value.name))", at: provider.position, severity: .warning)
        }
    }

    private mutating func readPool(_ node: YAMLNode) {
        let section = Section(node, path: "pools[]", title: "pool", decoding: decoding)
        let name = decoding.name(of: section)
        if let name { section.title = "pool \(quoted(name.text))" }
        var pool = Configuration.Pool(name: name?.text ?? "", endpoints: [])
        readServing(section, into: &pool)
        section.finish()
        if let name { add(pool, at: name.position) }
    }

    private mutating func add(_ pool: Configuration.Pool, at position: Position, isUsed: Bool = false) {
        if let index = poolIndices[pool.name] {
            decoding.reportDuplicate("pool", pool.name, at: position, first: pools[index].position)
        } else {
            poolIndices[pool.name] = pools.count
            pools.append(Defined(value: pool, position: position, isUsed: isUsed))
        }
    }

    /// Reads what pools have, and models that are their own pool.
    private mutating func readServing(_ section: Section, into pool: inout Configuration.Pool) {
        pool.upstreamModel = section.string("upstreamModel", limit: 256)?.text
        pool.provider = provider(named: section.string("provider", limit: 128))
        if section.position != nil, !section.has("endpoints") {
            section.report("\(section.title) needs endpoints, a list of URLs")
        }
        pool.endpoints = endpoints(section, of: pool.provider)
        section.boolean("discoverModels", into: &pool.discoverModels)
        if pool.discoverModels, pool.upstreamModel != nil {
            let position = section.node("upstreamModel")?.position
            decoding.report("upstreamModel cannot stand beside discoverModels: true", at: position)
        }
        pool.readPolicies(section)
    }

    private func endpoints(_ section: Section, of provider: Configuration.Provider) -> [Configuration.Endpoint] {
        guard let items = section.requiredItems("endpoints") else { return [] }
        if items.isEmpty {
            decoding.report("endpoints of \(section.title) is empty", at: section.node("endpoints")?.position)
        }
        var endpoints: [Configuration.Endpoint] = []
        var positions: [EndpointAddress: Position] = [:]
        for item in items {
            guard let (endpoint, position) = endpoint(item, of: provider) else { continue }
            if let first = positions[endpoint.address] {
                decoding.reportDuplicate("endpoint", endpoint.address.description, at: position, first: first)
            } else {
                positions[endpoint.address] = position
                endpoints.append(endpoint)
            }
        }
        return endpoints
    }

    /// The provider of that name; without a name, the one named `default`, or the built-in one.
    private mutating func provider(named name: (text: String, position: Position)?) -> Configuration.Provider {
        if let index = providers.firstIndex(where: { $0.value.name == name?.text ?? "default" }) {
            providers[index].isUsed = true
            return providers[index].value
        }
        if let name {
            let hint = suggestion(for: name.text, among: providers.map(\.value.name))
            decoding.report("no provider is named \(quoted(name.text))\(hint)", at: name.position)
        }
        return Configuration.Provider()
    }

    /// Reads a URL, or `{url: URL, protocol: http2}`.
    private func endpoint(
        _ node: YAMLNode, of provider: Configuration.Provider
    ) -> (endpoint: Configuration.Endpoint, position: Position)? {
        var urlNode = node
        var httpProtocol = provider.httpProtocol
        if case .mapping = node.content {
            let section = Section(node, path: "pools[].endpoints[]", title: "endpoint", decoding: decoding)
            let url = section.node("url")
            section.choice("protocol", into: &httpProtocol)
            section.finish()
            guard let url else {
                section.report("endpoint needs a url")
                return nil
            }
            urlNode = url
        }
        guard let text = decoding.plainText(of: urlNode, for: "endpoint") else { return nil }
        do throws(EndpointAddressError) {
            let address = try EndpointAddress(parsing: text)
            return (Configuration.Endpoint(address: address, httpProtocol: httpProtocol), urlNode.position)
        } catch {
            let example = "expected a URL such as http://10.0.0.1:8000"
            let excerpt = error == .userInfo ? Decoding.Excerpt.beforeValue : .line
            let shown = error == .userInfo ? "endpoint" : "endpoint \(quoted(text))"
            decoding.report("\(shown) \(error.explanation); \(example)", at: urlNode.position, excerpt: excerpt)
            return nil
        }
    }

    private mutating func readModel(_ node: YAMLNode) {
        let section = Section(node, path: "models[]", title: "model", decoding: decoding)
        let name = decoding.name(of: section)
        if let name {
            section.title = "model \(quoted(name.text))"
            claim(name.text, at: name.position)
        }
        let aliases = readAliases(section, model: name?.text)
        let tiers = readTiers(section, name: name)
        let routes = routing.routes(section)
        let priority = routing.priority(section) ?? 0
        let fallbacks = routing.fallbacks(section, of: name?.text)
        section.finish()
        if let name {
            models.append(
                Configuration.Model(
                    name: name.text, aliases: aliases, tiers: tiers, routes: routes, priority: priority,
                    fallbacks: fallbacks))
        }
    }

    /// Reads `pool`, `tiers`, or `endpoints` with the other keys of a pool.
    private mutating func readTiers(
        _ section: Section, name: (text: String, position: Position)?
    ) -> [Configuration.Model.Tier] {
        let pool = routing.pool(section)
        let tiers = routing.tiers(section)
        if section.has("tiers") {
            if section.has("pool") {
                decoding.report(
                    "\(section.title) has both pool and tiers; name the pool as one of the tiers",
                    at: section.entry("tiers")?.position)
            }
            refusePoolKeys(section, "belongs to the pools that tiers name")
            return tiers
        }
        if section.has("pool") {
            refusePoolKeys(section, "belongs to the pool, here \(quoted(pool ?? ""))")
            return pool.map { [Configuration.Model.Tier(pool: $0)] } ?? []
        }
        guard section.has("endpoints") else {
            section.report("\(section.title) needs a pool, tiers, or endpoints of its own")
            for key in Configuration.Pool.keys { _ = section.misplaced(key) }
            return []
        }
        // A model with endpoints is a pool of the same name.
        var own = Configuration.Pool(name: name?.text ?? "", endpoints: [])
        readServing(section, into: &own)
        guard let name else { return [] }
        add(own, at: name.position, isUsed: true)
        return [Configuration.Model.Tier(pool: name.text)]
    }

    /// What a pool has cannot stand beside the name of one.
    private func refusePoolKeys(_ section: Section, _ reason: String) {
        for key in Configuration.Pool.keys {
            guard let entry = section.misplaced(key) else { continue }
            decoding.report("\(key) \(reason)", at: entry.position)
        }
    }

    private mutating func readDefaultModel(_ root: Section) -> String? {
        let name = routing.defaultModel(root)
        if let name, let all = models.first(where: { $0.name == "*" || $0.aliases.contains("*") }), all.name != name {
            decoding.report(
                "defaultModel is never used: model \(quoted(all.name)) matches every name",
                at: root.position(of: "defaultModel"), severity: .warning)
        }
        return name
    }

    private mutating func readAliases(_ section: Section, model: String?) -> [String] {
        guard let items = section.items("aliases") else { return [] }
        if let model, model.contains("*"), let first = items.first {
            decoding.report("aliases need a model without *, for it is the name they stand for", at: first.position)
        }
        return items.compactMap { item in
            guard let alias = decoding.plainText(of: item, for: "alias", limit: 128) else { return nil }
            claim(alias, at: item.position)
            modelOfAlias[alias] = model
            return alias
        }
    }

    /// Notes that a name clients may write is taken.
    private mutating func claim(_ name: String, at position: Position) {
        if name.utf8.count(where: { $0 == UInt8(ascii: "*") }) > 1 {
            decoding.report("model name \(quoted(name)) has more than one *", at: position)
        }
        if let first = names[name] {
            decoding.reportDuplicate("model name", name, at: position, first: first)
        } else {
            names[name] = position
        }
    }
}
