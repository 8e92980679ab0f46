/// Carries a value that is not `Sendable` through `@Sendable` closures; opens on its reactor only.
package struct ReactorBound<Value>: @unchecked Sendable {
    // Sendable: init and value both stop the process off the reactor, so no two threads meet.
    private let reactor: Reactor
    private let stored: Value

    /// Wraps a value of this reactor.
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
}
