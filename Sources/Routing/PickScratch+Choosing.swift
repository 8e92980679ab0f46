extension PickScratch {
    /// Chooses one of the candidates ranked in `range` and settles it as the first.
    ///
    /// - Parameter range: Not empty.
    /// - Returns: Its position.
    mutating func choose(in range: Range<Int>, _ request: PickRequest, _ random: inout SplitMix64) -> Int {
        let rank = winner(in: range, request, &random)
        // In a panic only one of the two groups is rated; should the claim be lost, all are rated anew.
        isScored = isScored && range.count == rankedCount
        swapRanks(0, rank)
        settledCount = 1
        return position(ranked: 0)
    }

    /// The rank, in `range`, of the one that is chosen.
    private mutating func winner(in range: Range<Int>, _ request: PickRequest, _ random: inout SplitMix64) -> Int {
        if let session = request.session {
            let lowest = scoreBySession(session, range)
            return range.first { entries[position(ranked: $0)].score == lowest } ?? range.lowerBound
        }
        if range.count == 1 { return range.lowerBound }
        switch request.policy.balancing {
        case .leastRequest:
            let lowest = scoreByLoad(range)
            return nearTie(range, below: lowest * 1.02, random.next())
        case .ewma:
            let lowest = scoreByLatency(range)
            return nearTie(range, below: lowest + max(2_000_000, 0.02 * lowest), random.next())
        case .roundRobin: return inTurn(range, request.turn)
        case .random: return byWeight(range, random.unit())
        case .p2c: return lessLoadedOfTwo(range, &random)
        }
    }

    /// One of those that score at most `bound`, by weight and against load.
    ///
    /// Equal scores must not lead every request to the same place.
    private mutating func nearTie(_ range: Range<Int>, below bound: Double, _ bits: UInt64) -> Int {
        rotation = Int(truncatingIfNeeded: bits & 0x7FF)
        var entries = entries.mutableSpan
        // The ties come to the front of the range: what is drawn from is dense then.
        var end = range.lowerBound
        var total = 0.0
        var isEven = true
        var first = 0.0
        for rank in range {
            let position = entries[rank].ranked
            guard entries[Int(position)].score <= bound else { continue }
            let weight = entries[Int(position)].candidate.tieWeight
            if total == 0 { first = weight }
            isEven = isEven && weight == first
            total += weight
            entries[rank].ranked = entries[end].ranked
            entries[end].ranked = position
            end += 1
        }
        if isEven { return range.lowerBound + scaled(bits, to: end - range.lowerBound) }
        var rest = unitInterval(bits) * total
        for rank in range.lowerBound..<end {
            rest -= entries[Int(entries[rank].ranked)].candidate.tieWeight
            if rest < 0 { return rank }
        }
        // Rounding may leave a rest of nothing.
        return end - 1
    }

    /// The next in turn: one after the other if their weights are equal, else spread evenly by weight.
    private func inTurn(_ range: Range<Int>, _ turn: Int) -> Int {
        let first = candidate(ranked: range.lowerBound).share
        if range.allSatisfy({ candidate(ranked: $0).share == first }) {
            return range.lowerBound + Int(UInt(bitPattern: turn) % UInt(range.count))
        }
        // Multiples of the golden ratio: any run of turns is spread over the weights as evenly as can be.
        return byWeight(range, unitInterval(UInt64(bitPattern: Int64(turn)) &* 0x9E37_79B9_7F4A_7C15))
    }

    /// Where `point` of 0..<1 falls on the weights laid end to end.
    private func byWeight(_ range: Range<Int>, _ point: Double) -> Int {
        var total = 0.0
        for rank in range { total += candidate(ranked: rank).share }
        var rest = point * total
        for rank in range {
            rest -= candidate(ranked: rank).share
            if rest < 0 { return rank }
        }
        return range.upperBound - 1
    }

    /// Draws two and takes the less loaded one.
    ///
    /// - SeeAlso: Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing" (2001).
    private func lessLoadedOfTwo(_ range: Range<Int>, _ random: inout SplitMix64) -> Int {
        let first = range.lowerBound + random.below(range.count)
        var second = range.lowerBound + random.below(range.count - 1)
        if second >= first { second += 1 }
        let (one, other) = (candidate(ranked: first), candidate(ranked: second))
        if one.load * 1.02 < other.load { return first }
        if other.load * 1.02 < one.load { return second }
        return random.unit() * (one.tieWeight + other.tieWeight) < one.tieWeight ? first : second
    }

    /// Settles the best of those not settled and returns its position; `nil` if all are.
    mutating func settleNext() -> Int? {
        let count = rankedCount - settledCount
        guard count > 0 else { return nil }
        if !isScored { _ = scoreByLoad(0..<rankedCount) }
        // From a place that differs from pick to pick, so that equals take turns.
        let start = rotation % count
        var best = settledCount + start
        for step in 1..<count {
            let rank = settledCount + (start + step < count ? start + step : start + step - count)
            if entries[position(ranked: rank)].goesBefore(entries[position(ranked: best)]) { best = rank }
        }
        swapRanks(settledCount, best)
        settledCount += 1
        return position(ranked: settledCount - 1)
    }

    @inline(__always)
    private func position(ranked rank: Int) -> Int { Int(entries[rank].ranked) }

    @inline(__always)
    private func candidate(ranked rank: Int) -> Candidate { entries[Int(entries[rank].ranked)].candidate }

    private mutating func swapRanks(_ one: Int, _ other: Int) {
        let position = entries[one].ranked
        entries[one].ranked = entries[other].ranked
        entries[other].ranked = position
    }
}

extension PickScratch.Entry {
    /// Suspects follow the others, whatever the scores.
    fileprivate func goesBefore(_ other: PickScratch.Entry) -> Bool {
        if (verdict == .panic) != (other.verdict == .panic) { return other.verdict == .panic }
        return score < other.score
    }
}

extension Candidate {
    /// The chance among equals.
    @inline(__always)
    fileprivate var tieWeight: Double { inFlight == 0 ? share : share / Double(inFlight &+ 1) }
}
