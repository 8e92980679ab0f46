internal import Dispatch

/// A value that lives on a reactor, as other threads hold it: they can reach it only by going there.
package struct ReactorBound<Value>: @unchecked Sendable {
    // Sendable: init and value both stop the process off the reactor, so no two threads meet.
    private let reactor: Reactor
    private let stored: Value

    /// Wraps a value of this reactor. On the reactor.
    package init(_ value: Value, on reactor: Reactor) {
        reactor.preconditionOnReactor()
        self.reactor = reactor
        stored = value
    }

    /// The value, on its reactor.
    package var value: Value {
        reactor.preconditionOnReactor()
        return stored
    }

    /// Calls `body` with the value on the reactor, soon.
    package func submit(_ body: @escaping @Sendable (Value) -> Void) {
        reactor.remote.submit { body(value) }
    }

    /// Calls `body` with the value on the reactor and waits for what it returns.
    package func call<Result: Sendable>(_ body: @escaping @Sendable (Value) -> Result) async -> Result {
        await withCheckedContinuation { continuation in
            submit { continuation.resume(returning: body($0)) }
        }
    }

    /// Ends the reactor's loop.
    package func stop() {
        reactor.remote.submit { reactor.stop() }
    }
}

extension Reactor {
    /// Makes a reactor, makes on it the value that lives there, and starts it.
    ///
    /// - Parameter setUp: Called on the reactor, before this returns.
    package static func launch<Value>(
        index: Int, _ setUp: (Reactor) throws -> Value
    ) throws -> ReactorBound<Value> {
        let reactor = try Reactor(index: index)
        let bound = try reactor.queue.sync { ReactorBound(try setUp(reactor), on: reactor) }
        reactor.start()
        return bound
    }
}
