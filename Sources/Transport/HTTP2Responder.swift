internal import Bytes
internal import HTTP
package import HTTP2
internal import Reactor

/// One HTTP/2 stream of a client, as its handler answers it.
package final class HTTP2Responder {
    let connection: HTTP2ServerConnection
    var handler: (any RequestHandler)?
    /// Index among the connection's responders.
    var place: Int

    package let stream: HTTP2ServerStream
    private var received = 0
    private var isFinished = false
    private var isAbandoned = false
    private let startedAt: Int64
    private var bodyProgressAt: Int64
    /// Response bytes written; how many of them had left when progress was last seen, and when that was.
    private var written = 0
    private var taken = 0
    private var takenAt: Int64 = 0

    /// A client takes at least that much of what waits in a write timeout.
    private static let leastProgress = 16 * 1024

    init(_ stream: HTTP2ServerStream, _ connection: HTTP2ServerConnection, place: Int) {
        self.stream = stream
        self.connection = connection
        self.place = place
        startedAt = connection.stream.reactor.now
        bodyProgressAt = startedAt
    }

    /// Whether the producer should pause.
    package var isFull: Bool { stream.isOverHighWater }

    // MARK: The request

    func received(_ bytes: Span<UInt8>) {
        received += bytes.count
        bodyProgressAt = connection.stream.reactor.now
        guard !isFinished, let handler else { return }
        if received > connection.server.limits.bodyBytes {
            refuseTooLarge()
        } else {
            handler.requestBody(bytes)
        }
    }

    func ended() {
        guard !isFinished else { return }
        handler?.requestEnd()
    }

    /// Whether the request says that its body is larger than may be.
    private var announcesTooMuch: Bool {
        if case .length(let length) = stream.request.framing {
            length > connection.server.limits.bodyBytes
        } else {
            false
        }
    }

    /// The handler has seen the head.
    func began() {
        if announcesTooMuch, !isFinished { refuseTooLarge() }
    }

    private func refuseTooLarge() { refuseRequest(Refusal(status: 413, reason: "the request body is too large")) }

    /// Refuses a request that may have a handler.
    private func refuseRequest(_ refusal: Refusal) {
        if stream.isResponseStarted { return abandonStalled(refusal.status == 408 ? .clientStalled : .protocolError) }
        var refusal = refusal
        if let handler {
            self.handler = nil
            refusal.isKnownToHandler = true
            handler.requestAborted(.refused(status: refusal.status))
            connection.server.service.recycle(handler)
        }
        refuse(refusal)
    }

    /// Answers what no handler will answer.
    func refuse(_ refusal: Refusal) {
        var head = ResponseHead()
        var body = ByteQueue()
        connection.server.service.render(refusal, head: &head, body: &body)
        head.framing = .length(body.count)
        respond(head)
        write(body.span)
        finish()
    }

    // MARK: The response

    func sendContinue() {
        guard stream.request.expectsContinue, !stream.isRequestComplete, !announcesTooMuch else { return }
        stream.respondContinue()
        connection.stream.touch()
    }

    func respond(_ head: borrowing ResponseHead) {
        var length: Int?
        if case .length(let known) = head.framing { length = known }
        let hasNoBody = head.framing == .none || stream.request.method == .head
        stream.respond(status: head.status, fields: head.fields, contentLength: length, endStream: hasNoBody)
        connection.stream.touch()
    }

    func write(_ bytes: Span<UInt8>) {
        guard stream.request.method != .head else { return }
        if stream.bufferedBytes == 0 { takenAt = connection.stream.reactor.now }
        written += bytes.count
        stream.write(bytes)
        connection.stream.touch()
    }

    func finish() {
        isFinished = true
        stream.finish()
        connection.stream.touch()
    }

    /// Ends the stream with an error, after what was written: the client sees that it is not whole.
    func abort() {
        isFinished = true
        stream.breakOff()
        connection.stream.touch()
    }

    // MARK: The end

    /// The stream is gone.
    func abandon(_ reason: Abort, _ service: any RequestService) {
        guard !isAbandoned else { return }
        isAbandoned = true
        guard let handler else { return }
        self.handler = nil
        if !isFinished {
            isFinished = true
            handler.requestAborted(reason)
        }
        service.recycle(handler)
    }

    /// Resets the stream if its client neither sends nor takes what it should.
    func checkProgress(_ now: Int64, _ limits: ServerLimits, isReading: Bool) {
        if !stream.isRequestComplete, isReading {
            let isLate = now - bodyProgressAt > limits.bodyIdleTimeout || now - startedAt > limits.bodyTimeout
            if isLate { return refuseRequest(Refusal(status: 408, reason: "the request body came too slowly")) }
        }
        let left = stream.bufferedBytes
        if left == 0 || written - left - taken >= HTTP2Responder.leastProgress {
            taken = written - left
            takenAt = now
        } else if now - takenAt > limits.writeTimeout {
            abandonStalled()
        }
    }

    private func abandonStalled(_ reason: Abort = .clientStalled) {
        abandon(reason, connection.server.service)
        stream.reset(HTTP2Code.cancel)
        connection.stream.touch()
    }
}
