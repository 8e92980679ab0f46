internal import Bytes
internal import Config
internal import HTTP
internal import OpenAI
internal import TLS
internal import Topology

/// How the endpoints of one provider are spoken to; made when the configuration loads.
final class ProviderPolicy: Sendable {
    /// What it was made from, to see whether a reload changed it.
    let source: Configuration.Provider
    /// Set on every request: the credential and the configured fields.
    let fields: HeaderFields
    /// Whether the client's credentials go on to the endpoint.
    let forwardsCredentials: Bool
    /// Whether engines are asked to report usage at the end of a stream.
    let asksForUsage: Bool
    /// `nil` if no endpoint needs it: to load the system's authorities takes 20 ms and a megabyte.
    let tls: TLSClientContext?

    init(
        source: Configuration.Provider, fields: HeaderFields, forwardsCredentials: Bool, asksForUsage: Bool,
        tls: TLSClientContext?
    ) {
        self.source = source
        self.fields = fields
        self.forwardsCredentials = forwardsCredentials
        self.asksForUsage = asksForUsage
        self.tls = tls
    }

    /// Whether a field of the client gives way to one of the provider's.
    func replaces(_ field: HeaderFields.Field, of head: borrowing HeaderFields) -> Bool {
        let fields = fields
        for own in fields.fields {
            if field.name != .other || own.name != .other {
                if own.name == field.name { return true }
            } else if bytesEqual(
                fields.bytes.span.extracting(own.nameRange), head.bytes.span.extracting(field.nameRange))
            {
                return true
            }
        }
        return false
    }
}

/// All that the reactors route by at one time; immutable, replaced whole.
final class GatewayState: Sendable {
    let snapshot: Snapshot
    /// By `Pool.provider`.
    let providers: [ProviderPolicy]
    /// Slot of the provider, by slot of the endpoint.
    let providerOfEndpoint: [Int]
    /// The path put before every request, by slot of the endpoint.
    let prefixes: [[UInt8]]
    /// The value of `Host`, by slot of the endpoint.
    let authorities: [[UInt8]]
    /// The models that can be listed.
    let models: [ModelList.Entry]
    /// For the log, by index.
    let modelLabels: [[UInt8]]
    let poolLabels: [[UInt8]]

    /// - Parameter created: Seconds since 1970 that `/v1/models` shows.
    init(snapshot: Snapshot, providers: [ProviderPolicy], created: Int) {
        self.snapshot = snapshot
        self.providers = providers
        var providerOfEndpoint = [Int](repeating: 0, count: snapshot.endpoints.count)
        for pool in snapshot.pools {
            for slot in pool.endpoints { providerOfEndpoint[slot] = pool.provider }
        }
        self.providerOfEndpoint = providerOfEndpoint
        prefixes = snapshot.endpoints.enumerated().map { slot, endpoint in
            let provider = providers[providerOfEndpoint[slot]].source
            return Array((endpoint.address.pathPrefix + provider.pathPrefix).utf8)
        }
        authorities = snapshot.endpoints.map { Array($0.address.authority.utf8) }
        modelLabels = snapshot.models.models.map { Array($0.name.utf8) }
        poolLabels = snapshot.pools.map { Array($0.name.utf8) }
        models = snapshot.models.exactNames.map {
            ModelList.Entry(id: $0, created: created, ownedBy: Array("penstock".utf8))
        }
    }

    /// The policy of a pool's provider.
    func provider(ofPool slot: Int) -> ProviderPolicy { providers[snapshot.pools[slot].provider] }
}
