package import Reactor
internal import TLS

/// The connections of one reactor to one endpoint, and the calls that wait for one.
///
/// HTTP/1.1: a call takes the connection used last, else a new one, else it waits its turn. HTTP/2: a call takes a
/// connection that has a stream left. Nothing is opened before it is needed.
package final class EndpointConnections: TimerHandler {
    package let settings: EndpointSettings
    let reactor: Reactor
    let metrics: TransportMetrics
    /// Open connections, those being made included.
    package private(set) var connectionCount = 0

    private let resolver: Resolver
    private var idle: [HTTP1ClientConnection] = []
    private var multiplexed: [HTTP2ClientConnection] = []
    private var opening: [ConnectionOpening] = []
    private var pending: [UpstreamCall] = []
    private var timer = MovingDeadline()
    private var isClosed = false
    private var everSpokeHTTP2: Bool

    package init(_ settings: EndpointSettings, resolver: Resolver, metrics: TransportMetrics, on reactor: Reactor) {
        self.settings = settings
        self.resolver = resolver
        self.metrics = metrics
        self.reactor = reactor
        everSpokeHTTP2 = settings.upstreamProtocol == .http2
    }

    /// Starts a call. Its handler may be called before this returns.
    package func start(_ call: UpstreamCall) {
        call.isRetriedOnFresh = false
        if let connection = idle.popLast() { return connection.start(call) }
        for connection in multiplexed where connection.hasRoom { return connection.start(call) }
        enqueue(call)
    }

    /// Starts a call on a connection that has not served yet.
    func startOnFresh(_ call: UpstreamCall) {
        // The others that are idle are as old: what closed one has probably closed them all.
        let stale = idle
        idle.removeAll()
        for connection in stale { connection.close() }
        enqueue(call)
    }

    private func enqueue(_ call: UpstreamCall) {
        guard !isClosed else { return call.fail(.refused) }
        guard pending.count < settings.maxPending else { return call.fail(.queueFull) }
        call.carrier = .pool(self)
        call.usedIdleConnection = false
        call.queuedUntil = min(call.deadline, reactor.now &+ settings.timeouts.connect)
        pending.append(call)
        timer.set(call.queuedUntil, on: reactor, self)
        openIfNeeded()
    }

    /// As many connections are being made as calls wait: one for all of them where streams are multiplexed.
    private func openIfNeeded() {
        while !pending.isEmpty, connectionCount < settings.maxConnections {
            let served = everSpokeHTTP2 ? opening.count * settings.maxStreams : opening.count
            if served >= pending.count { return }
            connectionCount += 1
            let attempt = ConnectionOpening(self)
            opening.append(attempt)
            attempt.start(resolver)
        }
    }

    func cancelPending(_ call: UpstreamCall) {
        pending.removeAll { $0 === call }
    }

    package func timerFired() {
        guard timer.isDue(on: reactor, self) else { return }
        let now = reactor.now
        // Not in order: a call's own deadline may come before that of those who wait longer.
        for _ in 0..<pending.count {
            guard let late = pending.firstIndex(where: { $0.queuedUntil <= now }) else { break }
            let call = pending.remove(at: late)
            call.fail(call.deadline <= now ? .totalTimeout : .connectTimeout)
        }
        if let next = pending.lazy.map(\.queuedUntil).min() { timer.set(next, on: reactor, self) }
    }

    // MARK: What connections tell

    func opened(_ attempt: ConnectionOpening, _ connection: HTTP1ClientConnection) {
        opening.removeAll { $0 === attempt }
        released(connection)
    }

    func opened(_ attempt: ConnectionOpening, _ connection: HTTP2ClientConnection) {
        opening.removeAll { $0 === attempt }
        everSpokeHTTP2 = true
        multiplexed.append(connection)
        hasRoom(connection)
    }

    /// A connection could not be made: the call that has waited longest fails with it.
    func openingFailed(_ attempt: ConnectionOpening, _ failure: UpstreamFailure) {
        opening.removeAll { $0 === attempt }
        connectionCount -= 1
        // Calls that gave up leave connections behind that are still being made: enough of them, and nobody fails.
        guard pending.count > opening.count else { return }
        pending.removeFirst().fail(failure)
        openIfNeeded()
    }

    func released(_ connection: HTTP1ClientConnection) {
        if isClosed {
            connection.close()
        } else if pending.isEmpty {
            connection.stream.setDeadline(reactor.now &+ settings.idleTimeout)
            idle.append(connection)
        } else {
            connection.start(pending.removeFirst())
        }
    }

    func hasRoom(_ connection: HTTP2ClientConnection) {
        while !pending.isEmpty, connection.hasRoom { connection.start(pending.removeFirst()) }
    }

    func closed(_ connection: HTTP1ClientConnection) {
        connectionCount -= 1
        if let index = idle.lastIndex(where: { $0 === connection }) { idle.remove(at: index) }
        openIfNeeded()
    }

    func closed(_ connection: HTTP2ClientConnection) {
        connectionCount -= 1
        multiplexed.removeAll { $0 === connection }
        openIfNeeded()
    }

    /// Lets calls under way finish and closes everything else; calls that wait fail.
    package func close() {
        isClosed = true
        while !pending.isEmpty { pending.removeFirst().fail(.refused) }
        for attempt in opening { attempt.cancel() }
        connectionCount -= opening.count
        opening.removeAll()
        let unused = idle
        idle.removeAll()
        for connection in unused { connection.close() }
        for connection in multiplexed { connection.closeWhenIdle() }
        timer.cancel(on: reactor)
    }
}
