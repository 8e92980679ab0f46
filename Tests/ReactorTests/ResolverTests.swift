import CLinux
import Dispatch
import Glibc
import Reactor
import Synchronization
import Testing

/// A resolver whose clock and lookups the test moves by hand.
private final class ManualSystem: Sendable {
    typealias Answer = Result<[SocketAddress], ResolutionError>

    private struct State {
        var now: Duration = .seconds(1000)
        var answers: [String: Answer] = [:]
        var lookups: [String: Int] = [:]
        var running = 0
        var mostRunning = 0
    }

    private let state = Mutex(State())
    /// Lookups wait here while the test holds them back.
    private let gate = DispatchSemaphore(value: 0)
    private let isGated: Bool
    let done = DispatchSemaphore(value: 0)

    init(isGated: Bool = false) { self.isGated = isGated }

    func resolver(_ policy: ResolverPolicy = ResolverPolicy(), jitter: Double = 0.5) -> Resolver {
        Resolver(
            policy: policy, lookup: { [self] in lookup($0) }, clock: { [self] in state.withLock { $0.now } },
            jitter: { jitter })
    }

    private func lookup(_ name: String) -> Answer {
        state.withLock {
            $0.lookups[name, default: 0] += 1
            $0.running += 1
            $0.mostRunning = max($0.mostRunning, $0.running)
        }
        if isGated { gate.wait() }
        return state.withLock {
            $0.running -= 1
            return $0.answers[name] ?? .failure(.notFound(name))
        }
    }

    func release(_ count: Int = 1) { for _ in 0..<count { gate.signal() } }
    func advance(_ time: Duration) { state.withLock { $0.now += time } }
    func set(_ name: String, _ answer: Answer) { state.withLock { $0.answers[name] = answer } }
    func lookups(_ name: String) -> Int { state.withLock { $0.lookups[name, default: 0] } }
    var mostRunning: Int { state.withLock { $0.mostRunning } }
}

extension Resolver {
    fileprivate func ask(_ name: String, port: UInt16 = 80) async -> Result<[SocketAddress], ResolutionError> {
        await withCheckedContinuation { continuation in
            resolve(name, port: port) { continuation.resume(returning: $0) }
        }
    }

    /// Asks until the answer is `expected`, which a lookup under way brings.
    fileprivate func wait(_ name: String, for expected: Result<[SocketAddress], ResolutionError>) async throws {
        while await ask(name) != expected { try await Task.sleep(for: .milliseconds(1)) }
    }
}

private let first = SocketAddress("10.0.0.1:0")!
private let second = SocketAddress("10.0.0.2:0")!

private func answer(_ text: String...) -> Result<[SocketAddress], ResolutionError> {
    .success(text.map { SocketAddress($0)! })
}

@Suite("Resolver", .timeLimit(.minutes(1)))
struct ResolverTests {
    @Test("a literal is answered before resolve returns, without a lookup", arguments: ["10.1.2.3", "::1", "[::1]"])
    func literal(_ host: String) {
        let system = ManualSystem()
        let isDone = Atomic(false)
        system.resolver().resolve(host, port: 443) { result in
            #expect((try? result.get())?.first?.port == 443)
            isDone.store(true, ordering: .relaxed)
        }
        let wasDone = isDone.load(ordering: .relaxed)
        #expect(wasDone)
        #expect(system.lookups(host) == 0)
    }

    @Test("names that cannot be are not looked up", arguments: ["", "a\0b", String(repeating: "a", count: 255)])
    func impossible(_ name: String) async {
        let system = ManualSystem()
        #expect(await system.resolver().ask(name) == .failure(.notFound(name)))
        #expect(system.lookups(name) == 0)
    }

    @Test("localhost is found by the system, and a reserved name is not")
    func realSystem() async throws {
        let found = try await Resolver().ask("localhost", port: 8000).get()
        #expect(!found.isEmpty)
        #expect(found.allSatisfy { $0.isLoopback && $0.port == 8000 })
        let missing = await Resolver().ask("nothing.invalid")
        #expect(throws: ResolutionError.self) { try missing.get() }
    }

    @Test("an answer is kept for its time, refreshed behind the caller's back, and waited for when too old")
    func ages() async throws {
        let system = ManualSystem()
        system.set("a.test", .success([first]))
        let resolver = system.resolver()
        #expect(await resolver.ask("A.test") == answer("10.0.0.1:80"))
        system.set("a.test", .success([second]))
        system.advance(.seconds(29))
        #expect(await resolver.ask("a.test", port: 81) == answer("10.0.0.1:81"))
        #expect(!resolver.isStale("a.test") && !resolver.isStale("b.test"))
        #expect(system.lookups("a.test") == 1)
        system.advance(.seconds(2))
        #expect(resolver.isStale("a.test"))
        #expect(await resolver.ask("a.test") == answer("10.0.0.1:80"))
        try await resolver.wait("a.test", for: answer("10.0.0.2:80"))
        #expect(system.lookups("a.test") == 2)
        system.set("a.test", .success([first]))
        system.advance(.seconds(61))
        #expect(await resolver.ask("a.test") == answer("10.0.0.1:80"))
        #expect(system.lookups("a.test") == 3)
    }

    @Test("jitter moves the refresh by a fifth either way", arguments: [(0.0, 24), (1.0, 36)])
    func jitter(_ jitter: Double, _ seconds: Int) async {
        let system = ManualSystem()
        system.set("a.test", .success([first]))
        let resolver = system.resolver(jitter: jitter)
        _ = await resolver.ask("a.test")
        system.advance(.seconds(seconds) - .milliseconds(1))
        #expect(!resolver.isStale("a.test"))
        #expect(await resolver.ask("a.test") == answer("10.0.0.1:80"))
        system.advance(.milliseconds(2))
        #expect(resolver.isStale("a.test"))
        #expect(await resolver.ask("a.test") == answer("10.0.0.1:80"))
    }

    @Test("a failure is remembered shortly")
    func negative() async {
        let system = ManualSystem()
        let resolver = system.resolver()
        #expect(await resolver.ask("a.test") == .failure(.notFound("a.test")))
        system.set("a.test", .success([first]))
        system.advance(.seconds(4))
        #expect(await resolver.ask("a.test") == .failure(.notFound("a.test")))
        #expect(system.lookups("a.test") == 1)
        system.advance(.seconds(1))
        #expect(await resolver.ask("a.test") == answer("10.0.0.1:80"))
    }

    @Test("a failure never replaces a good answer, however old, and does not hide recovery")
    func staleKept() async throws {
        let system = ManualSystem()
        system.set("a.test", .success([first]))
        let resolver = system.resolver()
        _ = await resolver.ask("a.test")
        system.set("a.test", .failure(.unavailable("a.test", detail: "no server")))
        for round in 1...3 {
            system.advance(.seconds(3600))
            #expect(resolver.isStale("a.test"))
            #expect(await resolver.ask("a.test") == answer("10.0.0.1:80"))
            #expect(resolver.isStale("a.test"))
            #expect(await resolver.ask("a.test") == answer("10.0.0.1:80"))
            #expect(system.lookups("a.test") == 1 + round, "one lookup in a retry interval")
        }
        system.set("a.test", .success([second]))
        system.advance(.seconds(5))
        #expect(await resolver.ask("a.test") == answer("10.0.0.2:80"))
    }

    @Test("an empty answer counts as none")
    func empty() async {
        let system = ManualSystem()
        system.set("a.test", .success([]))
        #expect(await system.resolver().ask("a.test") == .failure(.notFound("a.test")))
    }

    @Test("many who ask at once share one lookup")
    func singleFlight() async {
        let system = ManualSystem(isGated: true)
        system.set("a.test", .success([first]))
        let resolver = system.resolver()
        for port in 1...100 {
            resolver.resolve("a.test", port: UInt16(port)) { result in
                #expect(result == answer("10.0.0.1:\(port)"))
                system.done.signal()
            }
        }
        system.release()
        await wait(system.done, 100)
        #expect(system.lookups("a.test") == 1)
    }

    @Test("no more lookups run at once than allowed, and all come to an end")
    func bounded() async throws {
        let system = ManualSystem(isGated: true)
        var policy = ResolverPolicy()
        policy.maximumLookups = 3
        policy.maximumQueue = 20
        let resolver = system.resolver(policy)
        let refused = Atomic(0)
        for index in 0..<30 {
            resolver.resolve("n\(index).test", port: 1) { result in
                if case .failure(.unavailable) = result { refused.add(1, ordering: .relaxed) }
                system.done.signal()
            }
        }
        let refusals = refused.load(ordering: .relaxed)
        #expect(refusals == 7)
        system.release(23)
        await wait(system.done, 30)
        #expect(system.mostRunning <= 3)
    }

    @Test("a name that is suspected is looked up at once, but not again and again")
    func refresh() async throws {
        let system = ManualSystem()
        system.set("a.test", .success([first]))
        let resolver = system.resolver()
        resolver.refresh("a.test")
        #expect(system.lookups("a.test") == 0, "unknown names are not")
        _ = await resolver.ask("a.test")
        system.set("a.test", .success([second]))
        resolver.refresh("a.test")
        system.advance(.seconds(5))
        #expect(await resolver.ask("a.test") == answer("10.0.0.1:80"))
        resolver.refresh("A.test")
        try await resolver.wait("a.test", for: answer("10.0.0.2:80"))
        #expect(system.lookups("a.test") == 2)
    }

    @Test("what is remembered is bounded")
    func manyNames() async {
        let system = ManualSystem()
        var policy = ResolverPolicy()
        policy.maximumNames = 10
        let resolver = system.resolver(policy)
        for index in 0..<11 { _ = await resolver.ask("n\(index).test") }
        _ = await resolver.ask("n0.test")
        #expect(system.lookups("n0.test") == 2)
    }

    @Test(
        "families take turns, the preferred one first",
        arguments: [
            (["::1", "::2", "::3", "1.1.1.1"], ["::1", "1.1.1.1", "::2", "::3"]),
            (["1.1.1.1", "2.2.2.2", "::1", "::2"], ["1.1.1.1", "::1", "2.2.2.2", "::2"]),
            (["1.1.1.1", "2.2.2.2"], ["1.1.1.1", "2.2.2.2"]),
            ([], []),
        ]
    )
    func interleaving(_ given: [String], _ expected: [String]) {
        let ordered = Resolver.interleaved(given.compactMap { SocketAddress(literal: $0, port: 0) })
        #expect(ordered.map(\.host) == expected)
    }

    private func wait(_ semaphore: DispatchSemaphore, _ count: Int) async {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                for _ in 0..<count { semaphore.wait() }
                continuation.resume()
            }
        }
    }
}

@Suite("Socket addresses")
struct SocketAddressTests {
    @Test(
        "text is read and written",
        arguments: [
            ("1.2.3.4:80", "1.2.3.4:80"), ("[::1]:65535", "[::1]:65535"), ("[2001:DB8:0:0::1]:1", "[2001:db8::1]:1"),
            ("[::ffff:1.2.3.4]:80", "1.2.3.4:80"), ("0.0.0.0:0", "0.0.0.0:0"), ("[fe80::1%7]:80", "[fe80::1%7]:80"),
        ]
    )
    func text(_ text: String, _ canonical: String) {
        #expect(SocketAddress(text)?.description == canonical)
    }

    @Test(
        "what is no address is refused",
        arguments: [
            "", ":80", "1.2.3.4", "1.2.3.4:", "1.2.3.4:65536", "1.2.3.4:-1", "1.2.3:80", "127.1:80", "::1:80", "[::1]",
            "[1.2.3.4]:80", "localhost:80", "[::1:80", "1.2.3.4\0:80", "[fe80::1%nothing]:80", "[::1%]:80",
            "1.2.3.4 :80",
        ]
    )
    func refused(_ text: String) {
        #expect(SocketAddress(text) == nil)
    }

    @Test("a bound socket tells its address", arguments: [SocketAddress.Family.v4, .v6])
    func bound(_ family: SocketAddress.Family) throws {
        let descriptor = socket(family.rawDomain, CInt(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        let bound = SocketAddress.loopback(family, port: 0).withSockaddr { bind(descriptor, $0, $1) }
        // A machine may be without IPv6.
        guard bound == 0 else { return }
        let local = try #require(SocketAddress(localOf: descriptor))
        #expect(local.isLoopback && local.family == family && local.port != 0)
        #expect(SocketAddress(local.description) == local)
        #expect(SocketAddress(peerOf: descriptor) == nil)
    }

    @Test("loopback and any are told apart")
    func wellKnown() {
        #expect(SocketAddress.loopback(port: 1).description == "127.0.0.1:1")
        #expect(SocketAddress.loopback(.v6, port: 1).description == "[::1]:1")
        #expect(SocketAddress.any(.v6, port: 2).description == "[::]:2")
        #expect(SocketAddress("127.9.9.9:1")?.isLoopback == true)
        #expect(!SocketAddress.any(port: 1).isLoopback && !SocketAddress.any(.v6, port: 1).isLoopback)
    }
}
