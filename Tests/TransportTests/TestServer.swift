import Bytes
import CLinux
import Glibc
import HTTP
import Reactor
import TLS
import Testing
import Transport

/// A handler that records what it hears and does what the test says. On the reactor.
final class TestExchange: RequestHandler {
    private unowned let service: TestService
    /// The request that is answered now.
    private(set) var stream: ServerStream?
    private(set) var body: [UInt8] = []
    private(set) var target = ""

    init(_ service: TestService) { self.service = service }

    func requestHead(_ stream: ServerStream) {
        self.stream = stream
        body = []
        target = String(decoding: stream.request.target, as: UTF8.self)
        switch stream {
        case .http1(let connection):
            service.residue.watch(connection)
            service.residue.watch(connection.stream)
        case .http2(let responder): service.residue.watch(responder)
        }
        service.exchanges.append(self)
        service.log("head \(target)")
        service.onHead(self)
    }

    func requestBody(_ bytes: Span<UInt8>) {
        body.append(copying: bytes)
        service.bodyBytes += bytes.count
        service.onBody(self)
    }

    func requestEnd() {
        service.log("end \(target)")
        service.onEnd(self)
    }

    func responseDrained() {
        service.log("drained \(target)")
        service.onDrained(self)
    }

    func requestAborted(_ reason: Abort) {
        service.log("aborted \(target) \(reason)")
        stream = nil
        service.onAbort(self)
    }

    // MARK: Answering

    func respond(_ status: Int = 200, framing: BodyFraming) {
        var head = ResponseHead()
        head.status = status
        head.fields.append(.contentType, "text/plain")
        head.framing = framing
        stream?.respond(head)
    }

    func write(_ text: String) { write(Array(text.utf8)) }
    func write(_ bytes: [UInt8]) { stream?.write(bytes.span) }

    func finish() {
        let stream = stream
        self.stream = nil
        stream?.finish()
    }

    func abort() {
        let stream = stream
        self.stream = nil
        stream?.abort()
    }

    /// A whole answer.
    func answer(_ text: String = "ok", status: Int = 200) { answer(Array(text.utf8), status: status) }

    func answer(_ bytes: [UInt8], status: Int = 200) {
        respond(status, framing: .length(bytes.count))
        write(bytes)
        finish()
    }

    /// Goes on writing `piece` as long as there is room; to be called again when it is drained.
    func fill(_ piece: [UInt8], upTo total: Int) {
        while service.written < total, let stream, !stream.isFull {
            let count = min(piece.count, total - service.written)
            stream.write(piece.span.extracting(..<count))
            service.written += count
        }
        if service.written == total { finish() }
    }
}

/// Makes exchanges; the test sets what they do. On the reactor.
final class TestService: RequestService {
    var onHead: (TestExchange) -> Void = { _ in }
    var onBody: (TestExchange) -> Void = { _ in }
    var onEnd: (TestExchange) -> Void = { $0.answer() }
    var onDrained: (TestExchange) -> Void = { _ in }
    var onAbort: (TestExchange) -> Void = { _ in }

    /// What happened, in order.
    private(set) var events: [String] = []
    /// An exchange for each request, in the order in which they came; one may stand here several times.
    var exchanges: [TestExchange] = []
    var bodyBytes = 0
    var written = 0
    private(set) var made = 0
    private(set) var recycled = 0
    let residue: Residue

    init(_ residue: Residue) { self.residue = residue }

    func log(_ event: String) { events.append(event) }

    func makeHandler(_ origin: Origin) -> any RequestHandler {
        made += 1
        let exchange = TestExchange(self)
        residue.watch(exchange)
        return exchange
    }

    func recycle(_ handler: any RequestHandler) { recycled += 1 }

    func render(_ refusal: Refusal, head: inout ResponseHead, body: inout ByteQueue) {
        head.status = refusal.status
        head.fields.append(.contentType, "text/plain")
        body.append(refusal.reason)
    }
}

/// A server on a reactor of its own.
struct TestServer: Sendable {
    let reactor: TestReactor
    private nonisolated(unsafe) let service: TestService
    nonisolated(unsafe) let server: HTTPServer
    nonisolated(unsafe) let residue: Residue
    let port: UInt16

    /// - Parameters:
    ///   - setUp: Called on the reactor before the server listens.
    init(
        limits: ServerLimits = ServerLimits(), protocols: HTTPServer.Protocols = [.http1, .http2],
        tls: TLSServerContext? = nil, on shared: TestReactor? = nil, setUp: @escaping (TestService) -> Void = { _ in }
    ) throws {
        let reactor = try shared ?? TestReactor()
        let made = reactor.run { loop in
            let residue = Residue()
            let service = TestService(residue)
            setUp(service)
            let server = HTTPServer(
                limits: limits, protocols: protocols, tls: tls, service: service, metrics: reactor.transportMetrics,
                on: loop)
            let listener = try! Sockets.listen(on: SocketAddress(literal: "127.0.0.1", port: 0)!, sharesPort: false)
            let port = SocketAddress(localOf: listener)!.port
            try! server.listen(listener)
            return (service, server, residue, port)
        }
        (service, server, residue, port) = made
        self.reactor = reactor
    }

    /// Runs `body` on the reactor.
    @discardableResult
    func run<Result>(_ body: @escaping (TestService) -> Result) -> Result {
        let service = service
        return reactor.run { _ in body(service) }
    }

    func connect() -> Client { Client(port: port) }

    var events: [String] { run { $0.events } }

    /// Waits for an event.
    @discardableResult
    func wait(for event: String, location: SourceLocation = #_sourceLocation) -> Bool {
        reactor.wait(for: "\"\(event)\"; there were \(events)", location: location) { _ in
            service.events.contains(event)
        }
    }

    /// Waits until `condition` holds.
    @discardableResult
    func wait(
        for what: String, location: SourceLocation = #_sourceLocation, until condition: @escaping (TestService) -> Bool
    ) -> Bool {
        reactor.wait(for: what, location: location) { _ in condition(service) }
    }

    /// Closes, and checks that nothing is left: no connection, no handler, no count.
    func stop(location: SourceLocation = #_sourceLocation) {
        run { service in
            service.exchanges.removeAll()
            server.drain()
        }
        reactor.wait(for: "the server's connections to end", location: location) { _ in server.connectionCount == 0 }
        run { #expect($0.made == $0.recycled, "handlers made and given back", sourceLocation: location) }
        reactor.stop(residue, location: location)
    }
}
