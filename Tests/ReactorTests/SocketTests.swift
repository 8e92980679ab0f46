import CLinux
import Glibc
import Reactor
import Testing

/// Keeps what an acceptor takes.
private final class Reception: AcceptorDelegate {
    var accepted: [Int32] = []
    var exhaustions: [Int64] = []

    func accepted(_ descriptor: Int32, from peer: SocketAddress?) { accepted.append(descriptor) }
    func descriptorsExhausted() { exhaustions.append(penstock_monotonic_nanos()) }
}

/// Keeps how a connector ended.
private final class Outcome: ConnectorDelegate {
    var connected: [SocketAddress] = []
    var descriptor: Int32 = -1
    var failures: [ReactorError] = []
    var at: Int64 = 0
    let reactor: Reactor
    init(_ reactor: Reactor) { self.reactor = reactor }
    deinit { if descriptor >= 0 { close(descriptor) } }

    func connected(_ descriptor: Int32, to address: SocketAddress) {
        connected.append(address)
        self.descriptor = descriptor
        at = reactor.now
    }

    func connectFailed(_ error: ReactorError) {
        failures.append(error)
        at = reactor.now
    }

    var isDecided: Bool { !connected.isEmpty || !failures.isEmpty }
}

/// How many descriptors this process may open; gives back the limit that was in force.
private func limitDescriptors(to count: Int) -> rlimit {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    var lower = limit
    lower.rlim_cur = rlim_t(count)
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &lower)
    return limit
}

@Suite("Acceptor", .timeLimit(.minutes(1)))
struct AcceptorTests {
    @Test("takes every connection, more than fit in one round")
    func many() throws {
        let reactor = try TestReactor()
        defer { reactor.stop() }
        let reception = Reception()
        let acceptor = reactor.run { reactor in
            try! Acceptor(Sockets.listen(on: .loopback(), sharesPort: false), on: reactor, delegate: reception)
        }
        let peers = (0..<100).map { _ in Peer(port: acceptor.address.port) }
        reactor.wait(for: "all of them") { _ in reception.accepted.count == peers.count }
        reactor.run { _ in
            acceptor.close()
            acceptor.close()
            for descriptor in reception.accepted { close(descriptor) }
        }
    }

    @Test("without descriptors it pauses instead of spinning, and goes on when there are some")
    func exhaustion() async {
        // The limit is the process's: other tests would feel it.
        await #expect(processExitsWith: .success) {
            let reactor = try TestReactor()
            let reception = Reception()
            let acceptor = reactor.run { reactor in
                try! Acceptor(Sockets.listen(on: .loopback(), sharesPort: false), on: reactor, delegate: reception)
            }
            let peers = (0..<8).map { _ in socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0) }
            let next = dup(0)
            close(next)
            let limit = limitDescriptors(to: Int(next) + 2)
            for peer in peers { _ = acceptor.address.withSockaddr { connect(peer, $0, $1) } }
            reactor.wait(for: "four pauses") { _ in reception.exhaustions.count >= 4 }
            let times = reactor.run { _ in reception.exhaustions }
            for (earlier, later) in zip(times, times.dropFirst()) {
                precondition(later - earlier >= 90_000_000, "paused \(later - earlier) ns")
            }
            precondition(reactor.run { _ in reception.accepted.count } <= 2, "two descriptors were left")
            var restored = limit
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &restored)
            reactor.wait(for: "the others") { _ in reception.accepted.count == 8 }
            precondition(reactor.run { _ in reception.accepted.count } == 8)
            reactor.run { _ in acceptor.close() }
        }
    }

    @Test("several reactors share a port")
    func shared() throws {
        let first = try Sockets.listen(on: .loopback(), sharesPort: true)
        let address = SocketAddress(localOf: first)!
        let second = try Sockets.listen(on: address, sharesPort: true)
        #expect(throws: ReactorError.system("bind", EADDRINUSE)) {
            try Sockets.listen(on: address, sharesPort: false)
        }
        close(first)
        close(second)
    }
}

@Suite("Connector", .timeLimit(.minutes(1)))
struct ConnectorTests {
    /// Port 9 of this network (RFC 5737) never answers, or is refused at once; nothing is ever sent to anyone.
    private static let dead = SocketAddress(literal: "192.0.2.1", port: 9)!

    /// A listener whose queue is full, so that connecting takes for ever; and what fills it.
    private static func silent() throws -> (address: SocketAddress, keep: [Int32]) {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var keep = [listener]
        _ = SocketAddress.loopback().withSockaddr { bind(listener, $0, $1) }
        listen(listener, 0)
        let address = SocketAddress(localOf: listener)!
        for _ in 0..<4 {
            keep.append(try Sockets.connect(to: address))
        }
        return (address, keep)
    }

    private func connect(
        _ reactor: TestReactor, _ addresses: [SocketAddress], timeoutMillis: Int64 = 5000
    ) -> (Outcome, Connector, Int64) {
        reactor.run { reactor in
            let outcome = Outcome(reactor)
            let connector = Connector(
                addresses, timeoutNanos: timeoutMillis * 1_000_000, on: reactor, delegate: outcome)
            connector.start()
            return (outcome, connector, reactor.now)
        }
    }

    /// A port nobody listens on.
    private func refusing() throws -> SocketAddress {
        let listener = try Sockets.listen(on: .loopback(), sharesPort: false)
        defer { close(listener) }
        return SocketAddress(localOf: listener)!
    }

    @Test("an address that refuses gives way to the next at once")
    func refusedThenNext() throws {
        let reactor = try TestReactor()
        defer { reactor.stop() }
        let listener = try Sockets.listen(on: .loopback(), sharesPort: false)
        defer { close(listener) }
        let good = SocketAddress(localOf: listener)!
        let (outcome, connector, began) = connect(reactor, [try refusing(), try refusing(), good])
        reactor.wait(for: "a decision") { _ in outcome.isDecided }
        #expect(reactor.run { _ in outcome.connected } == [good])
        #expect(reactor.run { _ in outcome.at } - began < 200_000_000)
        withExtendedLifetime(connector) {}
    }

    @Test("if all refuse, the last refusal is told, once")
    func allRefuse() throws {
        let reactor = try TestReactor()
        defer { reactor.stop() }
        let (outcome, connector, _) = connect(reactor, [try refusing(), try refusing()])
        reactor.wait(for: "a decision") { _ in outcome.isDecided }
        #expect(reactor.run { _ in outcome.failures } == [.system("connect", ECONNREFUSED)])
        withExtendedLifetime(connector) {}
    }

    @Test("an address that is silent gives way to the next after a quarter of a second")
    func stagger() throws {
        let reactor = try TestReactor()
        defer { reactor.stop() }
        let silent = try Self.silent()
        let listener = try Sockets.listen(on: .loopback(), sharesPort: false)
        defer { close(listener) }
        let good = SocketAddress(localOf: listener)!
        let (outcome, connector, began) = connect(reactor, [silent.address, good])
        reactor.wait(for: "a decision") { _ in outcome.isDecided }
        let took = reactor.run { _ in outcome.at } - began
        #expect(reactor.run { _ in outcome.connected } == [good])
        #expect(took >= 245_000_000 && took < 2_000_000_000)
        for descriptor in silent.keep { close(descriptor) }
        withExtendedLifetime(connector) {}
    }

    @Test("when time is up, it is told that it timed out")
    func timeout() throws {
        let reactor = try TestReactor()
        defer { reactor.stop() }
        let silent = try Self.silent()
        let (outcome, connector, began) = connect(reactor, [silent.address], timeoutMillis: 100)
        reactor.wait(for: "a decision") { _ in outcome.isDecided }
        let took = reactor.run { _ in outcome.at } - began
        #expect(reactor.run { _ in outcome.failures.first?.isTimeout } == true)
        #expect(took >= 100_000_000 && took < 2_000_000_000)
        for descriptor in silent.keep { close(descriptor) }
        withExtendedLifetime(connector) {}
    }

    @Test("a connector that is cancelled tells nothing and leaves nothing open")
    func cancelled() throws {
        let reactor = try TestReactor()
        defer { reactor.stop() }
        let silent = try Self.silent()
        let (outcome, connector, _) = connect(reactor, [silent.address, silent.address], timeoutMillis: 50)
        reactor.run { _ in connector.cancel() }
        let (other, second, _) = connect(reactor, [silent.address], timeoutMillis: 120)
        reactor.wait(for: "the other") { _ in other.isDecided }
        #expect(reactor.run { _ in outcome.isDecided } == false)
        for descriptor in silent.keep { close(descriptor) }
        withExtendedLifetime((connector, second)) {}
    }

    @Test("a connector that is done is not kept by its timers")
    func released() throws {
        let reactor = try TestReactor()
        defer { reactor.stop() }
        weak var gone: Connector?
        do {
            let (outcome, connector, _) = connect(reactor, [try refusing()])
            gone = connector
            reactor.wait(for: "a decision") { _ in outcome.isDecided }
        }
        reactor.wait(for: "its end") { _ in gone == nil }
        #expect(gone == nil)
    }
}
