/// An address that is taken, and where the file says so; `nil`: by default.
private typealias BoundAddress = (address: ListenAddress, position: Position?)

/// Readers of what faces clients: `listeners`, `admin`, `limits`.
extension Configuration.Limits {
    mutating func read(_ section: Section) {
        section.size("headerBytes", into: &headerBytes, in: 1 << 10...1 << 20)
        section.integer("headerCount", into: &headerCount, in: 8...1000)
        section.size("requestLineBytes", into: &requestLineBytes, in: 256...64 << 10)
        section.size("bodyBytes", into: &bodyBytes, in: 1 << 10...4 << 30)
        section.integer("concurrentStreams", into: &concurrentStreams, in: 1...10_000)
        section.integer("connections", into: &connections, in: 1...1_000_000)
        timeouts.read(section.section("timeouts", title: "limits.timeouts"))
        section.finish()
    }
}

extension Configuration.Timeouts {
    mutating func read(_ section: Section) {
        section.duration("idle", into: &idle, in: .seconds(1)...hours(24))
        section.duration("tlsHandshake", into: &tlsHandshake, in: .milliseconds(100)...minutes(10))
        section.duration("header", into: &header, in: .milliseconds(100)...minutes(10))
        section.duration("bodyIdle", into: &bodyIdle, in: .milliseconds(100)...hours(1))
        section.duration("body", into: &body, in: .seconds(1)...hours(24))
        section.duration("write", into: &write, in: .milliseconds(100)...hours(24))
        section.finish()
    }
}

extension Decoding {
    /// Reads `limits`, `listeners` and `admin`, and finds addresses that clash.
    func readListeners(_ root: Section, into configuration: inout Configuration) {
        var limits = Configuration.Limits()
        limits.read(root.section("limits"))
        var bound: [BoundAddress] = []
        if let items = root.items("listeners") {
            configuration.listeners = items.map { listener($0, limits: limits, bound: &bound) }
            if items.isEmpty, let node = root.node("listeners") {
                report("listeners is empty; leave it out for the default 127.0.0.1:4000", at: node.position)
            }
        } else {
            configuration.listeners = [Configuration.Listener()]
            configuration.listeners[0].limits = limits
            bound.append((configuration.listeners[0].address, nil))
        }
        readAdmin(root, into: &configuration, bound: &bound)
    }

    private func listener(
        _ node: YAMLNode, limits: Configuration.Limits, bound: inout [BoundAddress]
    ) -> Configuration.Listener {
        let section = Section(node, path: "listeners[]", title: "listener", decoding: self)
        var listener = Configuration.Listener()
        listener.limits = limits
        if let (address, position) = address("address", in: section) {
            listener.address = address
            section.title = "listener \(address)"
            note(address, at: position, in: &bound)
        } else if !section.has("address") {
            note(listener.address, at: node.position, in: &bound)
        }
        readProtocols(section, into: &listener)
        if let tls = section.optionalSection("tls") { listener.tls = serverTLS(tls) }
        listener.limits.read(section.section("limits"))
        section.finish()
        return listener
    }

    private func address(_ key: String, in section: Section) -> (ListenAddress, Position)? {
        guard let (text, position) = section.string(key) else { return nil }
        do throws(ListenAddressError) {
            return (try ListenAddress(parsing: text), position)
        } catch {
            let expected = "expected an address such as 127.0.0.1:4000, [::1]:4000 or :4000"
            report("\(key) \(quoted(text)) \(error.explanation), \(expected)", at: position)
            return nil
        }
    }

    private func note(
        _ address: ListenAddress, at position: Position, in bound: inout [BoundAddress]
    ) {
        if let first = bound.first(where: { $0.address.clashes(with: address) }) {
            let place = first.position.map { "at \($0.line):\($0.column)" } ?? "that is taken by default"
            report("address \(address) clashes with \(first.address) \(place)", at: position)
        }
        bound.append((address, position))
    }

    private func readProtocols(_ section: Section, into listener: inout Configuration.Listener) {
        guard let items = section.items("protocols") else { return }
        var (http1, http2) = (false, false)
        for item in items {
            guard let text = text(of: item, for: "protocols", expected: "a list of http1 and http2") else { return }
            switch text {
            case "http1": http1 = true
            case "http2": http2 = true
            default:
                let hint = suggestion(for: text, among: ["http1", "http2"])
                report("protocols may hold http1 and http2, holds \(quoted(text))\(hint)", at: item.position)
                return
            }
        }
        if items.isEmpty {
            report("protocols must name http1, http2 or both, is empty", at: section.node("protocols")?.position)
            return
        }
        (listener.http1, listener.http2) = (http1, http2)
    }

    private func serverTLS(_ section: Section) -> Configuration.ServerTLS? {
        var tls = Configuration.ServerTLS(certificates: [])
        let items = section.items("certificates")
        for item in items ?? [] {
            let pair = Section(item, path: "listeners[].tls.certificates[]", title: "certificates", decoding: self)
            if let certificate = certificate(pair) { tls.certificates.append(certificate) }
            pair.finish()
        }
        if items?.isEmpty ?? true, !section.has("certificates") || items != nil {
            section.report("tls needs certificates, a list of {certificate: FILE, key: FILE}")
        }
        section.choice("minimumVersion", into: &tls.minimumVersion)
        if let clients = section.optionalSection("clientCertificates") {
            if let authorities = clients.pem("ca", holding: "CERTIFICATE") {
                tls.clientCertificates = Configuration.ClientCertificates(authorities: authorities)
            } else if !clients.has("ca") {
                clients.report("clientCertificates needs ca, a file with the certificates of who issues them")
            }
            var isRequired = true
            clients.boolean("required", into: &isRequired)
            tls.clientCertificates?.isRequired = isRequired
            clients.finish()
        }
        section.finish()
        return tls
    }

    /// Reads `certificate` and `key`, which need each other; `nil` if both are absent or one is wrong.
    func certificate(_ section: Section) -> Configuration.Certificate? {
        let chain = section.pem("certificate", holding: "CERTIFICATE")
        let key = section.pem("key", holding: "PRIVATE KEY")
        for (present, absent) in [("certificate", "key"), ("key", "certificate")] {
            if section.has(present), !section.has(absent) { section.report("\(present) needs \(absent) beside it") }
        }
        guard let chain, let key else { return nil }
        return Configuration.Certificate(chain: chain, key: key)
    }

    private func readAdmin(
        _ root: Section, into configuration: inout Configuration,
        bound: inout [BoundAddress]
    ) {
        let node = root.node("admin")
        if let node, case .scalar("off", _) = node.content {
            configuration.adminAddress = nil
            return
        }
        let section = Section(node, path: "admin", title: "admin", decoding: self)
        if let (address, position) = address("address", in: section) {
            configuration.adminAddress = address
            note(address, at: position, in: &bound)
        } else if let address = configuration.adminAddress, !section.has("address") {
            // The default can clash, too; what the file says is to blame then.
            if let clash = bound.first(where: { $0.address.clashes(with: address) }) {
                report("address \(clash.address) clashes with admin.address, by default \(address)", at: clash.position)
            }
        }
        section.finish()
    }
}

func minutes(_ count: Int) -> Duration { .seconds(count * 60) }
func hours(_ count: Int) -> Duration { .seconds(count * 3600) }
