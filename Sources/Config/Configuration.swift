package import Topology

/// All that an operator decides: what `gateway.yaml` says, checked, with defaults filled in.
///
/// A value: made once per load, compared with its successor on reload, never changed in between.
package struct Configuration: Sendable, Equatable {
    /// Where clients connect. At least one; default `127.0.0.1:4000`, plain. `listeners` in the file.
    package var listeners: [Listener] = [Listener()]
    /// Where operators connect (metrics, health); `nil`: nowhere. Default `127.0.0.1:4001`. `admin.address` in the file.
    package var adminAddress: ListenAddress? = ListenAddress(host: "127.0.0.1", port: 4001)
    /// Reactors, 1...1024; `nil`: as many as cores are usable. Default `nil`, `auto` in the file.
    package var workers: Int?
    /// Names clients may write and the pools that serve them.
    package var models: [Model] = []
    /// Name of the model that serves names no model matches; `nil`: they are unknown. Default `nil`.
    package var defaultModel: String?
    /// Interchangeable endpoints under a name, with their provider. No two have the same name.
    package var pools: [Pool] = []
    package var logging = Logging()
    package var metrics = Metrics()
    package var shutdown = Shutdown()

    package init() {}

    /// The providers that pools use, each once, in the order of the pools. No two have the same name.
    package var providers: [Provider] {
        var seen: Set<String> = []
        return pools.map(\.provider).filter { seen.insert($0.name).inserted }
    }

    /// The pool of that name.
    package func pool(named name: String) -> Pool? { pools.first { $0.name == name } }

    /// The model of that name as it stands under `models`, no alias or match of its `*`.
    package func model(named name: String) -> Model? { models.first { $0.name == name } }
}

extension Configuration {
    /// What is logged, how and whereto. `logging` in the file.
    package struct Logging: Sendable, Equatable {
        /// The least severe event that is written. Default `info`.
        package var level = Level.info
        /// Default `auto`.
        package var format = Format.auto
        /// Default `stdout`. In the file `stdout`, `stderr` or a path.
        package var output = Output.stdout
        /// Whether each finished exchange writes one line. Default `true`.
        package var access = true

        package init() {}

        /// How grave an event is, least first.
        package enum Level: String, Sendable, CaseIterable { case debug, info, notice, warning, error }

        /// `auto`: `console` on a terminal, `json` elsewhere.
        package enum Format: String, Sendable, CaseIterable { case auto, json, console }

        /// Whereto lines are written. A file is opened for appending.
        package enum Output: Sendable, Equatable { case stdout, stderr, file(String) }
    }

    /// What the admin listener tells a scraper. `metrics` in the file.
    package struct Metrics: Sendable, Equatable {
        /// Whether the admin listener serves metrics. Default `true`.
        package var enabled = true
        /// Path of the scrape on the admin listener. Default `/metrics`.
        package var path = "/metrics"

        package init() {}
    }

    /// How the process ends. `shutdown` in the file.
    package struct Shutdown: Sendable, Equatable {
        /// From the signal, when readiness turns false, until listeners close. 0...1h, default 0s.
        ///
        /// Lets load balancers notice before connections are refused.
        package var delay = Duration.zero
        /// How long running exchanges may go on after that. 0...24h, default 30s.
        package var timeout = Duration.seconds(30)

        package init() {}
    }

    /// One address in a pool.
    package struct Endpoint: Sendable, Hashable {
        package var address: EndpointAddress
        /// Default the provider's.
        package var httpProtocol: UpstreamProtocol

        package init(address: EndpointAddress, httpProtocol: UpstreamProtocol = .auto) {
            self.address = address
            self.httpProtocol = httpProtocol
        }
    }

    /// What is spoken to an endpoint. `auto`: ALPN decides on https, HTTP/1.1 on http. `http2` on http: prior knowledge.
    package enum UpstreamProtocol: String, Sendable, CaseIterable { case auto, http1, http2 }
}
