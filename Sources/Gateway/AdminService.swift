internal import Bytes
internal import Config
internal import Dispatch
internal import HTTP
internal import Reactor
internal import OpenAI
internal import Telemetry
internal import Transport

/// What operators and Prometheus ask: metrics and health, on a listener of their own.
final class AdminService: RequestService {
    let metrics: GatewayMetrics
    let serving: ServingStatus
    /// Path of the scrape; empty if metrics are off.
    private(set) var metricsPath: [UInt8]

    init(metrics: GatewayMetrics, serving: ServingStatus, _ settings: Configuration.Metrics) {
        self.metrics = metrics
        self.serving = serving
        metricsPath = []
        update(settings)
    }

    /// Serves metrics where another configuration wants them.
    func update(_ settings: Configuration.Metrics) {
        metricsPath = settings.enabled ? Array(settings.path.utf8) : []
    }

    func makeHandler(_ origin: Origin) -> any RequestHandler { AdminExchange(self) }

    func recycle(_ handler: any RequestHandler) {}

    func render(_ refusal: Refusal, head: inout ResponseHead, body: inout ByteQueue) {
        let error = APIError(refusal)
        head.status = error.status
        head.fields.append(.contentType, "application/json")
        error.write(.openai, requestID: Span(), into: &body)
    }
}

extension AdminService {
    /// Serves operators from a listening socket on the reactor of `worker`.
    static func serve(
        _ descriptor: Int32, _ worker: GatewayWorker, _ settings: Configuration.Metrics
    ) throws(ReactorError) -> HTTPServer {
        let service = AdminService(
            metrics: worker.metrics, serving: worker.serving, settings)
        let server = HTTPServer(
            limits: ServerLimits(), protocols: [.http1, .http2], tls: nil, service: service,
            metrics: worker.transportMetrics, on: worker.reactor)
        try server.listen(descriptor)
        return server
    }
}

/// One request of an operator.
private final class AdminExchange: RequestHandler {
    private let service: AdminService
    private var stream: ServerStream?

    init(_ service: AdminService) { self.service = service }

    func requestHead(_ stream: ServerStream) { self.stream = stream }

    func requestBody(_ bytes: Span<UInt8>) {}
    func responseDrained() {}
    func requestAborted(_ reason: Abort) { stream = nil }

    func requestEnd() {
        guard let stream else { return }
        let target = stream.request.target
        let end = target.firstIndex(of: UInt8(ascii: "?")) ?? target.count
        let path = Array(target[..<end])
        guard stream.request.method == .get || stream.request.method == .head else {
            return fail(.methodNotAllowed(allow: .get), allow: APITarget.Allow.get.text)
        }
        if !service.metricsPath.isEmpty, path == service.metricsPath {
            answerMetrics(stream.request)
        } else if bytesEqual(path.span, "/healthz") || bytesEqual(path.span, "/livez") {
            answer(200, "{\"status\":\"ok\"}")
        } else if bytesEqual(path.span, "/readyz") {
            answerReadiness()
        } else {
            fail(.unknownPath(path.span))
        }
    }

    private func answerReadiness() {
        if service.serving.isReady {
            answer(200, "{\"status\":\"ready\"}")
        } else if service.serving.isDraining {
            answer(503, "{\"status\":\"draining\"}")
        } else {
            answer(503, "{\"status\":\"starting\"}")
        }
    }

    private func answerMetrics(_ request: borrowing RequestHead) {
        var format = ExpositionFormat.prometheus
        let fields = request.fields
        if let accept = fields.first(.accept) {
            format = Exposition.format(accept: fields.bytes.span.extracting(accept.valueRange))
        }
        guard let stream else { return }
        let chosen = format
        // Thousands of series take milliseconds to write: not on the reactor.
        let registry = service.metrics.registry
        let me = ReactorBound(self, on: stream.reactor)
        DispatchQueue.global(qos: .utility).async {
            var text = ByteQueue()
            registry.write(chosen, to: &text)
            let bytes = [UInt8](copying: text.span)
            me.submit { $0.sendMetrics(bytes, chosen) }
        }
    }

    private func sendMetrics(_ bytes: [UInt8], _ format: ExpositionFormat) {
        var text = ByteQueue()
        text.append(bytes)
        send(200, type: format.contentType, text)
    }

    private func answer(_ status: Int, _ json: StaticString) {
        var text = ByteQueue()
        text.append(json)
        send(status, type: "application/json", text)
    }

    private func fail(_ error: APIError, allow: StaticString? = nil) {
        var text = ByteQueue()
        error.write(.openai, requestID: Span(), into: &text)
        send(error.status, type: "application/json", text, allow: allow)
    }

    private func send(
        _ status: Int, type: StaticString, _ text: borrowing ByteQueue, allow: StaticString? = nil
    ) {
        guard let stream else { return }
        self.stream = nil
        var head = ResponseHead()
        head.status = status
        head.fields.append(.contentType, type)
        if let allow { head.fields.append(.allow, allow) }
        head.framing = .length(text.count)
        stream.respond(head)
        stream.write(text.span)
        stream.finish()
    }
}
