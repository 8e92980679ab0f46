internal import Bytes
internal import Health
internal import HTTP
internal import OpenAI
internal import Routing
internal import Topology

/// Where a request would go in a state, and why: made by the functions of the data path, and nothing is claimed.
struct RequestExplanation: Sendable {
    /// Where something about the request is told.
    enum Source: String, Sendable { case header, body, credential, address, none }

    let routing: Explanation
    let operation: APIOperation
    /// Whether the answer is asked for as a stream.
    let isStreaming: Bool
    /// What names the session that the request belongs to.
    let session: Source
    let tenant: Source
    let tags: [String]
    /// The seed of all draws.
    let seed: Int
    /// How long the client waits; `Int64.max`: it does not say.
    let clientTimeout: Int64
    let next: NextStep
    /// The pools of the route, each once.
    let pools: [PoolReport]

    /// - Parameters:
    ///   - seed: Of the draws, where the question has none.
    ///   - now: On the clock of the reactors.
    /// - Throws: What the client would be told before an endpoint is looked for.
    init(_ question: ExplainQuestion, in state: GatewayState, seed: Int, at now: Int64) throws(APIError) {
        let request = try RequestInQuestion(question, in: state)
        let foresight = Foresight(request, state, seed: UInt64(question.seed ?? seed), at: now)
        next = foresight.walk()
        var routing = Explanation(
            askedFor: request.modelName, model: state.snapshot.models.models[request.model].name,
            priority: request.priority)
        routing.routes = request.explainRoutes(in: state)
        routing.tiers = foresight.explainTiers()
        routing.fallbacks = request.fallbacks(in: state)
        self.routing = routing
        operation = request.path.operation
        isStreaming = request.facts.isStreaming
        session = request.hints.session == nil ? .none : request.isSessionInHead ? .header : .body
        tenant = request.tenant
        tags = request.tags
        self.seed = question.seed ?? seed
        clientTimeout = request.hints.timeoutNanos ?? .max
        var slots: [Int] = []
        for target in request.tiers.flatMap(\.targets) where !slots.contains(target.pool) { slots.append(target.pool) }
        pools = slots.map { PoolReport($0, of: state, at: now) }
    }
}

/// A question read as the data path reads a request.
struct RequestInQuestion: Sendable {
    let path: APIPath
    let fields: HeaderFields
    let facts: RequestFacts
    let hints: RequestHints
    let isSessionInHead: Bool
    let bodyLength: Int
    let modelName: String
    /// Index of the model.
    let model: Int
    let resolvedModel: [UInt8]?
    let route: Route

    init(_ question: ExplainQuestion, in state: GatewayState) throws(APIError) {
        path = try question.operation
        let target = Array(question.path.utf8)
        fields = question.fields
        var facts = RequestFacts()
        if !question.body.isEmpty {
            do throws(BodyError) {
                try inspect(question.body.span, into: &facts, model: .bodyIfAny)
            } catch {
                throw APIError(error)
            }
        }
        self.facts = facts
        bodyLength = question.body.count
        let inBody = [UInt8](copying: facts.model(in: question.body.span))
        let written = question.model.map { Array($0.utf8) } ?? path.decodedModel(target.span) ?? inBody
        guard let name = written.isEmpty ? state.unnamedModel.map({ Array($0.utf8) }) : written else {
            throw APIError(BodyError.missingModel)
        }
        guard let match = state.match(name.span) else {
            throw .unknownModel(name.span, near: nearMatches(of: name, among: state.snapshot.models.exactNames))
        }
        modelName = String(decoding: name, as: UTF8.self)
        (model, resolvedModel) = match
        var hints = RequestHints(fields)
        isSessionInHead = hints.session != nil
        hints.takeSession(facts, question.body.span)
        self.hints = hints
        let routes = state.snapshot.models.models[match.model].routes
        route = routes[matchingRoute(among: routes, fields, tags: hints.tags)]
    }

    var tiers: [Tier] { route.tiers }

    var priority: Int32 { route.priority(asked: hints.priority) }

    /// What the request's tenant is taken from.
    var tenant: RequestExplanation.Source {
        if hints.tenant != nil { return .header }
        return fields.fields.contains { $0.name.isCredential && $0.name != .cookie } ? .credential : .address
    }

    var tags: [String] {
        guard let range = hints.tags else { return [] }
        return fields.bytes[range].split(separator: UInt8(ascii: ",")).compactMap { item in
            let text = String(decoding: item, as: UTF8.self)
            let words = text.split(whereSeparator: { $0 == " " || $0 == "\t" })
            return words.isEmpty ? nil : words.joined(separator: " ")
        }
    }

    func explainRoutes(in state: GatewayState) -> [RouteExplanation] {
        let (fields, tags) = (fields, hints.tags)
        return Routing.explainRoutes(
            state.snapshot.models.models[model].routes, hasHeader: { fields.has($0) },
            hasTag: { fields.has(tag: $0, in: tags) })
    }

    /// The models that take over, by cause.
    func fallbacks(in state: GatewayState) -> [FallbackExplanation] {
        let models = state.snapshot.models.models
        return FallbackCause.allCases.compactMap { cause in
            let names = models[model].fallbacks.models(for: cause).map { models[$0].name }
            return names.isEmpty ? nil : FallbackExplanation(cause: cause, models: names)
        }
    }

    /// What endpoints of a target get as the model.
    func upstreamModel(_ target: Target, in state: GatewayState) -> String {
        state.upstreamModel(target, resolved: resolvedModel).map { String(decoding: $0, as: UTF8.self) } ?? modelName
    }
}
