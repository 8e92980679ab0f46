internal import Synchronization

/// What is known of a pool at this moment.
package struct PoolSample: Sendable {
    /// The configured name.
    package var name: String
    package var endpoints: [EndpointSample]
    /// Whether so few endpoints are left that suspects are used, too.
    package var isPanicking = false
    /// Requests that wait, by band.
    package var queued: [QueueBand: Int] = [:]
    /// Bytes of memory that those hold.
    package var queueBytes = 0

    /// A pool with nothing in its queue.
    package init(name: String, endpoints: [EndpointSample] = []) {
        self.name = name
        self.endpoints = endpoints
    }
}

/// What is known of an endpoint at this moment.
package struct EndpointSample: Sendable {
    /// As in the other metrics: its authority.
    package var name: String
    package var standing: EndpointStanding
    /// Requests there, of all reactors.
    package var inFlight: Int
    /// Most requests that may be there; `nil` if there is no limit.
    package var limit: Int?

    /// An endpoint as it stands.
    package init(name: String, standing: EndpointStanding, inFlight: Int, limit: Int? = nil) {
        (self.name, self.standing, self.inFlight, self.limit) = (name, standing, inFlight, limit)
    }
}

/// Asks for the state of all pools at each scrape.
internal final class PoolCollector: Sendable {
    /// A closure by itself would get one more shell at each look through the lock, and so be called ever deeper.
    private struct Reader: Sendable {
        let read: @Sendable () -> [PoolSample]
    }

    private let reader = Mutex<Reader?>(nil)

    internal func set(_ read: @escaping @Sendable () -> [PoolSample]) {
        reader.withLock { $0 = Reader(read: read) }
    }

    internal static let declarations: [MetricDeclaration] = [
        MetricDeclaration(
            "penstock_endpoint_up", .gauge, labels: ["pool", "endpoint"],
            "1 if new requests may go to the endpoint, else 0."),
        MetricDeclaration(
            "penstock_endpoint_standing", .gauge, labels: ["pool", "endpoint", "standing"],
            "1 for the standing that the endpoint has now; the others are not shown."),
        MetricDeclaration(
            "penstock_endpoint_in_flight", .gauge, labels: ["pool", "endpoint"],
            "Requests that have a place at the endpoint, of all reactors."),
        MetricDeclaration(
            "penstock_concurrency_limit", .gauge, labels: ["pool", "endpoint"],
            "Most requests that may be at the endpoint at once; not shown if there is no limit."),
        MetricDeclaration(
            "penstock_pool_endpoints_ready", .gauge, labels: ["pool"], "Endpoints that new requests may go to."),
        MetricDeclaration(
            "penstock_pool_panic", .gauge, labels: ["pool"],
            "1 if so few endpoints are up that suspect ones are used, too, else 0."),
        MetricDeclaration(
            "penstock_queue_length", .gauge, labels: ["pool", "band"], "Requests that wait for an endpoint."),
        MetricDeclaration(
            "penstock_queue_bytes", .gauge, labels: ["pool"], "Memory that waiting requests hold."),
    ]

    /// One list for each declaration.
    internal func collect() -> [[MetricSample]] {
        // Called outside of the lock: it may take others.
        guard let reader = reader.withLock({ $0 }) else { return [] }
        var lists = [[MetricSample]](repeating: [], count: PoolCollector.declarations.count)
        for pool in reader.read() {
            for endpoint in pool.endpoints {
                let labels = [pool.name, endpoint.name]
                lists[0].append(MetricSample(labels, endpoint.standing.isUp ? 1 : 0))
                lists[1].append(MetricSample(labels + ["\(endpoint.standing.label)"], 1))
                lists[2].append(MetricSample(labels, Double(endpoint.inFlight)))
                if let limit = endpoint.limit { lists[3].append(MetricSample(labels, Double(limit))) }
            }
            lists[4].append(MetricSample([pool.name], Double(pool.endpoints.count { $0.standing.isUp })))
            lists[5].append(MetricSample([pool.name], pool.isPanicking ? 1 : 0))
            for band in QueueBand.allCases {
                lists[6].append(MetricSample([pool.name, "\(band.label)"], Double(pool.queued[band] ?? 0)))
            }
            lists[7].append(MetricSample([pool.name], Double(pool.queueBytes)))
        }
        return lists
    }
}

extension GatewayMetrics {
    /// Says where the state of pools is read at each scrape; a later call takes the place of an earlier one.
    ///
    /// - Parameter read: Every pool once, in it every endpoint once. Called on the scraper's thread, never on a reactor,
    ///   and at most once at a time for each scrape: it may take locks, and must not wait for a reactor.
    package func collectPools(_ read: @escaping @Sendable () -> [PoolSample]) { poolCollector.set(read) }
}
