internal import Health
internal import OpenAI
internal import Routing
internal import Telemetry
internal import Transport

/// The one place that says what a failure of an upstream means: for the client, for metrics, for another try.
extension UpstreamFailure {
    /// What it says of the request's chances elsewhere.
    var attemptFailure: AttemptFailure {
        switch self {
        case .unresolved, .connect, .connectTimeout, .tls, .refused, .queueFull: .connect
        case .closed: .broken
        case .malformed: .garbage
        case .firstByteTimeout, .idleTimeout, .totalTimeout: .timeout
        }
    }

    /// What it says of the endpoint.
    var outcome: AttemptOutcome {
        switch self {
        case .unresolved, .connect, .connectTimeout, .tls: .connectFailed
        // Our own bound, or the end of a connection that was to end: no fault of the endpoint's.
        case .queueFull, .refused: .cancelled
        case .closed: .broken
        case .malformed: .garbage
        case .firstByteTimeout, .idleTimeout, .totalTimeout: .timeout
        }
    }

    /// Whether time ran out.
    var isTimeout: Bool {
        switch self {
        case .connectTimeout, .firstByteTimeout, .idleTimeout, .totalTimeout: true
        case .unresolved, .connect, .tls, .closed, .refused, .malformed, .queueFull: false
        }
    }

    /// The label of the attempt.
    func attemptResult(afterHead: Bool) -> AttemptResult {
        switch self {
        case .unresolved: .resolveFailed
        case .connect: .connectFailed
        case .connectTimeout: .connectTimeout
        case .tls: .tlsFailed
        case .closed: afterHead ? .broken : .reset
        case .refused: .reset
        case .malformed: .protocolError
        case .firstByteTimeout: .firstByteTimeout
        case .idleTimeout: .idleTimeout
        case .totalTimeout: .totalTimeout
        case .queueFull: .queueFull
        }
    }

    /// Why a response that had begun broke off.
    var breakReason: StreamBreakReason {
        switch self {
        case .idleTimeout, .firstByteTimeout, .connectTimeout: .upstreamIdle
        case .totalTimeout: .totalTimeout
        case .malformed: .upstreamProtocol
        case .unresolved, .connect, .tls, .closed, .refused, .queueFull: .upstreamReset
        }
    }
}

extension APIError {
    /// What the client is told of a failed attempt when there is no other.
    init(_ failure: Transport.UpstreamFailure) {
        switch failure {
        case .unresolved, .connect, .tls: self = .upstreamFailed(.unreachable)
        case .closed, .refused: self = .upstreamFailed(.reset)
        case .malformed: self = .upstreamFailed(.garbage)
        case .connectTimeout, .firstByteTimeout, .idleTimeout, .totalTimeout: self = .upstreamTimeout
        case .queueFull: self = .overloaded()
        }
    }

    /// What the client is told of a request that the transport refused.
    init(_ refusal: Refusal) {
        switch refusal.status {
        case 408: self = .requestTimeout
        case 413: self = APIError(.bodyTooLarge, 413, code: "request_too_large", "\(refusal.reason)")
        case 414, 431: self = APIError(.headerTooLarge, refusal.status, code: "header_too_large", "\(refusal.reason)")
        case 503: self = .tooManyConnections
        default:
            self = APIError(.malformedBody, refusal.status, code: "malformed_request", "\(refusal.reason)")
        }
    }
}
