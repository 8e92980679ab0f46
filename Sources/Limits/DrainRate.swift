/// How fast a queue empties: requests taken per second of the time in which anything waited.
///
/// Time with nothing waiting does not count, so that a quiet hour does not read as a slow pool. Both the requests and
/// the time are forgotten with a time constant of 10 s of such time.
internal struct DrainRate: Sendable {
    private static let memorySeconds = 10.0
    /// Weight of the first guess, one request per second, in seconds.
    private static let guessSeconds = 0.1

    private var taken = 0.0
    private var busySeconds = 0.0
    private var updatedAt = Int64.min

    /// Moves on to `now`. Called before the number of waiting requests changes.
    internal mutating func advance(to now: Int64, isBusy: Bool) {
        if isBusy && updatedAt != .min && now > updatedAt {
            let seconds = Double(now - updatedAt) * 1e-9
            // 1 / (1 + x) for e^-x: the same for small steps, and milder on a single long one.
            let kept = DrainRate.memorySeconds / (DrainRate.memorySeconds + seconds)
            taken *= kept
            busySeconds = (busySeconds + seconds) * kept
        }
        updatedAt = max(updatedAt, now)
    }

    /// Counts one request taken (1) or put back (-1) at the time last moved to.
    internal mutating func count(_ requests: Double) { taken = max(0, taken + requests) }

    internal var perSecond: Double {
        (taken + DrainRate.guessSeconds) / (busySeconds + DrainRate.guessSeconds)
    }

    /// Nanoseconds until `requests` are taken, within 1...60 s.
    internal func nanos(for requests: Int) -> Int64 {
        Int64(min(60, max(1, Double(requests) / perSecond)) * 1e9)
    }
}
