@testable import Config
import Testing

/// Pools that models of tests may name.
private let pools = """
    pools:
      - {name: gpu, endpoints: [http://h:1]}
      - {name: big, endpoints: [http://h:2]}
      - {name: cloud, endpoints: [http://h:3]}

    """

@Suite struct RoutingLoadTests {
    typealias Model = Configuration.Model

    @Test("a pool is one tier of one pool, in whichever way it is written")
    func plain() throws {
        let written = ["pool: gpu", "tiers: [gpu]", "tiers: [{pool: gpu}]", "tiers: [{pools: [gpu]}]"]
        for text in written + ["tiers: [{pools: [{pool: gpu, weight: 1}]}]"] {
            let loaded = load(pools + "models: [{name: a, \(text)}, {name: b, tiers: [big, cloud]}]\n")
            #expect(loaded.problems == [])
            #expect(loaded.configuration?.models.first == Model(name: "a", pool: "gpu"))
        }
    }

    @Test("tiers, routes, fallbacks and priority")
    func everything() throws {
        let loaded = load(
            pools + """
                defaultModel: b
                models:
                  - name: a
                    tiers:
                      - pools: [{pool: gpu, weight: 0}, {pool: gpu, weight: 1000000, upstreamModel: new}, big]
                      - {pool: cloud, upstreamModel: x}
                    routes:
                      - {name: r, match: {headers: {X-Job: "ba*h", x-any: "*"}, tags: eu}, priority: -1000}
                      - {name: s, match: {tags: [eu, us]}, tiers: [cloud]}
                    priority: 1000
                    fallbacks: {contextLength: b, overload: [b, "c*"]}
                  - {name: b, pool: gpu, fallbacks: {overload: a}}
                  - {name: "c*", pool: gpu}

                """)
        #expect(loaded.problems == [])
        let configuration = try #require(loaded.configuration)
        let targets = [
            Model.Target(pool: "gpu", weight: 0), Model.Target(pool: "gpu", weight: 1_000_000, upstreamModel: "new"),
            Model.Target(pool: "big"),
        ]
        let headers = [Model.HeaderMatch(name: "x-job", value: "ba*h"), Model.HeaderMatch(name: "x-any", value: "*")]
        let routes = [
            Model.Route(name: "r", match: Model.RouteMatch(headers: headers, tags: ["eu"]), priority: -1000),
            Model.Route(name: "s", match: Model.RouteMatch(tags: ["eu", "us"]), tiers: [Model.Tier(pool: "cloud")]),
        ]
        #expect(
            configuration.model(named: "a")
                == Model(
                    name: "a", tiers: [Model.Tier(targets: targets), Model.Tier(pool: "cloud", upstreamModel: "x")],
                    routes: routes, priority: 1000,
                    fallbacks: Model.Fallbacks(contextLength: ["b"], overload: ["b", "c*"])))
        #expect(configuration.model(named: "a")?.pools == ["gpu", "big", "cloud"])
        #expect(configuration.defaultModel == "b")
    }

    @Test("a value to match is a prefix and a suffix")
    func headerMatch() {
        func parts(_ value: String) -> [[UInt8]?] {
            let match = Model.HeaderMatch(name: "x", value: value)
            return [match.prefix, match.suffix]
        }
        #expect(parts("abc") == [Array("abc".utf8), nil])
        #expect(parts("a*c") == [Array("a".utf8), Array("c".utf8)])
        #expect(parts("*") == [[], []])
    }

    @Test("pools of weight 0 alone, and fallbacks in a circle, are no mistake")
    func harmless() {
        let text = """
            models:
              - {name: a, tiers: [{pools: [{pool: gpu, weight: 0}, {pool: big, weight: 0}]}], fallbacks: {overload: b}}
              - {name: b, pool: cloud, fallbacks: {overload: a}}

            """
        #expect(load(pools + text).problems == [])
    }

    @Test("every policy of a pool, in the pool and in a model that is its own")
    func policies() throws {
        let keys = """
            endpoints: [http://h:1, http://h:2], balancing: ewma, affinity: none, continuation: never, slowStart: off,
            health: {path: "/up?x", interval: 1s, timeout: 2s, failures: 1, confirmModel: false},
            ejection: {consecutiveErrors: 1, connectFailures: 2, errorRatio: 0.25, minimumRequests: 3, window: 1m,
              duration: 2s, maxDuration: 2s, panicThreshold: 0%},
            concurrency: {perEndpoint: adaptive, pool: 64}, queue: {maxRequests: 0, maxBytes: 1MiB, timeout: 1s},
            retries: {attempts: 2, budget: 12.5%, minPerSecond: 0, backoff: 0, maxBackoff: 1s, statuses: [503, 429]},
            timeouts: {firstToken: 10s, attempt: 20s, request: 30s}, hedging: {after: 500ms}
            """
        var pool = Configuration.Pool(name: "a", endpoints: [])
        pool.balancing = .ewma
        pool.affinity = .off
        pool.continuation = .never
        pool.slowStart = nil
        pool.health.path = .path("/up?x")
        (pool.health.interval, pool.health.timeout) = (.seconds(1), .seconds(2))
        (pool.health.failures, pool.health.confirmModel) = (1, false)
        (pool.ejection.consecutiveErrors, pool.ejection.connectFailures) = (1, 2)
        (pool.ejection.errorRatio, pool.ejection.minimumRequests, pool.ejection.window) = (0.25, 3, .seconds(60))
        (pool.ejection.duration, pool.ejection.maxDuration) = (.seconds(2), .seconds(2))
        pool.ejection.panicThreshold = 0
        (pool.concurrency.perEndpoint, pool.concurrency.pool) = (.adaptive, 64)
        (pool.queue.maxRequests, pool.queue.maxBytes, pool.queue.timeout) = (0, 1 << 20, .seconds(1))
        (pool.retries.attempts, pool.retries.budget, pool.retries.minPerSecond) = (2, 0.125, 0)
        (pool.retries.backoff, pool.retries.maxBackoff) = (.zero, .seconds(1))
        pool.retries.statuses = [429, 503]
        pool.timeouts.firstToken = .seconds(10)
        (pool.timeouts.attempt, pool.timeouts.request) = (.seconds(20), .seconds(30))
        pool.hedgeAfter = .milliseconds(500)
        for text in ["pools: [{name: a, \(keys)}]\nmodels: [{name: b, pool: a}]\n", "models: [{name: a, \(keys)}]\n"] {
            let loaded = load(text)
            #expect(loaded.problems == [])
            var found = try #require(loaded.configuration?.pools.first)
            #expect(found.endpoints.count == 2)
            found.endpoints = []
            #expect(found == pool)
        }
    }

    @Test(
        "limits of endpoints",
        arguments: [("off", .off), ("1", .fixed(1)), ("1000000", .fixed(1_000_000))]
            as [(String, Configuration.Pool.EndpointLimit)])
    func endpointLimit(_ text: String, _ limit: Configuration.Pool.EndpointLimit) {
        let loaded = load(minimal + "    concurrency: {perEndpoint: \(text)}\n")
        #expect(loaded.configuration?.pools.first?.concurrency.perEndpoint == limit)
    }

    @Test("what an engine is", arguments: Configuration.Provider.Engine.allCases)
    func engine(_ engine: Configuration.Provider.Engine) {
        let loaded = load(minimal + "providers: [{name: default, engine: \(engine)}]\n")
        #expect(loaded.configuration?.providers.first?.engine == engine)
    }

    @Test(
        "ratios",
        arguments: [
            ("50%", 0.5), ("0.5", 0.5), ("12.5%", 0.125), ("20%", 0.2), ("0", 0), ("1", 1), ("100%", 1), ("0%", 0),
            ("0.000001", 0.000001), ("150%", 1.5), ("", nil), ("%", nil), (".5", nil), ("5.", nil), ("-1%", nil),
            ("1e1", nil), ("50 %", nil), ("50%%", nil), ("0.5.5", nil), ("0.0000001", nil), ("half", nil),
            ("inf", nil), ("٣%", nil),
        ] as [(String, Double?)])
    func ratios(_ text: String, _ value: Double?) {
        #expect(ratio(text) == value)
        if let value, value > 0.00001 { #expect(ratio(ratioText(value)) == value) }
    }
}
