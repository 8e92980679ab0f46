internal import Bytes
internal import HTTP
internal import OpenAI
internal import Reactor
internal import Transport

/// How an answer is sent.
extension SimulatedExchange {
    /// Steps that are made in one round; then others get their turn.
    private static let stepsPerRound = 64

    /// The time of the first token has come.
    func beginAnswer() {
        guard let stream else { return }
        service.meters.firstToken.record(nanos: service.reactor.now - beganAt)
        lastStepAt = service.reactor.now
        switch work {
        case .none: break
        case .document(let document): sendWhole(document.contentType, document.body)
        case .generation(let context, var writer):
            steps = context.steps
            phase = .decoding
            if context.request.isStreaming {
                service.statistics.streams += 1
                respond(200, "text/event-stream; charset=utf-8", .chunked, stream)
                var queue = ByteQueue()
                writer.writeOpening(into: &queue)
                work = .generation(context, writer)
                if let fault, breakAfterHead(fault) { return }
                if !queue.isEmpty { stream.write(queue.span) }
            }
            decode()
        }
    }

    /// Makes the tokens that are due, and those of the next step when it is.
    func decode() {
        guard case .generation(let context, var writer) = work, let stream else { return }
        let isStreaming = context.request.isStreaming
        if isStreaming, stream.isFull {
            isBlocked = true
            return
        }
        let now = service.reactor.now
        var queue = ByteQueue()
        var made = 0
        while step < steps, nextStepAt <= now, made < SimulatedExchange.stepsPerRound {
            if isStreaming {
                if let fault, step == settings.faults.after, breakInStream(fault, stream) { return }
                queue.removeAll(keeping: 4096)
                writer.writeStep(step, into: &queue)
                stream.write(queue.span)
            }
            noteStep(now)
            made += 1
        }
        work = .generation(context, writer)
        if step < steps {
            if nextStepAt > now { arm(at: nextStepAt) } else { service.reactor.callAgain(self) }
        } else if isStreaming {
            endStream(context, &writer, stream)
        } else {
            writer.writeWhole(into: &queue)
            finishGeneration(context)
            sendWhole("application/json", [UInt8](copying: queue.span))
        }
    }

    private func noteStep(_ now: Int64) {
        if step > 0 { service.meters.interToken.record(nanos: max(0, now - lastStepAt)) }
        lastStepAt = now
        step += 1
        nextStepAt += service.nextInterval(settings)
        service.statistics.generatedTokens += 1
    }

    private func endStream(_ context: AnswerContext, _ writer: inout any AnswerWriter, _ stream: ServerStream) {
        // Answers that are shorter than the place of the fault break before their end.
        if let fault, settings.faults.after >= steps, breakInStream(fault, stream) { return }
        var queue = ByteQueue()
        writer.writeEnding(isMarked: fault != .nodone, into: &queue)
        stream.write(queue.span)
        finishGeneration(context)
        finish()
    }

    private func finishGeneration(_ context: AnswerContext) {
        service.meters.whole.record(nanos: service.reactor.now - beganAt)
        if context.request.answers.first?.finish == .length {
            service.meters.finishedByLength += 1
        } else {
            service.meters.finishedByStop += 1
        }
    }

    // MARK: Whole answers

    /// Sends an answer of known length, unless it is to break.
    private func sendWhole(_ type: StaticString, _ body: [UInt8]) {
        guard let stream else { return }
        if let fault, breakWhole(fault, type, body, stream) { return }
        respond(200, type, .length(body.count), stream)
        stream.write(body.span)
        finish()
    }

    /// Sends a head.
    func respond(_ status: Int, _ type: StaticString, _ framing: BodyFraming, _ stream: ServerStream) {
        var head = ResponseHead()
        head.status = status
        head.fields.append(.contentType, type)
        if case .chunked = framing { head.fields.append(.cacheControl, "no-cache") }
        head.framing = framing
        stream.respond(head)
    }

    /// Answers with an error, and with another status than its own if one is given.
    func fail(_ error: APIError, status: Int? = nil) {
        guard let stream else { return }
        let isAnthropic = bytesBegin(stream.request.target.span, with: "/v1/messages")
        let dialect: APIDialect = isAnthropic ? .anthropic : .openai
        var queue = ByteQueue()
        error.write(dialect, requestID: Span(), into: &queue)
        var head = ResponseHead()
        head.status = status ?? error.status(in: dialect)
        head.fields.append(.contentType, "application/json")
        if let seconds = error.retryAfterSeconds { head.fields.append(name: "retry-after", value: "\(seconds)") }
        head.framing = .length(queue.count)
        stream.respond(head)
        stream.write(queue.span)
        stream.finish()
        end()
    }

    /// Answers something that is no work for the engine.
    func answer(_ status: Int, _ type: StaticString, _ body: borrowing ByteQueue) {
        guard let stream else { return }
        respond(status, type, .length(body.count), stream)
        stream.write(body.span)
        stream.finish()
        end()
    }
}
