/// How an endpoint is chosen among the eligible ones of a pool.
package enum Balancing: UInt8, Sendable, CaseIterable {
    /// The fewest requests in flight, by weight.
    case leastRequest
    /// One after the other.
    case roundRobin
    /// By weight alone.
    case random
    /// The less loaded of two drawn at random.
    case p2c
    /// The lowest latency times requests in flight.
    case ewma

    /// As in the configuration file.
    package var label: StaticString {
        switch self {
        case .leastRequest: "leastRequest"
        case .roundRobin: "roundRobin"
        case .random: "random"
        case .p2c: "p2c"
        case .ewma: "ewma"
        }
    }
}

/// What of a pool's settings `pick` needs.
package struct PickPolicy: Sendable, Equatable {
    package var balancing: Balancing
    /// Suspects take part when a smaller share of the reachable endpoints is sound. 0...1.
    package var panicThreshold: Double
    /// The share of first attempts that suspects get in a panic while a sound endpoint has room. 0...1.
    ///
    /// Below the retry budget of 20 %, so that what fails there can be tried again; each success there clears a
    /// suspect. Least-request alone would send everything to an endpoint that fails fast, for it is never busy.
    package var panicShare: Double
    /// Whether the requests of a session go to one endpoint.
    package var hasAffinity: Bool

    package init(
        balancing: Balancing = .leastRequest, panicThreshold: Double = 0.5, panicShare: Double = 0.125,
        hasAffinity: Bool = false
    ) {
        self.balancing = balancing
        self.panicThreshold = panicThreshold
        self.panicShare = panicShare
        self.hasAffinity = hasAffinity
    }
}
