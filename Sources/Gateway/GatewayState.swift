internal import Bytes
internal import Config
internal import HTTP
internal import OpenAI
internal import TLS
internal import Topology
internal import Transport

/// How the endpoints of one provider are spoken to; made when the configuration loads.
struct ProviderPolicy: Sendable {
    /// What it was made from, to see whether a reload changed it.
    let source: Configuration.Provider
    /// Set on every request: the credential and the configured fields.
    let fields: HeaderFields
    /// Whether the client's credentials go on to the endpoint.
    let forwardsCredentials: Bool
    /// Whether engines are asked to report usage at the end of a stream.
    let asksForUsage: Bool
    let tls: TLSClientContext?

    /// Whether a field of the client gives way to one of the provider's.
    func replaces(_ field: HeaderFields.Field, of head: borrowing HeaderFields) -> Bool {
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
    /// The path put before every request, by slot of the endpoint.
    let prefixes: [[UInt8]]
    /// The value of `Host`, by slot of the endpoint.
    let authorities: [[UInt8]]
    /// The models that can be listed.
    let modelList: ModelList

    init(snapshot: Snapshot, providers: [ProviderPolicy], created: Int) {
        self.snapshot = snapshot
        self.providers = providers
        var providerOf = [Int](repeating: 0, count: snapshot.endpoints.count)
        for pool in snapshot.pools {
            for slot in pool.endpoints { providerOf[slot] = pool.provider }
        }
        prefixes = snapshot.endpoints.enumerated().map { slot, endpoint in
            Array((endpoint.address.pathPrefix + providers[providerOf[slot]].source.pathPrefix).utf8)
        }
        authorities = snapshot.endpoints.map { Array($0.address.authority.utf8) }
        modelList = ModelList(
            snapshot.models.exactNames.map { ModelList.Entry(id: $0, created: created, owner: Array("penstock".utf8)) })
    }

    /// Pools by name, to carry over what belongs to them.
    func provider(of pool: Pool) -> ProviderPolicy { providers[pool.provider] }
}
