package import Reactor
internal import Telemetry
internal import Transport

/// A simulated inference engine behind the OpenAI API, on a reactor of its own: for the demonstration, for tests and
/// for rehearsals. It computes nothing; it behaves.
package final class SimulatedEngine: Sendable {
    /// Where it listens; with port 0 asked for, the port the kernel chose.
    package let address: SocketAddress
    private let host: ReactorBound<SimulatorHost>

    private init(_ address: SocketAddress, _ host: ReactorBound<SimulatorHost>) {
        self.address = address
        self.host = host
    }

    /// The port it listens on.
    package var port: UInt16 { address.port }

    /// `http://127.0.0.1:8000`
    package var url: String { "http://\(address)" }

    /// Starts an engine that speaks HTTP/1.1 and h2c. It serves until `stop`, also if nobody keeps the object.
    ///
    /// - Parameters:
    ///   - settings: How it behaves.
    ///   - address: Where to listen; port 0 lets the kernel choose.
    ///   - reactorIndex: Number of its reactor, which nothing else counts metrics on.
    /// - Throws: What the kernel says, such as that the port is taken.
    package static func start(
        _ settings: EngineSettings = EngineSettings(), on address: SocketAddress = .loopback(port: 0),
        reactorIndex: Int = 0
    ) throws -> SimulatedEngine {
        let descriptor = try Sockets.listen(on: address, sharesPort: false)
        let local = SocketAddress(localOf: descriptor) ?? address
        let host = try Reactor.launch(index: reactorIndex) { reactor in
            try SimulatorHost(settings, descriptor: descriptor, on: reactor)
        }
        return SimulatedEngine(local, host)
    }

    /// Ends at once, as an engine that is killed: connections are cut, the port is free when this returns.
    package func stop() async {
        await host.call { $0.close() }
        // In a round of its own, so that what was still to be sent in that one is sent.
        host.stop()
    }

    /// What it has seen and done.
    package func statistics() async -> EngineStatistics {
        await host.call { $0.service.currentStatistics }
    }

    /// The last request to its API.
    package func lastRequest() async -> RecordedRequest? {
        await host.call { $0.service.lastRequest }
    }

    /// Changes how it behaves towards requests from now on.
    package func configure(_ change: @escaping @Sendable (inout EngineSettings) -> Void) async {
        await host.call { host in
            var settings = host.service.settings
            change(&settings)
            host.service.change(settings)
        }
    }
}

/// What of an engine lives on its reactor.
private final class SimulatorHost {
    let service: SimulatorService
    private let server: HTTPServer
    /// Keeps an engine that nobody holds until it is told to end.
    private var itself: SimulatorHost?

    init(_ settings: EngineSettings, descriptor: Int32, on reactor: Reactor) throws(ReactorError) {
        service = SimulatorService(settings, on: reactor)
        // The server wants meters; nobody reads these.
        let metrics = TransportMetrics(GatewayMetrics(reactors: 1, version: "", droppedLogLines: { 0 }), reactor: 1)
        server = HTTPServer(
            limits: ServerLimits(settings), protocols: [.http1, .http2], tls: nil, service: service, metrics: metrics,
            on: reactor)
        service.server = server
        try server.listen(descriptor)
        itself = self
    }

    func close() {
        itself = nil
        server.drain()
        server.closeAll()
    }
}
