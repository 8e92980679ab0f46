internal import Synchronization

/// Keeps retries a fixed share of the load, so that an outage is not amplified.
///
/// A bucket of retries: each first attempt adds `ratio`, each retry takes 1. Apart from it `floorPerSecond` retries are
/// always allowed, so that a pool with little load can retry, too. Shared by all reactors; nothing blocks, and a bucket
/// that is full, as it mostly is, is only read. (After Finagle's and linkerd's retry budgets.)
package final class RetryBudget: Sendable {
    private static let unit = 1000

    private let share: Int
    private let capacity: Int
    /// Nanoseconds between two retries of the floor; 0: there is no floor.
    private let floorInterval: Int64
    /// Thousandths of a retry.
    private let balance: Atomic<Int>
    /// When the floor allows its next retry if it lets none go unused (GCRA's theoretical arrival time).
    private let floorAt = Atomic<Int64>(.min)

    /// - Parameters:
    ///   - ratio: Retries per first attempt. 0...1.
    ///   - floorPerSecond: Retries per second that the load need not pay for. 0...1000.
    ///   - initial: Retries in the bucket at the start.
    ///   - capacity: The most it holds: how large a burst of retries may be.
    package init(ratio: Double = 0.2, floorPerSecond: Int = 3, initial: Int = 20, capacity: Int = 100) {
        precondition((0...1).contains(ratio) && (0...1000).contains(floorPerSecond), "no such budget")
        precondition(initial >= 0 && (0...1_000_000).contains(capacity), "no such budget")
        share = Int((ratio * Double(RetryBudget.unit)).rounded())
        self.capacity = capacity * RetryBudget.unit
        floorInterval = floorPerSecond == 0 ? 0 : 1_000_000_000 / Int64(floorPerSecond)
        balance = Atomic(min(initial, capacity) * RetryBudget.unit)
    }

    /// Counts a first attempt.
    package func deposit() {
        var seen = balance.load(ordering: .relaxed)
        while seen < capacity {
            let (done, current) = balance.weakCompareExchange(
                expected: seen, desired: min(capacity, seen + share), ordering: .relaxed)
            if done { return }
            seen = current
        }
    }

    /// Takes one retry; `false` if there is none to take.
    ///
    /// - Parameter now: Nanoseconds of a monotonic clock, not negative.
    package func withdraw(at now: Int64) -> Bool {
        var seen = balance.load(ordering: .relaxed)
        while seen >= RetryBudget.unit {
            let (done, current) = balance.weakCompareExchange(
                expected: seen, desired: seen - RetryBudget.unit, ordering: .relaxed)
            if done { return true }
            seen = current
        }
        return withdrawFromFloor(at: now)
    }

    /// Gives back a retry that was taken but not made.
    package func refund() {
        var seen = balance.load(ordering: .relaxed)
        while seen < capacity {
            let (done, current) = balance.weakCompareExchange(
                expected: seen, desired: min(capacity, seen + RetryBudget.unit), ordering: .relaxed)
            if done { return }
            seen = current
        }
    }

    /// Whole retries in the bucket, the floor's not counted. For metrics.
    package var available: Int { balance.load(ordering: .relaxed) / RetryBudget.unit }

    /// At most a second's worth at once, then one per interval.
    private func withdrawFromFloor(at now: Int64) -> Bool {
        if floorInterval == 0 { return false }
        var seen = floorAt.load(ordering: .relaxed)
        while true {
            let next = max(seen, now) + floorInterval
            if next - now > 1_000_000_000 { return false }
            let (done, current) = floorAt.weakCompareExchange(expected: seen, desired: next, ordering: .relaxed)
            if done { return true }
            seen = current
        }
    }
}
