import Bytes
import Testing

@testable import Telemetry

@Suite struct MetricFamilyTests {
    private let registry = MetricRegistry(reactors: 1)

    @Test("the same label values are the same series")
    func identity() {
        let family = registry.family(MetricDeclaration("a_total", .counter, labels: ["x", "y"], "h"))
        #expect(family.series(["1", "2"]) === family.series(["1", "2"]))
        #expect(family.series(["1", "2"]) !== family.series(["2", "1"]))
        #expect(family.series([#"1",y="2"#, ""]) !== family.series(["1", "2"]))
    }

    @Test("names that Swift calls equal but whose octets differ are different series")
    func octets() {
        let family = registry.family(MetricDeclaration("a_total", .counter, labels: ["x"], "h"))
        #expect(family.series(["\u{E9}"]) !== family.series(["e\u{301}"]))
    }

    @Test("beyond the limit all share one series")
    func limit() {
        let family = registry.family(MetricDeclaration("a_total", .counter, labels: ["x"], limit: 3, "h"))
        for index in 0..<100 { family.counter("\(index)").add(on: .control) }
        #expect(
            samples(registry, "a_total") == [
                #"a_total{x="0"} 1"#, #"a_total{x="1"} 1"#, #"a_total{x="2"} 1"#, #"a_total{x="_other"} 97"#,
            ])
    }

    @Test("a retired series is gone, its holder harms nobody, and its successor starts at zero")
    func retire() {
        let family = registry.family(MetricDeclaration("a_total", .counter, labels: ["pool", "endpoint"], "h"))
        let unrelated = registry.family(MetricDeclaration("b_total", .counter, labels: ["pool"], "h"))
        unrelated.counter("p").add(on: .control)
        let held = family.series(["p", "old"])
        family.counter("p", "new").add(2, on: .control)
        held.counter.add(1, on: .control)
        registry.retire(where: ["pool": "p", "endpoint": "old"])
        #expect(samples(registry, "a_total") == [#"a_total{pool="p",endpoint="new"} 2"#])
        let successor = family.series(["p", "old"])
        #expect(successor !== held)
        held.counter.add(5, on: .control)
        #expect(
            samples(registry, "a_total") == [
                #"a_total{pool="p",endpoint="new"} 2"#, #"a_total{pool="p",endpoint="old"} 0"#,
            ])
        #expect(samples(registry, "b_total") == [#"b_total{pool="p"} 1"#])
        registry.retire(where: [:])
        #expect(samples(registry, "a_total").count == 2)
    }

    @Test("endpoints that come and go take no more memory")
    func churn() {
        let family = registry.family(MetricDeclaration("a_total", .counter, labels: ["endpoint"], "h"))
        let first = family.series(["first"]).run
        registry.retire(where: ["endpoint": "first"])
        for index in 0..<1000 {
            let series = family.series(["\(index)"])
            #expect(series.run.sum(at: 0, shards: 2) == 0)
            series.counter.add(1, on: .control)
            #expect(first.sum(at: 0, shards: 1) == 1, "the cell is used again")
            registry.retire(where: ["endpoint": "\(index)"])
        }
    }

    @Test("label values cannot leave their quotes")
    func escaping() {
        let family = registry.family(MetricDeclaration("a_total", .counter, labels: ["x"], "h"))
        family.counter("a\"} 1\nforged 2\\").add(on: .control)
        #expect(samples(registry, "a_total") == [#"a_total{x="a\"} 1\nforged 2\\"} 1"#])
        #expect(samples(registry, "forged").isEmpty)
    }

    @Test("a series may stay hidden until it counts")
    func hidden() {
        let family = registry.family(MetricDeclaration("a_total", .counter, labels: ["x"], "h"))
        let series = family.series(["rare"], isShownUnused: false)
        #expect(exposition(registry) == "")
        series.counter.add(on: MetricShard(reactor: 1))
        #expect(samples(registry, "a_total") == [#"a_total{x="rare"} 1"#])
    }
}
