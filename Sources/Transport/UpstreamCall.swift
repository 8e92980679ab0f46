internal import Bytes
package import HTTP
package import Reactor
package import TLS

/// Why an attempt failed.
package enum UpstreamFailure: Error, Equatable {
    /// The name has no address.
    case unresolved(String)
    /// No connection came about.
    case connect(ReactorError)
    case connectTimeout
    case tls(TLSError)
    /// The connection ended or was reset; `afterHead` if a response head had come.
    case closed(afterHead: Bool)
    /// The upstream refused the request unseen (HTTP/2 REFUSED_STREAM, GOAWAY): another try is safe.
    case refused
    /// The answer breaks the protocol.
    case malformed(StaticString)
    case firstByteTimeout
    case idleTimeout
    case totalTimeout
    /// As many requests wait for a connection as may.
    case queueFull

    package static func == (left: UpstreamFailure, right: UpstreamFailure) -> Bool {
        left.label.utf8Start == right.label.utf8Start
    }

    /// A word for metrics and logs.
    package var label: StaticString {
        switch self {
        case .unresolved: "unresolved"
        case .connect: "connect_failed"
        case .connectTimeout: "connect_timeout"
        case .tls: "tls_failed"
        case .closed(afterHead: false): "reset"
        case .closed(afterHead: true): "broken"
        case .refused: "refused"
        case .malformed: "malformed"
        case .firstByteTimeout: "first_byte_timeout"
        case .idleTimeout: "idle_timeout"
        case .totalTimeout: "total_timeout"
        case .queueFull: "queue_full"
        }
    }

    /// What happened, for the log.
    package var detail: String {
        switch self {
        case .unresolved(let reason): reason
        case .connect(let error): error.description
        case .tls(let error): error.description
        case .malformed(let reason): "\(reason)"
        default: "\(label)"
        }
    }
}

/// Is told how an attempt goes. After `responseEnd` or `responseFailed` nothing more comes.
package protocol ResponseHandler: AnyObject {
    /// The head of the final response; valid for the call.
    func responseHead(_ head: borrowing ResponseHead)
    /// The next bytes of the body, valid for the call.
    func responseBody(_ bytes: Span<UInt8>)
    func responseEnd()
    func responseFailed(_ failure: UpstreamFailure)
}

/// Carries out a call: an HTTP/1.1 connection, or an HTTP/2 stream.
enum UpstreamCarrier {
    case none
    case pool(EndpointConnections)
    case http1(HTTP1ClientConnection)
    case http2(HTTP2Requester)
}

/// One request to one endpoint. Reused from attempt to attempt; on one reactor.
package final class UpstreamCall {
    /// Method, target, authority and fields to send; without framing and hop-by-hop fields.
    package var head = RequestHead()
    /// The body to send.
    package var body = RequestBody()
    // Outlives the call, which it owns or cancels first.
    unowned(unsafe) var handler: (any ResponseHandler)?
    /// When the whole call must be over, in nanoseconds of the reactor's clock.
    package var deadline = Int64.max
    /// Whether a connection that had served before carried the call.
    package internal(set) var usedIdleConnection = false
    /// When the request was handed to a connection, in nanoseconds; 0 before.
    package internal(set) var sentAt: Int64 = 0

    var carrier = UpstreamCarrier.none
    var isRetriedOnFresh = false
    var queuedUntil = Int64.max

    /// A call that is not under way.
    package init() {}

    /// Sends answers to `handler`, which must outlive the call or cancel it; also those of a call under way.
    package func report(to handler: any ResponseHandler) {
        self.handler = handler
        if case .http1(let connection) = carrier { connection.report(to: handler) }
    }

    /// Whether the call is under way.
    package var isActive: Bool {
        if case .none = carrier { return false }
        return true
    }

    /// Whether the body is not needed any more for the attempt under way.
    package var isRequestSent: Bool {
        switch carrier {
        case .none: true
        case .pool: false
        case .http1(let connection): connection.isRequestSent
        case .http2(let requester): requester.isRequestSent
        }
    }

    /// Ends the call at once, whatever its state; the handler hears nothing more. The upstream sees its connection
    /// closed (HTTP/1.1) or the stream reset (HTTP/2).
    package func cancel() {
        let carrier = self.carrier
        self.carrier = .none
        switch carrier {
        case .none: break
        case .pool(let pool): pool.cancelPending(self)
        case .http1(let connection): connection.cancel()
        case .http2(let requester): requester.cancel()
        }
    }

    /// Stops reading the answer; the upstream is slowed down by flow control.
    package func pause() {
        switch carrier {
        case .none, .pool: break
        case .http1(let connection): connection.pause()
        case .http2(let requester): requester.pause()
        }
    }

    /// Reads on.
    package func resume() {
        switch carrier {
        case .none, .pool: break
        case .http1(let connection): connection.resume()
        case .http2(let requester): requester.resume()
        }
    }

    func fail(_ failure: UpstreamFailure) {
        carrier = .none
        handler?.responseFailed(failure)
    }
}
