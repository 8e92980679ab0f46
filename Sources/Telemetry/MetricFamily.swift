package import Bytes
internal import Synchronization

/// What kind of number a metric is.
package enum MetricKind: Sendable, Equatable {
    case counter
    case gauge
    /// Upper bounds in nanoseconds, ascending; exposed in seconds.
    case histogram(nanos: [Int])

    /// The kind as the exposition and the documentation name it.
    package var text: StaticString {
        switch self {
        case .counter: "counter"
        case .gauge: "gauge"
        case .histogram: "histogram"
        }
    }
}

/// Name, kind, labels and meaning of a metric: what `docs/metrics.md` lists.
package struct MetricDeclaration: Sendable {
    /// `penstock_<noun>_<unit>`; a counter's ends in `_total`.
    package let name: String
    package let kind: MetricKind
    /// Names of the labels in the order in which values are given.
    package let labels: [String]
    /// One sentence for the reader of a dashboard.
    package let help: String
    /// Most series there may be; what comes later shares one whose label values are `_other`.
    package let seriesLimit: Int

    /// Declares a metric.
    package init(_ name: String, _ kind: MetricKind, labels: [String] = [], limit: Int = 10_000, _ help: String) {
        precondition((kind == .counter) == name.hasSuffix("_total"), "counters and only they end in _total")
        (self.name, self.kind, self.labels, self.help, seriesLimit) = (name, kind, labels, help, limit)
    }

    /// The name in OpenMetrics, where a counter goes without the suffix of its sample.
    internal var familyName: String { kind == .counter ? String(name.dropLast("_total".count)) : name }

    /// `pool="a",endpoint="b"`, escaped.
    internal func text(ofLabels values: [String]) -> [UInt8] {
        precondition(values.count == labels.count, "one value for each label")
        var text: [UInt8] = []
        for (name, value) in zip(labels, values) {
            if !text.isEmpty { text.append(UInt8(ascii: ",")) }
            appendLabel(name, value, to: &text)
        }
        return text
    }
}

/// The cells of one label set. They go back to the registry with the last reference: whoever keeps a handle to a
/// series that may be retired keeps the series as well.
package final class MetricSeries: Sendable {
    /// `pool="a",endpoint="b"`, escaped: identity and exposition at once. Octets, because `String` calls
    /// canonically equivalent names equal.
    internal let labels: [UInt8]
    internal let values: [String]
    internal let run: MetricCellRun
    /// Whether the exposition shows it before anything was counted: not if most of its kind never are.
    internal let isShownUnused: Bool
    private let bounds: HistogramBounds?
    private let cells: MetricCells

    internal init(
        labels: [UInt8], values: [String], isShownUnused: Bool, bounds: HistogramBounds?, cells: MetricCells
    ) {
        (self.labels, self.values, self.isShownUnused) = (labels, values, isShownUnused)
        (self.bounds, self.cells) = (bounds, cells)
        run = cells.allocate(bounds.map { $0.count + 2 } ?? 1)
    }

    deinit { cells.free(run) }

    /// The handle, if the family is one of counters.
    package var counter: CounterHandle { CounterHandle(run) }
    /// The handle, if the family is one of gauges.
    package var gauge: GaugeHandle { GaugeHandle(run) }
    /// The handle of a histogram.
    package var histogram: HistogramHandle {
        guard let bounds else { preconditionFailure("the series is no histogram") }
        return HistogramHandle(run, bounds)
    }
}

/// A metric with all its series. Looking one up takes a lock: at start, or when a label set first appears.
package final class MetricFamily: Sendable {
    private struct Live {
        var byLabels: [[UInt8]: Int] = [:]
        var series: [MetricSeries] = []
        var overflow: MetricSeries?
    }

    /// What the metric is.
    package let declaration: MetricDeclaration
    private let bounds: HistogramBounds?
    private let cells: MetricCells
    private let live = Mutex(Live())

    internal init(_ declaration: MetricDeclaration, cells: MetricCells) {
        self.declaration = declaration
        self.cells = cells
        if case .histogram(let nanos) = declaration.kind {
            bounds = HistogramBounds(nanos: nanos)
        } else {
            bounds = nil
        }
    }

    /// The series with these label values, made if it is new.
    package func series(_ values: [String], isShownUnused: Bool = true) -> MetricSeries {
        let labels = declaration.text(ofLabels: values)
        return live.withLock { live in
            if let index = live.byLabels[labels] { return live.series[index] }
            if live.series.count >= declaration.seriesLimit { return overflow(&live) }
            let made = make(values, labels, isShownUnused)
            live.byLabels[labels] = live.series.count
            live.series.append(made)
            return made
        }
    }

    /// The counter with these label values.
    package func counter(_ values: String...) -> CounterHandle {
        precondition(declaration.kind == .counter, "the metric is no counter")
        return series(values).counter
    }

    /// The gauge with these label values.
    package func gauge(_ values: String...) -> GaugeHandle {
        precondition(declaration.kind == .gauge, "the metric is no gauge")
        return series(values).gauge
    }

    /// The histogram with these label values.
    package func histogram(_ values: String...) -> HistogramHandle { series(values).histogram }

    /// Takes the series that have all these label values out of the exposition. Handles to them stay harmless.
    ///
    /// Labels that the family does not have match nothing.
    package func retire(where wanted: [String: String]) {
        let columns = wanted.compactMap { label, value in
            declaration.labels.firstIndex(of: label).map { (column: $0, value: Array(value.utf8)) }
        }
        guard columns.count == wanted.count, !wanted.isEmpty else { return }
        live.withLock { live in
            live.series.removeAll { series in
                columns.allSatisfy { $0.value.elementsEqual(series.values[$0.column].utf8) }
            }
            live.byLabels.removeAll(keepingCapacity: true)
            for (index, series) in live.series.enumerated() { live.byLabels[series.labels] = index }
        }
    }

    /// The series of this moment, for the exposition; holding them keeps their cells.
    internal var current: [MetricSeries] {
        live.withLock { live in live.series + (live.overflow.map { [$0] } ?? []) }
    }

    /// Whether the exposition shows this series of the family: not once it is retired.
    internal func lists(_ series: MetricSeries) -> Bool {
        live.withLock { live in
            series === live.overflow || live.byLabels[series.labels].map { live.series[$0] === series } ?? false
        }
    }

    /// A series that no exposition shows, for the last that is counted of what is retired.
    internal func unlisted(_ values: [String]) -> MetricSeries {
        make(values, declaration.text(ofLabels: values), false)
    }

    private func overflow(_ live: inout Live) -> MetricSeries {
        if let overflow = live.overflow { return overflow }
        let values = [String](repeating: "_other", count: declaration.labels.count)
        let made = make(values, declaration.text(ofLabels: values), true)
        live.overflow = made
        return made
    }

    private func make(_ values: [String], _ labels: [UInt8], _ isShownUnused: Bool) -> MetricSeries {
        MetricSeries(labels: labels, values: values, isShownUnused: isShownUnused, bounds: bounds, cells: cells)
    }
}

/// Appends `name="value"`, the value escaped as the exposition formats ask.
internal func appendLabel(_ name: String, _ value: String, to text: inout [UInt8]) {
    text.append(contentsOf: name.utf8)
    text.append(contentsOf: "=\"".utf8)
    for byte in value.utf8 {
        switch byte {
        case UInt8(ascii: "\\"): text.append(contentsOf: "\\\\".utf8)
        case UInt8(ascii: "\""): text.append(contentsOf: "\\\"".utf8)
        case UInt8(ascii: "\n"): text.append(contentsOf: "\\n".utf8)
        default: text.append(byte)
        }
    }
    text.append(UInt8(ascii: "\""))
}
