internal import Synchronization

/// Time to the first token, as a mean that a slow answer raises at once and that quick ones, or silence, lower slowly.
///
/// The peak-sensitive moving mean of Finagle and linkerd: a mean over 10 s, so an endpoint that gets slow is
/// noticed with its first slow answer. It falls with time also when nothing is observed, or else an endpoint once
/// slow would never be asked again.
internal struct PeakLatency: ~Copyable, Sendable {
    /// What a failure counts: quick failures would draw traffic otherwise.
    internal static let penaltyNanos = 1_000_000_000
    /// 10 s times the natural logarithm of 2: after this the mean is half.
    private static let halfLifeTicks: UInt32 = 6_610

    /// Upper half: the mean in 1,024 ns; lower half: the time of the last change in 2^20 ns. 0: nothing observed.
    private let word = Atomic<UInt64>(0)

    internal init() {}

    /// The mean in nanoseconds; 0 if nothing was observed yet, 1 at least otherwise.
    @inline(__always)
    internal func nanos(at now: Int64) -> Int {
        let word = word.load(ordering: .relaxed)
        if word == 0 { return 0 }
        return max(1, Int(PeakLatency.decayed(word, at: PeakLatency.tick(now))) << 10)
    }

    /// Takes in an observation. Lock-free; when threads meet, the later one computes again.
    internal func observe(nanos: Int, at now: Int64) {
        let sample = UInt64(min(max(1, nanos >> 10), Int(UInt32.max)))
        var current = word.load(ordering: .relaxed)
        while true {
            let next = PeakLatency.next(after: current, sample: sample, at: PeakLatency.tick(now))
            let (done, original) = word.weakCompareExchange(expected: current, desired: next, ordering: .relaxed)
            if done { return }
            current = original
        }
    }

    private static func next(after current: UInt64, sample: UInt64, at tick: UInt32) -> UInt64 {
        let stamp = UInt32(truncatingIfNeeded: current)
        if sample >= current >> 32 { return sample << 32 | UInt64(tick) }
        let kept = remaining(since: stamp, at: tick)
        let mean = ((current >> 32) * kept + sample * (65_536 - kept)) >> 16
        // Another reactor's clock may be a little behind: time does not go back for it.
        let isBehind = Int32(truncatingIfNeeded: tick &- stamp) < 0
        return mean << 32 | UInt64(isBehind ? stamp : tick)
    }

    private static func tick(_ now: Int64) -> UInt32 { UInt32(truncatingIfNeeded: now >> 20) }

    private static func decayed(_ word: UInt64, at tick: UInt32) -> UInt64 {
        ((word >> 32) * remaining(since: UInt32(truncatingIfNeeded: word), at: tick)) >> 16
    }

    /// What is left of 65,536 after the time between, halved each half-life; within 0.4 %.
    ///
    /// No `exp`: that would be a library call per endpoint and pick.
    private static func remaining(since stamp: UInt32, at tick: UInt32) -> UInt64 {
        let elapsed = tick &- stamp
        if elapsed == 0 || Int32(truncatingIfNeeded: elapsed) < 0 { return 65_536 }
        let halvings = elapsed / halfLifeTicks
        if halvings >= 16 { return 0 }
        let fraction = (UInt64(elapsed % halfLifeTicks) << 16) / UInt64(halfLifeTicks)
        // 2^-f = 1 - f (0.67157 - 0.17157 f), exact at 0, 1/2 and 1.
        let drop = (fraction * (44_012 - ((11_244 * fraction) >> 16))) >> 16
        return (65_536 - drop) >> UInt64(halvings)
    }
}
