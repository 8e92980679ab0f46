package import Bytes
internal import Synchronization

/// What is counted of a pool. Made at start and for each new pool; every reactor counts on its own shard.
///
/// Keeps its series, so that the handles stay its own even when the pool has been retired.
package final class PoolMetrics: Sendable {
    /// Attempts after the first, by what went wrong before.
    package let retries: CounterTable<RetryReason>
    /// Retries that were not made because the budget was used up.
    package let retryBudgetExhausted: CounterHandle
    /// Second attempts that were sent because the first was slow.
    package let hedges: CounterTable<HedgeResult>
    /// Streams whose engine died.
    package let continuations: CounterTable<ContinuationResult>
    /// How long requests waited for an endpoint, those that were given up included.
    package let queueWait: HistogramHandle
    /// Requests that waited in vain, or were not let in.
    package let queueRejections: CounterTable<DropReason>
    private let kept: [MetricSeries]

    fileprivate init(_ families: PoolFamilies, _ pool: String) {
        var kept: [MetricSeries] = []
        func table<Key: MetricLabel>(_ family: MetricFamily) -> CounterTable<Key> {
            CounterTable(family, leading: [pool], keeping: &kept)
        }
        retries = table(families.retries)
        hedges = table(families.hedges)
        continuations = table(families.continuations)
        queueRejections = table(families.queueRejections)
        let exhausted = families.retryBudgetExhausted.series([pool])
        retryBudgetExhausted = exhausted.counter
        let waits = families.queueWait.series([pool])
        queueWait = waits.histogram
        self.kept = kept + [exhausted, waits]
    }
}

/// What is counted of an endpoint beside its requests. Rare events: each takes a lock for a moment.
package final class EndpointMetrics: Sendable {
    private struct Made {
        var ejections = [MetricSeries?](repeating: nil, count: EjectionReason.allCases.count)
        var probes = [MetricSeries?](repeating: nil, count: ProbeFinding.allCases.count)
    }

    private let families: PoolFamilies
    private let labels: [String]
    private let made: Mutex<Made>
    /// Tells whether the endpoint has been retired.
    private let anchor: MetricSeries

    fileprivate init(_ families: PoolFamilies, _ pool: String, _ endpoint: String) {
        self.families = families
        labels = [pool, endpoint]
        let first = ProbeFinding.healthy
        anchor = families.probes.series(labels + ["\(first.label)"], isShownUnused: false)
        var made = Made()
        made.probes[Int(first.rawValue)] = anchor
        self.made = Mutex(made)
    }

    /// The endpoint was ejected.
    package func ejected(_ reason: EjectionReason) {
        made.withLock { made in
            let index = Int(reason.rawValue)
            let series = made.ejections[index] ?? make(families.ejections, reason.label)
            made.ejections[index] = series
            series.counter.add(on: .control)
        }
    }

    /// A probe has ended.
    package func probed(_ finding: ProbeFinding) {
        made.withLock { made in
            let index = Int(finding.rawValue)
            let series = made.probes[index] ?? make(families.probes, finding.label)
            made.probes[index] = series
            series.counter.add(on: .control)
        }
    }

    /// What is counted last of a retired endpoint must not bring it back.
    private func make(_ family: MetricFamily, _ label: StaticString) -> MetricSeries {
        let values = labels + ["\(label)"]
        return families.probes.lists(anchor) ? family.series(values) : family.unlisted(values)
    }
}

/// The counted metrics of pools and endpoints.
internal struct PoolFamilies: Sendable {
    let ejections: MetricFamily
    let probes: MetricFamily
    let retries: MetricFamily
    let retryBudgetExhausted: MetricFamily
    let fallbacks: MetricFamily
    let hedges: MetricFamily
    let continuations: MetricFamily
    let queueWait: MetricFamily
    let queueRejections: MetricFamily

    init(_ registry: MetricRegistry) {
        ejections = registry.family(.endpointEjections)
        probes = registry.family(.probes)
        retries = registry.family(.retries)
        retryBudgetExhausted = registry.family(.retryBudgetExhausted)
        fallbacks = registry.family(.fallbacks)
        hedges = registry.family(.hedges)
        continuations = registry.family(.continuations)
        queueWait = registry.family(.queueWait)
        queueRejections = registry.family(.queueRejections)
    }
}

extension GatewayMetrics {
    /// The counters of a pool, for all reactors.
    package func pool(_ name: String) -> PoolMetrics { PoolMetrics(pools, name) }

    /// The counters of an endpoint that are not by reactor.
    package func endpoint(_ endpoint: String, pool: String) -> EndpointMetrics {
        EndpointMetrics(pools, pool, endpoint)
    }

    /// Requests for a model that others answered. For configured names only.
    package func fallbacks(model: String) -> CounterTable<FallbackReason> {
        CounterTable(pools.fallbacks, leading: [model])
    }
}

extension MetricDeclaration {
    internal static let endpointEjections = MetricDeclaration(
        "penstock_endpoint_ejections_total", .counter, labels: ["pool", "endpoint", "reason"],
        "Times an endpoint was taken out of its pool's choice.")
    internal static let probes = MetricDeclaration(
        "penstock_probes_total", .counter, labels: ["pool", "endpoint", "result"],
        "Active probes of an endpoint, by what they found.")
    internal static let retries = MetricDeclaration(
        "penstock_retries_total", .counter, labels: ["pool", "reason"],
        "Attempts after the first, by what went wrong with the one before.")
    internal static let retryBudgetExhausted = MetricDeclaration(
        "penstock_retry_budget_exhausted_total", .counter, labels: ["pool"],
        "Retries that were not made because too many were made already.")
    internal static let fallbacks = MetricDeclaration(
        "penstock_fallbacks_total", .counter, labels: ["model", "reason"],
        "Requests for a model that were passed on to another one.")
    internal static let hedges = MetricDeclaration(
        "penstock_hedges_total", .counter, labels: ["pool", "result"],
        "Second attempts sent because the first was slow, by whether they were the ones to answer.")
    internal static let continuations = MetricDeclaration(
        "penstock_continuations_total", .counter, labels: ["pool", "result"],
        "Streams whose engine died after the first byte, by what became of them.")
    internal static let queueWait = MetricDeclaration(
        "penstock_queue_wait_seconds",
        .histogram(
            nanos: seconds(
                0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)),
        labels: ["pool"], "Time that requests waited for an endpoint; those that did not have to are not counted.")
    internal static let queueRejections = MetricDeclaration(
        "penstock_queue_rejections_total", .counter, labels: ["pool", "reason"],
        "Requests that were not let into the queue, or left it without an endpoint.")
}
