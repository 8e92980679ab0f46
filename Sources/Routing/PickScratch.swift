internal import Health

/// The memory of picks, used again for each: one per reactor.
///
/// The caller fills it (`begin`, `append`), `pick` reads and ranks, and what it found stays readable until the next
/// `begin`. One plain array of trivial values, indexed by position: no reference is counted and, once it has grown
/// to the largest pool, nothing is allocated.
package struct PickScratch: Sendable {
    /// A candidate and what the steps of a pick say of it.
    @usableFromInline
    internal struct Entry: Sendable {
        @usableFromInline var candidate: Candidate
        /// Lower is better. Valid if it takes part, and `isScored`.
        @usableFromInline var score = 0.0
        /// No property of the candidate: of the ranking, which shares the memory, the position at this place.
        @usableFromInline var ranked: Int32 = 0
        @usableFromInline var verdict = Verdict.gone

        @inlinable init(_ candidate: Candidate) { self.candidate = candidate }
    }

    @usableFromInline internal var entries: [Entry] = []
    /// How many take part; the first `settledCount` ranks are in their final order.
    internal var rankedCount = 0
    internal var settledCount = 0
    internal var isScored = false
    /// Where the search for equals begins, so that none is preferred for its place.
    internal var rotation = 0
    /// Whether suspects took part in the last pick.
    package internal(set) var isPanic = false

    package init() {}

    /// Forgets the candidates of the pick before.
    @inlinable package mutating func begin() { entries.removeAll(keepingCapacity: true) }

    /// Adds an endpoint of the pool; its position is the count before.
    @inlinable package mutating func append(_ candidate: Candidate) { entries.append(Entry(candidate)) }

    /// How many endpoints the pool has.
    @inlinable package var count: Int { entries.count }

    /// An endpoint as the caller saw it.
    @inlinable package func candidate(at position: Int) -> Candidate { entries[position].candidate }

    /// What the last pick found of the candidate at `position`.
    package func verdict(at position: Int) -> Verdict { entries[position].verdict }

    /// What the candidate at `position` was rated, lower is better; `nil` if it took no part or nothing was rated.
    package func score(at position: Int) -> Double? {
        let takesPart = entries[position].verdict == .eligible || entries[position].verdict == .panic
        return isScored && takesPart ? entries[position].score : nil
    }

    /// The next best after the claim of the one before was lost to another request; `nil` after the last.
    ///
    /// Cost: one pass over what is left.
    package mutating func nextFallback() -> Int? {
        guard settledCount > 0 else { return nil }
        let lost = Int(entries[settledCount - 1].ranked)
        entries[lost].verdict = entries[lost].candidate.standing == .halfOpen ? .probeTaken : .atLimit
        return settleNext()
    }

    /// All that take part, best first. For explanations: the picks themselves stop at what they need.
    package mutating func rankAll() -> [Int] {
        if !isScored { _ = scoreByLoad(0..<rankedCount) }
        while settledCount > 0, settleNext() != nil {}
        return entries[..<settledCount].map { Int($0.ranked) }
    }
}
