internal import Bytes

/// The two text forms that scrapers ask for.
package enum ExpositionFormat: Sendable, Equatable {
    case prometheus
    case openMetrics

    /// The value of the `content-type` field.
    package var contentType: StaticString {
        switch self {
        case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
        case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
        }
    }
}

/// Writes metrics as text: Prometheus 0.0.4 or OpenMetrics 1.0.0.
package struct Exposition: Sendable {
    internal let format: ExpositionFormat
    internal let shards: Int

    /// Writes one metric with all its series. One without a series is left out.
    internal func write(_ family: MetricFamily, to output: inout ByteQueue) {
        let all = family.current.filter { $0.isShownUnused || isUsed($0) }
        if all.isEmpty { return }
        let declaration = family.declaration
        writeHead(declaration, to: &output)
        for series in all {
            if case .histogram(let nanos) = declaration.kind {
                writeHistogram(declaration.name, series, nanos, to: &output)
            } else {
                writeName(declaration.name, "", series.labels, to: &output)
                output.append(decimal: series.run.sum(at: 0, shards: shards))
                output.append(UInt8(ascii: "\n"))
            }
        }
    }

    private func isUsed(_ series: MetricSeries) -> Bool {
        (0..<series.run.count).contains { series.run.sum(at: $0, shards: shards) != 0 }
    }

    /// Writes a metric whose values were read just now. One without a sample is left out.
    internal func write(_ declaration: MetricDeclaration, _ samples: [MetricSample], to output: inout ByteQueue) {
        if samples.isEmpty { return }
        writeHead(declaration, to: &output)
        // A scraper may refuse the whole exposition for a series that comes twice.
        var seen: Set<[UInt8]> = []
        for sample in samples.prefix(declaration.seriesLimit) {
            let labels = declaration.text(ofLabels: sample.labels)
            guard seen.insert(labels).inserted else { continue }
            writeName(declaration.name, "", labels, to: &output)
            writeNumber(sample.value, to: &output)
            output.append(UInt8(ascii: "\n"))
        }
    }

    /// Ends the exposition.
    internal func finish(_ output: inout ByteQueue) {
        if format == .openMetrics { output.append("# EOF\n") }
    }

    private func writeHead(_ declaration: MetricDeclaration, to output: inout ByteQueue) {
        let name = format == .openMetrics ? declaration.familyName : declaration.name
        output.append("# HELP ")
        output.append(text: name)
        output.append(UInt8(ascii: " "))
        output.append(text: declaration.help)
        output.append("\n# TYPE ")
        output.append(text: name)
        output.append(UInt8(ascii: " "))
        output.append(declaration.kind.text)
        output.append(UInt8(ascii: "\n"))
    }

    private func writeHistogram(_ name: String, _ series: MetricSeries, _ nanos: [Int], to output: inout ByteQueue) {
        var total = 0
        for index in 0...nanos.count {
            total += series.run.sum(at: 1 + index, shards: shards)
            var labels = series.labels
            if !labels.isEmpty { labels.append(UInt8(ascii: ",")) }
            // "1.0", not "1", in both forms: the two must name the same series.
            let bound = index < nanos.count ? "\(Double(nanos[index]) / 1e9)" : "+Inf"
            appendLabel("le", bound, to: &labels)
            writeName(name, "_bucket", labels, to: &output)
            output.append(decimal: total)
            output.append(UInt8(ascii: "\n"))
        }
        writeName(name, "_sum", series.labels, to: &output)
        writeNumber(series.run.doubleSum(at: 0, shards: shards), to: &output)
        output.append(UInt8(ascii: "\n"))
        writeName(name, "_count", series.labels, to: &output)
        output.append(decimal: total)
        output.append(UInt8(ascii: "\n"))
    }

    private func writeName(_ name: String, _ suffix: StaticString, _ labels: [UInt8], to output: inout ByteQueue) {
        output.append(text: name)
        output.append(suffix)
        if !labels.isEmpty {
            output.append(UInt8(ascii: "{"))
            output.append(labels)
            output.append(UInt8(ascii: "}"))
        }
        output.append(UInt8(ascii: " "))
    }

    private func writeNumber(_ value: Double, to output: inout ByteQueue) {
        if value.isNaN {
            output.append("NaN")
        } else if value.isInfinite {
            output.append(value > 0 ? "+Inf" : "-Inf")
        } else if value == value.rounded(), abs(value) < 1e15 {
            output.append(decimal: Int(value))
        } else {
            output.append(text: "\(value)")
        }
    }

    /// The form a scraper asks for in its `Accept` field: OpenMetrics if it names it and likes nothing better.
    ///
    /// - Parameter accept: The field's value; empty if there is none.
    package static func format(accept: Span<UInt8>) -> ExpositionFormat {
        var openMetrics = 0
        var text = 0
        var start = 0
        while start < accept.count {
            let end = firstIndex(of: UInt8(ascii: ","), in: accept, from: start) ?? accept.count
            let range = MediaRange(accept.extracting(start..<end))
            if range.isOpenMetrics { openMetrics = max(openMetrics, range.weight) }
            if range.isText { text = max(text, range.weight) }
            start = end + 1
        }
        return openMetrics > 0 && openMetrics >= text ? .openMetrics : .prometheus
    }
}
