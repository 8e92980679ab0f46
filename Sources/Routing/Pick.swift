/// Chooses the endpoint of an attempt among those of one pool.
///
/// The pipeline: screen (who may take part at all) → filter (suspects in a panic; what is left when nobody may) →
/// score (cost, lower is better) → choose (near-ties at random) → the caller's claim, which is the commit → what the
/// caller observes of the attempt. Each step is a pass over dense arrays in `scratch`. What later knows more of a
/// request, such as the prefix its endpoint has cached, adds a case to `Balancing` and its cost to the scoring step.
///
/// Pure: the same arguments give the same answer and the same `random` after it.
/// - Parameters:
///   - session: A hash of what the requests of a session share; used if the pool has affinity.
///   - turn: Counts the pool's picks, for `roundRobin`.
///   - scratch: Holds the candidates. Afterwards it says why (`verdict(at:)`) and who is next (`nextFallback()`).
/// - Complexity: O(candidates), without allocation. 8 candidates: 35–110 ns; 100: 0.15–0.8 µs.
package func pick(
    _ policy: PickPolicy, session: UInt64? = nil, turn: Int = 0, random: inout SplitMix64, scratch: inout PickScratch
) -> PickResult {
    let request = PickRequest(policy: policy, session: policy.hasAffinity ? session : nil, turn: turn)
    let census = scratch.screen()
    let isPanic = census.isPanic(threshold: policy.panicThreshold)
    if isPanic { scratch.admitSuspects() }
    let suspects = scratch.rankedCount - census.eligible
    if suspects > 0 {
        // An attempt after the first does not gamble; only the first attempts of a share of the requests do.
        let gambles = census.eligible == 0 || (census.tried == 0 && random.unit() < policy.panicShare)
        let range = gambles ? census.eligible..<scratch.rankedCount : 0..<census.eligible
        return .endpoint(scratch.choose(in: range, request, &random))
    }
    if census.eligible > 0 { return .endpoint(scratch.choose(in: 0..<census.eligible, request, &random)) }
    return scratch.recourse(request, &random)
}

/// What is asked of the steps of a pick.
internal struct PickRequest {
    let policy: PickPolicy
    /// `nil` without affinity.
    let session: UInt64?
    let turn: Int
}

/// How many of the candidates are what.
internal struct Census {
    /// Neither suspect nor unreachable, whether tried or at a limit.
    var sound = 0
    /// Suspect.
    var suspect = 0
    /// May be chosen.
    var eligible = 0
    /// This request has been there, whatever they are now.
    var tried = 0

    /// Whether so few reachable endpoints are sound that the suspicion itself is suspect.
    func isPanic(threshold: Double) -> Bool {
        suspect > 0 && Double(sound) < threshold * Double(sound + suspect)
    }
}
