internal import CLinux
internal import Glibc

/// Is given the connections an acceptor takes.
package protocol AcceptorDelegate: AnyObject {
    /// A new connection; the descriptor is the delegate's from now on.
    func accepted(_ descriptor: Int32, from peer: SocketAddress?)
    /// The process has no descriptor left; accepting pauses for 100 ms.
    func descriptorsExhausted()
}

/// Takes connections from a listening socket on one reactor.
///
/// Without descriptors it pauses 100 ms instead of spinning on the same edge.
package final class Acceptor: SocketHandler, TimerHandler {
    /// Where it listens; with port 0 asked for, the port the kernel chose.
    package let address: SocketAddress
    private let reactor: Reactor
    private var descriptor: Int32
    private var slot: Int32 = -1
    private unowned let delegate: any AcceptorDelegate
    private var pause: TimerToken?

    private static let acceptsPerRound = 32

    /// Begins to accept from `descriptor`, which it owns from now on. On the reactor.
    package init(_ descriptor: Int32, on reactor: Reactor, delegate: any AcceptorDelegate) throws(ReactorError) {
        self.descriptor = descriptor
        self.reactor = reactor
        self.delegate = delegate
        address = SocketAddress(localOf: descriptor) ?? .any(port: 0)
        slot = try reactor.register(descriptor, self)
    }

    /// Stops accepting and closes the socket.
    package func close() {
        guard descriptor >= 0 else { return }
        reactor.unregister(slot, descriptor: descriptor)
        Glibc.close(descriptor)
        descriptor = -1
        if let pause { reactor.cancel(pause) }
        pause = nil
    }

    package func socketReady(_ readiness: Readiness) {
        guard readiness.contains(.readable), pause == nil else { return }
        for _ in 0..<Acceptor.acceptsPerRound {
            guard descriptor >= 0 else { return }
            switch Sockets.accept(descriptor) {
            case .connection(let connection, let peer): delegate.accepted(connection, from: peer)
            case .none: return
            case .exhausted:
                delegate.descriptorsExhausted()
                pause = reactor.schedule(self, at: reactor.now + 100_000_000)
                return
            }
        }
        // The edge is used up, but more may wait: others get their turn first.
        reactor.callAgain(self)
    }

    package func timerFired() {
        pause = nil
        socketReady(.readable)
    }
}
