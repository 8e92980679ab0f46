import Health
import Routing
import Testing

/// A pool under steady load in simulated time: picks, claims and retries as the gateway makes them.
private struct Outage {
    static let millisecond: Int64 = 1_000_000
    let bad: Set<Int>
    let policy: PickPolicy
    let records: [EndpointRecord]
    var random = SplitMix64(seed: 8)
    var scratch = PickScratch()
    var running: [Attempt] = []
    /// Thousandths of an attempt: a fifth of the first attempts, 20 to begin with.
    var budget = 20_000
    var failedRequests = 0
    var attemptsAtBad = 0

    struct Attempt {
        let request: Int
        let endpoint: Int
        let claim: Claim
        let end: Int64
        var tried: UInt64
    }

    init(endpoints: Int, bad: Set<Int>, _ balancing: Balancing, hasAffinity: Bool) {
        self.bad = bad
        policy = PickPolicy(balancing: balancing, hasAffinity: hasAffinity)
        records = (0..<endpoints).map { EndpointRecord(HealthPolicy(), at: 0, seed: UInt64($0)) }
    }

    /// One request each millisecond; a good endpoint takes 40 ms, a bad one fails in one.
    mutating func run(requests: Range<Int>) {
        for request in requests {
            let now = Int64(request) * Outage.millisecond
            finish(until: now)
            budget = min(budget + 200, 100_000)
            attempt(request, tried: 0, at: now)
        }
    }

    private mutating func attempt(_ request: Int, tried: UInt64, at now: Int64) {
        guard let (endpoint, claim) = claim(request, tried: tried, at: now) else {
            failedRequests += 1
            return
        }
        let isBad = bad.contains(endpoint)
        attemptsAtBad += isBad ? 1 : 0
        running.append(
            Attempt(
                request: request, endpoint: endpoint, claim: claim,
                end: now + (isBad ? Outage.millisecond : 40 * Outage.millisecond), tried: tried | 1 << UInt64(endpoint))
        )
    }

    private mutating func claim(_ request: Int, tried: UInt64, at now: Int64) -> (Int, Claim)? {
        scratch.begin()
        for (slot, record) in records.enumerated() {
            scratch.append(
                Candidate(
                    slot: slot, record.reading(at: now), isTried: tried & (1 << UInt64(slot)) != 0,
                    identity: UInt64(slot)))
        }
        let result = pick(policy, session: UInt64(request % 100), turn: request, random: &random, scratch: &scratch)
        var next = result.position
        while let position = next {
            if let claim = records[position].claim(at: now) { return (position, claim) }
            if scratch.verdict(at: position) != .eligible || result != .endpoint(position) {
                return (position, records[position].claimAnyway(at: now))
            }
            next = scratch.nextFallback()
        }
        return nil
    }

    mutating func finish(until now: Int64) {
        while let index = running.indices.min(by: { running[$0].end < running[$1].end }), running[index].end <= now {
            let done = running.remove(at: index)
            guard bad.contains(done.endpoint) else {
                _ = records[done.endpoint].release(done.claim, .success, at: done.end)
                continue
            }
            _ = records[done.endpoint].release(done.claim, .serverError, at: done.end)
            retry(done)
        }
    }

    private mutating func retry(_ done: Attempt) {
        let situation = RetrySituation(
            failure: .status(500), attemptsMade: done.tried.nonzeroBitCount, place: .elsewhere, hasNextTarget: false)
        var budget = budget
        let verdict = RetryPolicy().verdict(situation, at: done.end, &random) {
            guard budget >= 1000 else { return false }
            budget -= 1000
            return true
        }
        self.budget = budget
        guard verdict == .elsewhere else {
            failedRequests += 1
            return
        }
        attempt(done.request, tried: done.tried, at: done.end)
    }
}

@Suite("Endpoints that always fail")
struct OutageTests {
    struct Row: CustomTestStringConvertible {
        let testDescription: String
        let endpoints: Int
        let bad: Set<Int>
        /// How many requests may fail in the first half second.
        var onset = 0
    }

    @Test(
        "cost no request, at onset and later, under any policy",
        arguments: [
            Row(testDescription: "1 of 2", endpoints: 2, bad: [0]),
            Row(testDescription: "1 of 8", endpoints: 8, bad: [3]),
            Row(testDescription: "4 of 8", endpoints: 8, bad: [0, 1, 2, 3]),
            Row(
                testDescription: "6 of 8: more than the budget bears at once", endpoints: 8, bad: [0, 1, 2, 3, 5, 6],
                onset: 15),
        ])
    func noneFails(_ row: Row) {
        for balancing in Balancing.allCases {
            for hasAffinity in [false, true] {
                let comment: Comment = "\(balancing.label), affinity \(hasAffinity)"
                var outage = Outage(endpoints: row.endpoints, bad: row.bad, balancing, hasAffinity: hasAffinity)
                outage.run(requests: 0..<500)
                #expect(outage.failedRequests <= row.onset, comment)
                (outage.failedRequests, outage.attemptsAtBad) = (0, 0)
                outage.run(requests: 500..<2000)
                outage.finish(until: .max)
                #expect(outage.failedRequests == 0, comment)
                // A few probes; in a panic, an eighth of the requests.
                #expect(outage.attemptsAtBad < (row.bad.count > 4 ? 250 : 20), comment)
                #expect(outage.records.allSatisfy { $0.inFlight == 0 }, comment)
            }
        }
    }
}
