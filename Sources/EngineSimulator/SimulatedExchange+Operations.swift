internal import Bytes
internal import HTTP
internal import OpenAI
internal import Reactor
internal import Transport

/// What a request asks for.
extension SimulatedExchange {
    // MARK: Work

    /// Reads a request for work.
    func plan(_ stream: ServerStream, _ body: [UInt8]) throws(APIError) -> Work {
        let target = stream.request.target
        let path: APIPath
        switch APITarget.classify(.post, target.span) {
        case .operation(let found): path = found
        case .notFound: throw .unknownPath(target.span)
        case .methodNotAllowed(_, let allow): throw .methodNotAllowed(allow: allow)
        }
        if let type = stream.request.fields.first(.contentType), path.operation.body != .json {
            let type = stream.request.fields.bytes.span.extracting(type.valueRange)
            if let boundary = multipartBoundary(type) {
                return .document(try planForm(path, body, [UInt8](copying: type.extracting(boundary))))
            }
        }
        guard path.operation.body != .multipart else {
            throw .unsupportedContentType(expected: "multipart/form-data")
        }
        var facts = RequestFacts()
        do throws(BodyError) {
            try inspect(body.span, into: &facts, model: path.modelSource)
        } catch {
            throw APIError(error)
        }
        if facts.hasModel { try check(facts.model(in: body.span)) }
        switch path.operation {
        case .chatCompletions, .completions, .responses, .messages:
            let request = try GenerationRequest(path.operation, body, facts, settings)
            promptTokens = request.promptTokens
            let context = AnswerContext(
                request: request, id: service.makeID(), created: Int(wallClockNanos() / 1_000_000_000))
            return .generation(context, context.writer())
        default:
            guard let root = JSONNode(body) else { throw APIError(.notAnObject) }
            let model = facts.hasModel ? [UInt8](copying: facts.model(in: body.span)) : service.defaultModel
            return .document(try make(path, root, model))
        }
    }

    private func check(_ model: Span<UInt8>) throws(APIError) {
        if !service.serves(model) { throw .unknownModel(model) }
    }

    private func make(_ path: APIPath, _ root: JSONNode, _ model: [UInt8]) throws(APIError) -> Document {
        var maker = DocumentMaker(settings: settings, id: service.makeID(), model: model, root: root)
        let document = try maker.make(path.operation)
        promptTokens = maker.promptTokens
        return document
    }

    private func planForm(_ path: APIPath, _ body: [UInt8], _ boundary: [UInt8]) throws(APIError) -> Document {
        var facts = MultipartFacts()
        do throws(BodyError) {
            try inspectMultipart(body.span, boundary: boundary.span, into: &facts, model: path.modelSource)
        } catch {
            throw APIError(error)
        }
        if facts.model != nil { try check(facts.model(in: body.span)) }
        promptTokens = max(1, body.count / settings.bytesPerToken)
        return DocumentMaker.formAnswer(path.operation, body, streams: facts.isStreaming)
    }

    // MARK: Reads

    /// Answers `GET` requests of clients.
    func answerRead(_ stream: ServerStream) {
        let target = stream.request.target
        let isRead = stream.request.method == .get || stream.request.method == .head
        var queue = ByteQueue()
        switch APITarget.classify(isRead ? .get : .other, target.span) {
        case .operation(let path):
            switch path.operation {
            case .modelsList:
                guard settings.faults.modelsStatus == 200 else { return failRead(settings.faults.modelsStatus) }
                ModelList.write(service.modelEntries, into: &queue)
            case .modelGet:
                let id = path.decodedModel(target.span) ?? []
                guard let entry = service.modelEntries.first(where: { $0.id == id }) else {
                    return fail(.unknownModel(id.span))
                }
                ModelList.write(entry, into: &queue)
            default:
                if settings.faults.healthHangs {
                    phase = .hanging
                    return
                }
                guard settings.faults.healthStatus == 200 else { return failRead(settings.faults.healthStatus) }
            }
            answer(200, "application/json", queue)
        case .notFound: fail(.unknownPath(target.span))
        case .methodNotAllowed(_, let allow): fail(.methodNotAllowed(allow: allow))
        }
    }

    private func failRead(_ status: Int) {
        fail(APIError(.upstreamVerdict, status, type: "server_error", code: "simulated_fault", "Asked for."))
    }

    // MARK: The operator

    /// Answers what the engine's operator asks: metrics, statistics, changes. Returns whether it was that.
    func answerOperator(_ stream: ServerStream, _ body: [UInt8]) -> Bool {
        let target = stream.request.target
        let query = target.firstIndex(of: UInt8(ascii: "?")) ?? target.count
        let path = String(decoding: target[..<query], as: UTF8.self)
        var queue = ByteQueue()
        var type: StaticString = "application/json"
        switch path {
        case "/ping": break
        case "/version": queue.append("{\"version\":\"0.0.0-simulated\"}")
        case "/metrics":
            type = "text/plain; version=0.0.4; charset=utf-8"
            queue.append(text: service.metricsText())
        case "/simulator/stats", "/mock/stats": service.currentStatistics.write(into: &queue)
        case "/simulator/last", "/mock/last":
            if let last = service.lastRequest { last.write(into: &queue) } else { queue.append("null") }
        case "/simulator/reset", "/mock/reset":
            service.resetStatistics()
            queue.append("{}")
        case "/simulator/config", "/mock/config", "/mock/fault":
            let query = String(decoding: target[min(query + 1, target.count)...], as: UTF8.self)
            guard configure(query, body) else {
                fail(APIError(.malformedBody, 400, "An option is not known or its value is out of range."))
                return true
            }
            queue.append("{}")
        default: return false
        }
        answer(200, type, queue)
        return true
    }

    /// Takes `{"interval_ms": 5, "models": ["a"]}` or the same as a query, all of it or nothing.
    private func configure(_ query: String, _ body: [UInt8]) -> Bool {
        var next = service.settings
        for pair in query.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, let number = Double(parts[1]), next.set(String(parts[0]), to: number) else {
                return false
            }
        }
        if !body.isEmpty {
            guard let root = JSONNode(body), root.kind == .object else { return false }
            for (name, value) in root.members {
                if name == "models" {
                    next.models = value.elements.compactMap(\.string)
                } else {
                    guard let number = value.number ?? (value.isTrue ? 1 : value.kind == .false ? 0 : nil),
                        next.set(name, to: number)
                    else { return false }
                }
            }
        }
        service.change(next)
        return true
    }
}

extension SimulatorService {
    /// The models as clients see them.
    var modelEntries: [ModelList.Entry] {
        settings.models.map {
            ModelList.Entry(id: Array($0.utf8), created: startedAt, ownedBy: Array(settings.owner.utf8))
        }
    }

    /// The model that is meant where none is named.
    var defaultModel: [UInt8] { Array((settings.models.first ?? "").utf8) }
}

extension RecordedRequest {
    /// A copy of a request.
    internal init(_ head: borrowing RequestHead, body: [UInt8]) {
        func text(_ bytes: Span<UInt8>) -> String { String(decoding: [UInt8](copying: bytes), as: UTF8.self) }
        method = head.method.text.description
        target = String(decoding: head.target, as: UTF8.self)
        version = head.version.text.description
        authority = String(decoding: head.authority, as: UTF8.self)
        let bytes = head.fields.bytes
        fields = head.fields.fields.map { field in
            (text(bytes.span.extracting(field.nameRange)), text(bytes.span.extracting(field.valueRange)))
        }
        self.body = Array(body.prefix(RecordedRequest.bodyLimit))
        bodyLength = body.count
    }
}
