import Bytes
import Glibc
import Testing

@testable import Telemetry

@Suite struct ExpositionTests {
    private func smallRegistry() -> MetricRegistry {
        let registry = MetricRegistry(reactors: 2)
        let counter = registry.family(MetricDeclaration("t_requests_total", .counter, labels: ["code"], "Answered."))
        counter.counter("200").add(3, on: MetricShard(reactor: 1))
        counter.counter("200").add(4, on: MetricShard(reactor: 2))
        registry.family(MetricDeclaration("t_open", .gauge, "Open.")).gauge().add(-1, on: .control)
        let bounds = MetricKind.histogram(nanos: [1_000_000, 1_000_000_000])
        let histogram = registry.family(MetricDeclaration("t_wait_seconds", bounds, labels: ["pool"], "Waited."))
        histogram.histogram("p").observe(nanos: 1_000_000, on: MetricShard(reactor: 1))
        histogram.histogram("p").observe(nanos: 500_000_000, on: MetricShard(reactor: 2))
        histogram.histogram("p").observe(nanos: 2_000_000_000, on: .control)
        _ = registry.family(MetricDeclaration("t_never", .gauge, labels: ["x"], "No series."))
        let samples = [
            MetricDeclaration("t_cpu_seconds_total", .counter, "CPU."), MetricDeclaration("t_gone", .gauge, "-"),
        ]
        registry.sampled(samples) { [1.5, nil] }
        return registry
    }

    @Test("Prometheus text")
    func prometheus() {
        #expect(
            exposition(smallRegistry()) == """
                # HELP t_requests_total Answered.
                # TYPE t_requests_total counter
                t_requests_total{code="200"} 7
                # HELP t_open Open.
                # TYPE t_open gauge
                t_open -1
                # HELP t_wait_seconds Waited.
                # TYPE t_wait_seconds histogram
                t_wait_seconds_bucket{pool="p",le="0.001"} 1
                t_wait_seconds_bucket{pool="p",le="1.0"} 2
                t_wait_seconds_bucket{pool="p",le="+Inf"} 3
                t_wait_seconds_sum{pool="p"} 2.501
                t_wait_seconds_count{pool="p"} 3
                # HELP t_cpu_seconds_total CPU.
                # TYPE t_cpu_seconds_total counter
                t_cpu_seconds_total 1.5

                """)
    }

    @Test("OpenMetrics names counters without the suffix and ends with EOF")
    func openMetrics() {
        let text = exposition(smallRegistry(), .openMetrics)
        #expect(text.contains("# TYPE t_requests counter\nt_requests_total{code=\"200\"} 7\n"))
        #expect(text.contains("# HELP t_cpu_seconds CPU.\n"))
        #expect(text.hasSuffix("t_cpu_seconds_total 1.5\n# EOF\n"))
    }

    @Test("odd numbers keep a form that scrapers read")
    func numbers() {
        let registry = MetricRegistry(reactors: 1)
        let values: [Double] = [0, -0.5, 1e15, 1e300, .infinity, -.infinity, .nan, 1_795_471_262]
        registry.sampled(values.indices.map { MetricDeclaration("g\($0)", .gauge, "h") }) { values }
        let lines = exposition(registry).split(separator: "\n").filter { !$0.hasPrefix("#") }.map(String.init)
        #expect(
            lines == [
                "g0 0", "g1 -0.5", "g2 1000000000000000.0", "g3 1e+300", "g4 +Inf", "g5 -Inf", "g6 NaN",
                "g7 1795471262",
            ])
    }

    @Test(
        "the form follows the Accept field",
        arguments: [
            Row("none", "", ExpositionFormat.prometheus),
            Row("anything", "*/*", .prometheus),
            Row("browser", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", .prometheus),
            Row(
                "Prometheus 2.42",
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
                    + "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", .openMetrics),
            Row(
                "Prometheus 3",
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3",
                .openMetrics),
            Row("bare OpenMetrics", "application/openmetrics-text", .openMetrics),
            Row("upper case and blanks", " Application/OpenMetrics-Text ; Version=1.0.0 ; Q=1 ", .openMetrics),
            Row("text preferred", "application/openmetrics-text;q=0.3,text/plain;q=0.9", .prometheus),
            Row("refused", "application/openmetrics-text;q=0,*/*", .prometheus),
            Row("unknown version", "application/openmetrics-text;version=2.0.0,text/plain;q=0.1", .prometheus),
            Row("bad quality", "application/openmetrics-text;q=x", .prometheus),
            Row("bad quality digits", "application/openmetrics-text;q=1.00000", .prometheus),
            Row("empty quality", "application/openmetrics-text;q=", .openMetrics),
            Row("separators alone", ",;,;;q=,", .prometheus),
        ]
    )
    func negotiation(_ row: Row<String, ExpositionFormat>) {
        let accept = Array(row.input.utf8)
        let format = Exposition.format(accept: accept.span)
        #expect(format == row.output)
    }

    @Test(
        "promtool finds nothing to complain about", .timeLimit(.minutes(1)),
        .enabled(if: access("/usr/bin/promtool", X_OK) == 0, "promtool is not installed"))
    func promtool() throws {
        let metrics = GatewayMetrics(reactors: 2, version: "1.0", droppedLogLines: { 0 })
        let route = metrics.route(operation: "chat", model: "m \"\\\n", pool: "p", endpoint: "e", reactor: 1)
        route.attemptBegan()
        route.attemptEnded(.ok)
        route.requestEntered()
        route.firstToken(afterNanos: 1_000_000)
        route.nextToken(afterNanos: 1_000_000)
        route.tokens(input: 1, output: 2, cached: 3)
        route.requestAnswered(status: 200, durationNanos: 5)
        metrics.eventLoopLag(reactor: 1).observe(nanos: 1, on: MetricShard(reactor: 1))
        let text = exposition(metrics.registry)
        let tool = try #require(popen("/usr/bin/promtool check metrics 2>&1 >&2", "w"))
        #expect(fwrite(text, 1, text.utf8.count, tool) == text.utf8.count)
        #expect(pclose(tool) == 0)
    }
}
