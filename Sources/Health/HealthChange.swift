/// A change of an endpoint's standing; the caller logs and counts it, and wakes who waits for an endpoint.
///
/// Only what an event changed. That an ejection or a time of being full runs out is no event.
package struct HealthChange: Sendable, Equatable {
    package let from: Standing
    package let to: Standing
    package let reason: HealthReason
    /// How long the endpoint is ejected or full from now on; 0 if it is neither.
    package let forNanos: Int64

    /// Whether it takes an endpoint out for what it did.
    package var isEjection: Bool { to == .suspect || to == .unreachable }
    /// Whether the endpoint can take requests that it could not take before.
    package var isRecovery: Bool { to == .ready || to == .warming }

    package init(from: Standing, to: Standing, reason: HealthReason, forNanos: Int64) {
        self.from = from
        self.to = to
        self.reason = reason
        self.forNanos = forNanos
    }
}

/// Why a standing changed.
package enum HealthReason: UInt8, Sendable, CaseIterable {
    /// Nothing has changed yet.
    case new
    /// The first request or active probe was answered.
    case firstAnswer
    case consecutiveErrors
    case errorRatio
    case connectFailures
    case probesFailed
    /// An active probe found that the model is not served.
    case modelMissing
    /// The one request to the half-open endpoint failed.
    case halfOpenFailed
    /// It failed again before it had answered one request as a whole since it came back.
    case relapsed
    /// The one request to the half-open endpoint was answered.
    case halfOpenAnswered
    /// A request sent in panic was answered.
    case panicAnswered
    case probeHealthy
    /// 429, 503 or `Retry-After`.
    case saidFull
    case drained
    case undrained
    case removed

    /// For metrics, logs and JSON.
    package var label: StaticString {
        switch self {
        case .new: "new"
        case .firstAnswer: "first_answer"
        case .consecutiveErrors: "consecutive_errors"
        case .errorRatio: "error_ratio"
        case .connectFailures: "connect_failures"
        case .probesFailed: "probes_failed"
        case .modelMissing: "model_missing"
        case .halfOpenFailed: "half_open_failed"
        case .relapsed: "relapsed"
        case .halfOpenAnswered: "half_open_answered"
        case .panicAnswered: "panic_answered"
        case .probeHealthy: "probe_healthy"
        case .saidFull: "said_full"
        case .drained: "drained"
        case .undrained: "undrained"
        case .removed: "removed"
        }
    }
}
