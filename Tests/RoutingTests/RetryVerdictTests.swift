import Routing
import Testing

@Suite("What follows a failed attempt")
struct RetryVerdictTests {
    struct Row: CustomTestStringConvertible {
        let testDescription: String
        var failure = AttemptFailure.broken
        var made = 1
        var isAnswerBegun = false
        var place = AttemptPlace.elsewhere
        var hasNextTarget = false
        var deadline = Int64.max
        var hasBudget = true
        let verdict: RetryVerdict?
    }

    private static let now: Int64 = 1_000_000_000

    @Test(
        "verdicts",
        arguments: [
            Row(testDescription: "another endpoint at once", hasNextTarget: true, verdict: .elsewhere),
            Row(testDescription: "no connection", failure: .connect, verdict: .elsewhere),
            Row(testDescription: "no first token", failure: .timeout, verdict: .elsewhere),
            Row(testDescription: "garbage", failure: .garbage, verdict: .elsewhere),
            Row(testDescription: "500", failure: .status(500), verdict: .elsewhere),
            Row(testDescription: "429", failure: .status(429), verdict: .elsewhere),
            Row(testDescription: "overloaded (529)", failure: .status(529), verdict: .elsewhere),
            Row(testDescription: "400", failure: .status(400), hasNextTarget: true, verdict: .giveUp(.notRetryable)),
            Row(testDescription: "no status", failure: .status(0), verdict: .giveUp(.notRetryable)),
            Row(
                testDescription: "too long", failure: .contextLength, hasNextTarget: true,
                verdict: .giveUp(.requestFault)),
            Row(
                testDescription: "forbidden", failure: .contentPolicy, hasNextTarget: true,
                verdict: .giveUp(.requestFault)),
            Row(testDescription: "client left", failure: .cancelled, verdict: .giveUp(.clientGone)),
            Row(testDescription: "bytes sent", isAnswerBegun: true, verdict: .giveUp(.answerBegun)),
            Row(testDescription: "the last attempt", made: 5, hasNextTarget: true, verdict: .giveUp(.attempts)),
            Row(testDescription: "the last but one", made: 4, verdict: .elsewhere),
            Row(
                testDescription: "the last attempt never waits", made: 5, place: .sameAgain, verdict: .giveUp(.attempts)
            ),
            Row(testDescription: "too late", deadline: now, verdict: .giveUp(.deadline)),
            Row(testDescription: "just in time", deadline: now + 1, verdict: .elsewhere),
            Row(testDescription: "no budget", hasBudget: false, verdict: .giveUp(.budget)),
            Row(
                testDescription: "next pool before waiting", place: .sameAgain, hasNextTarget: true,
                verdict: .nextTarget),
            Row(
                testDescription: "next pool instead of waiting", place: .notBefore(now + 5), hasNextTarget: true,
                verdict: .nextTarget),
            Row(testDescription: "next pool, nothing here", place: .nowhere, hasNextTarget: true, verdict: .nextTarget),
            Row(
                testDescription: "next pool, no budget", place: .nowhere, hasNextTarget: true, hasBudget: false,
                verdict: .giveUp(.budget)),
            Row(
                testDescription: "credential: another provider, not another endpoint", failure: .authentication,
                hasNextTarget: true, verdict: .nextTarget),
            Row(
                testDescription: "credential, no other provider", failure: .authentication,
                verdict: .giveUp(.nothingLeft)),
            Row(testDescription: "model missing here, another endpoint", failure: .modelMissing, verdict: .elsewhere),
            Row(
                testDescription: "model missing everywhere", failure: .modelMissing, place: .sameAgain,
                verdict: .giveUp(.nothingLeft)),
            Row(testDescription: "nothing left", place: .nowhere, verdict: .giveUp(.nothingLeft)),
            Row(testDescription: "one endpoint: a wait", place: .sameAgain, verdict: nil),
            Row(
                testDescription: "until it has room", place: .notBefore(now + 2_000_000_000),
                verdict: .wait(until: now + 2_000_000_000)),
            Row(
                testDescription: "room comes too late", place: .notBefore(now + 5), deadline: now + 5,
                verdict: .giveUp(.deadline)),
        ])
    func verdict(_ row: Row) {
        var random = SplitMix64(seed: 1)
        var withdrawals = 0
        let situation = RetrySituation(
            failure: row.failure, attemptsMade: row.made, isAnswerBegun: row.isAnswerBegun, place: row.place,
            hasNextTarget: row.hasNextTarget, deadline: row.deadline)
        let verdict = RetryPolicy().verdict(situation, at: Self.now, &random) {
            withdrawals += 1
            return row.hasBudget
        }
        if let expected = row.verdict {
            #expect(verdict == expected)
        } else if case .wait(let until) = verdict {
            #expect((Self.now..<Self.now + 25_000_000).contains(until))
        } else {
            Issue.record("\(verdict)")
        }
        switch verdict {
        case .giveUp(.budget): #expect(withdrawals == 1)
        case .giveUp: #expect(withdrawals == 0, "a retry that is not made costs nothing")
        case .elsewhere, .nextTarget, .wait: #expect(withdrawals == 1)
        }
    }

    @Test("the wait doubles up to its bound, and is anything below")
    func backoff() {
        let policy = RetryPolicy()
        var random = SplitMix64(seed: 4)
        for (made, bound) in [(1, 25), (2, 50), (3, 100), (4, 200), (5, 250), (20, 250), (1000, 250)] {
            let waits = (0..<2000).map { _ in policy.backoff(attemptsMade: made, &random) }
            let nanos = Int64(bound) * 1_000_000
            #expect(waits.allSatisfy { (0..<nanos).contains($0) })
            #expect((waits.max() ?? 0) > nanos * 98 / 100)
            #expect((waits.min() ?? 0) < nanos * 2 / 100)
        }
        #expect(RetryPolicy(backoffNanos: 0).backoff(attemptsMade: 3, &random) == 0)
        #expect(RetryPolicy(backoffNanos: .max, maxBackoffNanos: 10).backoff(attemptsMade: 3, &random) < 10)
    }

    @Test("sets of statuses")
    func statuses() {
        let set: StatusSet = [100, 163, 164, 429, 599, 600, 99, -1]
        #expect((-5...700).filter(set.contains) == [100, 163, 164, 429, 599])
        #expect(StatusSet([500, 503]) == [503, 500])
        #expect(StatusSet() != [500])
    }
}
