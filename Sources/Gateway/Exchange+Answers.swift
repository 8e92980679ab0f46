internal import Bytes
internal import HTTP
internal import OpenAI
internal import Routing
internal import Topology
internal import Telemetry
internal import Transport

/// What Penstock answers itself: errors, models, health.
extension Exchange {
    /// Answers with an error and ends the exchange.
    func fail(_ error: APIError, _ dialect: APIDialect? = nil, allow: StaticString? = nil) {
        guard let stream else { return }
        // The status of a stream may have been said, although nothing of it came.
        if isHeadSent { return endBroken(error) }
        let dialect = dialect ?? path?.dialect ?? .openai
        status = error.status(in: dialect)
        errorCode = error.kind.label
        if error.kind == .bodyTooLarge { flags.insert(.bodyTooLarge) }
        var text = ByteQueue()
        let id = requestID
        error.write(dialect, requestID: id.span, into: &text)
        worker.responseHead.reset()
        worker.responseHead.status = status
        worker.responseHead.fields.append(.contentType, "application/json")
        appendRequestID(dialect)
        appendRetryHints(error)
        if let allow { worker.responseHead.fields.append(.allow, allow) }
        if status == 401 { worker.responseHead.fields.append(.wwwAuthenticate, "Bearer") }
        answer(text, on: stream)
    }

    private func appendRetryHints(_ error: APIError) {
        if !relay.retryAfter.isEmpty {
            worker.responseHead.fields.append(.retryAfter, value: relay.retryAfter.span)
        } else if let seconds = error.retryAfterSeconds {
            worker.responseHead.fields.append(name: "retry-after", value: "\(seconds)")
        }
        if !relay.retryAfterMillis.isEmpty {
            worker.responseHead.fields.append(.retryAfterMillis, value: relay.retryAfterMillis.span)
        }
        // Our own attempts were the retries: the SDK's would multiply them.
        let isSpent = attempts > 1 && error.status == 502 && relay.retryAfter.isEmpty
        if let shouldRetry = error.shouldRetry ?? (isSpent ? false : nil) {
            worker.responseHead.fields.append(.shouldRetry, shouldRetry ? "true" : "false")
        }
        if droppedReason.utf8CodeUnitCount > 0 {
            worker.responseHead.fields.append(name: "x-penstock-dropped-reason", value: "\(droppedReason)")
            worker.responseHead.fields.append(name: "x-llm-d-request-dropped-reason", value: "\(droppedReason)")
        }
        if hints.wantsTrace { appendTrace(to: &worker.responseHead) }
    }

    /// How the request was served, for a client that asked (`x-penstock-trace: 1`).
    func appendTrace(to head: inout ResponseHead) {
        head.fields.append(name: "x-penstock-attempts", value: "\(attempts)")
        if endpoint >= 0 {
            head.fields.append(
                name: "x-penstock-endpoint", value: String(decoding: state.authorities[endpoint], as: UTF8.self))
        }
        if let fallback { head.fields.append(name: "x-penstock-fallback", value: "\(fallback.label)") }
    }

    /// The id of the request, under the name each dialect's SDKs read.
    func appendRequestID(_ dialect: APIDialect) {
        let id = requestID
        worker.responseHead.fields.append(.xRequestID, value: id.span)
        if dialect == .anthropic { worker.responseHead.fields.append(.requestID, value: id.span) }
    }

    /// Answers what needs no engine.
    func answerOurselves(_ path: APIPath, _ target: [UInt8]) {
        guard let stream else { return }
        status = 200
        var text = ByteQueue()
        switch path.operation {
        case .modelsList:
            ModelList.write(state.models, into: &text)
        case .modelGet:
            let id = path.decodedModel(target.span) ?? []
            guard let entry = state.models.first(where: { $0.id == id }) else {
                flags.insert(.noModel)
                return fail(.unknownModel(id.span, near: nearMatches(of: id, among: state.models.map(\.id))))
            }
            ModelList.write(entry, into: &text)
        case .healthReady where !worker.serving.isReady:
            status = 503
            text.append("{\"status\":\"unavailable\"}")
        default:
            text.append("{\"status\":\"ok\"}")
        }
        worker.responseHead.reset()
        worker.responseHead.status = status
        worker.responseHead.fields.append(.contentType, "application/json")
        appendRequestID(path.dialect)
        answer(text, on: stream)
    }

    private func answer(_ text: borrowing ByteQueue, on stream: ServerStream) {
        worker.responseHead.framing = .length(text.count)
        relay.bytesOut = text.count
        settle()
        self.stream = nil
        stream.respond(worker.responseHead)
        stream.write(text.span)
        stream.finish()
    }

    // MARK: What a body may be

    /// Judges the content type before the body comes.
    func contentTypeError(_ path: APIPath, _ fields: borrowing HeaderFields) -> APIError? {
        guard let field = fields.first(.contentType) else { return nil }
        let type = fields.bytes.span.extracting(field.valueRange)
        let isJSON = isMediaType(type, "application/json")
        let isMultipart = multipartBoundary(type) != nil
        switch path.operation.body {
        case .none: return nil
        case .json: return isJSON ? nil : .unsupportedContentType(expected: "application/json")
        case .multipart: return isMultipart ? nil : .unsupportedContentType(expected: "multipart/form-data")
        case .jsonOrMultipart:
            return isJSON || isMultipart
                ? nil : .unsupportedContentType(expected: "application/json or multipart/form-data")
        }
    }

    /// Reads the facts of the body.
    func inspectBody(_ path: APIPath, _ request: borrowing RequestHead) throws(APIError) {
        let fields = request.fields
        let expectsMultipart = path.operation.body == .multipart
        if expectsMultipart, fields.first(.contentType) == nil {
            throw .unsupportedContentType(expected: "multipart/form-data")
        }
        let body = body
        do throws(BodyError) {
            if let field = fields.first(.contentType) {
                let type = fields.bytes.span.extracting(field.valueRange)
                if path.operation.body != .json, let range = multipartBoundary(type) {
                    let boundary = [UInt8](copying: type.extracting(range))
                    self.boundary = boundary
                    var found = MultipartFacts()
                    try inspectMultipart(
                        body.contents, boundary: boundary.span, into: &found, model: path.modelSource)
                    multipart = found
                    facts = RequestFacts()
                    return
                }
            }
            try inspect(body.contents, into: &facts, model: path.modelSource)
        } catch {
            throw APIError(error)
        }
    }
}

/// Whether the value of a content type is `type`, parameters aside.
private func isMediaType(_ value: Span<UInt8>, _ type: StaticString) -> Bool {
    guard bytesBeginIgnoringCase(value, with: type) else { return false }
    guard value.count > type.utf8CodeUnitCount else { return true }
    let next = value[type.utf8CodeUnitCount]
    return next == UInt8(ascii: ";") || next == UInt8(ascii: " ") || next == UInt8(ascii: "\t")
}

extension APIMethod {
    /// The method as the API's paths know it.
    init(_ method: Method) {
        self =
            switch method {
            case .get: .get
            case .head: .head
            case .post: .post
            case .delete: .delete
            case .put, .options, .patch: .other
            }
    }
}
