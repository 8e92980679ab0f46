internal import Bytes
internal import HTTP2
internal import HTTP
package import Reactor
internal import Telemetry
package import TLS

/// A connection as its server sees it.
protocol ServerConnection: AnyObject {
    /// Finishes what is under way and takes nothing new.
    func drain()
    /// Ends now; what is under way is aborted.
    func closeNow()
}

/// The requests of one listener on one reactor: accepts, finds out the protocol, keeps the connections.
package final class HTTPServer: AcceptorDelegate {
    package private(set) var limits: ServerLimits
    package let service: any RequestService
    package let metrics: TransportMetrics
    let reactor: Reactor
    let http2Streams: HTTP2StreamPool<HTTP2ServerStream>
    private var tls: TLSServerContext?
    private let protocols: Protocols
    private var acceptor: Acceptor?
    private var connections: [(any ServerConnection)?] = []
    private var freePlaces: [Int] = []
    /// Whether clients are told to go elsewhere.
    private(set) var isDraining = false
    private var dateValue: [UInt8] = []
    private var dateMadeAt: Int64 = 0

    /// Which protocols a listener speaks.
    package struct Protocols: OptionSet, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }
        package static let http1 = Protocols(rawValue: 1)
        package static let http2 = Protocols(rawValue: 2)
    }

    /// Makes a server that does not listen yet.
    package init(
        limits: ServerLimits, protocols: Protocols, tls: TLSServerContext?, service: any RequestService,
        metrics: TransportMetrics, on reactor: Reactor
    ) {
        self.limits = limits
        self.protocols = protocols
        self.tls = tls
        self.service = service
        self.metrics = metrics
        self.reactor = reactor
        http2Streams = HTTP2StreamPool()
    }

    /// Accepts from a listening socket, which it owns from now on.
    package func listen(_ descriptor: Int32) throws(ReactorError) {
        acceptor = try Acceptor(descriptor, on: reactor, delegate: self)
    }

    /// Whether new connections still come.
    var isAccepting: Bool { acceptor != nil }

    /// Connections open now.
    package var connectionCount: Int { connections.count - freePlaces.count }

    /// Other limits and certificates for connections from now on.
    package func update(limits: ServerLimits, tls: TLSServerContext?) {
        self.limits = limits
        self.tls = tls
    }

    /// Stops accepting; requests under way are finished, idle connections closed.
    package func drain() {
        isDraining = true
        acceptor?.close()
        acceptor = nil
        for connection in connections { connection?.drain() }
    }

    /// Tells connections to finish, but goes on accepting: before the load balancer has noticed.
    package func announceShutdown() {
        isDraining = true
    }

    /// Aborts what is left.
    package func closeAll() {
        for connection in connections { connection?.closeNow() }
    }

    package func accepted(_ descriptor: Int32, from peer: SocketAddress?) {
        let engine = tls.map { TLSEngine(server: $0) }
        let origin = Origin(peer: peer, isTLS: engine != nil)
        let isOverLimit = connectionCount >= limits.connections
        let place = freePlaces.popLast() ?? connections.count
        if place == connections.count { connections.append(nil) }
        let detection = ProtocolDetection(server: self, place: place, origin: origin, isOverLimit: isOverLimit)
        connections[place] = detection
        do throws(ReactorError) {
            try detection.start(descriptor, engine)
        } catch {
            left(place)
        }
    }

    package func descriptorsExhausted() {
        metrics.refused(.noDescriptors)
    }

    /// Puts the connection of the protocol that was found in the place of the detection.
    func speak(http2: Bool, _ stream: ByteStream, place: Int, origin: Origin) {
        let connection: any ServerConnection & ByteStreamDelegate
        if http2 {
            stream.count(as: metrics.clientHTTP2)
            connection = HTTP2ServerConnection(stream, server: self, place: place, origin: origin)
        } else {
            connection = HTTP1ServerConnection(stream, server: self, place: place, origin: origin)
        }
        connections[place] = connection
        if isDraining { connection.drain() }
    }

    /// The value of `Date`, renewed each second.
    var date: [UInt8] {
        if reactor.now - dateMadeAt >= 1_000_000_000 || dateValue.isEmpty {
            dateMadeAt = reactor.now
            dateValue = httpDate()
        }
        return dateValue
    }

    func allows(_ wanted: Protocols) -> Bool { protocols.contains(wanted) }

    func left(_ place: Int) {
        connections[place] = nil
        freePlaces.append(place)
    }
}

/// Finds out what a new connection speaks: by ALPN with TLS, else by its first bytes.
private final class ProtocolDetection: ByteStreamDelegate, ServerConnection {
    private unowned let server: HTTPServer
    private let place: Int
    private let origin: Origin
    private let isOverLimit: Bool
    private var stream: ByteStream?
    private var inbox = ByteQueue()

    private static let preface: StaticString = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

    init(server: HTTPServer, place: Int, origin: Origin, isOverLimit: Bool) {
        self.server = server
        self.place = place
        self.origin = origin
        self.isOverLimit = isOverLimit
    }

    func start(_ descriptor: Int32, _ engine: TLSEngine?) throws(ReactorError) {
        let stream = try ByteStream(
            descriptor, peer: origin.peer, tls: engine, meter: server.metrics.clientHTTP1, on: server.reactor,
            delegate: self)
        self.stream = stream
        let limits = server.limits
        stream.setDeadline(server.reactor.now + (engine == nil ? limits.headerTimeout : limits.handshakeTimeout))
        if isOverLimit { refuse() }
    }

    private func refuse() {
        server.metrics.refused(.listenerFull)
        guard let stream else { return }
        if stream.tls == nil {
            var head = ResponseHead()
            var body = ByteQueue()
            server.service.render(Refusal(status: 503, reason: "too many connections"), head: &head, body: &body)
            head.framing = .length(body.count)
            head.keepsAlive = false
            HTTP1Writer.responseHead(head, to: .get, date: server.date.span, into: &stream.output)
            stream.output.append(body.bytes)
        }
        leave()
    }

    func established() {
        guard let stream else { return }
        switch stream.tls?.alpn {
        case .h2: hand(stream, http2: true)
        case .http1: hand(stream, http2: false)
        case nil: if !server.allows(.http2) { hand(stream, http2: false) }
        }
    }

    func received(_ bytes: Span<UInt8>) {
        guard let stream else { return }
        inbox.append(bytes)
        let known = min(inbox.count, ProtocolDetection.preface.utf8CodeUnitCount)
        var isPreface = bytesBegin(inbox.span, withPrefixOf: ProtocolDetection.preface)
        if !server.allows(.http2) { isPreface = false }
        // "PRI" is no method, so that three octets decide; HTTP/2 itself then judges the rest.
        if isPreface, known < 3 { return }
        hand(stream, http2: isPreface || !server.allows(.http1))
    }

    private func hand(_ stream: ByteStream, http2: Bool) {
        self.stream = nil
        server.speak(http2: http2, stream, place: place, origin: origin)
        guard !inbox.isEmpty else { return }
        var waiting = ByteQueue()
        swap(&waiting, &inbox)
        stream.delegate.received(waiting.span)
    }

    private func leave() {
        stream?.detach()
        stream = nil
        server.left(place)
    }

    func inputEnded() { leave() }
    func drained() {}
    func prepareOutput() -> Bool { false }
    func deadlinePassed() {
        stream?.close()
        leave()
    }
    func failed(_ failure: StreamFailure) {
        if case .tls = failure { server.metrics.refused(.tlsFailed) }
        stream = nil
        server.left(place)
    }
    func drain() { if inbox.isEmpty { deadlinePassed() } }
    func closeNow() { deadlinePassed() }
}
