/// Successes and failures of the last while, as two buckets: the one that fills, and the share of the one before
/// that the window still reaches back to.
///
/// Exact for steady traffic; measured by others on 400 million requests: 0.003 % of verdicts differ from those of
/// a list of all times. Successes may come in late and in bulk.
internal struct OutcomeWindow: Sendable, Equatable {
    private var start: Int64
    private var successes = 0.0
    private var failures = 0.0
    private var earlierSuccesses = 0.0
    private var earlierFailures = 0.0

    internal init(at now: Int64) { start = now }

    /// Counts successes since the last call.
    internal mutating func add(successes count: Int) { successes += Double(count) }

    /// Counts a failure.
    ///
    /// - Returns: Attempts in the window, this one included, and the share of them that failed.
    internal mutating func addFailure(at now: Int64, window: Int64) -> (attempts: Double, failedShare: Double) {
        let elapsed = Double(max(0, now - start))
        let length = Double(max(1, window))
        if elapsed >= length {
            // What came in over a longer while than the window is taken as spread evenly over it.
            let share = length / elapsed
            earlierSuccesses = successes * share
            earlierFailures = failures * share
            successes = 0
            failures = 0
            start = now
        }
        failures += 1
        let share = elapsed >= length ? 1 : 1 - elapsed / length
        let failed = failures + earlierFailures * share
        let all = failed + successes + earlierSuccesses * share
        return (all, failed / all)
    }
}
