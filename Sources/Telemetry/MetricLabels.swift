package import Bytes

/// A closed set of label values.
package protocol MetricLabel: CaseIterable, Sendable, RawRepresentable<UInt8> {
    /// The value as the exposition shows it.
    var label: StaticString { get }
}

/// One side of the gateway.
package enum ConnectionSide: UInt8, MetricLabel {
    case client, upstream

    package var label: StaticString {
        switch self {
        case .client: "client"
        case .upstream: "upstream"
        }
    }
}

/// What is spoken on a connection.
package enum WireProtocol: UInt8, MetricLabel {
    case http1, http2

    package var label: StaticString {
        switch self {
        case .http1: "http1"
        case .http2: "http2"
        }
    }
}

/// How an attempt at an endpoint ended.
package enum AttemptResult: UInt8, MetricLabel {
    /// A response below 500 that was relayed whole.
    case ok
    /// A response of 500 or more.
    case serverError
    /// A response of 429.
    case rateLimited
    case resolveFailed, connectFailed, connectTimeout, tlsFailed
    /// No place on a connection in time, or too many waiting.
    case queueFull
    /// The connection ended before a response byte.
    case reset
    case firstByteTimeout, idleTimeout, totalTimeout
    case protocolError
    /// The response broke off after it had begun.
    case broken
    /// The client went away.
    case cancelled

    package var label: StaticString {
        switch self {
        case .ok: "ok"
        case .serverError: "server_error"
        case .rateLimited: "rate_limited"
        case .resolveFailed: "resolve_failed"
        case .connectFailed: "connect_failed"
        case .connectTimeout: "connect_timeout"
        case .tlsFailed: "tls_failed"
        case .queueFull: "queue_full"
        case .reset: "reset"
        case .firstByteTimeout: "first_byte_timeout"
        case .idleTimeout: "idle_timeout"
        case .totalTimeout: "total_timeout"
        case .protocolError: "protocol_error"
        case .broken: "broken"
        case .cancelled: "cancelled"
        }
    }
}

/// Why a connection was not accepted, or closed before it carried anything.
package enum RefusalReason: UInt8, MetricLabel {
    case listenerFull, noDescriptors, tlsFailed, draining, notHTTP

    package var label: StaticString {
        switch self {
        case .listenerFull: "listener_full"
        case .noDescriptors: "no_descriptors"
        case .tlsFailed: "tls_failed"
        case .draining: "draining"
        case .notHTTP: "not_http"
        }
    }
}

/// Why a response that had begun did not reach its end.
package enum StreamBreakReason: UInt8, MetricLabel {
    case upstreamReset, upstreamIdle, upstreamProtocol, totalTimeout, clientStalled, shutdown

    package var label: StaticString {
        switch self {
        case .upstreamReset: "upstream_reset"
        case .upstreamIdle: "upstream_idle"
        case .upstreamProtocol: "upstream_protocol"
        case .totalTimeout: "total_timeout"
        case .clientStalled: "client_stalled"
        case .shutdown: "shutdown"
        }
    }
}

/// Why we cut a client's connection.
package enum CutReason: UInt8, MetricLabel {
    case protocolError, glitches, headerTimeout, bodyTimeout, writeTimeout, idleTimeout, tooManyRequests, drain

    package var label: StaticString {
        switch self {
        case .protocolError: "protocol_error"
        case .glitches: "glitches"
        case .headerTimeout: "header_timeout"
        case .bodyTimeout: "body_timeout"
        case .writeTimeout: "write_timeout"
        case .idleTimeout: "idle_timeout"
        case .tooManyRequests: "too_many_requests"
        case .drain: "drain"
        }
    }
}

/// What became of a configuration that was read.
package enum ReloadResult: UInt8, MetricLabel {
    case applied, unchanged, rejected

    package var label: StaticString {
        switch self {
        case .applied: "applied"
        case .unchanged: "unchanged"
        case .rejected: "rejected"
        }
    }
}

/// One counter for each value of a closed set.
package struct CounterTable<Key: MetricLabel>: Sendable {
    @usableFromInline internal let handles: [CounterHandle]

    /// All counters of a family whose last label is `Key`; `leading` are the values of the labels before it.
    internal init(_ family: MetricFamily, leading: [String] = []) {
        var kept: [MetricSeries] = []
        self.init(family, leading: leading, keeping: &kept)
    }

    /// The same for a family whose series may be retired: the caller keeps them as long as the counters.
    internal init(_ family: MetricFamily, leading: [String], keeping kept: inout [MetricSeries]) {
        let series = Key.allCases.map { family.series(leading + ["\($0.label)"]) }
        handles = series.map(\.counter)
        kept += series
    }

    /// The counter of `key`.
    @inlinable package subscript(key: Key) -> CounterHandle { handles[Int(key.rawValue)] }
}
