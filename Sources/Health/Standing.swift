/// What may be sent to an endpoint. One word for the pick, the log, the metrics and the operator.
package enum Standing: UInt8, Sendable, CaseIterable {
    /// In service.
    case ready
    /// Never heard of yet; in service.
    case warming
    /// The ejection is over: one request may find out whether the cause is, too.
    ///
    /// While that request runs, the standing is again what the endpoint was ejected for.
    case halfOpen
    /// Ejected for failed attempts. Only in panic.
    case suspect
    /// Ejected for failed connects or active probes. Only when nothing else can be reached.
    case unreachable
    /// Said that it has no room, and when to come back. Not broken.
    case full
    /// Nothing new; what runs may finish.
    case draining
    /// Not of the pool any more.
    case gone

    /// For metrics, logs and JSON.
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
}

/// What an attempt says of its endpoint, which is not what it says of the request.
package enum AttemptOutcome: UInt8, Sendable, CaseIterable {
    /// A whole answer, also one that says that the request is wrong (4xx).
    case success
    /// No connection: refused, reset in the handshake, timed out.
    case connectFailed
    /// A status of 500 or above other than those of `full`.
    case serverError
    /// No head, no first token or no next event in time.
    case timeout
    /// The connection or the body ended too soon.
    case broken
    /// An answer that is none: not HTTP, not JSON, not of the asked-for type.
    case garbage
    /// 429, 503, 529, or any error that carries `Retry-After`.
    case full
    /// Ended by the client or by us: says nothing.
    case cancelled

    /// For metrics, logs and JSON.
    package var label: StaticString {
        switch self {
        case .success: "success"
        case .connectFailed: "connect_failed"
        case .serverError: "server_error"
        case .timeout: "timeout"
        case .broken: "broken"
        case .garbage: "garbage"
        case .full: "full"
        case .cancelled: "cancelled"
        }
    }

    /// Whether it counts against the endpoint.
    package var isFailure: Bool {
        switch self {
        case .connectFailed, .serverError, .timeout, .broken, .garbage: true
        case .success, .full, .cancelled: false
        }
    }
}

/// What an active probe found.
package enum ProbeResult: Sendable, Equatable {
    case healthy
    /// It answers, but does not serve the model that is asked of it.
    case missingModel
    /// It answered with this status.
    case refused(status: Int)
    /// No connection, or no answer in time.
    case silent
}
