package import Health

/// Where a request would go, and why: every decision with what was decided against.
///
/// Made by the functions that decide (`explain…`), so that it cannot say anything else. Slow; for operators.
package struct Explanation: Sendable, Equatable {
    /// The name the client wrote.
    package var askedFor: String
    /// The model it leads to.
    package var model: String
    package var priority: Int32
    package var routes: [RouteExplanation]
    package var tiers: [TierExplanation]
    package var fallbacks: [FallbackExplanation]

    package init(
        askedFor: String, model: String, priority: Int32 = 0, routes: [RouteExplanation] = [],
        tiers: [TierExplanation] = [], fallbacks: [FallbackExplanation] = []
    ) {
        self.askedFor = askedFor
        self.model = model
        self.priority = priority
        self.routes = routes
        self.tiers = tiers
        self.fallbacks = fallbacks
    }
}

/// Whether a route holds for the request.
package struct RouteExplanation: Sendable, Equatable {
    /// Empty for the model's own.
    package var name: String
    package var isChosen: Bool
    /// What decided it, as one clause.
    package var reason: String
}

/// Pools that stand for each other, in the order of the configuration.
package struct TierExplanation: Sendable, Equatable {
    package var targets: [TargetExplanation]
}

/// A pool of a tier.
package struct TargetExplanation: Sendable, Equatable {
    package var pool: String
    package var weight: Int
    /// What the model is called there; `nil`: as the client's name resolves.
    package var upstreamModel: String?
    /// When it is this target's turn, over all tiers, from 1.
    package var turn: Int
    package var pick: PickExplanation?
}

/// A pick in one pool.
package struct PickExplanation: Sendable, Equatable {
    package var balancing: Balancing
    /// Whether the session, and not the balancing, decided.
    package var isBySession: Bool
    package var isPanic: Bool
    /// `PickResult.label`.
    package var result: String
    package var endpoints: [EndpointExplanation]
}

/// One endpoint in a pick.
package struct EndpointExplanation: Sendable, Equatable {
    package var name: String
    package var standing: Standing
    package var verdict: Verdict
    /// Lower is better; `nil` if it took no part.
    package var score: Double?
    /// Place in the order of preference, from 1; `nil` if it is not asked.
    package var rank: Int?
    package var inFlight: Int
    /// `Int.max`: no limit.
    package var limit: Int
    /// 1...1024.
    package var weight: Int
    /// 0: unknown.
    package var latencyNanos: Int
}

/// The models that take over after a kind of failure.
package struct FallbackExplanation: Sendable, Equatable {
    package var cause: FallbackCause
    package var models: [String]

    package init(cause: FallbackCause, models: [String]) {
        self.cause = cause
        self.models = models
    }
}
