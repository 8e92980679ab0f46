extension Configuration {
    /// Interchangeable endpoints serving one upstream model. An item of `pools` in the file.
    package struct Pool: Sendable, Equatable {
        package var name: String
        /// The model name endpoints are asked for; `nil`: the name the client's name resolves to. Default `nil`.
        package var upstreamModel: String?
        /// At least one, no two alike.
        package var endpoints: [Endpoint]
        /// Whether the models that endpoints list in `/v1/models` are served by those endpoints without being
        /// named under `models`. Default `false`.
        package var discoverModels = false
        /// How the endpoints are talked to; default the provider named `default`, or built-in defaults.
        package var provider = Provider()
        /// How an endpoint is chosen among those that may be. Default `leastRequest`.
        package var balancing = Balancing.leastRequest
        /// Whether the requests of a session go to the same endpoint. Default `session`.
        package var affinity = Affinity.session
        package var health = Health()
        package var ejection = Ejection()
        /// From a tenth of its share to all of it, for an endpoint that is new or back. 100ms...10m or off, default 10s.
        package var slowStart: Duration? = .seconds(10)
        package var concurrency = Concurrency()
        package var queue = Queue()
        package var retries = Retries()
        package var timeouts = Timeouts()
        /// After so long without a first token a second endpoint is asked, and the faster one answers.
        /// 10ms...10m, default `nil`: off. `hedging.after` in the file.
        package var hedgeAfter: Duration?
        /// Whether a text whose engine died is continued by another. Default `auto`.
        package var continuation = Continuation.auto

        package init(name: String, endpoints: [Endpoint]) {
            self.name = name
            self.endpoints = endpoints
        }
    }
}

extension Configuration.Pool {
    /// How an endpoint is chosen. `p2c`: the better of two drawn at random; `ewma`: by latency times requests in flight.
    package enum Balancing: String, Sendable, CaseIterable { case leastRequest, roundRobin, random, p2c, ewma }

    /// What keeps requests together.
    package enum Affinity: String, Sendable, CaseIterable {
        case session
        case off = "none"
    }

    /// Whether a broken text is continued. `auto`: by engines that are known to be able to.
    package enum Continuation: String, Sendable, CaseIterable { case auto, always, never }

    /// Active probes. `pools[].health` in the file.
    package struct Health: Sendable, Equatable {
        /// Default `auto`.
        package var path = Path.auto
        /// From one probe of an endpoint to the next. 100ms...1h, default 2s.
        package var interval = Duration.seconds(2)
        /// A probe without an answer after this has failed. 10ms...10m, default 1s.
        package var timeout = Duration.seconds(1)
        /// So many failed probes in a row make an endpoint unreachable. 1...100, default 3.
        package var failures = 3
        /// Whether `/v1/models` must list the upstream model. Default `true`; an engine without that path is believed.
        package var confirmModel = true

        package init() {}

        /// What is asked for. `auto`: `/health`, and where that answers 404 only `/v1/models`.
        package enum Path: Sendable, Equatable { case auto, off, path(String) }
    }

    /// When an endpoint is kept from traffic for what its answers are like. `pools[].ejection` in the file.
    package struct Ejection: Sendable, Equatable {
        /// So many errors in a row eject: 5xx, timeouts, broken streams. 1...1000, default 5.
        package var consecutiveErrors = 5
        /// So many failed connects in a row eject. 1...1000, default 3.
        package var connectFailures = 3
        /// Errors of all answers in the window. 0.01...1, default 0.5.
        package var errorRatio = 0.5
        /// Below so many answers in the window the ratio says nothing. 1...1000000, default 20.
        package var minimumRequests = 20
        /// 1s...10m, default 10s.
        package var window = Duration.seconds(10)
        /// Of the first ejection; doubles each time, with jitter. 100ms...1h, default 1s.
        package var duration = Duration.seconds(1)
        /// Where doubling ends. `duration`...24h, default 60s.
        package var maxDuration = Duration.seconds(60)
        /// With fewer than this of a pool's reachable endpoints left, the ejected ones serve, too. 0...1, default 0.5.
        package var panicThreshold = 0.5

        package init() {}
    }

    /// Requests in flight. `pools[].concurrency` in the file.
    package struct Concurrency: Sendable, Equatable {
        /// Default `off`.
        package var perEndpoint = EndpointLimit.off
        /// Of the pool as a whole. 1...1000000, default `nil`: off.
        package var pool: Int?

        package init() {}
    }

    /// Requests in flight at one endpoint. `fixed`: 1...1000000; `adaptive`: as many as its latency bears.
    package enum EndpointLimit: Sendable, Equatable { case off, adaptive, fixed(Int) }

    /// Where requests wait when all endpoints are at their limit. `pools[].queue` in the file.
    package struct Queue: Sendable, Equatable {
        /// 0...1000000, default 1000; 0: nothing waits.
        package var maxRequests = 1000
        /// Bodies of all that wait. 1MiB...1024GiB, default 256MiB.
        package var maxBytes = 256 << 20
        /// How long one request waits. 10ms...24h, default 60s.
        package var timeout = Duration.seconds(60)

        package init() {}
    }

    /// Further attempts before the first byte of an answer. `pools[].retries` in the file.
    package struct Retries: Sendable, Equatable {
        /// Of one request in all, the first counted in, wherever they go. 1...20, default 5.
        package var attempts = 5
        /// Further attempts by first ones, so that an outage is not amplified. 0...1, default 0.2.
        package var budget = 0.2
        /// So many further attempts are allowed whatever the budget. 0...10000, default 3.
        package var minPerSecond = 3
        /// Before an endpoint is tried again, because no other is left; doubles each time, with jitter.
        /// 0...1m, default 25ms.
        package var backoff = Duration.milliseconds(25)
        /// Where doubling ends. `backoff`...10m, default 250ms.
        package var maxBackoff = Duration.milliseconds(250)
        /// Answers that are tried again, each once. 400...599.
        package var statuses = [408, 429, 500, 502, 503, 504, 529]

        package init() {}
    }

    /// How long a request to this pool may take. `pools[].timeouts` in the file. `nil` is `off`.
    package struct Timeouts: Sendable, Equatable {
        /// Of one attempt, from sending to the first byte of content. 10ms...24h or off, default off: the provider's
        /// `firstByte` alone holds.
        package var firstToken: Duration?
        /// A whole attempt. 10ms...24h or off, default off.
        package var attempt: Duration?
        /// Everything: waiting, all attempts, the answer to its end. 10ms...24h or off, default off.
        package var request: Duration?

        package init() {}
    }
}
