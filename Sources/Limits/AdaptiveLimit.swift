/// Finds how many requests an endpoint serves at once without making them wait, from the time to the first token.
///
/// A gradient limit in the manner of Netflix's Gradient2, on time to first token, for total time depends on the length
/// of the answer: `limit' = 0.8 limit + 0.2 (gradient limit + √limit)`, where the gradient, 0.5...1, is 1.5 × the time
/// of an unloaded endpoint / the median of a window of samples. Differences, each against a known weakness:
///
/// - Medians of windows, so that single long prompts do not count.
/// - The unloaded time falls with any window, but rises only with windows of little load: Gradient2's long average
///   also learns the queueing that it should prevent, and drifts to its upper bound under lasting overload.
/// - Halving a limit must help: where it takes less than three tenths off the median, the load was not ours (longer
///   prompts, another gateway's requests), and the old limit returns with the new time as the unloaded one. The
///   same holds at the minimum.
/// - Until the first sign of load it grows by half in each window, so that a restart is not felt for minutes.
///
/// Pure: the caller passes the samples of one endpoint, in order of time.
package struct AdaptiveLimit: Sendable {
    /// What a limit lies between, and where it starts.
    package struct Policy: Sendable, Equatable {
        /// 1...
        package var minimum = 4
        /// At least `minimum`.
        package var maximum = 1000
        /// The first limit.
        package var initial = 20

        package init() {}
    }

    /// A mean of the last few medians.
    private struct RecentMean: Sendable {
        static let windows = 5
        var value = 0.0
        var count = 0

        mutating func add(_ median: Double) {
            count = min(count + 1, RecentMean.windows)
            value += (median - value) / Double(count)
        }
    }

    /// A run of windows with a gradient below 1.
    private struct Descent: Sendable {
        /// The limit at its start.
        let limit: Double
        /// Medians on the way down. Not those near the top: a descent may begin as noise, before the load comes.
        var before = RecentMean()
        /// Medians at half of `limit`.
        var atHalf = RecentMean()

        init(limit: Double) { self.limit = limit }

        mutating func observe(_ median: Double, at estimate: Double) {
            if estimate >= limit * 0.85 { before = RecentMean() } else if estimate >= limit * 0.6 { before.add(median) }
        }
    }

    private static let tolerance = 2.0
    private static let smoothing = 0.2
    private static let samplesPerWindow = 20
    private static let samplesKept = 64
    private static let windowNanos: Int64 = 250_000_000

    private let policy: Policy
    private var estimate: Double
    /// Median time to first token without load, in nanoseconds; 0: not known yet.
    private var unloadedNanos = 0.0
    /// Medians of the windows so far, smoothed; 0: none yet.
    private var smoothedNanos = 0.0
    /// Whether no window has shown load yet.
    private var isStarting = true
    private var descent: Descent?

    private var samples: [Int64] = []
    private var sampleCount = 0
    /// How many of them were taken at half the limit or more.
    private var loadedCount = 0
    private var windowStart = Int64.min
    private var wasRefused = false

    /// Starts at `policy.initial`.
    package init(_ policy: Policy = Policy()) {
        precondition(policy.minimum >= 1 && policy.maximum >= policy.minimum, "no such limits")
        self.policy = policy
        estimate = Double(min(policy.maximum, max(policy.minimum, policy.initial)))
        samples.reserveCapacity(AdaptiveLimit.samplesKept)
    }

    /// Requests at once.
    package var limit: Int { Int(estimate) }

    /// Median time to first token without load, in nanoseconds; 0: not known yet.
    package var unloadedTTFTNanos: Int64 { Int64(unloadedNanos) }

    /// Learns from one first token.
    ///
    /// - Parameters:
    ///   - ttftNanos: From sending the request to its first token.
    ///   - inFlight: Requests at the endpoint when this one was sent, itself counted in.
    /// - Returns: The new limit, if it changes.
    /// - Complexity: Amortised O(1); allocates nothing.
    package mutating func observe(ttftNanos: Int64, inFlight: Int, at now: Int64) -> Int? {
        if windowStart == .min { windowStart = now }
        let sample = max(1, ttftNanos)
        if samples.count < AdaptiveLimit.samplesKept {
            samples.append(sample)
        } else {
            samples[sampleCount % AdaptiveLimit.samplesKept] = sample
        }
        sampleCount += 1
        if inFlight * 2 >= limit { loadedCount += 1 }
        if sampleCount < AdaptiveLimit.samplesPerWindow || now - windowStart < AdaptiveLimit.windowNanos { return nil }
        return closeWindow(at: now)
    }

    /// Learns that the endpoint itself said that it is full: a 429 or 503 at `inFlight` requests.
    ///
    /// - Returns: The new limit, if it changes: a tenth below what it refused, once in each window.
    package mutating func refused(inFlight: Int) -> Int? {
        isStarting = false
        if wasRefused { return nil }
        wasRefused = true
        descent = nil
        return change(to: min(estimate, Double(max(1, inFlight)) * 0.9))
    }

    private mutating func closeWindow(at now: Int64) -> Int? {
        samples.sort()
        let latest = Double(samples[samples.count / 2])
        let median = smooth(latest)
        let isLoaded = loadedCount * 2 >= sampleCount
        samples.removeAll(keepingCapacity: true)
        (sampleCount, loadedCount, windowStart, wasRefused) = (0, 0, now, false)
        learnUnloaded(median, isLoaded: isLoaded)
        // Unsmoothed: at this pace the limit would be far beyond before the smoothed median shows it.
        if latest > AdaptiveLimit.tolerance * unloadedNanos { isStarting = false }
        return isLoaded ? step(median, latest) : nil
    }

    /// A running geometric mean of the medians, each with a weight of a quarter.
    private mutating func smooth(_ median: Double) -> Double {
        if smoothedNanos == 0 { smoothedNanos = median }
        smoothedNanos *= (median / smoothedNanos).squareRoot().squareRoot()
        return smoothedNanos
    }

    private mutating func learnUnloaded(_ median: Double, isLoaded: Bool) {
        if unloadedNanos == 0 {
            unloadedNanos = median
        } else if median < unloadedNanos {
            unloadedNanos += (median - unloadedNanos) * 0.05
        } else if !isLoaded {
            unloadedNanos += (median - unloadedNanos) * 0.02
        }
    }

    private mutating func step(_ median: Double, _ latest: Double) -> Int? {
        let gradient = min(1, max(0.5, AdaptiveLimit.tolerance * unloadedNanos / median))
        if gradient == 1 {
            descent = nil
            return change(to: isStarting ? estimate * 1.5 : estimate + AdaptiveLimit.smoothing * headroom)
        }
        isStarting = false
        var descent = descent ?? Descent(limit: estimate)
        defer { self.descent = descent }
        if estimate > max(descent.limit / 2, Double(policy.minimum)) {
            descent.observe(latest, at: estimate)
            return change(to: estimate + AdaptiveLimit.smoothing * (gradient * estimate + headroom - estimate))
        }
        descent.atHalf.add(latest)
        if descent.atHalf.count < RecentMean.windows { return nil }
        let helped = descent.atHalf.value <= descent.before.value * 0.7
        if !helped { unloadedNanos = descent.atHalf.value }
        let limit = helped ? estimate : descent.limit
        descent = Descent(limit: limit)
        return change(to: limit)
    }

    private var headroom: Double { estimate.squareRoot() }

    private mutating func change(to wanted: Double) -> Int? {
        let old = limit
        estimate = min(Double(policy.maximum), max(Double(policy.minimum), wanted))
        return limit == old ? nil : limit
    }
}
