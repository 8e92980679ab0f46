internal import COpenSSL
internal import Synchronization

/// Whether the certificate of a server is checked.
package enum ServerVerification: Sendable {
    /// It must lead to one of these authorities and be for the name we asked for.
    case required(TrustStore)
    /// Any certificate will do: no protection against an active attacker. Only on an operator's explicit word.
    case off
}

/// What connections to servers have in common: whom to trust, protocols to offer, sessions to resume.
///
/// - Note: Sendable: immutable but for the session cache, which has its lock.
package final class TLSClientContext: @unchecked Sendable {
    let handle: ContextHandle
    let bioMethod = EngineBIOMethod()
    let isVerifying: Bool
    private let sessions = Mutex<[String: Session]>([:])

    /// Owns one session of a server.
    private final class Session: @unchecked Sendable {
        // Sendable: the pointer is set once, and OpenSSL counts references to sessions atomically.
        let pointer: OpaquePointer
        init(_ pointer: OpaquePointer) { self.pointer = pointer }
        deinit { SSL_SESSION_free(pointer) }
    }

    /// Sets up everything a handshake needs.
    ///
    /// - Parameters:
    ///   - verification: What to make of the server's certificate.
    ///   - protocols: Offered by ALPN, most wanted first; empty offers nothing.
    ///   - certificate: Shown to servers that ask for one.
    package init(
        verification: ServerVerification,
        protocols: [ALPNProtocol],
        certificate: TLSCertificate? = nil,
        minimumVersion: TLSVersion = .tls12
    ) throws(TLSConfigurationError) {
        handle = try ContextHandle(TLS_client_method(), minimumVersion: minimumVersion)
        let context = handle.pointer
        switch verification {
        case .required(let trust):
            isVerifying = true
            SSL_CTX_set1_cert_store(context, trust.store)
            SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
        case .off:
            isVerifying = false
            SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nil)
        }
        if let certificate { try handle.use(certificate) }
        let list = ALPNProtocol.wireFormat(protocols)
        // Alone among its kind this function returns 0 for success.
        if !list.isEmpty {
            try handle.check(1 - SSL_CTX_set_alpn_protos(context, list, UInt32(list.count)), "protocols")
        }
        penstock_SSL_CTX_set_session_cache_mode(
            context, Int(SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL))
        SSL_CTX_sess_set_new_cb(context) { connection, session in
            guard let session, let owner = penstock_SSL_get_app_data(connection) else { return 0 }
            // Unretained: the engine is in the middle of a call into OpenSSL.
            return Unmanaged<TLSEngine>.fromOpaque(owner)._withUnsafeGuaranteedRef { $0.keep(session: session) } ? 1 : 0
        }
    }

    /// Takes ownership of a session for the next connection of that key.
    func store(session: OpaquePointer, for key: String) {
        let session = Session(session)
        sessions.withLock { sessions in
            // Names come from configuration and are few; the bound is for those that come from elsewhere.
            if sessions.count >= 1024, sessions[key] == nil { sessions.removeAll() }
            sessions[key] = session
        }
    }

    /// Offers the server the last session we had with it.
    func resume(_ connection: OpaquePointer, key: String) {
        guard let session = sessions.withLock({ $0[key] }), SSL_SESSION_is_resumable(session.pointer) == 1 else {
            return
        }
        SSL_set_session(connection, session.pointer)
    }
}
