internal import Bytes
internal import COpenSSL

/// Owns one `SSL_CTX` with what every connection of ours has in common.
///
/// - Note: Sendable: set up before it is shared, and OpenSSL locks what it changes in a context later.
final class ContextHandle: @unchecked Sendable {
    let pointer: OpaquePointer

    /// TLS 1.2 and 1.3, forward secrecy and authenticated encryption only, 112 bits of security or more.
    init(_ method: OpaquePointer?, minimumVersion: TLSVersion) throws(TLSConfigurationError) {
        ERR_clear_error()
        guard let context = SSL_CTX_new(method) else {
            throw TLSConfigurationError(
                source: "OpenSSL", reason: .refused, detail: OpenSSLErrors.text(or: "no context"))
        }
        pointer = context
        SSL_CTX_set_security_level(context, 2)
        penstock_SSL_CTX_set_safe_options(context)
        // Without RELEASE_BUFFERS an idle connection keeps up to 34 KiB of record buffers; no cost was measured.
        penstock_SSL_CTX_set_mode(
            context, Int(SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY))
        let lowest = minimumVersion == .tls12 ? TLS1_2_VERSION : TLS1_3_VERSION
        try check(penstock_SSL_CTX_set_min_proto_version(context, lowest), "protocol version")
        // AES-128 first, here and below: a quarter less work than AES-256, and no attack on either. The ciphers of
        // RFC 9113 appendix A, which HTTP/2 forbids, are not among these.
        try check(
            SSL_CTX_set_cipher_list(
                context, "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE+AESGCM:ECDHE+CHACHA20"),
            "ciphers")
        try check(
            SSL_CTX_set_ciphersuites(
                context, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"), "ciphers")
        try check(penstock_SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384"), "groups")
    }

    deinit {
        SSL_CTX_free(pointer)
    }

    /// Throws what OpenSSL says if `result` is not 1.
    func check(_ result: CInt, _ subject: String) throws(TLSConfigurationError) {
        guard result == 1 else {
            throw TLSConfigurationError(
                source: subject, reason: .refused, detail: OpenSSLErrors.text(or: "refused by OpenSSL"))
        }
    }

    /// Presents `certificate` in the handshakes of this context.
    func use(_ certificate: TLSCertificate) throws(TLSConfigurationError) {
        ERR_clear_error()
        guard SSL_CTX_use_certificate(pointer, certificate.leaf) == 1,
            SSL_CTX_use_PrivateKey(pointer, certificate.key) == 1,
            penstock_SSL_CTX_set1_chain(pointer, certificate.chain) == 1
        else {
            let errors = OpenSSLErrors.drain()
            let weak = errors.contains {
                $0.library == ERR_LIB_SSL
                    && [SSL_R_EE_KEY_TOO_SMALL, SSL_R_CA_KEY_TOO_SMALL, SSL_R_CA_MD_TOO_WEAK].contains($0.reason)
            }
            let text = errors.map(\.text).joined(separator: "; ")
            throw TLSConfigurationError(
                source: certificate.source, reason: weak ? .tooWeak : .refused,
                detail: weak ? "the certificate is too weak to be used (\(text)); use RSA of 2048 bits or P-256" : text)
        }
    }
}

/// The BIO that hands OpenSSL's reads and writes to a `TLSEngine`.
///
/// One per context, outliving the BIOs made from it, for each engine keeps its context.
///
/// - Note: Sendable: nothing is changed after `init`.
final class EngineBIOMethod: @unchecked Sendable {
    let pointer: OpaquePointer

    init() {
        guard let method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "penstock engine") else { fatalError("out of memory") }
        pointer = method
        BIO_meth_set_read(method) { bio, buffer, count in
            guard let bio, let buffer, let owner = BIO_get_data(bio) else { return -1 }
            penstock_BIO_clear_retry_flags(bio)
            let target = UnsafeMutableRawBufferPointer(start: buffer, count: Int(count))
            let read = Unmanaged<TLSEngine>.fromOpaque(owner)._withUnsafeGuaranteedRef { $0.takeInput(into: target) }
            if read < 0 { penstock_BIO_set_retry_read(bio) }
            return CInt(read)
        }
        BIO_meth_set_write(method) { bio, bytes, count in
            guard let bio, let bytes, let owner = BIO_get_data(bio) else { return -1 }
            penstock_BIO_clear_retry_flags(bio)
            let source = UnsafeRawBufferPointer(start: bytes, count: Int(count))
            Unmanaged<TLSEngine>.fromOpaque(owner)._withUnsafeGuaranteedRef { $0.output.append(source) }
            return count
        }
        BIO_meth_set_ctrl(method) { bio, command, _, _ in
            switch command {
            case BIO_CTRL_FLUSH: return 1
            case BIO_CTRL_EOF:
                guard let owner = BIO_get_data(bio) else { return 0 }
                return Unmanaged<TLSEngine>.fromOpaque(owner)._withUnsafeGuaranteedRef { $0.isAtInputEnd } ? 1 : 0
            default: return 0
            }
        }
    }

    deinit {
        BIO_meth_free(pointer)
    }
}
