package import Bytes
package import Telemetry

/// Counts the connections and bytes of one side and protocol, for one reactor.
package struct TrafficMeter: Sendable {
    private let metrics: ConnectionMetrics
    private let shard: MetricShard

    /// Counts into `metrics` on the shard of one reactor.
    package init(_ metrics: ConnectionMetrics, on shard: MetricShard) {
        self.metrics = metrics
        self.shard = shard
    }

    func opened() {
        metrics.open.add(1, on: shard)
        metrics.opened.add(1, on: shard)
    }

    func closed() { metrics.open.add(-1, on: shard) }

    func received(_ bytes: Int) { metrics.received.add(bytes, on: shard) }

    func sent(_ bytes: Int) { metrics.sent.add(bytes, on: shard) }
}

/// What the servers and connection pools of one reactor count.
package struct TransportMetrics: Sendable {
    let clientHTTP1: TrafficMeter
    let clientHTTP2: TrafficMeter
    let upstreamHTTP1: TrafficMeter
    let upstreamHTTP2: TrafficMeter
    private let metrics: GatewayMetrics
    private let shard: MetricShard

    /// - Parameter reactor: Counted from 1.
    package init(_ metrics: GatewayMetrics, reactor: Int) {
        shard = MetricShard(reactor: reactor)
        self.metrics = metrics
        clientHTTP1 = TrafficMeter(metrics.connections(.client, .http1), on: shard)
        clientHTTP2 = TrafficMeter(metrics.connections(.client, .http2), on: shard)
        upstreamHTTP1 = TrafficMeter(metrics.connections(.upstream, .http1), on: shard)
        upstreamHTTP2 = TrafficMeter(metrics.connections(.upstream, .http2), on: shard)
    }

    func refused(_ reason: RefusalReason) { metrics.connectionRefusals[reason].add(1, on: shard) }

    func cut(_ reason: CutReason) { metrics.connectionsCut[reason].add(1, on: shard) }

    func glitches(_ count: Int) { metrics.http2Glitches.add(count, on: shard) }
}
