internal import Bytes
internal import Reactor
internal import TLS

/// The making of one connection to an endpoint: name, address, TLS, then the protocol that was agreed on.
final class ConnectionOpening: ConnectorDelegate, ByteStreamDelegate {
    private let pool: EndpointConnections
    private var connector: Connector?
    private var stream: ByteStream?
    private var resolver: Resolver?
    private var isCancelled = false
    private let deadline: Int64

    init(_ pool: EndpointConnections) {
        self.pool = pool
        deadline = pool.reactor.now &+ pool.settings.timeouts.connect
    }

    func start(_ resolver: Resolver) {
        self.resolver = resolver
        if let literal = SocketAddress(literal: pool.settings.host, port: pool.settings.port) {
            return connect([literal])
        }
        let bound = ReactorBound(self, on: pool.reactor)
        let remote = pool.reactor.remote
        resolver.resolve(pool.settings.host, port: pool.settings.port) { result in
            remote.submit { bound.value.resolved(result) }
        }
    }

    func cancel() {
        isCancelled = true
        connector?.cancel()
        connector = nil
        stream?.close()
        stream = nil
    }

    private func resolved(_ result: Result<[SocketAddress], ResolutionError>) {
        guard !isCancelled else { return }
        switch result {
        case .success(let addresses) where !addresses.isEmpty: connect(addresses)
        case .success: fail(.unresolved("\(pool.settings.host) has no address"))
        case .failure(let error): fail(.unresolved(error.description))
        }
    }

    private func connect(_ addresses: [SocketAddress]) {
        let connector = Connector(
            addresses, timeoutNanos: max(1, deadline - pool.reactor.now), on: pool.reactor, delegate: self)
        self.connector = connector
        connector.start()
    }

    func connected(_ descriptor: Int32, to address: SocketAddress) {
        connector = nil
        do throws(ReactorError) {
            let engine = pool.settings.tls.map {
                TLSEngine(client: $0, serverName: pool.settings.serverName, sessionKey: address.description)
            }
            let stream = try ByteStream(
                descriptor, peer: address, tls: engine, meter: pool.metrics.upstreamHTTP1, on: pool.reactor,
                delegate: self)
            self.stream = stream
            if engine == nil {
                ready(stream, speaksHTTP2: pool.settings.upstreamProtocol == .http2)
            } else {
                stream.setDeadline(deadline)
            }
        } catch {
            fail(.connect(error))
        }
    }

    func connectFailed(_ error: ReactorError) {
        connector = nil
        resolver?.refresh(pool.settings.host)
        fail(error.isTimeout ? .connectTimeout : .connect(error))
    }

    func established() {
        guard let stream else { return }
        let chosen = stream.tls?.alpn
        if pool.settings.upstreamProtocol == .http2, chosen != .h2 {
            stream.close()
            return fail(.malformed("the endpoint does not speak HTTP/2"))
        }
        ready(stream, speaksHTTP2: chosen == .h2)
    }

    private func ready(_ stream: ByteStream, speaksHTTP2: Bool) {
        self.stream = nil
        stream.clearDeadline()
        if speaksHTTP2 {
            stream.count(as: pool.metrics.upstreamHTTP2)
            pool.opened(self, HTTP2ClientConnection(stream, pool: pool))
        } else {
            pool.opened(self, HTTP1ClientConnection(stream, pool: pool))
        }
    }

    private func fail(_ failure: UpstreamFailure) {
        stream = nil
        guard !isCancelled else { return }
        pool.openingFailed(self, failure)
    }

    func received(_ bytes: Span<UInt8>) {}
    func drained() {}
    func prepareOutput() -> Bool { false }

    func inputEnded() {
        stream?.close()
        fail(.closed(afterHead: false))
    }

    func deadlinePassed() {
        stream?.close()
        fail(.connectTimeout)
    }

    func failed(_ failure: StreamFailure) {
        switch failure {
        case .tls(let error): fail(.tls(error))
        case .system(let code): fail(.connect(.system("connect", code)))
        case .writeStalled: fail(.connectTimeout)
        }
    }
}
