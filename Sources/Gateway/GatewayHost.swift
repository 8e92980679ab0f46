internal import Config
internal import Reactor
internal import TLS
internal import Transport

/// What of the gateway lives on one reactor: the worker, and a server for each listener.
final class GatewayHost {
    let worker: GatewayWorker
    let reactor: Reactor
    private var servers: [Server] = []
    /// Only on the first reactor.
    var admin: HTTPServer?
    var prober: EndpointProber?

    private struct Server {
        let address: ListenAddress
        let http: HTTPServer
    }

    init(_ worker: GatewayWorker) {
        self.worker = worker
        reactor = worker.reactor
    }

    /// Serves a listener from a listening socket.
    func add(_ plan: ListenerPlan, descriptor: Int32, workers: Int) throws(ReactorError) {
        let server = HTTPServer(
            limits: ServerLimits(plan.limits, workers: workers), protocols: plan.protocols, tls: plan.tls,
            service: worker, metrics: worker.transportMetrics, on: reactor)
        try server.listen(descriptor)
        servers.append(Server(address: plan.address, http: server))
    }

    /// Goes over to other limits and certificates, for new connections, and another path of the metrics.
    func update(_ plans: [ListenerPlan], _ settings: Configuration.Metrics, workers: Int) {
        (admin?.service as? AdminService)?.update(settings)
        for server in servers {
            guard let plan = plans.first(where: { $0.address == server.address }) else { continue }
            server.http.update(limits: ServerLimits(plan.limits, workers: workers), tls: plan.tls)
        }
    }

    /// Goes over to another state.
    func update(_ state: GatewayState) {
        worker.update(state)
        prober?.follow(state)
    }

    /// Tells clients to go elsewhere; what runs goes on, new connections are still served.
    func announceShutdown() {
        for server in servers { server.http.announceShutdown() }
    }

    /// Takes no new connections; what runs goes on.
    func drain() {
        for server in servers { server.http.drain() }
    }

    /// Ends what is left.
    func closeAll() {
        for server in servers { server.http.closeAll() }
        prober?.stop()
        admin?.drain()
        admin?.closeAll()
        worker.closeEndpoints()
    }

    /// Connections of clients.
    var connectionCount: Int { servers.reduce(0) { $0 + $1.http.connectionCount } }
}

/// A listener as the reactors need it.
struct ListenerPlan: Sendable {
    let address: ListenAddress
    let limits: Configuration.Limits
    let protocols: HTTPServer.Protocols
    let tls: TLSServerContext?

    /// - Parameter now: Seconds since 1970, for warnings about certificates.
    init(_ listener: Configuration.Listener, tickets: TicketKeys, now: Int) throws(TLSConfigurationError) {
        address = listener.address
        limits = listener.limits
        var protocols: HTTPServer.Protocols = []
        if listener.http1 { protocols.insert(.http1) }
        if listener.http2 { protocols.insert(.http2) }
        self.protocols = protocols
        tls = try listener.tls.map { settings throws(TLSConfigurationError) in
            try TLSServerContext(settings, protocols: protocols, tickets: tickets, now: now)
        }
    }
}

extension TLSServerContext {
    /// The context of a listener.
    convenience init(
        _ settings: Configuration.ServerTLS, protocols: HTTPServer.Protocols, tickets: TicketKeys, now: Int
    ) throws(TLSConfigurationError) {
        var certificates: [TLSCertificate] = []
        for certificate in settings.certificates {
            certificates.append(try TLSCertificate(PEMSource(certificate.chain), key: PEMSource(certificate.key)))
        }
        var clients = ClientCertificatePolicy.none
        if let wanted = settings.clientCertificates {
            let trust = try TrustStore(PEMSource(wanted.authorities))
            clients = wanted.isRequired ? .required(trust) : .optional(trust)
        }
        var offered: [ALPNProtocol] = []
        if protocols.contains(.http2) { offered.append(.h2) }
        if protocols.contains(.http1) { offered.append(.http1) }
        try self.init(
            certificates: certificates, protocols: offered, ticketKeys: tickets, clients: clients,
            minimumVersion: settings.minimumVersion == .v13 ? .tls13 : .tls12, now: now)
    }
}
