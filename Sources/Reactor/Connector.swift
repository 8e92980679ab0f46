internal import CLinux
internal import Glibc

/// Is told how a connector ended; exactly one of the two is called, unless it is cancelled.
package protocol ConnectorDelegate: AnyObject {
    /// Connected; the descriptor is the delegate's from now on.
    func connected(_ descriptor: Int32, to address: SocketAddress)
    /// No address answered; the last refusal, or `ETIMEDOUT`.
    func connectFailed(_ error: ReactorError)
}

/// Connects to the first of several addresses that answers.
///
/// The next address is tried when one fails, or 250 ms after one that has not answered yet ("happy eyeballs").
/// - SeeAlso: RFC 8305 section 5.
package final class Connector: TimerHandler {
    private let reactor: Reactor
    private let addresses: [SocketAddress]
    private var delegate: (any ConnectorDelegate)?
    private var nextAddress = 0
    private var attempts: [ConnectAttempt] = []
    private var stagger: TimerToken?
    private var deadline: TimerToken?
    private var lastError = ReactorError.system("connect", ETIMEDOUT)
    private let timeout: Int64
    private var startedAt: Int64 = 0

    private static let staggerNanos: Int64 = 250_000_000

    /// - Parameters:
    ///   - addresses: In the order of preference; not empty.
    ///   - timeoutNanos: For all of them together.
    package init(
        _ addresses: [SocketAddress], timeoutNanos: Int64, on reactor: Reactor, delegate: any ConnectorDelegate
    ) {
        precondition(!addresses.isEmpty, "a connector needs an address")
        self.addresses = addresses
        self.reactor = reactor
        self.delegate = delegate
        timeout = timeoutNanos
    }

    /// Begins; the delegate may be called before this returns.
    package func start() {
        startedAt = reactor.now
        deadline = reactor.schedule(DeadlineRelay(self), at: startedAt + timeout)
        tryNext()
    }

    /// Gives up without calling the delegate.
    package func cancel() {
        delegate = nil
        cleanUp()
    }

    package func timerFired() {
        stagger = nil
        tryNext()
    }

    private func tryNext() {
        guard delegate != nil else { return }
        if let stagger { reactor.cancel(stagger) }
        stagger = nil
        while nextAddress < addresses.count {
            let address = addresses[nextAddress]
            nextAddress += 1
            do throws(ReactorError) {
                let descriptor = try Sockets.connect(to: address)
                attempts.append(try ConnectAttempt(descriptor, address, reactor, self))
                if nextAddress < addresses.count {
                    stagger = reactor.schedule(self, at: reactor.now + Connector.staggerNanos)
                }
                return
            } catch {
                lastError = error
            }
        }
        if attempts.isEmpty { fail() }
    }

    fileprivate func decided(_ attempt: ConnectAttempt, code: Int32) {
        attempts.removeAll { $0 === attempt }
        if code == 0 {
            let descriptor = attempt.release()
            let winner = delegate
            delegate = nil
            cleanUp()
            winner?.connected(descriptor, to: attempt.address)
        } else {
            attempt.close()
            lastError = .system("connect", code)
            tryNext()
        }
    }

    fileprivate func timedOut() {
        lastError = .system("connect", ETIMEDOUT)
        fail()
    }

    private func fail() {
        let loser = delegate
        delegate = nil
        cleanUp()
        loser?.connectFailed(lastError)
    }

    private func cleanUp() {
        for attempt in attempts { attempt.close() }
        attempts.removeAll()
        if let stagger { reactor.cancel(stagger) }
        if let deadline { reactor.cancel(deadline) }
        stagger = nil
        deadline = nil
    }
}

/// One pending connect.
private final class ConnectAttempt: SocketHandler {
    let address: SocketAddress
    private var descriptor: Int32
    private var slot: Int32 = -1
    private let reactor: Reactor
    private unowned let connector: Connector

    init(_ descriptor: Int32, _ address: SocketAddress, _ reactor: Reactor, _ connector: Connector) throws(ReactorError)
    {
        self.descriptor = descriptor
        self.address = address
        self.reactor = reactor
        self.connector = connector
        do throws(ReactorError) {
            slot = try reactor.register(descriptor, self)
        } catch {
            Glibc.close(descriptor)
            throw error
        }
    }

    func socketReady(_ readiness: Readiness) {
        guard descriptor >= 0 else { return }
        if readiness.contains(.writable) || !readiness.isDisjoint(with: .hungUp) {
            connector.decided(self, code: Sockets.connectResult(descriptor))
        }
    }

    /// Gives the connected socket away.
    func release() -> Int32 {
        reactor.unregister(slot, descriptor: descriptor)
        defer { descriptor = -1 }
        return descriptor
    }

    func close() {
        guard descriptor >= 0 else { return }
        reactor.unregister(slot, descriptor: descriptor)
        Glibc.close(descriptor)
        descriptor = -1
    }
}

/// Tells a connector that its time is over; a second timer beside the stagger.
private final class DeadlineRelay: TimerHandler {
    private unowned let connector: Connector

    init(_ connector: Connector) { self.connector = connector }

    func timerFired() { connector.timedOut() }
}
