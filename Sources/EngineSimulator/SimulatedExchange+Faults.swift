internal import Bytes
internal import HTTP
internal import OpenAI
internal import Reactor
internal import Transport

/// How an answer goes wrong.
extension SimulatedExchange {
    /// How long a client may take to close after we have said that we are done.
    private static let closeWait: Int64 = 1_000_000_000

    /// Whether the fault leaves nothing to be answered.
    func breakBeforeAnswer(_ fault: EngineFault) -> Bool {
        switch fault {
        case .error: fail(injectedError)
        case .reset: breakOff()
        case .close: closeOrderly()
        case .hang: phase = .hanging
        case .garbage: sendGarbage()
        case .html:
            var page = ByteQueue()
            page.append("<!doctype html>\n<title>It works!</title>\n<p>This is no engine.\n")
            answer(200, "text/html; charset=utf-8", page)
        default: return false
        }
        return true
    }

    /// Sends nothing more once the head is out. Returns whether the fault is that.
    func breakAfterHead(_ fault: EngineFault) -> Bool {
        switch fault {
        case .headhang: hang()
        case .headclose: breakSoon(fault)
        default: false
        }
    }

    private var injectedError: APIError {
        APIError(
            .upstreamVerdict, settings.faults.status, type: "server_error", code: "simulated_fault",
            "This error was asked for.", retryAfterSeconds: settings.faults.retryAfterSeconds)
    }

    /// Breaks a stream in its middle. Returns whether nothing more is to be written.
    func breakInStream(_ fault: EngineFault, _ stream: ServerStream) -> Bool {
        switch fault {
        case .midreset: reset(stream)
        case .midclose: breakOff()
        case .midhang: phase = .hanging
        case .cut:
            stream.finish()
            end()
        case .badframe: breakFraming(stream)
        case .errorevent:
            guard case .generation(let context, _) = work else { return false }
            var event = ByteQueue()
            injectedError.writeEvent(context.request.operation.events, into: &event)
            stream.write(event.span)
            stream.finish()
            end()
        case .malformed:
            stream.write(Array("data: {\"choices\":[{\n\n".utf8).span)
            return false
        default: return false
        }
        return true
    }

    /// Breaks an answer of known length after half of it. Returns whether that was done.
    func breakWhole(_ fault: EngineFault, _ type: StaticString, _ body: [UInt8], _ stream: ServerStream) -> Bool {
        switch fault {
        case .malformed:
            let text = Array("{\"choices\":[{".utf8)
            respond(200, type, .length(text.count), stream)
            stream.write(text.span)
            stream.finish()
            end()
            return true
        case .headhang, .headclose:
            respond(200, type, .length(body.count), stream)
            return breakAfterHead(fault)
        case .cut:
            respond(200, type, .length(body.count / 2), stream)
            stream.write(body.span.extracting(..<(body.count / 2)))
            stream.finish()
            end()
            return true
        case .midreset, .midclose, .midhang:
            respond(200, type, .length(body.count), stream)
            stream.write(body.span.extracting(..<(body.count / 2)))
            // Broken off in a later round, so that the client has got the first half.
            return fault == .midhang ? hang() : breakSoon(fault)
        case .badframe:
            respond(200, type, .chunked, stream)
            stream.write(body.span.extracting(..<(body.count / 2)))
            breakFraming(stream)
            return true
        default: return false
        }
    }

    private func hang() -> Bool {
        phase = .hanging
        return true
    }

    private func breakSoon(_ fault: EngineFault) -> Bool {
        phase = .closing
        arm(at: service.reactor.now + 5_000_000)
        return true
    }

    /// Ends the answer before its end: HTTP/1.1 closes the connection, HTTP/2 resets the stream. Before any byte of an
    /// answer the connection is reset.
    func breakOff() {
        guard let stream else { return }
        if phase == .closing, fault == .midreset || fault == .close { return reset(stream) }
        stream.abort()
        end()
    }

    /// Ends the connection with a TCP reset; over HTTP/2 only the stream.
    private func reset(_ stream: ServerStream) {
        if case .http1(let connection) = stream { connection.stream.close(reset: true) }
        stream.abort()
        end()
    }

    /// Says that nothing more comes, and waits for the client to close.
    private func closeOrderly() {
        guard let stream else { return }
        guard case .http1(let connection) = stream else { return breakOff() }
        phase = .closing
        connection.stream.endOutputWhenSent()
        arm(at: service.reactor.now + SimulatedExchange.closeWait)
    }

    /// Answers in no language that the client speaks.
    private func sendGarbage() {
        guard let stream else { return }
        guard case .http1(let connection) = stream else { return breakOff() }
        connection.stream.output.append("SSH-2.0-OpenSSH_9.2\r\n\u{0}\u{1}\u{2} not what you think\r\n")
        connection.stream.touch()
        closeOrderly()
    }

    /// Writes what is no chunk where a chunk must come.
    private func breakFraming(_ stream: ServerStream) {
        if case .http1(let connection) = stream {
            connection.stream.output.append("this is no chunk size\r\n\r\n")
            connection.stream.touch()
        }
        stream.abort()
        end()
    }
}
