/// Reads where models lead, and collects the names of pools and models that must exist.
struct RouteReader {
    /// A name that must be that of a pool or model, and where it stands.
    struct Reference {
        var name: String
        var position: Position
    }

    let decoding: Decoding
    private(set) var pools: [Reference] = []
    private(set) var models: [Reference] = []

    init(_ decoding: Decoding) { self.decoding = decoding }

    /// Reads `pool` of a model; `nil` if it is absent or wrong.
    mutating func pool(_ section: Section) -> String? {
        section.node("pool").flatMap { poolName($0) }
    }

    /// Reads `tiers` of a model or route; empty if it is absent.
    mutating func tiers(_ section: Section) -> [Configuration.Model.Tier] {
        guard let items = section.requiredItems("tiers") else { return [] }
        if items.isEmpty || items.count > 16 {
            let text = "tiers of \(section.title) must have 1...16 items, has \(items.count)"
            decoding.report(text, at: section.position(of: "tiers"))
        }
        return items.prefix(16).map { tier($0, path: "\(section.path).tiers[]") }
    }

    private mutating func tier(_ node: YAMLNode, path: String) -> Configuration.Model.Tier {
        guard case .mapping = node.content else {
            return Configuration.Model.Tier(targets: target(node, path: path, title: "tier").map { [$0] } ?? [])
        }
        let section = Section(node, path: path, title: "tier", decoding: decoding)
        guard section.has("pools") else {
            _ = section.node("pools")
            let target = target(section, isShared: false)
            section.finish()
            return Configuration.Model.Tier(targets: target.map { [$0] } ?? [])
        }
        for key in ["pool", "weight", "upstreamModel"] {
            guard let entry = section.misplaced(key) else { continue }
            decoding.report("\(key) cannot stand beside pools; it belongs to an item of them", at: entry.position)
        }
        let targets = sharedTargets(section)
        section.finish()
        return Configuration.Model.Tier(targets: targets)
    }

    private mutating func sharedTargets(_ section: Section) -> [Configuration.Model.Target] {
        guard let items = section.requiredItems("pools") else { return [] }
        if items.isEmpty || items.count > 64 {
            decoding.report("pools must have 1...64 items, has \(items.count)", at: section.position(of: "pools"))
        }
        var found: [(target: Configuration.Model.Target, position: Position)] = []
        for item in items.prefix(64) {
            guard let target = target(item, path: "\(section.path).pools[]", title: "item of pools") else { continue }
            let twin = found.first { $0.target.pool == target.pool && $0.target.upstreamModel == target.upstreamModel }
            if let twin {
                decoding.reportDuplicate("pool", target.pool, at: item.position, first: twin.position)
            } else {
                found.append((target, item.position))
            }
        }
        return found.map(\.target)
    }

    /// Reads the name of a pool, or `{pool: NAME, weight: 5}`.
    private mutating func target(_ node: YAMLNode, path: String, title: String) -> Configuration.Model.Target? {
        switch node.content {
        case .scalar: return poolName(node).map { Configuration.Model.Target(pool: $0) }
        case .sequence:
            decoding.report("\(title) must be the name of a pool or a mapping, is \(node.kind)", at: node.position)
            return nil
        case .mapping:
            let section = Section(node, path: path, title: title, decoding: decoding)
            let target = target(section, isShared: true)
            section.finish()
            return target
        }
    }

    private mutating func target(_ section: Section, isShared: Bool) -> Configuration.Model.Target? {
        let pool = section.node("pool").flatMap { poolName($0) }
        if !section.has("pool") { section.report("\(section.title) needs a pool\(isShared ? "" : ", or pools")") }
        var weight = 1
        if isShared {
            section.integer("weight", into: &weight, in: 0...1_000_000)
        } else if let entry = section.misplaced("weight") {
            // Tiers follow each other: who gives each its weight wants one tier of several pools.
            decoding.report("weight needs others to share with: pools: [{pool: NAME, weight: 1}]", at: entry.position)
        }
        let upstreamModel = section.string("upstreamModel", limit: 256)?.text
        return pool.map { Configuration.Model.Target(pool: $0, weight: weight, upstreamModel: upstreamModel) }
    }

    private mutating func poolName(_ node: YAMLNode) -> String? {
        guard let name = decoding.plainText(of: node, for: "pool", limit: 128) else { return nil }
        pools.append(Reference(name: name, position: node.position))
        return name
    }
}

extension RouteReader {
    /// Reads `routes` of a model.
    mutating func routes(_ section: Section) -> [Configuration.Model.Route] {
        guard let items = section.items("routes") else { return [] }
        if items.count > 100 {
            let text = "routes of \(section.title) has \(items.count) items, more than 100"
            decoding.report(text, at: section.position(of: "routes"))
        }
        var found: [(route: Configuration.Model.Route, position: Position)] = []
        for item in items.prefix(100) {
            guard let (route, position) = route(item) else { continue }
            if let first = found.first(where: { $0.route.name == route.name }) {
                decoding.reportDuplicate("route", route.name, at: position, first: first.position)
            }
            if let first = found.first(where: { $0.route.match.isSame(as: route.match) }), !route.match.isEmpty {
                let text = "route \(quoted(route.name)) never matches: \(quoted(first.route.name)) before it takes all"
                decoding.report(text, at: item.position, severity: .warning)
            }
            found.append((route, position))
        }
        return found.map(\.route)
    }

    private mutating func route(_ node: YAMLNode) -> (route: Configuration.Model.Route, position: Position)? {
        let section = Section(node, path: "models[].routes[]", title: "route", decoding: decoding)
        let name = decoding.name(of: section)
        if let name { section.title = "route \(quoted(name.text))" }
        let isMapping = node.kind == "a mapping"
        let match = match(section)
        let tiers = tiers(section)
        let priority = priority(section)
        if isMapping, !section.has("tiers"), !section.has("priority") {
            section.report("\(section.title) changes nothing: it needs tiers or a priority")
        }
        section.finish()
        return name.map {
            (Configuration.Model.Route(name: $0.text, match: match, tiers: tiers, priority: priority), $0.position)
        }
    }

    /// Reads `priority` of a model or route.
    func priority(_ section: Section) -> Int? {
        var priority = 0
        section.integer("priority", into: &priority, in: -1000...1000)
        return section.has("priority") ? priority : nil
    }

    private func match(_ route: Section) -> Configuration.Model.RouteMatch {
        let problems = decoding.problems.count
        let section = route.section("match")
        let headers = headers(section.node("headers"))
        let tags = section.texts("tags", of: "tag", bytes: 64, count: 16).compactMap { tag -> String? in
            // Requests carry their tags as a list with commas.
            guard !tag.text.utf8.contains(where: { $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: " ") }) else {
                decoding.report("tag \(quoted(tag.text)) holds a comma or blank", at: tag.position)
                return nil
            }
            return tag.text
        }
        section.finish()
        let match = Configuration.Model.RouteMatch(headers: headers, tags: tags)
        if route.position != nil, match.isEmpty, decoding.problems.count == problems {
            let text = "needs a match of headers or tags; what holds for all requests belongs to the model"
            decoding.report("\(route.title) \(text)", at: section.position ?? route.position)
        }
        return match
    }

    private func headers(_ node: YAMLNode?) -> [Configuration.Model.HeaderMatch] {
        decoding.knownKeys.insert("models[].routes[].match.headers.*")
        guard let node, !node.isEmpty else { return [] }
        guard case .mapping(let entries) = node.content else {
            decoding.report("headers must be a mapping of names to values, is \(node.kind)", at: node.position)
            return []
        }
        if entries.count > 16 {
            decoding.report("headers has \(entries.count) items, more than 16", at: node.position)
        }
        var headers: [Configuration.Model.HeaderMatch] = []
        for entry in entries.prefix(16) {
            let name = entry.key.lowercased()
            // A value may be a credential: no message shows it.
            let excerpt = Decoding.Excerpt.key(entry.key.unicodeScalars.count)
            if !isFieldName(name) {
                let text = "header \(quoted(entry.key)) is no valid field name"
                decoding.report(text, at: entry.position, excerpt: excerpt)
            } else if headers.contains(where: { $0.name == name }) {
                let text = "header \(quoted(entry.key)) is here twice in different case"
                decoding.report(text, at: entry.position, excerpt: excerpt)
            } else if let value = decoding.plainText(of: entry.value, for: "header \(name)") {
                if value.utf8.count(where: { $0 == UInt8(ascii: "*") }) > 1 {
                    decoding.report(
                        "header \(name) has more than one * in its value", at: entry.value.position,
                        excerpt: .beforeValue)
                }
                headers.append(Configuration.Model.HeaderMatch(name: name, value: value))
            }
        }
        return headers
    }
}

extension RouteReader {
    /// Reads `fallbacks` of a model; `name` is the model's, `nil` if it has none.
    mutating func fallbacks(_ model: Section, of name: String?) -> Configuration.Model.Fallbacks {
        let section = model.section("fallbacks")
        let fallbacks = Configuration.Model.Fallbacks(
            contextLength: fallback("contextLength", in: section, of: name),
            contentPolicy: fallback("contentPolicy", in: section, of: name),
            overload: fallback("overload", in: section, of: name))
        section.finish()
        return fallbacks
    }

    private mutating func fallback(_ key: String, in section: Section, of model: String?) -> [String] {
        section.texts(key, of: "fallback", bytes: 128, count: 8).map { name, position in
            if name == model {
                decoding.report("model \(quoted(name)) cannot fall back to itself", at: position)
            } else {
                models.append(Reference(name: name, position: position))
            }
            return name
        }
    }

    /// Reads `defaultModel` of the file.
    mutating func defaultModel(_ root: Section) -> String? {
        guard let (name, position) = root.string("defaultModel", limit: 128) else { return nil }
        models.append(Reference(name: name, position: position))
        return name
    }
}

extension Configuration.Model.RouteMatch {
    /// Whether the same requests match, in whatever order it is written.
    fileprivate func isSame(as other: Self) -> Bool {
        headers.count == other.headers.count && headers.allSatisfy(other.headers.contains)
            && Set(tags) == Set(other.tags)
    }
}
