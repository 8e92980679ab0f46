internal import COpenSSL

/// Which certificate is shown to a client that asks for a name.
struct CertificateChoice: Sendable {
    /// Certificates of the same names, one for each kind of key: OpenSSL takes what the client understands.
    struct Group: Sendable {
        let context: ContextHandle
        let names: [String]
        var keyKinds: Set<CInt>
    }

    /// The first is for clients that name no server, or one that no certificate is for.
    private(set) var groups: [Group] = []
    /// What an operator should know, such as that a certificate is of no use.
    private(set) var warnings: [String] = []
    private var byName: [String: Int] = [:]

    /// Takes in one more certificate; earlier ones go first where names are the same.
    mutating func add(_ certificate: TLSCertificate, minimumVersion: TLSVersion) throws(TLSConfigurationError) {
        let kind = certificate.keyKind
        let names = certificate.names
        if !names.isEmpty,
            let index = groups.firstIndex(where: { $0.names == names && !$0.keyKinds.contains(kind) })
        {
            try groups[index].context.use(certificate)
            groups[index].keyKinds.insert(kind)
            return
        }
        let context = try ContextHandle(TLS_server_method(), minimumVersion: minimumVersion)
        try context.use(certificate)
        let fresh = names.filter { byName[$0] == nil }
        for name in fresh { byName[name] = groups.count }
        if fresh.isEmpty, !groups.isEmpty {
            warnings.append("\(certificate.source): never shown, for earlier certificates have all its names")
        }
        groups.append(Group(context: context, names: names, keyKinds: [kind]))
    }

    /// Which group is for `name`: the one with that very name, or with a wildcard in place of its first label, or else
    /// the first.
    ///
    /// - SeeAlso: RFC 6125 section 6.4.3.
    func index(for name: String) -> Int {
        var name = name.lowercased()
        if name.last == "." { name.removeLast() }
        if let index = byName[name] { return index }
        guard let dot = name.firstIndex(of: ".") else { return 0 }
        return byName["*\(name[dot...])"] ?? 0
    }
}
