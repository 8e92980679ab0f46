internal import COpenSSL

/// What the handshake has settled.
extension TLSEngine {
    /// The version of TLS. Known once established.
    package var version: TLSVersion? {
        guard isEstablished, let name = SSL_get_version(connection) else { return nil }
        return TLSVersion(rawValue: String(cString: name))
    }

    /// The name of the cipher, for logs. Known once established.
    package var cipher: String? {
        guard isEstablished, let name = SSL_CIPHER_get_name(SSL_get_current_cipher(connection)) else { return nil }
        return String(cString: name)
    }

    /// Whether an earlier session was resumed.
    package var isResumed: Bool { SSL_session_reused(connection) == 1 }

    /// The server name that the client asked for, in its spelling.
    package var requestedServerName: String? {
        SSL_get_servername(connection, TLSEXT_NAMETYPE_host_name).map { String(cString: $0) }
    }

    /// The subject of the peer's certificate, in the form of RFC 2253; `nil` if it showed none. On a server that
    /// verifies, whatever stands here was verified.
    package var peerSubject: String? {
        guard isEstablished, let certificate = SSL_get0_peer_certificate(connection),
            let memory = BIO_new(BIO_s_mem())
        else { return nil }
        defer { BIO_free(memory) }
        penstock_print_subject(memory, certificate)
        var text = [UInt8](repeating: 0, count: 1024)
        let count = BIO_read(memory, &text, CInt(text.count))
        return count > 0 ? String(decoding: text.prefix(Int(count)), as: UTF8.self) : nil
    }
}
