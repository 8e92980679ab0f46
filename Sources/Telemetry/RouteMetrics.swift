internal import Bytes

/// Everything that is counted of the requests that one reactor sends one way: operation, model, pool, endpoint.
///
/// Belongs to its reactor, like the place it is cached in; made when a route is first used there. Keeps its series,
/// so that handles stay theirs even when an endpoint has been retired.
package final class RouteMetrics {
    private let metrics: GatewayMetrics
    private let shard: MetricShard
    private let labels: [String]
    /// Holds the series whose handles are below.
    private var kept: [MetricSeries] = []

    // What is counted per event is constant: a variable of a class costs 5 ns for the exclusivity check.
    private let duration: HistogramHandle
    private let inFlight: GaugeHandle
    private let firstToken: HistogramHandle
    private let nextToken: HistogramHandle
    private let inputTokens: CounterHandle
    private let outputTokens: CounterHandle
    private let cachedTokens: CounterHandle
    // Made when first needed, under a lock, as most never are.
    private var codes: [(status: Int, counter: CounterHandle)] = []
    private var attempts: [CounterHandle?] = Array(repeating: nil, count: AttemptResult.allCases.count)
    private var upstreamInFlight: GaugeHandle?
    private var ofAttempts: MetricSeries?

    fileprivate init(_ metrics: GatewayMetrics, _ shard: MetricShard, _ labels: [String]) {
        self.metrics = metrics
        self.shard = shard
        self.labels = labels
        let ofModel = [labels[1], labels[2]]
        var kept: [MetricSeries] = []
        func series(_ family: MetricFamily, _ values: [String]) -> MetricSeries {
            let series = family.series(values, isShownUnused: family.declaration.kind == .gauge)
            kept.append(series)
            return series
        }
        duration = series(metrics.requestDuration, ofModel).histogram
        inFlight = series(metrics.requestsInFlight, ofModel).gauge
        firstToken = series(metrics.timeToFirstToken, ofModel).histogram
        nextToken = series(metrics.interTokenLatency, ofModel).histogram
        inputTokens = series(metrics.tokens, ofModel + ["input"]).counter
        outputTokens = series(metrics.tokens, ofModel + ["output"]).counter
        cachedTokens = series(metrics.tokens, ofModel + ["cached"]).counter
        self.kept = kept
    }

    /// A request that goes this way is in the gateway. Balanced by `requestLeft` on a route of the same model and pool.
    package func requestEntered() { inFlight.add(1, on: shard) }

    /// A request that entered has left, or goes on in another pool.
    package func requestLeft() { inFlight.add(-1, on: shard) }

    /// A request has its answer.
    ///
    /// - Parameters:
    ///   - status: What the client was sent; 499 if it went away before it was sent anything.
    ///   - nanos: From the first byte of the request to the last of the response.
    package func requestAnswered(status: Int, durationNanos nanos: Int) {
        counter(of: status).add(1, on: shard)
        duration.observe(nanos: nanos, on: shard)
    }

    /// A request goes to the endpoint. Balanced by `attemptEnded` on a route of the same pool and endpoint.
    package func attemptBegan() {
        if let upstreamInFlight { return upstreamInFlight.add(1, on: shard) }
        let gauge = keep(metrics.upstreamRequestsInFlight, ofEndpoint).gauge
        upstreamInFlight = gauge
        gauge.add(1, on: shard)
    }

    /// An attempt that began has ended.
    package func attemptEnded(_ result: AttemptResult) {
        upstreamInFlight?.add(-1, on: shard)
        let index = Int(result.rawValue)
        // Stored only once: a store to an array costs a look at its reference count.
        if let known = attempts[index] { return known.add(1, on: shard) }
        let counter = keep(metrics.attempts, ofEndpoint + ["\(result.label)"]).counter
        attempts[index] = counter
        counter.add(1, on: shard)
    }

    /// The first event with content of a stream came that long after its request began.
    package func firstToken(afterNanos nanos: Int) { firstToken.observe(nanos: nanos, on: shard) }

    /// Another event with content came that long after the one before.
    package func nextToken(afterNanos nanos: Int) { nextToken.observe(nanos: nanos, on: shard) }

    /// An engine reported what a request took. Cached tokens are part of the input.
    package func tokens(input: Int, output: Int, cached: Int) {
        inputTokens.add(max(0, input), on: shard)
        outputTokens.add(max(0, output), on: shard)
        cachedTokens.add(max(0, cached), on: shard)
    }

    private var ofEndpoint: [String] { [labels[2], labels[3]] }

    private func counter(of status: Int) -> CounterHandle {
        for entry in codes where entry.status == status { return entry.counter }
        // Engines may answer with any number: the table must not grow with their fancy.
        if codes.count >= 64 { codes.removeAll() }
        let values = labels + [codeLabel(of: status)]
        let series = isRetired ? metrics.requests.unlisted(values) : metrics.requests.series(values)
        if !kept.contains(where: { $0 === series }) { kept.append(series) }
        codes.append((status, series.counter))
        return series.counter
    }

    private func keep(_ family: MetricFamily, _ values: [String]) -> MetricSeries {
        let series = isRetired ? family.unlisted(values) : family.series(values)
        if family === metrics.upstreamRequestsInFlight { ofAttempts = series }
        kept.append(series)
        return series
    }

    /// Whether pool or endpoint were retired while a request was there: what it counts last must not bring them back.
    private var isRetired: Bool {
        if let ofAttempts, !metrics.upstreamRequestsInFlight.lists(ofAttempts) { return true }
        return kept.first.map { !metrics.requestDuration.lists($0) } ?? false
    }
}

extension GatewayMetrics {
    /// The counters of one way through the gateway on one reactor; the caller caches them.
    ///
    /// - Parameters:
    ///   - operation: From the closed set of operations.
    ///   - model: The configured name, with wildcards as configured; `nil` if the client's is unknown.
    ///   - pool: `nil` if the request never got that far.
    ///   - endpoint: `nil` likewise.
    ///   - reactor: The only one that will use the result; counted from 1.
    package func route(
        operation: String, model: String?, pool: String?, endpoint: String?, reactor: Int
    ) -> RouteMetrics {
        let labels = [operation, model ?? "_unknown", pool ?? "_none", endpoint ?? "_none"]
        return RouteMetrics(self, shard(reactor: reactor), labels)
    }
}

/// A status as a label: itself if it is one in use, else its class.
internal func codeLabel(of status: Int) -> String {
    switch status {
    case 200...208, 300...308, 400...418, 421...429, 431, 451, 499, 500...508, 511, 529: "\(status)"
    case 100...599: "\(status / 100)xx"
    default: "_other"
    }
}
