internal import Synchronization

/// Whether the process serves: asked on every reactor, set by the control plane.
final class ServingStatus: Sendable {
    private let ready = Atomic(false)
    private let draining = Atomic(false)

    /// Whether new requests are welcome.
    var isReady: Bool { ready.load(ordering: .relaxed) && !draining.load(ordering: .relaxed) }

    /// Whether the process is about to end.
    var isDraining: Bool { draining.load(ordering: .relaxed) }

    func becomeReady() { ready.store(true, ordering: .relaxed) }

    func beginDraining() { draining.store(true, ordering: .relaxed) }
}
