@testable import Config
import Testing

@Suite struct DifferenceTests {
    struct Row: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let change: @Sendable (String) -> String
        let text: String

        init(_ testDescription: String, _ old: String, _ new: String, _ text: String) {
            self.testDescription = testDescription
            self.text = text
            change = { $0.replacing(old, with: new) }
        }
    }

    private let base = """
        workers: 2
        admin: {address: "127.0.0.1:9001"}
        listeners: [{address: "127.0.0.1:9000"}, {address: "127.0.0.1:9002"}]
        logging: {level: info}
        metrics: {path: /metrics}
        shutdown: {timeout: 5s}
        providers: [{name: p, apiKey: env:KEY}]
        pools:
          - {name: x, provider: p, endpoints: [http://h:1]}
          - {name: y, endpoints: [http://h:2]}
        models:
          - {name: a, pool: x}
          - {name: b, pool: y}

        """

    @Test(
        "what a reload says",
        arguments: [
            Row("nothing", "", "", "nothing changed"),
            Row("comments and order of keys", "{name: a, pool: x}", "{pool: x, name: a} # first", "nothing changed"),
            Row("an endpoint", "http://h:1", "http://h:3", "changed pool \"x\" (endpoints)"),
            Row("a provider", "name: p,", "name: p, timeouts: {connect: 1s},", "changed pool \"x\" (provider)"),
            Row("what an engine is", "name: p,", "name: p, engine: vllm,", "changed pool \"x\" (provider)"),
            Row("a default model", "workers: 2", "workers: 2\ndefaultModel: a", "changed defaultModel"),
            Row("another pool", "{name: a, pool: x}", "{name: a, pool: y}", "changed model \"a\" (pool)"),
            Row("a tier more", "{name: a, pool: x}", "{name: a, tiers: [x, y]}", "changed model \"a\" (tiers)"),
            Row("one tier in words", "{name: a, pool: x}", "{name: a, tiers: [{pools: [x]}]}", "nothing changed"),
            Row(
                "where a model leads", "{name: a, pool: x}",
                "{name: a, pool: x, routes: [{name: r, match: {tags: t}, priority: 1}], priority: 2, fallbacks: {overload: b}}",
                "changed model \"a\" (routes, priority, fallbacks)"),
            Row(
                "every policy of a pool", "http://h:2]}",
                "http://h:2], balancing: p2c, affinity: none, health: {failures: 1}, ejection: {errorRatio: 10%}, "
                    + "slowStart: off, concurrency: {pool: 1}, queue: {maxRequests: 1}, retries: {attempts: 2}, "
                    + "timeouts: {attempt: 1m}, hedging: {after: 1s}, continuation: never}",
                "changed pool \"y\" (balancing, affinity, health, ejection, slowStart, concurrency, queue, retries, "
                    + "timeouts, hedging, continuation)"),
            Row(
                "the order of statuses", "http://h:2]}",
                "http://h:2], retries: {statuses: [529, 504, 503, 502, 500, 429, 408]}}", "nothing changed"),
            Row("a secret", "env:KEY", "env:OTHER", "changed pool \"x\" (provider)"),
            Row(
                "a model more", "  - {name: b, pool: y}", "  - {name: b, pool: y}\n  - {name: c, pool: y}",
                "added model \"c\""),
            Row("a model renamed", "name: b", "name: c", "added model \"c\"; removed model \"b\""),
            Row(
                "a model changed", "{name: a, pool: x}", "{name: a, pool: y, aliases: [z]}",
                "changed model \"a\" (aliases, pool)"),
            Row(
                "a listener's limits", "{address: \"127.0.0.1:9000\"",
                "{limits: {headerCount: 9}, address: \"127.0.0.1:9000\"", "changed listener 127.0.0.1:9000 (limits)"),
            Row(
                "everybody's limits", "workers: 2", "workers: 2\nlimits: {headerCount: 9}",
                "changed listener 127.0.0.1:9000 (limits), listener 127.0.0.1:9002 (limits)"),
            Row(
                "another address", "9002", "9003",
                "needs a restart: new listener 127.0.0.1:9003, removed listener 127.0.0.1:9002"),
            Row(
                "workers and admin", "workers: 2\nadmin: {address: \"127.0.0.1:9001\"}", "admin: off",
                "needs a restart: workers, admin.address"),
            Row(
                "the small sections", "level: info}\nmetrics: {path: /metrics}\nshutdown: {timeout: 5s",
                "level: debug}\nmetrics: {path: /m}\nshutdown: {timeout: 6s", "changed logging, metrics, shutdown"),
            Row(
                "what of the log is fixed at the start", "level: info",
                "level: info, format: json, output: stderr, access: false",
                "needs a restart: logging.format, logging.output, logging.access"),
        ])
    func difference(_ row: Row) throws {
        let variables = ["KEY": "k", "OTHER": "o"]
        let old = try #require(load(base, variables).configuration)
        let new = try #require(load(row.change(base), variables).configuration)
        let difference = ConfigurationDifference(from: old, to: new)
        #expect(difference.description == row.text)
        #expect(difference.isEmpty == (old == new))
    }
}
