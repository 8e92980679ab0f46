internal import Bytes

/// Where requests for a model may go, under a condition.
package struct Route: Sendable, Equatable {
    /// For explanations and logs; empty for the model's own.
    package let name: String
    package let match: RouteMatch
    /// Tried in order: the next when the one before has nothing left to try.
    package let tiers: [Tier]
    /// Negative: may be shed. A request may only lower it.
    package let priority: Int32

    package init(name: String = "", match: RouteMatch = RouteMatch(), tiers: [Tier], priority: Int32 = 0) {
        self.name = name
        self.match = match
        self.tiers = tiers
        self.priority = priority
    }
}

/// What a request must carry; all of it.
package struct RouteMatch: Sendable, Equatable {
    package let headers: [HeaderMatch]
    package let tags: [[UInt8]]

    package init(headers: [HeaderMatch] = [], tags: [[UInt8]] = []) {
        self.headers = headers
        self.tags = tags
    }

    /// Whether every request matches.
    package var isEmpty: Bool { headers.isEmpty && tags.isEmpty }
}

/// A header field with a value that begins and ends as said.
package struct HeaderMatch: Sendable, Equatable {
    /// In lower case.
    package let name: [UInt8]
    package let prefix: [UInt8]
    /// `nil`: the value is `prefix`, and nothing else.
    package let suffix: [UInt8]?

    package init(name: [UInt8], prefix: [UInt8], suffix: [UInt8]?) {
        self.name = name
        self.prefix = prefix
        self.suffix = suffix
    }

    /// Whether a value of the field is one that is looked for.
    package func matches(_ value: Span<UInt8>) -> Bool {
        guard let suffix else { return bytesEqual(value, prefix.span) }
        return value.count >= prefix.count + suffix.count
            && bytesEqual(value.extracting(..<prefix.count), prefix.span)
            && bytesEqual(value.extracting((value.count - suffix.count)...), suffix.span)
    }
}

/// Pools that stand for each other, by weight.
package struct Tier: Sendable, Equatable {
    /// Never empty.
    package let targets: [Target]

    package init(targets: [Target]) { self.targets = targets }
}

/// A pool, and what the model is called there.
package struct Target: Sendable, Equatable {
    /// Slot in `Snapshot.pools`.
    package let pool: Int
    /// Share of the tier's requests, by the sum of weights; 0: only when the others cannot.
    package let weight: Int
    /// `nil`: the pool's, or the one the client's name resolves to.
    package let upstreamModel: [UInt8]?

    package init(pool: Int, weight: Int = 1, upstreamModel: [UInt8]? = nil) {
        self.pool = pool
        self.weight = weight
        self.upstreamModel = upstreamModel
    }
}

/// Indices of the models that are tried when a model cannot answer, in order.
package struct Fallbacks: Sendable, Equatable {
    package var contextLength: [Int] = []
    package var contentPolicy: [Int] = []
    package var overload: [Int] = []

    package init() {}
}
