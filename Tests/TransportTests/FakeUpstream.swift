import Bytes
import CLinux
import Glibc
import HTTP
import Reactor
import TLS
import Testing

@testable import Transport

/// A server whose every byte the test writes, on the test's thread.
final class FakeUpstream {
    private let listener: Int32
    let port: UInt16
    private let tls: TLSServerContext?

    init(tls: TLSServerContext? = nil) throws {
        listener = try Sockets.listen(on: SocketAddress(literal: "127.0.0.1", port: 0)!, sharesPort: false)
        port = SocketAddress(localOf: listener)!.port
        self.tls = tls
        // Blocking, with a limit.
        _ = fcntl(listener, F_SETFL, fcntl(listener, F_GETFL) & ~O_NONBLOCK)
        setTimeout(milliseconds: 10_000)
    }

    deinit { close(listener) }

    private func setTimeout(milliseconds: Int) {
        var limit = timeval(tv_sec: milliseconds / 1000, tv_usec: milliseconds % 1000 * 1000)
        setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    /// The next connection.
    func accept(location: SourceLocation = #_sourceLocation) throws -> Client {
        let descriptor = Glibc.accept(listener, nil, nil)
        try #require(descriptor >= 0, "nobody connects", sourceLocation: location)
        return Client(descriptor, tls: tls.map { TLSEngine(server: $0) })
    }

    /// Whether nobody has connected that was not accepted.
    var isAlone: Bool {
        setTimeout(milliseconds: 50)
        defer { setTimeout(milliseconds: 10_000) }
        let descriptor = Glibc.accept(listener, nil, nil)
        if descriptor >= 0 { close(descriptor) }
        return descriptor < 0
    }
}

extension Client {
    /// Reads a request head.
    @discardableResult
    func request() -> String { take(through: "\r\n\r\n") }

    /// Reads a request and answers it.
    func serve(_ body: String = "ok") {
        request()
        send("HTTP/1.1 200 OK\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)")
    }
}

/// One call and what it hears. On the reactor.
final class TestCall: ResponseHandler {
    let call = UpstreamCall()
    private(set) var events: [String] = []
    private(set) var status = 0
    private(set) var body: [UInt8] = []
    private(set) var failure: UpstreamFailure?
    private(set) var endedAt: Int64 = 0
    /// Is told what carries the call.
    var residue: Residue?
    var onHead: (TestCall) -> Void = { _ in }
    var onBody: (TestCall) -> Void = { _ in }
    var onEnd: (TestCall) -> Void = { _ in }

    init(_ target: String = "/", method: HTTP.Method = .get, body: [UInt8] = []) {
        call.head.method = method
        call.head.target = Array(target.utf8)
        call.head.authority = Array("a".utf8)
        call.body.bytes.append(body)
        call.report(to: self)
    }

    func responseHead(_ head: borrowing ResponseHead) {
        status = head.status
        events.append("head \(head.status)")
        switch call.carrier {
        case .http1(let connection):
            residue?.watch(connection)
            residue?.watch(connection.stream)
        case .http2(let requester): residue?.watch(requester)
        case .none, .pool: Issue.record("an answer without a carrier")
        }
        onHead(self)
    }

    func responseBody(_ bytes: Span<UInt8>) {
        body.append(copying: bytes)
        onBody(self)
    }

    func responseEnd() {
        events.append("end")
        finish()
    }

    func responseFailed(_ failure: UpstreamFailure) {
        self.failure = failure
        events.append("failed \(failure.label)")
        finish()
    }

    private func finish() {
        endedAt = monotonicNow()
        onEnd(self)
    }

    var isDone: Bool { endedAt > 0 }
    var text: String { String(decoding: body, as: UTF8.self) }
}

/// Connections to one endpoint on a reactor of their own.
struct TestPool: Sendable {
    let reactor: TestReactor
    nonisolated(unsafe) let connections: EndpointConnections
    private nonisolated(unsafe) let residue = Residue()

    init(port: UInt16, on shared: TestReactor? = nil, _ change: (inout EndpointSettings) -> Void = { _ in }) throws {
        let reactor = try shared ?? TestReactor()
        var settings = EndpointSettings(host: "127.0.0.1", port: port)
        settings.serverName = "a.test"
        change(&settings)
        let chosen = settings
        self.reactor = reactor
        connections = reactor.run {
            EndpointConnections(chosen, resolver: Resolver(), metrics: reactor.transportMetrics, on: $0)
        }
    }

    /// Starts a call.
    func start(
        _ target: String = "/", method: HTTP.Method = .get, body: [UInt8] = [],
        _ change: @escaping (TestCall) -> Void = { _ in }
    ) -> TestCall {
        reactor.run { _ in
            let call = TestCall(target, method: method, body: body)
            call.residue = residue
            change(call)
            connections.start(call.call)
            return call
        }
    }

    /// Waits for the end of a call; returns what it heard.
    @discardableResult
    func finish(_ call: TestCall, location: SourceLocation = #_sourceLocation) -> [String] {
        reactor.wait(for: "the end of the call", location: location) { _ in call.isDone }
        return reactor.run { _ in call.events }
    }

    @discardableResult
    func run<Result>(_ body: @escaping () -> Result) -> Result { reactor.run { _ in body() } }

    var connectionCount: Int { run { connections.connectionCount } }

    /// Closes; nothing may be left but what the test itself holds.
    func stop(location: SourceLocation = #_sourceLocation) {
        run { connections.close() }
        reactor.wait(for: "upstream connections to end", location: location) { _ in connections.connectionCount == 0 }
        reactor.stop(residue, location: location)
    }
}
