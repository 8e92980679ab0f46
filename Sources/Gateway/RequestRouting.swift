internal import Bytes
internal import Health
internal import HTTP
internal import OpenAI
internal import Routing
internal import Topology

// What follows of a request and the state alone: the data path acts on it, and `explain` tells of it.

extension GatewayState {
    /// The model a request means that names none: the API lets it be left out where there is no doubt.
    var unnamedModel: String? {
        let models = snapshot.models.models
        if let fallback = snapshot.defaultModel { return models[fallback].name }
        return models.count == 1 ? models[0].name : nil
    }

    /// Where a name leads, to the default model if nowhere else; `nil` if there is none.
    ///
    /// - Returns: The index of the model, and its name for endpoints; `nil` for the one the client wrote.
    func match(_ name: Span<UInt8>) -> (model: Int, resolved: [UInt8]?)? {
        if let match = snapshot.models.match(name) { return (match.model, match.resolved) }
        return snapshot.defaultModel.map { ($0, ownName(ofModel: $0)) }
    }

    /// A model's name for endpoints where the client did not write it; `nil` if the name is a pattern.
    func ownName(ofModel index: Int) -> [UInt8]? {
        let name = snapshot.models.models[index].name
        return name.utf8.contains(UInt8(ascii: "*")) ? nil : Array(name.utf8)
    }

    /// The model in what endpoints get; `nil`: as the client wrote it.
    func upstreamModel(_ target: Target, resolved: [UInt8]?) -> [UInt8]? {
        target.upstreamModel ?? snapshot.pools[target.pool].upstreamModel ?? resolved
    }
}

/// Which of a model's routes holds for a request.
///
/// - Parameter tags: Where in the bytes of `fields` the request's tags stand.
func matchingRoute(among routes: [Route], _ fields: borrowing HeaderFields, tags: Range<Int>?) -> Int {
    // Most models have one, and nothing of the request needs to be looked at then.
    if routes.count < 2 { return 0 }
    let fields = copy fields
    return selectRoute(routes, hasHeader: { fields.has($0) }, hasTag: { fields.has(tag: $0, in: tags) })
        ?? routes.count - 1
}

extension HeaderFields {
    /// Whether a field is there with a value that is looked for.
    func has(_ match: HeaderMatch) -> Bool {
        for field in fields where bytesEqual(bytes.span.extracting(field.nameRange), match.name.span) {
            if match.matches(bytes.span.extracting(field.valueRange)) { return true }
        }
        return false
    }

    /// Whether the list of tags at `range` holds `tag`.
    func has(tag: Span<UInt8>, in range: Range<Int>?) -> Bool {
        guard let range else { return false }
        return tagList(bytes.span.extracting(range), contains: tag)
    }
}

extension RequestHints {
    /// Takes the session from the body where the head names none.
    mutating func takeSession(_ facts: RequestFacts, _ body: Span<UInt8>) {
        guard session == nil, let shared = facts.promptCacheKey ?? facts.user ?? facts.safetyIdentifier else { return }
        session = stableHash(body.extracting(shared))
    }
}

extension Route {
    /// What the queue goes by. A request may say that it is less urgent, and not that it is more.
    func priority(asked: Int32?) -> Int32 { min(priority, asked ?? priority) }
}

extension Finding {
    /// What a pick means for a request that got no place by it.
    init(without result: PickResult, _ members: [EndpointMember], _ scratch: PickScratch, at now: Int64) {
        switch result {
        case .endpoint: self = .busy
        case .saturated:
            let isBusy = members.indices.contains { scratch.verdict(at: $0) == .atLimit }
            self = isBusy ? .busy : .later(Finding.retryTime(members, at: now))
        case .again(let position):
            let standing = scratch.candidate(at: position).standing
            let isSound = standing == .ready || standing == .warming
            self = .again(slot: members[position].slot, isSound ? nil : Finding.retryTime(members, at: now))
        case .lastResort(let position):
            self = .lastResort(slot: members[position].slot, Finding.retryTime(members, at: now))
        case .none: self = .none
        }
    }

    /// When the first of a pool's endpoints may be asked.
    private static func retryTime(_ members: [EndpointMember], at now: Int64) -> Int64? {
        var soonest: Int64?
        for member in members {
            if let time = member.record.retryAt(now) { soonest = min(soonest ?? .max, time) }
        }
        return soonest
    }
}
