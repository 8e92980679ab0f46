internal import EngineSimulator
internal import Topology

/// The simulated engines of `penstock serve --simulate`.
enum DemoEngines {
    /// Starts two engines on free ports of loopback, which serve the model `demo` until the process ends.
    static func start() throws -> [EndpointAddress] {
        try (0..<2).map { _ in
            let engine = try SimulatedEngine.start()
            return try EndpointAddress(parsing: engine.url)
        }
    }
}
