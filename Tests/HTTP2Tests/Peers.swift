import Bytes
import HTTP

@testable import HTTP2

/// A server that records what it hears and answers as the test wishes.
final class TestServer: HTTP2ServerDelegate {
    enum Event: Equatable {
        case head(Int32, method: Method, target: String, authority: String, framing: BodyFraming)
        case rejected(Int32, status: Int)
        case data(Int32, [UInt8])
        case end(Int32)
        case drained(Int32)
        case closed(Int32, code: UInt32)
    }

    let session: HTTP2ServerSession
    var events: [Event] = []
    var streams: [Int32: HTTP2ServerStream] = [:]
    /// Fields of the requests, by stream.
    var fields: [Int32: HeaderFields] = [:]
    /// Answers at the end of a request with this many bytes.
    var answer: Int? = 0
    /// Gives credit for what it receives at once.
    var consumes = true
    /// Keeps streams in `streams`.
    var holds = true
    var onHead: ((HTTP2ServerStream) -> Void)?
    var onDrained: ((HTTP2ServerStream) -> Void)?
    var now: Int64 = 0

    init(_ limits: HTTP2Limits = HTTP2Limits(), pool: HTTP2StreamPool<HTTP2ServerStream> = .init()) {
        session = HTTP2ServerSession(limits: limits, pool: pool, now: 0)
        session.delegate = self
    }

    func requestHead(_ stream: HTTP2ServerStream) {
        events.append(
            .head(
                stream.id, method: stream.request.method,
                target: String(decoding: stream.request.target, as: UTF8.self),
                authority: String(decoding: stream.request.authority, as: UTF8.self), framing: stream.request.framing))
        fields[stream.id] = stream.request.fields
        if holds { streams[stream.id] = stream }
        onHead?(stream)
    }

    func requestRejected(_ stream: HTTP2ServerStream, status: Int, reason: StaticString) {
        events.append(.rejected(stream.id, status: status))
        stream.respond(status: status, fields: HeaderFields(), endStream: true)
    }

    func requestData(_ stream: HTTP2ServerStream, _ bytes: Span<UInt8>) {
        events.append(.data(stream.id, Array(copying: bytes)))
        if consumes { stream.consumed(bytes.count) }
    }

    func requestEnd(_ stream: HTTP2ServerStream) {
        events.append(.end(stream.id))
        guard let answer else { return }
        if answer == 0 { return stream.respond(status: 204, fields: HeaderFields(), endStream: true) }
        var fields = HeaderFields()
        fields.append(.contentType, "text/plain")
        stream.respond(status: 200, fields: fields, contentLength: answer)
        let body = [UInt8](repeating: 0x78, count: answer)
        stream.write(body.span)
        stream.finish()
    }

    func responseDrained(_ stream: HTTP2ServerStream) {
        events.append(.drained(stream.id))
        onDrained?(stream)
    }

    func streamClosed(_ stream: HTTP2ServerStream, code: UInt32) {
        events.append(.closed(stream.id, code: code))
        streams[stream.id] = nil
    }

    /// Feeds bytes.
    @discardableResult
    func receive(_ bytes: [UInt8]) -> HTTP2Verdict { session.receive(bytes.span, now: now) }

    /// Everything the session wants sent.
    func produce() -> [UInt8] {
        var output = ByteQueue()
        session.produce(into: &output, limit: 1 << 24)
        return Array(copying: output.span)
    }

    /// Feeds bytes and returns the frames that answer them.
    func exchange(_ bytes: [UInt8]) -> [SentFrame] {
        receive(bytes)
        return SentFrame.parse(produce())
    }

    func count(_ isCounted: (Event) -> Bool) -> Int { events.reduce(0) { isCounted($1) ? $0 + 1 : $0 } }

    var requests: Int {
        count { if case .head = $0 { true } else { false } }
    }
}

/// A client that records what it hears.
final class TestClient: HTTP2ClientDelegate {
    enum Event: Equatable {
        case head(Int32, status: Int, framing: BodyFraming)
        case data(Int32, Int)
        case end(Int32)
        case drained(Int32)
        case closed(Int32, code: UInt32, isUnprocessed: Bool)
    }

    let session: HTTP2ClientSession
    var events: [Event] = []
    var fields: [Int32: HeaderFields] = [:]
    var received: [Int32: [UInt8]] = [:]
    /// Gives credit for what it receives at once.
    var consumes = true
    var now: Int64 = 0

    init(_ limits: HTTP2Limits = HTTP2Limits()) {
        session = HTTP2ClientSession(limits: limits, now: 0)
        session.delegate = self
    }

    func responseHead(_ stream: HTTP2ClientStream) {
        events.append(.head(stream.id, status: stream.response.status, framing: stream.response.framing))
        fields[stream.id] = stream.response.fields
    }

    func responseData(_ stream: HTTP2ClientStream, _ bytes: Span<UInt8>) {
        received[stream.id, default: []].append(copying: bytes)
        if consumes { stream.consumed(bytes.count) }
    }

    func responseEnd(_ stream: HTTP2ClientStream) { events.append(.end(stream.id)) }
    func requestDrained(_ stream: HTTP2ClientStream) { events.append(.drained(stream.id)) }

    func streamClosed(_ stream: HTTP2ClientStream, code: UInt32) {
        events.append(.closed(stream.id, code: code, isUnprocessed: stream.isUnprocessed))
    }

    func request(
        _ method: Method = .post, path: String = "/v1/models", fields: HeaderFields = HeaderFields(),
        body: [UInt8]? = nil
    ) -> HTTP2ClientStream? {
        let authority = Array("localhost:4000".utf8)
        let path = Array(path.utf8)
        let stream = session.request(
            method, isSecure: false, authority: authority.span, path: path.span, fields: fields,
            contentLength: body?.count, endStream: body == nil)
        if let body {
            stream?.write(body.span)
            stream?.finish()
        }
        return stream
    }

    /// Feeds bytes.
    @discardableResult
    func receive(_ bytes: [UInt8]) -> HTTP2Verdict { session.receive(bytes.span, now: now) }

    /// Everything the session wants sent.
    func produce(limit: Int = 1 << 24) -> [UInt8] {
        var output = ByteQueue()
        session.produce(into: &output, limit: limit)
        return Array(copying: output.span)
    }
}

/// Carries bytes between the two until neither has anything to say.
func converse(_ client: TestClient, _ server: TestServer) {
    while true {
        let up = client.produce()
        if !up.isEmpty { server.receive(up) }
        let down = server.produce()
        if !down.isEmpty { client.receive(down) }
        if up.isEmpty && down.isEmpty { return }
    }
}
