internal import Bytes
internal import Health
internal import HTTP
internal import Telemetry
internal import Transport

/// A second attempt for a request whose first is slow. The one whose body comes first answers.
final class Hedge: ResponseHandler {
    let exchange: Exchange
    let call = UpstreamCall()
    let place: Place
    let route: RouteMetrics
    let startedAt: Int64
    /// What a good head said, until the body comes.
    private(set) var answer: (status: Int, fields: HeaderFields, framing: BodyFraming)?

    init(_ exchange: Exchange, _ place: Place, _ route: RouteMetrics, at now: Int64) {
        self.exchange = exchange
        self.place = place
        self.route = route
        startedAt = now
        call.report(to: self)
    }

    func responseHead(_ head: borrowing ResponseHead) {
        // An error of the second attempt helps nobody while the first may still answer.
        guard head.status < 300 else {
            call.cancel()
            switch head.status {
            case 429: return exchange.hedgeFailed(.rateLimited, .full)
            case 503, 529: return exchange.hedgeFailed(.serverError, .full)
            case 500...: return exchange.hedgeFailed(.serverError, .serverError)
            case 400..<500: return exchange.hedgeFailed(.ok, .success)
            default: return exchange.hedgeFailed(.protocolError, .garbage)
            }
        }
        guard exchange.expects(head) else {
            call.cancel()
            return exchange.hedgeFailed(.protocolError, .garbage)
        }
        answer = (head.status, head.fields, head.framing)
    }

    func responseBody(_ bytes: Span<UInt8>) {
        let exchange = exchange
        exchange.adoptHedge()
        exchange.responseBody(bytes)
    }

    func responseEnd() {
        let exchange = exchange
        exchange.adoptHedge()
        exchange.responseEnd()
    }

    func responseFailed(_ failure: UpstreamFailure) {
        exchange.hedgeFailed(failure.attemptResult(afterHead: answer != nil), failure.outcome)
    }
}
