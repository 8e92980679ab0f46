internal import Bytes
internal import HTTP
internal import OpenAI
internal import Routing
internal import Telemetry
internal import Topology
internal import Transport

/// From the model to the tiers of pools that may serve it, and to the body they get.
extension Exchange {
    /// Finds the model that is asked for.
    func findModel(_ path: APIPath, _ target: [UInt8]) throws(APIError) {
        if let named = path.decodedModel(target.span) {
            model = named
        } else if let multipart {
            let body = body
            model.append(copying: multipart.model(in: body.contents))
        } else {
            let (body, facts) = (body, facts)
            model.append(copying: facts.model(in: body.contents))
        }
        if model.isEmpty {
            guard let only = state.unnamedModel else { throw APIError(.missingModel) }
            model.append(contentsOf: only.utf8)
        }
        let model = model
        guard let match = state.match(model.span) else {
            flags.insert(.noModel)
            throw .unknownModel(model.span, near: nearMatches(of: model, among: state.snapshot.models.exactNames))
        }
        (modelIndex, resolvedModel) = match
    }

    /// Goes on with another model than the one that is asked for; endpoints see its name, unless it is a pattern.
    private func enter(model index: Int) {
        modelIndex = index
        resolvedModel = state.ownName(ofModel: index)
    }

    /// Chooses the route among those of the model; the walk through its tiers begins.
    func chooseRoute(_ request: borrowing RequestHead) {
        trail = FallbackTrail(model: modelIndex)
        startRoute(request)
    }

    private func startRoute(_ request: borrowing RequestHead) {
        let routes = state.snapshot.models.models[modelIndex].routes
        prepared = nil
        routeIndex = matchingRoute(among: routes, request.fields, tags: hints.tags)
        if hints.session == nil, multipart == nil {
            let body = body
            hints.takeSession(facts, body.contents)
        }
        tiers = routes[routeIndex].tiers
        plan = TierPlan(session: hints.session)
        pool = -1
        tried.removeAll(keepingCapacity: true)
        outlook = Outlook()
    }

    /// What the queue goes by. A request may say that it is less urgent, and not that it is more.
    var priority: Int32 {
        state.snapshot.models.models[modelIndex].routes[routeIndex].priority(asked: hints.priority)
    }

    /// Goes to the next target of the plan. Returns whether there is one.
    func nextTarget() -> Bool {
        guard plan.advance(in: tiers, &worker.random), let target = plan.target else { return false }
        // Another target of the same pool is another model there.
        tried.removeAll(keepingCapacity: true)
        enter(pool: tiers[plan.tier].targets[target].pool)
        return true
    }

    /// The request is for this pool from now on, as long as it does not go elsewhere.
    func enter(pool next: Int) {
        if pool != next { tried.removeAll(keepingCapacity: true) }
        pool = next
        let limit = state.policies[pool].request
        if limit != .max { deadline = min(deadline, startedAt &+ limit) }
    }

    /// Another model takes over, if one is named for this cause. Returns whether the request goes on.
    func fallsBack(for cause: FallbackCause) -> Bool {
        guard !isHeadSent, let stream, modelIndex >= 0 else { return false }
        let models = state.snapshot.models.models
        guard case .model(let next) = trail.advance(for: cause, { models[$0].fallbacks }) else { return false }
        dropHedge()
        worker.countFallback(of: modelIndex, cause, state)
        flags.insert(.fallbackUsed)
        fallback = cause
        retryCause = nil
        enter(model: next)
        startRoute(stream.request)
        attemptsAtModel = attempts
        seek()
        return true
    }

    // MARK: The body

    /// Makes the request the endpoints of the target get: the client's own body, or a copy with another model name or
    /// a wish for usage. Done once for all attempts there.
    func prepareBody(_ path: APIPath, target: Int) {
        guard prepared?.tier != plan.tier || prepared?.target != target else { return }
        prepared = (plan.tier, target)
        let provider = state.provider(ofPool: pool)
        let upstreamModel = upstreamModel(target)
        call.body = body
        if let multipart {
            guard let wanted = upstreamModel ?? (path.model == nil ? nil : model), !formNames(wanted) else { return }
            rewrittenBody.bytes.removeAll(keeping: 65536)
            let (body, boundary) = (body, boundary)
            multipart.append(
                body.contents, boundary: boundary.span, model: wanted.span, to: &rewrittenBody.bytes)
            call.body = rewrittenBody
            return
        }
        let rewrite = rewrite(path, provider, upstreamModel)
        relay.stripsUsage = rewrite.forcesUsage && !facts.wantsUsage
        if rewrite.leavesUnchanged(facts) { return }
        rewrittenBody.bytes.removeAll(keeping: 65536)
        let body = body
        rewrite.append(body.contents, facts, to: &rewrittenBody.bytes)
        call.body = rewrittenBody
    }

    /// What the endpoints of a target of this tier call the model; `nil`: as the client does.
    func upstreamModel(_ target: Int) -> [UInt8]? {
        tiers[plan.tier].targets[target].upstreamModel ?? state.snapshot.pools[pool].upstreamModel ?? resolvedModel
    }

    /// How the body of a provider differs from the client's.
    func rewrite(_ path: APIPath, _ provider: ProviderPolicy, _ upstreamModel: [UInt8]?) -> BodyRewrite {
        var rewrite = BodyRewrite(
            forcesUsage: provider.asksForUsage && path.operation.events == .completions && facts.isStreaming)
        if let wanted = upstreamModel ?? (path.model == nil ? nil : model), !bodyNames(wanted) {
            rewrite.model = wanted
        }
        return rewrite
    }

    private func formNames(_ name: [UInt8]) -> Bool {
        guard let multipart else { return false }
        let body = body
        return bytesEqual(multipart.model(in: body.contents), name.span)
    }

    private func bodyNames(_ name: [UInt8]) -> Bool {
        let (body, facts) = (body, facts)
        guard facts.hasModel else { return false }
        return bytesEqual(facts.model(in: body.contents), name.span)
    }
}
