internal import COpenSSL

/// Whether a server asks its clients for certificates.
package enum ClientCertificatePolicy: Sendable {
    /// It does not ask.
    case none
    /// It asks; a certificate that is shown must be good.
    case optional(TrustStore)
    /// It asks and turns away who shows none.
    case required(TrustStore)
}

/// What a listener needs to speak TLS: certificates, protocols, keys of session tickets.
///
/// Immutable. To reload, make a new one with the same `TicketKeys` and give that to new engines; old connections go
/// on with the old one.
///
/// - Note: Sendable: nothing is changed after `init`, and the handles below are Sendable themselves.
package final class TLSServerContext: @unchecked Sendable {
    /// The application protocols offered, most wanted first.
    package let protocols: [ALPNProtocol]
    /// What an operator should know of the certificates, such as that one has expired.
    package let warnings: [String]
    let bioMethod = EngineBIOMethod()
    private let ticketKeys: TicketKeys
    private let trust: TrustStore?
    private let choice: CertificateChoice

    /// The context that a connection begins with.
    var defaultContext: OpaquePointer { choice.groups[0].context.pointer }

    /// Sets up everything a handshake needs.
    ///
    /// - Parameters:
    ///   - certificates: At least one. The first is shown to clients that name no server or one that none is for. Those
    ///     with the same names, such as an RSA and an ECDSA certificate, are offered side by side.
    ///   - protocols: For ALPN, most wanted first. A client that offers none of them is turned away; a client without
    ///     ALPN is not.
    ///   - ticketKeys: Shared by all contexts of the process, so that sessions resume on any of them.
    ///   - now: Seconds since 1970, for the warnings.
    package init(
        certificates: [TLSCertificate],
        protocols: [ALPNProtocol],
        ticketKeys: TicketKeys,
        clients: ClientCertificatePolicy = .none,
        minimumVersion: TLSVersion = .tls12,
        now: Int
    ) throws(TLSConfigurationError) {
        precondition(!certificates.isEmpty, "a TLS server needs a certificate")
        self.protocols = protocols
        self.ticketKeys = ticketKeys
        var mode = SSL_VERIFY_NONE
        switch clients {
        case .none: trust = nil
        case .optional(let store):
            trust = store
            mode = SSL_VERIFY_PEER
        case .required(let store):
            trust = store
            mode = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
        }
        var choice = CertificateChoice()
        for certificate in certificates { try choice.add(certificate, minimumVersion: minimumVersion) }
        self.choice = choice
        warnings = certificates.flatMap { $0.warnings(at: now) } + choice.warnings
        for group in choice.groups { try configure(group.context, verifyMode: mode) }
    }

    private func configure(_ handle: ContextHandle, verifyMode: CInt) throws(TLSConfigurationError) {
        let context = handle.pointer
        // Unretained: the callbacks run on behalf of connections only, and an engine keeps its context.
        let owner = Unmanaged.passUnretained(self).toOpaque()
        penstock_SSL_CTX_set_app_data(context, owner)
        penstock_SSL_CTX_set_tlsext_servername_callback(context) { connection, _, owner in
            TLSServerContext.from(owner).chooseCertificate(for: connection)
        }
        penstock_SSL_CTX_set_tlsext_servername_arg(context, owner)
        if !protocols.isEmpty {
            SSL_CTX_set_alpn_select_cb(
                context,
                { _, chosen, chosenCount, offered, offeredCount, owner in
                    let list = UnsafeBufferPointer(start: offered, count: Int(offeredCount))
                    let preferred = TLSServerContext.from(owner).protocols
                    guard let match = ALPNProtocol.select(from: list, preferred: preferred) else {
                        return SSL_TLSEXT_ERR_ALERT_FATAL
                    }
                    chosen?.pointee = match.name.utf8Start
                    chosenCount?.pointee = UInt8(match.name.utf8CodeUnitCount)
                    return SSL_TLSEXT_ERR_OK
                }, owner)
        }
        SSL_CTX_set_tlsext_ticket_key_evp_cb(context) { connection, name, vector, cipher, mac, sealing in
            let owner = penstock_SSL_CTX_get_app_data(SSL_get_SSL_CTX(connection))
            guard let owner, let name, let vector, let cipher, let mac else { return -1 }
            return TLSServerContext.from(owner).ticketKeys
                .prepare(name: name, vector: vector, cipher: cipher, mac: mac, sealing: sealing == 1)
        }
        // Tickets alone: the cache inside OpenSSL is one lock for all threads and knows nothing of other contexts.
        penstock_SSL_CTX_set_session_cache_mode(context, Int(SSL_SESS_CACHE_OFF))
        SSL_CTX_set_timeout(context, 7200)
        SSL_CTX_set_verify(context, verifyMode, nil)
        if let trust {
            SSL_CTX_set1_cert_store(context, trust.store)
            for authority in trust.authorities { SSL_CTX_add_client_CA(context, authority) }
        }
        let identity = sessionIdentity(verifyMode: verifyMode)
        try handle.check(SSL_CTX_set_session_id_context(context, identity, UInt32(identity.count)), "session identity")
    }

    /// Distinguishes sessions that must not be resumed under other rules for client certificates. The same across
    /// reloads as long as the rules are.
    private func sessionIdentity(verifyMode: CInt) -> [UInt8] {
        let digest = EVP_MD_CTX_new()
        defer { EVP_MD_CTX_free(digest) }
        EVP_DigestInit_ex(digest, EVP_sha256(), nil)
        let mode = UInt8(verifyMode)
        EVP_DigestUpdate(digest, [mode], 1)
        var hash = [UInt8](repeating: 0, count: 32)
        for authority in trust?.authorities ?? [] {
            var count: UInt32 = 0
            X509_digest(authority, EVP_sha256(), &hash, &count)
            EVP_DigestUpdate(digest, hash, Int(count))
        }
        EVP_DigestFinal_ex(digest, &hash, nil)
        return hash
    }

    private func chooseCertificate(for connection: OpaquePointer?) -> CInt {
        guard choice.groups.count > 1, let name = SSL_get_servername(connection, TLSEXT_NAMETYPE_host_name) else {
            return SSL_TLSEXT_ERR_OK
        }
        let index = choice.index(for: String(cString: name))
        if index != 0 { SSL_set_SSL_CTX(connection, choice.groups[index].context.pointer) }
        return SSL_TLSEXT_ERR_OK
    }

    private static func from(_ owner: UnsafeMutableRawPointer?) -> TLSServerContext {
        guard let owner else { preconditionFailure("a TLS callback without its owner") }
        return Unmanaged<TLSServerContext>.fromOpaque(owner).takeUnretainedValue()
    }
}
