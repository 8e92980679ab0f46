internal import Bytes

/// One address in a pool, as a value: two with the same identity are the same endpoint, across reloads.
package struct Endpoint: Sendable, Hashable {
    package let address: EndpointAddress
    /// Name of the provider whose settings hold for it.
    package let provider: String
    /// What is spoken to it: `http1`, `http2` or `auto`.
    package let spoken: SpokenProtocol

    package enum SpokenProtocol: UInt8, Sendable { case automatic, http1, http2 }

    package init(address: EndpointAddress, provider: String, spoken: SpokenProtocol) {
        self.address = address
        self.provider = provider
        self.spoken = spoken
    }
}

/// Interchangeable endpoints that serve one upstream model.
package struct Pool: Sendable, Equatable {
    package let name: String
    /// The name endpoints know the model by; `nil`: the one the client's name resolves to.
    package let upstreamModel: [UInt8]?
    /// Slots in `Snapshot.endpoints`; never empty.
    package let endpoints: [Int]
    /// Slot of the provider's settings.
    package let provider: Int

    package init(name: String, upstreamModel: [UInt8]?, endpoints: [Int], provider: Int) {
        self.name = name
        self.upstreamModel = upstreamModel
        self.endpoints = endpoints
        self.provider = provider
    }
}

/// A name clients may write, and where its requests go.
package struct Model: Sendable, Equatable {
    /// As configured, with its `*` if it has one; a label of metrics.
    package let name: String
    /// The first that matches a request holds; the last one matches always.
    package let routes: [Route]
    /// Other names for it, each with a `*` or exact.
    package let aliases: [String]
    /// The models that answer what this one cannot; indices in `ModelTable.models`.
    package let fallbacks: Fallbacks

    package init(name: String, routes: [Route], aliases: [String] = [], fallbacks: Fallbacks = Fallbacks()) {
        self.name = name
        self.routes = routes
        self.aliases = aliases
        self.fallbacks = fallbacks
    }

    /// A model served by one pool, by its slot in `Snapshot.pools`.
    package init(name: String, pool: Int, aliases: [String] = []) {
        self.init(name: name, routes: [Route(tiers: [Tier(targets: [Target(pool: pool)])])], aliases: aliases)
    }
}

/// All that requests are routed by at one time: immutable, replaced whole.
package final class Snapshot: Sendable {
    /// Counts the snapshots of this process, from 1.
    package let generation: Int
    package let endpoints: [Endpoint]
    package let pools: [Pool]
    package let models: ModelTable
    /// Index of the model that serves names which no model matches.
    package let defaultModel: Int?

    package init(
        generation: Int, endpoints: [Endpoint], pools: [Pool], models: [Model], defaultModel: Int? = nil
    ) {
        self.defaultModel = defaultModel
        self.generation = generation
        self.endpoints = endpoints
        self.pools = pools
        self.models = ModelTable(models)
    }
}
