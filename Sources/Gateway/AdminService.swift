internal import Bytes
internal import Config
internal import Dispatch
internal import HTTP
internal import Reactor
internal import OpenAI
internal import Telemetry
internal import Transport

/// What operators and Prometheus ask: metrics, health, and why requests go where they go, on a listener of their own.
final class AdminService: RequestService {
    let worker: GatewayWorker
    var metrics: GatewayMetrics { worker.metrics }
    var serving: ServingStatus { worker.serving }
    /// Path of the scrape; empty if metrics are off.
    private(set) var metricsPath: [UInt8]

    init(_ worker: GatewayWorker, _ settings: Configuration.Metrics) {
        self.worker = worker
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
        let service = AdminService(worker, settings)
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
    private var body = ByteQueue()
    private var isBodyTooLarge = false

    /// The largest body taken.
    private static let bodyLimit = 1 << 20

    init(_ service: AdminService) { self.service = service }

    func requestHead(_ stream: ServerStream) {
        self.stream = stream
        body.removeAll()
        isBodyTooLarge = false
        stream.sendContinue()
    }

    func requestBody(_ bytes: Span<UInt8>) {
        if body.count + bytes.count > AdminExchange.bodyLimit {
            isBodyTooLarge = true
            return body.removeAll()
        }
        if !isBodyTooLarge { body.append(bytes) }
    }

    func responseDrained() {}
    func requestAborted(_ reason: Abort) { stream = nil }

    func requestEnd() {
        guard let stream else { return }
        let target = stream.request.target
        let end = target.firstIndex(of: UInt8(ascii: "?")) ?? target.count
        let path = Array(target[..<end])
        if bytesEqual(path.span, "/admin/v1/explain") { return answerExplain(stream.request) }
        guard stream.request.method == .get || stream.request.method == .head else {
            return fail(.methodNotAllowed(allow: .get), allow: APITarget.Allow.get.text)
        }
        if !service.metricsPath.isEmpty, path == service.metricsPath {
            answerMetrics(stream.request)
        } else if bytesEqual(path.span, "/healthz") || bytesEqual(path.span, "/livez") {
            answer(200, "{\"status\":\"ok\"}")
        } else if bytesEqual(path.span, "/readyz") {
            answerReadiness()
        } else if bytesEqual(path.span, "/admin/v1/endpoints") {
            answerEndpoints(stream.request)
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

    private func answerExplain(_ request: borrowing RequestHead) {
        guard request.method == .post else {
            return fail(.methodNotAllowed(allow: .post), allow: APITarget.Allow.post.text)
        }
        if isBodyTooLarge { return fail(.bodyTooLarge(limit: AdminExchange.bodyLimit)) }
        let (asText, state) = (AdminExchange.wantsText(request), service.worker.state)
        let question = [UInt8](copying: body.span)
        body.removeAll()
        later { now throws(APIError) in
            let question = try ExplainQuestion(parsing: question.span)
            let seed = Int.random(in: 0..<1_000_000)
            let explanation = try RequestExplanation(question, in: state, seed: seed, at: now)
            return AdminAnswer(asText ? explanation.text : explanation.json, isText: asText)
        }
    }

    private func answerEndpoints(_ request: borrowing RequestHead) {
        let (asText, state) = (AdminExchange.wantsText(request), service.worker.state)
        later { now throws(APIError) in
            let report = PoolsReport(state, at: now)
            return AdminAnswer(asText ? report.text : report.json, isText: asText)
        }
    }

    /// Whether `?format=text` or `accept: text/plain` asks for tables.
    private static func wantsText(_ request: borrowing RequestHead) -> Bool {
        let query = request.target.split(separator: UInt8(ascii: "?"), maxSplits: 1).dropFirst().first ?? []
        for parameter in query.split(separator: UInt8(ascii: "&")) where parameter.starts(with: "format=".utf8) {
            return parameter.elementsEqual("format=text".utf8)
        }
        return request.fields.text(of: .accept)?.contains("text/plain") ?? false
    }

    /// Makes an answer that may take milliseconds: not on the reactor.
    private func later(_ make: @escaping @Sendable (Int64) throws(APIError) -> AdminAnswer) {
        guard let stream else { return }
        let me = ReactorBound(self, on: stream.reactor)
        DispatchQueue.global(qos: .utility).async {
            do throws(APIError) {
                let answer = try make(monotonicNanos())
                me.submit { $0.send(answer) }
            } catch {
                let error = error
                me.submit { $0.fail(error) }
            }
        }
    }

    private func send(_ answer: AdminAnswer) {
        var text = ByteQueue()
        text.append(answer.body)
        send(200, type: answer.isText ? "text/plain; charset=utf-8" : "application/json", text)
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

/// A good answer for an operator.
private struct AdminAnswer: Sendable {
    let body: [UInt8]
    let isText: Bool

    init(_ body: [UInt8], isText: Bool) { (self.body, self.isText) = (body, isText) }
}
