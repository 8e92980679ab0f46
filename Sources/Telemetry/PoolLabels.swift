/// Whether an endpoint may get requests, as metrics and the log name it.
package enum EndpointStanding: UInt8, MetricLabel {
    /// Serves.
    case ready
    /// Never tried yet; gets requests.
    case warming
    /// Its time of ejection is over: one request probes it.
    case halfOpen
    /// Ejected for what it answered.
    case suspect
    /// Ejected because it could not be reached, or fails its probes.
    case unreachable
    /// Asked us to wait.
    case full
    case draining, gone

    package var label: StaticString {
        switch self {
        case .ready: "ready"
        case .warming: "warming"
        case .halfOpen: "half_open"
        case .suspect: "suspect"
        case .unreachable: "unreachable"
        case .full: "full"
        case .draining: "draining"
        case .gone: "gone"
        }
    }

    /// Whether any request may go there.
    package var isUp: Bool { self == .ready || self == .warming }
}

/// What went wrong with an attempt, so that another one is made.
package enum RetryReason: UInt8, MetricLabel {
    case connectFailed
    /// A status of 500 or more.
    case serverError
    case timeout
    /// The connection or the stream ended too early.
    case broken
    /// An answer that is none.
    case garbage
    /// Too many requests, by the endpoint's own word.
    case full
    /// The endpoint does not know the model.
    case modelMissing
    /// Any other status that the configuration has retried.
    case status

    package var label: StaticString {
        switch self {
        case .connectFailed: "connect_failed"
        case .serverError: "server_error"
        case .timeout: "timeout"
        case .broken: "broken"
        case .garbage: "garbage"
        case .full: "full"
        case .modelMissing: "model_missing"
        case .status: "status"
        }
    }
}

/// Why an endpoint was taken out of its pool's choice.
package enum EjectionReason: UInt8, MetricLabel {
    case connectFailed, serverError, timeout, broken, garbage
    /// Too large a part of its attempts failed.
    case errorRatio
    /// It asked us to wait.
    case full
    /// Its probes failed.
    case probe
    /// It does not know the model.
    case modelMissing

    package var label: StaticString {
        switch self {
        case .connectFailed: "connect_failed"
        case .serverError: "server_error"
        case .timeout: "timeout"
        case .broken: "broken"
        case .garbage: "garbage"
        case .errorRatio: "error_ratio"
        case .full: "full"
        case .probe: "probe"
        case .modelMissing: "model_missing"
        }
    }
}

/// What a probe found.
package enum ProbeFinding: UInt8, MetricLabel {
    case healthy, missingModel, refused, silent

    package var label: StaticString {
        switch self {
        case .healthy: "healthy"
        case .missingModel: "missing_model"
        case .refused: "refused"
        case .silent: "silent"
        }
    }
}

/// Why another model answers.
package enum FallbackReason: UInt8, MetricLabel {
    case contextLength, contentPolicy, overload

    package var label: StaticString {
        switch self {
        case .contextLength: "context_length"
        case .contentPolicy: "content_policy"
        case .overload: "overload"
        }
    }
}

/// How a race of two attempts ended for the second.
package enum HedgeResult: UInt8, MetricLabel {
    case won, lost

    package var label: StaticString {
        switch self {
        case .won: "won"
        case .lost: "lost"
        }
    }
}

/// What became of a stream whose engine died.
package enum ContinuationResult: UInt8, MetricLabel {
    case continued, failed, notPossible

    package var label: StaticString {
        switch self {
        case .continued: "continued"
        case .failed: "failed"
        case .notPossible: "not_possible"
        }
    }
}

/// The bands of a queue.
package enum QueueBand: UInt8, MetricLabel {
    /// Priority above 0.
    case high
    /// Priority 0.
    case normal
    /// Negative priority: may be shed.
    case batch

    package var label: StaticString {
        switch self {
        case .high: "high"
        case .normal: "normal"
        case .batch: "batch"
        }
    }
}

/// Why a request did not wait for its turn to the end. Metrics, log and response fields use the same words.
package enum DropReason: UInt8, MetricLabel {
    /// The queue was full.
    case saturated
    /// It waited as long as it may.
    case expired
    /// There was nobody left to wait for.
    case noEndpoints
    case shuttingDown
    /// It gave way to a request of higher priority.
    case evicted
    /// The client went away.
    case cancelled

    package var label: StaticString {
        switch self {
        case .saturated: "rejected-saturated"
        case .expired: "rejected-ttl-expired"
        case .noEndpoints: "rejected-no-endpoints"
        case .shuttingDown: "rejected-shutting-down"
        case .evicted: "evicted-priority"
        case .cancelled: "cancelled"
        }
    }
}
