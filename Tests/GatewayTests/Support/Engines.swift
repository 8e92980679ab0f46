import Testing

/// Engines in pools, and what they say.
enum Engines {
    /// A pool whose endpoints take turns and are never ejected, so that attempts can be counted.
    static let turns = """
        health: {path: off, confirmModel: false}, balancing: roundRobin, slowStart: off, ejection: {consecutiveErrors: 1000, connectFailures: 1000, errorRatio: \
        100%, minimumRequests: 100000}
        """

    /// A whole answer of the kind that was asked for.
    static func answer(_ exchange: UpstreamExchange, _ text: String = "hi") throws {
        guard exchange.request.text.contains(#""stream":true"#) else {
            return try exchange.answer(
                200, ["content-type: application/json"], #"{"choices":[{"message":{"content":"\#(text)"}}]}"#)
        }
        try exchange.begin()
        try exchange.event(content(text))
        try exchange.event(Streams.finish)
        try exchange.event("[DONE]")
        try exchange.end()
    }

    /// The data of an event with text.
    static func content(_ text: String) -> String {
        #"{"id":"c","choices":[{"index":0,"delta":{"content":"\#(text)"}}]}"#
    }

    /// The type and the shape of an engine's refusal.
    static func refuse(
        _ exchange: UpstreamExchange, _ status: Int, code: String = "", message: String = "no", _ fields: [String] = []
    ) throws {
        try exchange.answer(
            status, ["content-type: application/json"] + fields,
            #"{"error":{"message":"\#(message)","type":"whatever","code":"\#(code)"}}"#)
    }

    /// A port where nobody listens.
    static func closedPort() throws -> UInt16 {
        let gone = try Socket.listen()
        defer { gone.close() }
        return gone.port
    }
}

typealias Streams = GatewayTests.Streams

extension FakeUpstream {
    /// The endpoint as metrics and the log name it.
    var name: String { "127.0.0.1:\(port)" }
    /// How many requests came.
    var requestCount: Int { requests.count }
}

/// A configuration, written line by line.
struct Plan {
    private var pools: [String] = []
    private var models: [String] = []
    private var rest: [String] = []

    /// - Parameter provider: Settings of the provider of all pools.
    init(provider: String = "") { rest = ["providers: [{name: default, \(provider)}]"] }

    /// A pool of engines, or of other addresses.
    mutating func pool(_ name: String, _ engines: [FakeUpstream], _ settings: String = "", others: [String] = []) {
        let urls = (engines.map(\.url) + others).map { "\"\($0)\"" }.joined(separator: ", ")
        pools.append("  - {name: \(name), endpoints: [\(urls)], \(settings)}")
    }

    mutating func model(_ name: String, _ settings: String) { models.append("  - {name: \(name), \(settings)}") }

    mutating func line(_ text: String) { rest.append(text) }

    var text: String { (rest + ["pools:"] + pools + ["models:"] + models).joined(separator: "\n") + "\n" }
}

/// One model `m`, served by a pool of several engines.
@discardableResult
func withPool(
    _ scripts: [FakeUpstream.Script], pool: String = "", provider: String = "", others: [String] = [],
    reactors: Int = 1, _ body: (RunningGateway, [FakeUpstream]) async throws -> Void
) async throws -> [String] {
    let engines = try scripts.map { try FakeUpstream($0) }
    var plan = Plan(provider: provider)
    plan.pool("m", engines, pool, others: others)
    plan.model("m", "pool: m")
    return try await withGateway(plan.text, upstreams: engines, reactors: reactors) { try await body($0, engines) }
}

extension RunningGateway {
    /// Expects that nothing is in flight, anywhere.
    func expectSettled(_ source: SourceLocation = #_sourceLocation) async throws {
        let scrape = try await metrics()
        for name in [
            "penstock_requests_in_flight", "penstock_upstream_requests_in_flight", "penstock_endpoint_in_flight",
            "penstock_queue_length", "penstock_queue_bytes",
        ] {
            #expect(scrape.sum(name) == 0, "\(name)", sourceLocation: source)
        }
    }
}

extension Scrape {
    /// Attempts with this result.
    func attempts(_ result: String) -> Int {
        Int(sum("penstock_upstream_attempts_total", "result=\"\(result)\""))
    }

    var attempts: Int { Int(sum("penstock_upstream_attempts_total")) }
    var retries: Int { Int(sum("penstock_retries_total")) }
}

/// Expects an answer with this status.
func expectStatus(_ status: Int, from answer: WireMessage, _ source: SourceLocation = #_sourceLocation) {
    #expect(answer.status == status, "\(answer.text)", sourceLocation: source)
}
