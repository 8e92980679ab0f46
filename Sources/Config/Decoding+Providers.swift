internal import Topology

/// Readers of `providers`.
extension Configuration.Provider {
    /// Reads everything but the name.
    mutating func read(_ section: Section) {
        let decoding = section.decoding
        if let node = section.node("apiKey") { apiKey = decoding.secret(of: node, for: "apiKey") }
        section.choice("apiKeyHeader", into: &apiKeyHeader)
        if let (path, position) = section.string("pathPrefix") {
            pathPrefix = decoding.pathPrefix(path, at: position) ?? ""
        }
        headers = decoding.headers(section.node("headers"))
        section.choice("forwardClientCredentials", into: &forwardClientCredentials)
        section.choice("protocol", into: &httpProtocol)
        tls.read(section.section("tls", title: "tls"))
        timeouts.read(section.section("timeouts", title: "timeouts"))
        connections.read(section.section("connections", title: "connections"))
        section.choice("includeUsage", into: &includeUsage)
        section.choice("engine", into: &engine)
        checkCredentials(section)
        section.finish()
    }

    private func checkCredentials(_ section: Section) {
        if section.has("apiKey"), forwardClientCredentials == .always {
            let position = section.node("forwardClientCredentials")?.position
            section.decoding.report("forwardClientCredentials cannot be always beside an apiKey", at: position)
        }
        if section.has("apiKey"), headers.contains(where: { $0.name == apiKeyHeader.rawValue }) {
            section.decoding.report(
                "headers hold \(apiKeyHeader.rawValue), which apiKey sets", at: section.node("headers")?.position)
        }
    }
}

extension Configuration.ClientTLS {
    mutating func read(_ section: Section) {
        authorities = section.pem("ca", holding: "CERTIFICATE")
        if let (name, position) = section.string("serverName") {
            if isHostName(name[...]) {
                serverName = name.lowercased()
            } else {
                section.decoding.report("serverName must be a host name, is \(quoted(name))", at: position)
            }
        }
        section.boolean("verify", into: &verifiesPeer)
        if !verifiesPeer, let node = section.node("verify") {
            section.decoding.report(
                "certificates of endpoints are not verified", at: node.position, severity: .warning)
        }
        certificate = section.decoding.certificate(section)
        section.finish()
    }
}

extension Configuration.ProviderTimeouts {
    mutating func read(_ section: Section) {
        section.duration("connect", into: &connect, in: .milliseconds(10)...minutes(10))
        section.duration("tlsHandshake", into: &tlsHandshake, in: .milliseconds(10)...minutes(10))
        section.duration("firstByte", into: &firstByte, in: .milliseconds(10)...hours(24))
        section.duration("idle", into: &idle, in: .milliseconds(10)...hours(24))
        section.duration("total", into: &total, in: .milliseconds(10)...hours(24))
        section.finish()
    }
}

extension Configuration.ConnectionLimits {
    mutating func read(_ section: Section) {
        section.integer("maxPerEndpoint", into: &maxPerEndpoint, in: 1...65_536)
        section.integer("maxPending", into: &maxPending, in: 0...65_536)
        section.duration("idleTimeout", into: &idleTimeout, in: .zero...hours(1))
        section.integer("maxStreams", into: &maxStreams, in: 1...10_000)
        section.finish()
    }
}

extension Decoding {
    /// Reads `providers`; of those with the same name the first stands.
    func readProviders(_ root: Section) -> [(provider: Configuration.Provider, position: Position)] {
        var providers: [(provider: Configuration.Provider, position: Position)] = []
        for item in root.items("providers") ?? [] {
            let section = Section(item, path: "providers[]", title: "provider", decoding: self)
            guard let (name, position) = name(of: section) else {
                var unnamed = Configuration.Provider()
                unnamed.read(section)
                continue
            }
            section.title = "provider \(quoted(name))"
            var provider = Configuration.Provider(name: name)
            provider.read(section)
            if let first = providers.first(where: { $0.provider.name == name }) {
                reportDuplicate("provider", name, at: position, first: first.position)
            } else {
                providers.append((provider, position))
            }
        }
        return providers
    }

    /// The `name` every item of a list of named things has; `nil` after a problem was reported.
    func name(of section: Section) -> (text: String, position: Position)? {
        if section.position != nil, !section.has("name") { section.report("\(section.title) needs a name") }
        guard let (text, position) = section.string("name", limit: 128) else { return nil }
        return (text, position)
    }

    func reportDuplicate(_ what: String, _ name: String, at position: Position, first: Position) {
        report("\(what) \(quoted(name)) is here twice, first at \(first.line):\(first.column)", at: position)
    }

    /// A path that can stand before others: begins with `/`, has no slash at its end.
    func pathPrefix(_ path: String, at position: Position) -> String? {
        guard path.hasPrefix("/") else {
            report("pathPrefix must begin with /, is \(quoted(path))", at: position)
            return nil
        }
        do throws(EndpointAddressError) {
            // The rules of an endpoint's path hold; but here a /v1 at the end is meant.
            return try EndpointAddress(parsing: "http://host\(path)/v1").pathPrefix
        } catch {
            report("pathPrefix \(quoted(path)) \(error.explanation)", at: position)
            return nil
        }
    }

    /// Reads a mapping of field names to values, which may be secrets.
    func headers(_ node: YAMLNode?) -> [Configuration.Header] {
        knownKeys.insert("providers[].headers.*")
        guard let node, !node.isEmpty else { return [] }
        guard case .mapping(let entries) = node.content else {
            report("headers must be a mapping of names to values, is \(node.kind)", at: node.position)
            return []
        }
        // Any value may be secret, and in flow style they stand in one line.
        showsLines = entries.first?.position.line != node.position.line
        defer { showsLines = true }
        var headers: [Configuration.Header] = []
        if entries.count > 64 { report("more than 64 headers", at: node.position) }
        for entry in entries.prefix(64) {
            let name = entry.key.lowercased()
            if let complaint = complaint(about: name) {
                report(
                    "header \(quoted(entry.key)) \(complaint)", at: entry.position,
                    excerpt: .key(entry.key.unicodeScalars.count))
            } else if headers.contains(where: { $0.name == name }) {
                report(
                    "header \(quoted(entry.key)) is here twice in different case", at: entry.position,
                    excerpt: .key(entry.key.unicodeScalars.count))
            } else if let value = secret(of: entry.value, for: "header \(name)", warnsOfLiteral: false) {
                headers.append(Configuration.Header(name: name, value: value))
            }
        }
        return headers
    }

    /// Why a header of that name, in lower case, cannot be set; `nil` if it can.
    private func complaint(about name: String) -> String? {
        guard isFieldName(name) else { return "is no valid field name" }
        // Framing and connection belong to the gateway: RFC 9110 sections 7.6.1 and 8.6. It reads bodies, so it also
        // has to keep them uncompressed.
        let reserved = [
            "host", "content-length", "transfer-encoding", "connection", "proxy-connection", "keep-alive", "te",
            "trailer", "upgrade", "expect", "http2-settings", "accept-encoding", "content-encoding", "content-type",
        ]
        return reserved.contains(name) ? "is set by the gateway itself" : nil
    }
}

/// Whether a name in lower case can be that of a header field, and has at most 256 bytes: RFC 9110 section 5.6.2.
func isFieldName(_ name: String) -> Bool {
    let marks = "!#$%&'*+-.^_`|~".utf8
    return (1...256).contains(name.utf8.count)
        && name.utf8.allSatisfy { (48...57).contains($0) || (97...122).contains($0) || marks.contains($0) }
}
