internal import Bytes
package import HTTP
internal import Reactor
internal import TLS
package final class HTTP2Responder {
    package var request = RequestHead()
    unowned let connection: HTTP2ServerConnection
    init(_ c: HTTP2ServerConnection) { connection = c }
    func sendContinue() {}
    func respond(_ head: ResponseHead) {}
    func write(_ bytes: Span<UInt8>) {}
    func finish() {}
    func abort() {}
    var isFull: Bool { false }
}
final class HTTP2ServerConnection: ByteStreamDelegate, ServerConnection {
    let stream: ByteStream
    init(_ stream: ByteStream, server: HTTPServer, place: Int, origin: Origin) { self.stream = stream }
    func received(_ bytes: Span<UInt8>) {}
    func established() {}
    func inputEnded() {}
    func drained() {}
    func prepareOutput() {}
    func deadlinePassed() {}
    func failed(_ failure: StreamFailure) {}
    func drain() {}
    func closeNow() {}
}
final class HTTP2Requester {
    func cancel() {}
    func pause() {}
    func resume() {}
}
final class HTTP2ClientConnection {
    init(_ stream: ByteStream, pool: EndpointConnections) {}
    var hasRoom: Bool { false }
    func start(_ c: UpstreamCall) {}
    func closeWhenIdle() {}
}
