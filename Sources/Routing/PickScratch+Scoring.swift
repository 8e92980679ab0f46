internal import Glibc
internal import Health

// Each scoring step rates the candidates ranked in `range`, lower is better, and returns the lowest.
extension PickScratch {
    /// Rates by requests in flight over weight.
    ///
    /// By weight, so that an endpoint in its slow start is given a share and not the whole rush that an empty one
    /// would draw.
    mutating func scoreByLoad(_ range: Range<Int>) -> Double {
        isScored = true
        var lowest = Double.infinity
        var entries = entries.mutableSpan
        for rank in range {
            let position = Int(entries[rank].ranked)
            let score = entries[position].candidate.load
            entries[position].score = score
            lowest = score < lowest ? score : lowest
        }
        return lowest
    }

    /// Rates by latency in nanoseconds times the requests in flight with this one.
    ///
    /// An endpoint of unknown latency counts as the fastest known one: it is tried soon, and the requests in flight
    /// keep a burst from going there all at once.
    mutating func scoreByLatency(_ range: Range<Int>) -> Double {
        isScored = true
        var entries = entries.mutableSpan
        var known = Int.max
        for rank in range {
            let candidate = entries[Int(entries[rank].ranked)].candidate
            if candidate.knowsLatency { known = min(known, candidate.latencyNanos) }
        }
        // With nothing known any figure above the tolerance of near-ties makes this least-request.
        if known == .max { known = 10_000_000 }
        var lowest = Double.infinity
        for rank in range {
            let position = Int(entries[rank].ranked)
            let candidate = entries[position].candidate
            let latency = Double(candidate.knowsLatency ? candidate.latencyNanos : known)
            let score = latency * candidate.atFullWeight(candidate.inFlight &+ 1)
            entries[position].score = score
            lowest = score < lowest ? score : lowest
        }
        return lowest
    }

    /// Rates by weighted rendezvous hashing of the session.
    ///
    /// Each endpoint wins sessions in proportion to its weight, and a change of one moves only its own. The winner
    /// keeps a session unless it has more than 1.25 times the mean in flight, and one more; the next in the
    /// session's own order takes it then.
    /// - SeeAlso: Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads" (2017).
    mutating func scoreBySession(_ session: UInt64, _ range: Range<Int>) -> Double {
        isScored = true
        var entries = entries.mutableSpan
        var inFlight = 0
        var isEven = true
        let first = entries[Int(entries[range.lowerBound].ranked)].candidate.share
        for rank in range {
            let position = Int(entries[rank].ranked)
            inFlight += entries[position].candidate.inFlight
            isEven = isEven && entries[position].candidate.share == first
        }
        let bound = 1.25 * Double(inFlight) / Double(range.count) + 1
        var lowest = Double.infinity
        for rank in range {
            let position = Int(entries[rank].ranked)
            let candidate = entries[position].candidate
            // In 0<..1, so that it has a logarithm.
            let point = 1 - unitInterval(mixed(session ^ mixed(candidate.identity)))
            // The logarithm makes the odds proportional to the weights; where these are equal the points themselves
            // give the same order. Neither comes near a million, which puts the overloaded behind.
            var score = isEven ? 1 - point : -log(point) * Double(Candidate.fullWeight) / candidate.share
            if Double(candidate.inFlight) > bound { score += 1_000_000 }
            entries[position].score = score
            lowest = score < lowest ? score : lowest
        }
        return lowest
    }
}

extension Candidate {
    /// Requests in flight, as many as they were at full weight.
    @inline(__always)
    internal var load: Double { atFullWeight(inFlight) }

    /// `requests` times full weight over weight; a division is half of what rating an endpoint costs.
    @inline(__always)
    fileprivate func atFullWeight(_ requests: Int) -> Double {
        weight == Candidate.fullWeight ? Double(requests) : Double(requests) * Double(Candidate.fullWeight) / share
    }

    /// What a half-open endpoint took before it failed says nothing of now.
    @inline(__always)
    fileprivate var knowsLatency: Bool { latencyNanos > 0 && standing != .halfOpen }
}
