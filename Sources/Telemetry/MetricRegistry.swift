package import Bytes
internal import Synchronization

/// A number with its label values, as it is at the time of a scrape.
package struct MetricSample: Sendable {
    /// In the order of the declaration's labels.
    package var labels: [String]
    package var value: Double

    /// One line of the exposition.
    package init(_ labels: [String], _ value: Double) {
        self.labels = labels
        self.value = value
    }
}

/// All metrics of the process and their text form.
package final class MetricRegistry: Sendable {
    /// Numbers that are asked for at the time of a scrape instead of being counted.
    private struct Samples: Sendable {
        let declarations: [MetricDeclaration]
        /// One list for each declaration; without lists nothing is shown.
        let read: @Sendable () -> [[MetricSample]]
    }

    private struct Contents {
        var families: [MetricFamily] = []
        var samples: [Samples] = []
        private var names: Set<String> = []

        /// Takes a name, as OpenMetrics sees it: there a counter and a gauge may not differ by `_total` alone.
        mutating func claim(_ declaration: MetricDeclaration) {
            precondition(names.insert(declaration.familyName).inserted, "a metric is declared twice")
        }
    }

    private let cells = MetricCells()
    private let contents = Mutex(Contents())
    /// How many shards are summed: one for each reactor, and the control shard.
    private let shards: Int

    /// - Parameter reactors: How many reactors write, numbered from 1.
    package init(reactors: Int) {
        precondition((1..<MetricShard.limit).contains(reactors), "1...255 reactors")
        shards = reactors + 1
    }

    /// Registers a metric. A name is registered once.
    package func family(_ declaration: MetricDeclaration) -> MetricFamily {
        let family = MetricFamily(declaration, cells: cells)
        contents.withLock { contents in
            contents.claim(declaration)
            contents.families.append(family)
        }
        return family
    }

    /// Registers metrics without labels whose values are read at each scrape.
    ///
    /// - Parameter read: One value for each declaration; `nil` leaves that metric out. Called on the scraper's thread.
    package func sampled(_ declarations: [MetricDeclaration], _ read: @escaping @Sendable () -> [Double?]) {
        precondition(declarations.allSatisfy { $0.labels.isEmpty }, "these metrics have no labels")
        collected(declarations) { read().map { value in value.map { [MetricSample([], $0)] } ?? [] } }
    }

    /// Registers metrics whose series and values are read at each scrape.
    ///
    /// - Parameter read: A list for each declaration, or nothing at all. Of two samples with the same labels the first
    ///   is shown. Called on the scraper's thread.
    package func collected(
        _ declarations: [MetricDeclaration], _ read: @escaping @Sendable () -> [[MetricSample]]
    ) {
        contents.withLock { contents in
            for declaration in declarations { contents.claim(declaration) }
            contents.samples.append(Samples(declarations: declarations, read: read))
        }
    }

    /// Every registered metric, in the order of the exposition.
    package var declarations: [MetricDeclaration] {
        contents.withLock { $0.families.map(\.declaration) + $0.samples.flatMap(\.declarations) }
    }

    /// Takes every series with all these label values out of the exposition, whatever its family.
    package func retire(where labels: [String: String]) {
        for family in contents.withLock({ $0.families }) { family.retire(where: labels) }
    }

    /// Writes all metrics. Takes no lock while it formats; counting goes on meanwhile.
    package func write(_ format: ExpositionFormat, to output: inout ByteQueue) {
        let (families, samples) = contents.withLock { ($0.families, $0.samples) }
        let writer = Exposition(format: format, shards: shards)
        for family in families { writer.write(family, to: &output) }
        for group in samples {
            for (declaration, samples) in zip(group.declarations, group.read()) {
                writer.write(declaration, samples, to: &output)
            }
        }
        writer.finish(&output)
    }
}
