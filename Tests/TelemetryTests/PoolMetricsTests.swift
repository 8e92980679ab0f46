import Bytes
import Testing

@testable import Telemetry

@Suite struct PoolMetricsTests {
    private let metrics = GatewayMetrics(reactors: 2, version: "0.1.0", droppedLogLines: { 0 })
    private let shard = MetricShard(reactor: 2)

    @Test("what happens in a pool is counted there")
    func counting() {
        let pool = metrics.pool("p")
        pool.retries[.connectFailed].add(on: shard)
        pool.retryBudgetExhausted.add(2, on: shard)
        pool.hedges[.won].add(on: shard)
        pool.continuations[.notPossible].add(on: shard)
        pool.queueWait.observe(nanos: 3_000_000, on: shard)
        pool.queueRejections[.expired].add(on: shard)
        metrics.fallbacks(model: "m")[.contextLength].add(on: shard)
        let text = exposition(metrics.registry)
        for line in [
            #"penstock_retries_total{pool="p",reason="connect_failed"} 1"#,
            #"penstock_retries_total{pool="p",reason="timeout"} 0"#,
            #"penstock_retry_budget_exhausted_total{pool="p"} 2"#,
            #"penstock_hedges_total{pool="p",result="won"} 1"#,
            #"penstock_continuations_total{pool="p",result="not_possible"} 1"#,
            #"penstock_queue_wait_seconds_bucket{pool="p",le="0.0025"} 0"#,
            #"penstock_queue_wait_seconds_bucket{pool="p",le="0.005"} 1"#,
            #"penstock_queue_rejections_total{pool="p",reason="rejected-ttl-expired"} 1"#,
            #"penstock_fallbacks_total{model="m",reason="context_length"} 1"#,
        ] { #expect(text.contains("\n" + line + "\n"), "\(line)") }
    }

    @Test("every reactor counts in the same series")
    func shared() {
        let pool = metrics.pool("p")
        pool.hedges[.lost].add(on: MetricShard(reactor: 1))
        metrics.pool("p").hedges[.lost].add(on: shard)
        #expect(samples(metrics.registry, "penstock_hedges_total{pool=\"p\",result=\"lost\"}").first?.last == "2")
    }

    @Test("ejections and probes have series once they happened")
    func endpoints() {
        let endpoint = metrics.endpoint("e", pool: "p")
        #expect(samples(metrics.registry, "penstock_probes_total").isEmpty)
        endpoint.ejected(.errorRatio)
        endpoint.ejected(.errorRatio)
        endpoint.probed(.healthy)
        endpoint.probed(.missingModel)
        #expect(
            samples(metrics.registry, "penstock_endpoint_ejections_total")
                == [#"penstock_endpoint_ejections_total{pool="p",endpoint="e",reason="error_ratio"} 2"#])
        #expect(
            samples(metrics.registry, "penstock_probes_total") == [
                #"penstock_probes_total{pool="p",endpoint="e",result="healthy"} 1"#,
                #"penstock_probes_total{pool="p",endpoint="e",result="missing_model"} 1"#,
            ])
    }

    @Test("what is retired does not come back with what is counted last")
    func retire() {
        let (pool, endpoint) = (metrics.pool("p"), metrics.endpoint("e", pool: "p"))
        endpoint.ejected(.probe)
        metrics.retire(pool: "p", endpoint: "e")
        endpoint.ejected(.probe)
        endpoint.ejected(.timeout)
        endpoint.probed(.silent)
        #expect(!exposition(metrics.registry).contains(#"endpoint="e""#))
        metrics.retire(pool: "p")
        pool.retries[.broken].add(on: shard)
        #expect(!exposition(metrics.registry).contains(#"pool="p""#))
        metrics.pool("p").retries[.broken].add(on: shard)
        #expect(samples(metrics.registry, "penstock_retries_total{pool=\"p\",reason=\"broken\"}").first?.last == "1")
    }

    @Test("the state of pools is read at each scrape")
    func collecting() {
        #expect(!exposition(metrics.registry).contains("penstock_endpoint_up"), "nobody to ask")
        metrics.collectPools {
            var pool = PoolSample(
                name: "p",
                endpoints: [
                    EndpointSample(name: "a", standing: .ready, inFlight: 3, limit: 8),
                    EndpointSample(name: "b", standing: .suspect, inFlight: 0),
                ])
            pool.isPanicking = true
            pool.queued = [.batch: 7]
            pool.queueBytes = 1024
            return [pool]
        }
        let text = exposition(metrics.registry)
        for line in [
            #"penstock_endpoint_up{pool="p",endpoint="a"} 1"#, #"penstock_endpoint_up{pool="p",endpoint="b"} 0"#,
            #"penstock_endpoint_standing{pool="p",endpoint="b",standing="suspect"} 1"#,
            #"penstock_endpoint_in_flight{pool="p",endpoint="a"} 3"#,
            #"penstock_concurrency_limit{pool="p",endpoint="a"} 8"#, #"penstock_pool_endpoints_ready{pool="p"} 1"#,
            #"penstock_pool_panic{pool="p"} 1"#, #"penstock_queue_length{pool="p",band="high"} 0"#,
            #"penstock_queue_length{pool="p",band="batch"} 7"#, #"penstock_queue_bytes{pool="p"} 1024"#,
        ] { #expect(text.contains("\n" + line + "\n"), "\(line)") }
        #expect(!text.contains(#"penstock_concurrency_limit{pool="p",endpoint="b"}"#), "no limit, no sample")
        metrics.collectPools { [] }
        #expect(!exposition(metrics.registry).contains("penstock_endpoint_up"), "the later one counts")
    }

    @Test("a series that is given twice is shown once, and no metric has more than its limit")
    func bounds() {
        let registry = MetricRegistry(reactors: 1)
        registry.collected([MetricDeclaration("penstock_x", .gauge, labels: ["a"], limit: 3, "X.")]) {
            [["\"", "\"", "b", "c", "d"].enumerated().map { MetricSample([$1], Double($0)) }]
        }
        #expect(samples(registry, "penstock_x") == [#"penstock_x{a="\""} 0"#, #"penstock_x{a="b"} 2"#])
    }

    @Test("standings that get requests are up")
    func up() { #expect(EndpointStanding.allCases.filter(\.isUp) == [.ready, .warming]) }
}
