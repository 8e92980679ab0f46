package import Topology

extension Configuration {
    /// What `penstock serve --engine URL` means: one pool of engines, whose models are what they list themselves.
    ///
    /// - Parameters:
    ///   - engines: At least one; repetitions count once.
    ///   - listen: `nil`: the default.
    ///   - admin: `nil`: the default.
    package static func forEngines(
        _ engines: [EndpointAddress], listen: ListenAddress? = nil, admin: ListenAddress? = nil
    ) -> Configuration {
        var configuration = Configuration()
        if let listen { configuration.listeners = [Listener(address: listen)] }
        if let admin { configuration.adminAddress = admin }
        var pool = Pool(name: "engines", endpoints: [])
        for engine in engines where !pool.endpoints.contains(where: { $0.address == engine }) {
            pool.endpoints.append(Endpoint(address: engine))
        }
        pool.discoverModels = true
        configuration.pools = [pool]
        return configuration
    }
}
