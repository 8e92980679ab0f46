import CLinux
import Dispatch
import Glibc
import Reactor
import Testing

/// A running reactor that a test reaches from its own thread.
struct TestReactor: Sendable {
    private let bound: ReactorBound<Reactor>

    init() throws {
        bound = try Reactor.launch(index: 0) { $0 }
    }

    /// Runs `body` on the reactor and waits for what it returns.
    @discardableResult
    func run<Result>(_ body: @escaping (Reactor) throws -> Result) rethrows -> Result {
        let done = DispatchSemaphore(value: 0)
        // The test's thread touches both only before and after, never while, the reactor does.
        nonisolated(unsafe) let body = body
        nonisolated(unsafe) var result: Swift.Result<Result, any Error>?
        bound.submit { reactor in
            result = Swift.Result { try body(reactor) }
            done.signal()
        }
        precondition(done.wait(timeout: .now() + 20) == .success, "the reactor does not answer")
        return try! result!.get()
    }

    /// Waits until `condition` holds on the reactor, at most ten seconds.
    func wait(for what: String, _ condition: @escaping (Reactor) -> Bool) {
        let deadline = penstock_monotonic_nanos() + 10_000_000_000
        while !run(condition) {
            guard penstock_monotonic_nanos() < deadline else {
                Issue.record("waited in vain for \(what)")
                return
            }
            usleep(500)
        }
    }

    func stop() { bound.stop() }
}

/// A blocking socket of the test's thread.
final class Peer {
    let descriptor: Int32
    private var isOpen = true

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    /// Connects to a port of 127.0.0.1.
    convenience init(port: UInt16) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        let address = SocketAddress(literal: "127.0.0.1", port: port)!
        let result = address.withSockaddr { connect(descriptor, $0, $1) }
        precondition(result == 0, "cannot connect")
        self.init(descriptor)
    }

    deinit { close() }

    func close() {
        if isOpen { Glibc.close(descriptor) }
        isOpen = false
    }

    /// What one read brings; empty at the end or after ten seconds.
    func read() -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = Glibc.read(descriptor, &buffer, buffer.count)
        return Array(buffer.prefix(max(count, 0)))
    }
}

extension SocketAddress {
    /// An unused port of 127.0.0.1.
    static func loopback(_ port: UInt16 = 0) -> SocketAddress { SocketAddress(literal: "127.0.0.1", port: port)! }
}
