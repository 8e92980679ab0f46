package import Topology

/// Which route holds, and what every other one lacks.
package func explainRoutes(
    _ routes: [Route], hasHeader: (HeaderMatch) -> Bool, hasTag: (Span<UInt8>) -> Bool
) -> [RouteExplanation] {
    let chosen = selectRoute(routes, hasHeader: hasHeader, hasTag: hasTag)
    return routes.indices.map { index in
        let route = routes[index]
        let lacking = mismatch(of: route.match, hasHeader: hasHeader, hasTag: hasTag)
        let reason =
            switch lacking {
            case .header(let header): "header \(route.match.headers[header].text)"
            case .tag(let tag): "tag \(String(copying: route.match.tags[tag])) is missing"
            case nil where index != chosen: "another comes first"
            case nil: route.match.isEmpty ? "matches always" : "all conditions hold"
            }
        return RouteExplanation(name: route.name, isChosen: index == chosen, reason: reason)
    }
}

/// The tiers of a route with the order in which their targets have their turn.
///
/// - Parameters:
///   - poolName: Of a slot in `Snapshot.pools`.
///   - pick: What a pick in that pool comes to; `nil` if there is nothing to tell.
package func explainTiers(
    _ tiers: [Tier], session: UInt64?, random: SplitMix64, poolName: (Int) -> String, pick: (Int) -> PickExplanation?
) -> [TierExplanation] {
    var turns = tiers.map { [Int](repeating: 0, count: $0.targets.count) }
    var plan = TierPlan(session: session)
    var random = random
    while plan.advance(in: tiers, &random) {
        if let target = plan.target { turns[plan.tier][target] = plan.visitedCount }
    }
    return tiers.indices.map { tier in
        TierExplanation(
            targets: tiers[tier].targets.indices.map { index in
                let target = tiers[tier].targets[index]
                return TargetExplanation(
                    pool: poolName(target.pool), weight: target.weight,
                    upstreamModel: target.upstreamModel.map(String.init(copying:)), turn: turns[tier][index],
                    pick: pick(target.pool))
            })
    }
}

/// A pick among the candidates of `scratch`, with the verdict, score and place of each.
///
/// - Parameter name: Of a slot in `Snapshot.endpoints`.
package func explainPick(
    _ policy: PickPolicy, session: UInt64?, turn: Int, random: SplitMix64, scratch: inout PickScratch,
    name: (Int) -> String
) -> PickExplanation {
    var random = random
    let result = pick(policy, session: session, turn: turn, random: &random, scratch: &scratch)
    var ranks = [Int?](repeating: nil, count: scratch.count)
    for (place, position) in scratch.rankAll().enumerated() { ranks[position] = place + 1 }
    return PickExplanation(
        balancing: policy.balancing, isBySession: policy.hasAffinity && session != nil, isPanic: scratch.isPanic,
        result: "\(result.label)",
        endpoints: (0..<scratch.count).map { position in
            let candidate = scratch.candidate(at: position)
            return EndpointExplanation(
                name: name(candidate.slot), standing: candidate.standing, verdict: scratch.verdict(at: position),
                score: scratch.score(at: position), rank: ranks[position], inFlight: candidate.inFlight,
                limit: candidate.limit, weight: candidate.weight, latencyNanos: candidate.latencyNanos)
        })
}

extension HeaderMatch {
    /// What is wanted, as a clause on why it is not met.
    fileprivate var text: String {
        let (name, prefix) = (String(copying: name), String(copying: prefix))
        guard let suffix = suffix.map(String.init(copying:)) else { return "\(name) is not \(prefix)" }
        return prefix.isEmpty && suffix.isEmpty ? "\(name) is missing" : "\(name) is not \(prefix)*\(suffix)"
    }
}

extension String {
    /// What is not UTF-8 shows as U+FFFD.
    fileprivate init(copying bytes: [UInt8]) { self.init(decoding: bytes, as: UTF8.self) }
}
