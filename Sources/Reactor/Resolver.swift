internal import Dispatch
internal import Glibc
internal import Synchronization

/// Why a name has no addresses.
package enum ResolutionError: Error, Equatable, Sendable, CustomStringConvertible {
    /// There is no such name, or it has no IPv4 or IPv6 address.
    case notFound(String)
    /// It could not be found out now; the detail says why.
    case unavailable(String, detail: String)

    package var description: String {
        switch self {
        case .notFound(let name): "no address for \"\(name)\""
        case .unavailable(let name, let detail): "cannot resolve \"\(name)\": \(detail)"
        }
    }
}

/// When answers are asked for again. `getaddrinfo` tells nothing of the time to live.
package struct ResolverPolicy: Sendable {
    /// Age at which an answer is refreshed, ±20 % so that names do not move in step. The old one is given meanwhile.
    package var refreshInterval: Duration = .seconds(30)
    /// Age from which a refresh is waited for. Should it fail, the old answer is still given, however old.
    package var maximumAge: Duration = .seconds(60)
    /// How long a failure is remembered, and the least time between two lookups of a name.
    package var retryInterval: Duration = .seconds(5)
    /// Lookups at once; each blocks a thread.
    package var maximumLookups = 8
    /// Lookups that wait; more are refused.
    package var maximumQueue = 1024
    /// Names remembered.
    package var maximumNames = 4096

    package init() {}
}

/// Turns host names into addresses, off the reactors.
///
/// Answers are remembered; a name is looked up once however many ask; a failure never replaces a good answer. Good for
/// any thread.
package final class Resolver: Sendable {
    /// Finds the addresses of a name, whose port is then set. May block.
    package typealias Lookup = @Sendable (String) -> Result<[SocketAddress], ResolutionError>
    /// Takes at least one address, in the order to try them: as `getaddrinfo` prefers them (RFC 6724), families
    /// alternating (RFC 8305 section 4).
    package typealias Completion = @Sendable (Result<[SocketAddress], ResolutionError>) -> Void

    private let table: Mutex<ResolverTable>
    private let queue = DispatchQueue(label: "penstock.resolver", attributes: .concurrent)
    private let lookup: Lookup
    private let clock: @Sendable () -> Duration

    /// Makes a resolver that knows nothing yet.
    ///
    /// - Parameters:
    ///   - clock: Time that only goes forward.
    ///   - jitter: A number in 0..<1, drawn for each answer.
    package init(
        policy: ResolverPolicy = ResolverPolicy(),
        lookup: @escaping Lookup = Resolver.systemLookup,
        clock: @escaping @Sendable () -> Duration = Resolver.monotonicTime,
        jitter: @escaping @Sendable () -> Double = { Double.random(in: 0..<1) }
    ) {
        table = Mutex(ResolverTable(policy: policy, jitter: jitter))
        self.lookup = lookup
        self.clock = clock
    }

    /// Finds the addresses of `host`.
    ///
    /// - Parameters:
    ///   - host: A name, or a literal address, which is answered without a lookup.
    ///   - completion: Called once: before this returns if the answer is known, else on a thread of the resolver.
    package func resolve(_ host: String, port: UInt16, completion: @escaping Completion) {
        if let literal = SocketAddress(literal: host, port: port) {
            return completion(.success([literal]))
        }
        // A NUL would cut the name short in C.
        guard !host.isEmpty, host.utf8.count <= 254, !host.utf8.contains(0) else {
            return completion(.failure(.notFound(host)))
        }
        let name = host.lowercased()
        let now = clock()
        let (answer, next) = table.withLock { table in
            (table.ask(name, at: now, waiter: ResolverTable.Waiter(port: port, completion: completion)), table.begin())
        }
        if let next { start(next) }
        if let answer { completion(Resolver.addPort(port, to: answer)) }
    }

    /// Has `host` looked up again soon, for its addresses did not answer; at most once in a retry interval.
    package func refresh(_ host: String) {
        let now = clock()
        let next = table.withLock { table in
            table.refresh(host.lowercased(), at: now)
            return table.begin()
        }
        if let next { start(next) }
    }

    /// Whether what is known of `host` is older than it should be: its refresh failed, or is under way.
    package func isStale(_ host: String) -> Bool {
        let now = clock()
        return table.withLock { $0.isStale(host.lowercased(), at: now) }
    }

    private func start(_ name: String) {
        queue.async { [self] in
            var current: String? = name
            while let name = current {
                let result = lookup(name)
                let now = clock()
                let (waiters, answer, next) = table.withLock { table in
                    let (waiters, answer) = table.learn(name, result, at: now)
                    return (waiters, answer, table.begin())
                }
                for waiter in waiters { waiter.completion(Resolver.addPort(waiter.port, to: answer)) }
                current = next
            }
        }
    }

    private static func addPort(
        _ port: UInt16,
        to answer: Result<[SocketAddress], ResolutionError>
    ) -> Result<[SocketAddress], ResolutionError> {
        answer.map { addresses in
            addresses.map { address in
                var address = address
                address.port = port
                return address
            }
        }
    }
}

// MARK: - The system

extension Resolver {
    /// Time since the machine started.
    @Sendable package static func monotonicTime() -> Duration {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return .seconds(now.tv_sec) + .nanoseconds(now.tv_nsec)
    }

    /// Asks `getaddrinfo`: hosts file and DNS, as the system is set up. Blocks.
    @Sendable package static func systemLookup(_ name: String) -> Result<[SocketAddress], ResolutionError> {
        var hints = addrinfo()
        // Not AI_ADDRCONFIG: where only the loopback interface is up it hides addresses that would do.
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(name, nil, &hints, &list)
        let systemCode = errno
        defer { if let list { freeaddrinfo(list) } }
        switch code {
        case 0: break
        // -5 is EAI_NODATA and -9 EAI_ADDRFAMILY, which glibc shows to _GNU_SOURCE only.
        case EAI_NONAME, -5, -9: return .failure(.notFound(name))
        case EAI_SYSTEM: return .failure(.unavailable(name, detail: String(cString: strerror(systemCode))))
        default: return .failure(.unavailable(name, detail: String(cString: gai_strerror(code))))
        }
        var found: [SocketAddress] = []
        var next = list
        while let entry = next {
            if let raw = entry.pointee.ai_addr, let address = SocketAddress(raw), !found.contains(address) {
                found.append(address)
            }
            next = entry.pointee.ai_next
        }
        return found.isEmpty ? .failure(.notFound(name)) : .success(interleaved(found))
    }

    /// Families take turns, beginning with that of the most preferred address; order within a family is kept.
    ///
    /// - SeeAlso: RFC 8305 section 4.
    package static func interleaved(_ addresses: [SocketAddress]) -> [SocketAddress] {
        guard let family = addresses.first?.family else { return [] }
        let preferred = addresses.filter { $0.family == family }
        let others = addresses.filter { $0.family != family }
        var result: [SocketAddress] = []
        for index in 0..<max(preferred.count, others.count) {
            if index < preferred.count { result.append(preferred[index]) }
            if index < others.count { result.append(others[index]) }
        }
        return result
    }
}

// MARK: - The table

/// What a resolver remembers, and which lookups are due. Pure but for the jitter: time comes in, the caller looks up.
private struct ResolverTable: Sendable {
    /// Someone who waits for a lookup.
    struct Waiter: Sendable {
        let port: UInt16
        let completion: Resolver.Completion
    }

    private struct Entry: Sendable {
        /// The last good answer; empty before the first.
        var addresses: [SocketAddress] = []
        /// When that answer came.
        var learned: Duration = .zero
        /// From when on it counts as stale.
        var goodUntil: Duration = .zero
        /// How the last lookup failed, if it did.
        var failure: ResolutionError?
        /// When the last lookup ended.
        var asked: Duration = .zero
        /// From when on the next lookup may begin.
        var due: Duration = .zero
        /// Whether a lookup waits or runs.
        var isPending = false
        var waiters: [Waiter] = []

        var answer: Result<[SocketAddress], ResolutionError>? {
            addresses.isEmpty ? failure.map { .failure($0) } : .success(addresses)
        }
    }

    private let policy: ResolverPolicy
    private let jitter: @Sendable () -> Double
    private var entries: [String: Entry] = [:]
    private var queue: [String] = []
    private var running = 0

    init(policy: ResolverPolicy, jitter: @escaping @Sendable () -> Double) {
        self.policy = policy
        self.jitter = jitter
    }

    /// The answer for `name` if there is one to give now; otherwise keeps `waiter` until `learn`.
    mutating func ask(_ name: String, at now: Duration, waiter: Waiter) -> Result<[SocketAddress], ResolutionError>? {
        makeRoom(for: name)
        var entry = entries.removeValue(forKey: name) ?? Entry()
        defer { entries[name] = entry }
        let known = entry.answer
        let isTooOld = entry.addresses.isEmpty || now >= entry.learned + policy.maximumAge
        if known != nil, now < entry.due { return known }
        if !entry.isPending {
            guard queue.count < policy.maximumQueue else {
                return known ?? .failure(.unavailable(name, detail: "too many names wait to be resolved"))
            }
            entry.isPending = true
            queue.append(name)
        }
        if let known, !isTooOld { return known }
        entry.waiters.append(waiter)
        return nil
    }

    /// Whether there are addresses for `name`, and they are older than they should be.
    func isStale(_ name: String, at now: Duration) -> Bool {
        guard let entry = entries[name], !entry.addresses.isEmpty else { return false }
        return now >= entry.goodUntil
    }

    /// Makes a lookup of a known name due, unless the last one was just now.
    mutating func refresh(_ name: String, at now: Duration) {
        guard var entry = entries[name], !entry.isPending, queue.count < policy.maximumQueue,
            now >= entry.asked + policy.retryInterval
        else { return }
        entry.isPending = true
        entries[name] = entry
        queue.append(name)
    }

    /// The next name to look up, which counts as running from now on; `nil` if none waits or enough run.
    mutating func begin() -> String? {
        guard !queue.isEmpty, running < policy.maximumLookups else { return nil }
        running += 1
        return queue.removeFirst()
    }

    /// Takes in what a lookup has found; the waiters and what to tell them.
    mutating func learn(
        _ name: String,
        _ result: Result<[SocketAddress], ResolutionError>,
        at now: Duration
    ) -> ([Waiter], Result<[SocketAddress], ResolutionError>) {
        running -= 1
        var entry = entries[name] ?? Entry()
        let waiters = entry.waiters
        entry.waiters = []
        entry.isPending = false
        entry.asked = now
        switch result {
        case .success(let addresses) where !addresses.isEmpty:
            entry.addresses = addresses
            entry.learned = now
            entry.goodUntil = now + policy.refreshInterval * (0.8 + 0.4 * jitter())
            entry.due = entry.goodUntil
            entry.failure = nil
        case .success:
            entry.failure = .notFound(name)
            entry.due = now + policy.retryInterval
        case .failure(let error):
            entry.failure = error
            entry.due = now + policy.retryInterval
        }
        // The refresh was tried for a reason: an answer it could not confirm is stale, whatever its age.
        if entry.failure != nil { entry.goodUntil = min(entry.goodUntil, now) }
        entries[name] = entry
        return (waiters, entry.answer ?? .failure(.notFound(name)))
    }

    /// Names come from configuration and are few; the bound is for those that come from elsewhere.
    private mutating func makeRoom(for name: String) {
        guard entries.count >= policy.maximumNames, entries[name] == nil else { return }
        entries = entries.filter { $0.value.isPending }
    }
}
