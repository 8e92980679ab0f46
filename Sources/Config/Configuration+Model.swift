extension Configuration {
    /// A name clients may write, and where it leads. An item of `models` in the file.
    package struct Model: Sendable, Equatable {
        /// Exact, or with one `*` that stands for any characters. 1...128 bytes.
        package var name: String
        /// Other names for it, exact or with one `*`; an endpoint sees `name` instead. Default none.
        package var aliases: [String] = []
        /// Tried in order: the next when the one before has nothing left to try. 1...16.
        ///
        /// `pool: NAME` in the file, and `endpoints`, make one tier of one pool.
        package var tiers: [Tier]
        /// The first that matches a request replaces what the model itself says. At most 100, default none.
        package var routes: [Route] = []
        /// Which of the requests that wait goes first. -1000...1000, default 0; negative: may be shed.
        ///
        /// A request may lower it and not raise it.
        package var priority = 0
        /// Other models that answer what this one cannot. Default none.
        package var fallbacks = Fallbacks()

        /// A model served by one pool.
        package init(name: String, aliases: [String] = [], pool: String) {
            self.init(name: name, aliases: aliases, tiers: [Tier(pool: pool)])
        }

        package init(
            name: String, aliases: [String] = [], tiers: [Tier], routes: [Route] = [], priority: Int = 0,
            fallbacks: Fallbacks = Fallbacks()
        ) {
            self.name = name
            self.aliases = aliases
            self.tiers = tiers
            self.routes = routes
            self.priority = priority
            self.fallbacks = fallbacks
        }

        /// The pools of all tiers, those of routes counted in, each once, in the order of the file.
        package var pools: [String] {
            var seen: Set<String> = []
            return (tiers + routes.flatMap(\.tiers)).flatMap(\.targets).map(\.pool).filter { seen.insert($0).inserted }
        }
    }
}

extension Configuration.Model {
    /// Pools that stand for each other, by weight. An item of `tiers` in the file.
    package struct Tier: Sendable, Equatable {
        /// 1...64, no two alike.
        package var targets: [Target]

        package init(targets: [Target]) { self.targets = targets }

        /// A tier of one pool.
        package init(pool: String, upstreamModel: String? = nil) {
            targets = [Target(pool: pool, upstreamModel: upstreamModel)]
        }
    }

    /// A pool in a tier, and what the model is called there.
    package struct Target: Sendable, Equatable {
        /// Name of a pool that exists.
        package var pool: String
        /// Share of the tier's requests, by the sum of weights. 0...1000000, default 1; 0: only when the others cannot.
        package var weight = 1
        /// The name its endpoints are asked for. Default `nil`: the pool's own, or what the client's name resolves to.
        package var upstreamModel: String?

        package init(pool: String, weight: Int = 1, upstreamModel: String? = nil) {
            self.pool = pool
            self.weight = weight
            self.upstreamModel = upstreamModel
        }
    }

    /// Where requests go that carry something. An item of `routes` in the file.
    package struct Route: Sendable, Equatable {
        /// For logs and explanations; unique in its model. 1...128 bytes.
        package var name: String
        /// Never empty.
        package var match: RouteMatch
        /// Empty: the model's own. At most 16.
        package var tiers: [Tier]
        /// `nil`: the model's. -1000...1000.
        package var priority: Int?

        package init(name: String, match: RouteMatch, tiers: [Tier] = [], priority: Int? = nil) {
            self.name = name
            self.match = match
            self.tiers = tiers
            self.priority = priority
        }
    }

    /// What a request must carry; all of it.
    package struct RouteMatch: Sendable, Equatable {
        /// At most 16, each name once, in the order of the file.
        package var headers: [HeaderMatch]
        /// At most 16 of 1...64 bytes, without comma or blank.
        package var tags: [String]

        package init(headers: [HeaderMatch] = [], tags: [String] = []) {
            self.headers = headers
            self.tags = tags
        }

        /// Whether every request matches.
        package var isEmpty: Bool { headers.isEmpty && tags.isEmpty }
    }

    /// A header field and the values that match.
    package struct HeaderMatch: Sendable, Equatable {
        /// A field name in lower case.
        package var name: String
        /// Exact, or with one `*` that stands for any characters; `*` alone: the field is there. 1...1024 bytes.
        package var value: String

        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }

        /// What a value begins with: all of it if `suffix` is `nil`.
        package var prefix: [UInt8] { Array(value.utf8.prefix { $0 != UInt8(ascii: "*") }) }

        /// What a value ends with; `nil`: it is `prefix` and nothing else.
        package var suffix: [UInt8]? {
            value.utf8.firstIndex(of: UInt8(ascii: "*")).map { Array(value.utf8[$0...].dropFirst()) }
        }
    }

    /// Names of models, as they stand under `models`, by what this one cannot answer; tried in order. `fallbacks`.
    ///
    /// At most 8 each; never the model itself. A fallback's own fallbacks hold, too, so that cycles can be written;
    /// no request is sent to a model twice.
    package struct Fallbacks: Sendable, Equatable {
        /// The prompt is longer than the model's context.
        package var contextLength: [String] = []
        /// A provider refused the content.
        package var contentPolicy: [String] = []
        /// Nothing of this model's can take the request: full, broken or queued too long.
        package var overload: [String] = []

        package init(contextLength: [String] = [], contentPolicy: [String] = [], overload: [String] = []) {
            self.contextLength = contextLength
            self.contentPolicy = contentPolicy
            self.overload = overload
        }
    }
}
