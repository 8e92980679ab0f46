import Bytes
import CLinux
import Dispatch
import Glibc
import Reactor
import Telemetry
import Testing
import Transport

/// A running reactor that a test reaches from its own thread, with metrics of its own.
struct TestReactor: Sendable {
    private let bound: ReactorBound<Reactor>
    let metrics = GatewayMetrics(reactors: 1, version: "test", droppedLogLines: { 0 })

    init() throws {
        bound = try Reactor.launch(index: 0) { $0 }
    }

    var transportMetrics: TransportMetrics { TransportMetrics(metrics, reactor: 1) }

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

    /// Waits until `condition` holds on the reactor, at most ten seconds. Returns whether it does.
    @discardableResult
    func wait(
        for what: @autoclosure () -> String, location: SourceLocation = #_sourceLocation,
        _ condition: @escaping (Reactor) -> Bool
    ) -> Bool {
        let deadline = penstock_monotonic_nanos() + 10_000_000_000
        while !run(condition) {
            guard penstock_monotonic_nanos() < deadline else {
                Issue.record("waited in vain for \(what())", sourceLocation: location)
                return false
            }
            usleep(500)
        }
        return true
    }

    /// The sum of all samples of a metric.
    func metric(_ name: String) -> Double {
        var text = ByteQueue()
        metrics.registry.write(.prometheus, to: &text)
        let lines = (Bytes.text(text.span) ?? "").split(separator: "\n")
        return lines.filter { $0.hasPrefix(name + "{") || $0.hasPrefix(name + " ") }
            .reduce(0) { $0 + (Double($1.split(separator: " ").last ?? "0") ?? 0) }
    }

    /// Ends the reactor, after it was seen that nothing is left on it.
    func stop(_ residue: Residue = Residue(), location: SourceLocation = #_sourceLocation) {
        wait(for: "connections to go, left: \(metric("penstock_connections"))", location: location) { _ in
            metric("penstock_connections") == 0
        }
        wait(for: "objects to go: \(run { _ in residue.left })", location: location) { _ in residue.left.isEmpty }
        bound.stop()
    }
}

/// Objects that should be gone when a test is over. On the reactor.
final class Residue {
    private struct Entry {
        let what: String
        weak var object: AnyObject?
    }

    private var entries: [Entry] = []

    func watch(_ object: AnyObject) {
        entries.removeAll { $0.object == nil }
        if !entries.contains(where: { $0.object === object }) {
            entries.append(Entry(what: "\(type(of: object))", object: object))
        }
    }

    var left: [String] { entries.filter { $0.object != nil }.map(\.what) }
}

/// Nanoseconds of a number of milliseconds.
func millis(_ count: Int64) -> Int64 { count * 1_000_000 }

func monotonicNow() -> Int64 { penstock_monotonic_nanos() }

/// Waits for a time on the reactor's own clock, where the time itself is what is tested.
final class TestTimer: TimerHandler {
    private let reactor: TestReactor
    private var hasFired = false

    init(_ reactor: TestReactor, millis count: Int64) throws {
        self.reactor = reactor
        reactor.run { _ = $0.schedule(self, at: monotonicNow() + millis(count)) }
    }

    func timerFired() { hasFired = true }
    func wait() { reactor.wait(for: "the time") { _ in self.hasFired } }
}
