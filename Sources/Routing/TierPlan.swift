package import Topology

/// Where a request goes next: the walk through the tiers of a route, target by target.
///
/// A value without arrays: which targets of the tier have been visited is a set of bits. A tier's targets past the
/// 64th are never visited; the configuration allows no more.
package struct TierPlan: Sendable, Equatable {
    /// The most targets a tier may have.
    package static let targetLimit = 64

    /// Index of the tier the request is in.
    package private(set) var tier = 0
    /// Index of the target in it, `nil` before the first `advance`.
    package private(set) var target: Int?
    /// How many targets have been visited, this one included.
    package private(set) var visitedCount = 0
    private var visited: UInt64 = 0
    /// `nil`: each draw is random.
    private let session: UInt64?

    /// - Parameter session: A hash of what the requests of a session share; they draw the same target then.
    package init(session: UInt64?) { self.session = session }

    /// Goes to the next target: one of the tier drawn by weight, later the others likewise, those of weight 0 last
    /// and in order, then the next tier.
    ///
    /// A session draws by the hash of it and the tier. Its point on the cumulative weights is always the same, so
    /// that of two settings of a canary's weight the greater only adds sessions, if the canary is the last target.
    /// - Parameter tiers: The same at each call.
    /// - Returns: `false` if all have been visited; the plan stays at the last then.
    package mutating func advance(in tiers: [Tier], _ random: inout SplitMix64) -> Bool {
        var (tier, visited) = target == nil ? (tier, 0) : (tier, visited)
        while tier < tiers.count {
            if let next = draw(from: tiers[tier].targets, tier: tier, visited: visited, &random) {
                (self.tier, self.target, self.visited) = (tier, next, visited | (1 << UInt64(next)))
                visitedCount += 1
                return true
            }
            (tier, visited) = (tier + 1, 0)
        }
        return false
    }

    /// Whether `advance` would find another target.
    package func hasNext(in tiers: [Tier]) -> Bool {
        if tier + 1 < tiers.count { return true }
        guard tier < tiers.count else { return false }
        return visited.nonzeroBitCount < min(tiers[tier].targets.count, TierPlan.targetLimit)
    }

    private func draw(
        from targets: [Target], tier: Int, visited: UInt64, _ random: inout SplitMix64
    ) -> Int? {
        let count = min(targets.count, TierPlan.targetLimit)
        var (total, drawable, last) = (0, 0, 0)
        var spare: Int?
        for index in 0..<count where visited & (1 << UInt64(index)) == 0 {
            let weight = targets[index].weight
            if weight > 0 {
                (total, drawable, last) = (total + weight, drawable + 1, index)
            } else if spare == nil {
                spare = index
            }
        }
        if drawable == 0 { return spare }
        if drawable == 1 { return last }
        var rest = Int(point(tier: tier, step: visited.nonzeroBitCount, &random) * Double(total))
        for index in 0..<count where visited & (1 << UInt64(index)) == 0 {
            rest -= targets[index].weight
            if rest < 0 { return index }
        }
        return last
    }

    private func point(tier: Int, step: Int, _ random: inout SplitMix64) -> Double {
        guard let session else { return random.unit() }
        // Each draw of a session has its own hash, or all sessions of a failed pool would meet in the same other.
        return unitInterval(mixed(session &+ mixed(UInt64(tier) << 8 | UInt64(step))))
    }
}
