import Bytes
import Testing

@testable import Telemetry

@Suite struct GatewayMetricsTests {
    private let metrics = GatewayMetrics(reactors: 2, version: "0.1.0", droppedLogLines: { 4 })

    private func documentText() throws -> String {
        let here = #filePath
        let folder = String(here[..<(try #require(here.range(ofLast: "Tests/TelemetryTests/")))])
        return String(decoding: fileContents(folder + "docs/metrics.md"), as: UTF8.self)
    }

    @Test("docs/metrics.md lists what is declared, and nothing else")
    func documentation() throws {
        let listed = try documentText().split(separator: "\n").map(String.init).filter {
            $0.hasPrefix("| `penstock_") || $0.hasPrefix("| `process_")
        }
        let declared = metrics.registry.declarations.map { declaration in
            let labels = declaration.labels.map { "`\($0)`" }.joined(separator: ", ")
            return "| `\(declaration.name)` | \(declaration.kind.text) | \(labels) | \(declaration.help) |"
        }
        #expect(listed.sorted() == declared.sorted())
    }

    @Test("docs/metrics.md names every value of the closed sets")
    func closedSets() throws {
        let document = try documentText()
        func check<Label: MetricLabel>(_: Label.Type) {
            for value in Label.allCases { #expect(document.contains("`\(value.label)`"), "\(value.label)") }
            #expect(
                Label.allCases.map(\.rawValue).elementsEqual(0..<UInt8(Label.allCases.count)), "raw values are indices")
        }
        check(ConnectionSide.self)
        check(WireProtocol.self)
        check(AttemptResult.self)
        check(RefusalReason.self)
        check(CutReason.self)
        check(StreamBreakReason.self)
        check(ReloadResult.self)
        check(EndpointStanding.self)
        check(RetryReason.self)
        check(EjectionReason.self)
        check(ProbeFinding.self)
        check(FallbackReason.self)
        check(HedgeResult.self)
        check(ContinuationResult.self)
        check(QueueBand.self)
        check(DropReason.self)
    }

    @Test("names and labels follow the house rules")
    func names() {
        for declaration in metrics.registry.declarations {
            let name = declaration.name
            #expect(name.hasPrefix("penstock_") || name.hasPrefix("process_"), "\(name)")
            #expect(
                (name + declaration.labels.joined()).utf8.allSatisfy {
                    $0 == 95 || (97...122).contains($0) || (48...57).contains($0)
                }, "\(name)")
            if case .histogram(let nanos) = declaration.kind {
                #expect(name.hasSuffix("_seconds") && nanos == Set(nanos).sorted(), "\(name)")
            }
        }
    }

    @Test("one exchange is counted everywhere it should be")
    func exchange() {
        let route = metrics.route(operation: "chat", model: "m", pool: "p", endpoint: "e", reactor: 2)
        route.requestEntered()
        route.attemptBegan()
        #expect(
            samples(metrics.registry, "penstock_requests_in_flight") == [
                #"penstock_requests_in_flight{model="m",pool="p"} 1"#
            ])
        #expect(
            samples(metrics.registry, "penstock_upstream_requests_in_flight")
                == [#"penstock_upstream_requests_in_flight{pool="p",endpoint="e"} 1"#])
        route.firstToken(afterNanos: 20_000_000)
        route.nextToken(afterNanos: 30_000_000)
        route.tokens(input: 10, output: 20, cached: 0)
        route.attemptEnded(.ok)
        route.requestLeft()
        route.requestAnswered(status: 200, durationNanos: 50_000_000)
        let text = exposition(metrics.registry)
        for line in [
            #"penstock_requests_total{operation="chat",model="m",pool="p",endpoint="e",code="200"} 1"#,
            #"penstock_request_duration_seconds_bucket{model="m",pool="p",le="0.04"} 0"#,
            #"penstock_request_duration_seconds_bucket{model="m",pool="p",le="0.08"} 1"#,
            #"penstock_request_duration_seconds_sum{model="m",pool="p"} 0.05"#,
            #"penstock_time_to_first_token_seconds_bucket{model="m",pool="p",le="0.02"} 1"#,
            #"penstock_inter_token_latency_seconds_count{model="m",pool="p"} 1"#,
            #"penstock_tokens_total{model="m",pool="p",direction="input"} 10"#,
            #"penstock_tokens_total{model="m",pool="p",direction="output"} 20"#,
            #"penstock_upstream_attempts_total{pool="p",endpoint="e",result="ok"} 1"#,
            #"penstock_requests_in_flight{model="m",pool="p"} 0"#,
            #"penstock_upstream_requests_in_flight{pool="p",endpoint="e"} 0"#,
            #"penstock_build_info{version="0.1.0",swift="6.3"} 1"#,
            "penstock_log_lines_dropped_total 4",
        ] { #expect(text.contains("\n" + line + "\n"), "\(line)") }
        #expect(!text.contains(#"direction="cached""#), "engines that report none show none")
        #expect(!text.contains(#"result="reset""#), "what never happened takes no series")
    }

    @Test("unknown models share a label")
    func unknownModel() {
        for _ in 0..<3 {
            let route = metrics.route(operation: "chat", model: nil, pool: nil, endpoint: nil, reactor: 1)
            route.requestAnswered(status: 404, durationNanos: 1)
        }
        let labels = #"operation="chat",model="_unknown",pool="_none",endpoint="_none",code="404""#
        #expect(samples(metrics.registry, "penstock_requests_total") == ["penstock_requests_total{\(labels)} 3"])
    }

    @Test("an engine that invents status codes makes no more than a few series")
    func inventedCodes() {
        let route = metrics.route(operation: "chat", model: "m", pool: "p", endpoint: "e", reactor: 1)
        for status in -5...1200 { route.requestAnswered(status: status, durationNanos: 1) }
        let found = samples(metrics.registry, "penstock_requests_total")
        #expect(found.count <= 72)
        #expect(found.reduce(0) { $0 + (Int($1.split(separator: " ").last ?? "") ?? 0) } == 1206)
    }

    @Test(
        "statuses as labels",
        arguments: [
            Row("usual", 200, "200"), Row("abort", 499, "499"), Row("overload", 529, "529"), Row("odd", 477, "4xx"),
            Row("interim", 103, "1xx"), Row("high", 600, "_other"), Row("none", 0, "_other"),
            Row("negative", -1, "_other"),
        ])
    func codes(_ row: Row<Int, String>) { #expect(codeLabel(of: row.input) == row.output) }

    @Test("an endpoint that is gone vanishes while its last request still runs")
    func retire() {
        let old = metrics.route(operation: "chat", model: "m", pool: "p", endpoint: "old", reactor: 1)
        old.attemptBegan()
        old.requestAnswered(status: 200, durationNanos: 1)
        metrics.retire(pool: "p", endpoint: "old")
        #expect(!exposition(metrics.registry).contains(#"endpoint="old""#))
        old.attemptEnded(.ok)
        old.requestAnswered(status: 200, durationNanos: 1)
        let new = metrics.route(operation: "chat", model: "m", pool: "p", endpoint: "old", reactor: 1)
        new.attemptBegan()
        #expect(
            samples(metrics.registry, "penstock_upstream_requests_in_flight")
                == [#"penstock_upstream_requests_in_flight{pool="p",endpoint="old"} 1"#])
    }

    @Test("connections are counted by side and protocol")
    func connections() {
        metrics.connections(.client, .http2).open.add(1, on: MetricShard(reactor: 1))
        metrics.connections(.upstream, .http1).opened.add(2, on: MetricShard(reactor: 1))
        metrics.connections(.client, .http1).received.add(3, on: MetricShard(reactor: 1))
        metrics.connections(.client, .http2).received.add(4, on: MetricShard(reactor: 2))
        metrics.connectionsCut[.drain].add(on: .control)
        let text = exposition(metrics.registry)
        #expect(text.contains(#"penstock_connections{side="client",protocol="http2"} 1"#))
        #expect(text.contains(#"penstock_connections_opened_total{side="upstream",protocol="http1"} 2"#))
        #expect(text.contains(#"penstock_received_bytes_total{side="client"} 7"#))
        #expect(text.contains(#"penstock_connections_cut_total{reason="drain"} 1"#))
    }

    @Test("the stat line is read behind the command, whatever that holds")
    func statLine() {
        let line = Array("12 (a) 3 (x y) S 7 -8 9\n".utf8)
        #expect(ProcessMetrics.statFields(line) == [0, 7, 0, 9])
        #expect(ProcessMetrics.statFields([]) == [])
        #expect(
            ProcessMetrics.number(in: Array("a\nMax open files   1024  4096".utf8), after: "Max open files") == 1024)
        #expect(ProcessMetrics.number(in: Array("nothing".utf8), after: "Max open files") == nil)
    }

    @Test("the process tells its own figures")
    func process() throws {
        let values = ProcessMetrics.read().map { $0 ?? -1 }
        #expect(values.count == ProcessMetrics.declarations.count)
        #expect(values.allSatisfy { $0 > 0 }, "\(values)")
        #expect(values[1] < values[2], "resident memory is part of the virtual")
        #expect(abs(values[4] * 1000 - Double(wallClockMillis())) < 3_600_000, "started within the hour")
    }
}

extension String {
    /// Where the last occurrence of `text` begins.
    fileprivate func range(ofLast text: String) -> String.Index? {
        indices.reversed().first { self[$0...].hasPrefix(text) }
    }
}
