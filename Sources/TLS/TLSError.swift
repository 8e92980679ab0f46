internal import COpenSSL

/// Why a TLS connection cannot go on.
package struct TLSError: Error, Equatable, Sendable {
    /// What kind of trouble; few enough to label a metric.
    package enum Kind: String, Sendable {
        /// Plain HTTP was spoken on a TLS port.
        case plainHTTP
        /// The peer's bytes are no TLS at all.
        case notTLS
        /// Peer and we share no version of TLS, no cipher or no application protocol.
        case noCommonGround
        /// The peer's certificate is missing or was refused; the detail says why.
        case certificateRefused
        /// The peer sent a fatal alert; the detail is its name.
        case alertReceived
        /// The transport ended without the peer's closing alert: what was read may be cut short.
        case truncated
        /// The peer broke the protocol, or a record was tampered with.
        case protocolViolation
        /// The peer made us work without ever sending data, or sent more than can be kept.
        case excessive
        /// Plaintext was given before the handshake was done, or after the end.
        case notEstablished
        /// OpenSSL failed for a reason of its own.
        case library
    }

    package let kind: Kind
    /// The reason in words, for logs; never secret.
    package let detail: String

    package init(_ kind: Kind, _ detail: String) {
        self.kind = kind
        self.detail = detail
    }
}

extension TLSError: CustomStringConvertible {
    package var description: String { detail }
}

extension TLSError {
    /// The error that OpenSSL's queue tells of; empties the queue.
    static func fromQueue() -> TLSError {
        let queue = OpenSSLErrors.drain()
        guard let first = queue.first else { return TLSError(.library, "unknown TLS failure") }
        let detail = queue.map(\.text).joined(separator: "; ")
        guard first.library == ERR_LIB_SSL else { return TLSError(.library, detail) }
        return TLSError(kind(ofReason: first.reason), detail)
    }

    private static func kind(ofReason reason: CInt) -> Kind {
        switch reason {
        case SSL_R_HTTP_REQUEST, SSL_R_HTTPS_PROXY_REQUEST: .plainHTTP
        case SSL_R_WRONG_VERSION_NUMBER: .notTLS
        case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_NO_SHARED_CIPHER, SSL_R_NO_APPLICATION_PROTOCOL,
            SSL_R_VERSION_TOO_LOW, SSL_R_NO_SUITABLE_KEY_SHARE, SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM,
            SSL_R_NO_PROTOCOLS_AVAILABLE:
            .noCommonGround
        case SSL_R_CERTIFICATE_VERIFY_FAILED, SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: .certificateRefused
        case SSL_R_UNEXPECTED_EOF_WHILE_READING: .truncated
        // Alerts received are reported as 1000 plus the alert's number.
        case SSL_AD_REASON_OFFSET..<(SSL_AD_REASON_OFFSET + 256): .alertReceived
        default: .protocolViolation
        }
    }
}

/// OpenSSL's error queue of this thread.
enum OpenSSLErrors {
    struct Entry {
        let library: CInt
        let reason: CInt
        let text: String
    }

    /// Every waiting error, oldest first: the oldest is the cause, the others say on whose behalf it happened.
    static func drain() -> [Entry] {
        var entries: [Entry] = []
        while true {
            let code = ERR_get_error()
            if code == 0 { return entries }
            let text = ERR_reason_error_string(code).map { String(cString: $0) } ?? "error \(code)"
            entries.append(
                Entry(library: penstock_ERR_GET_LIB(code), reason: penstock_ERR_GET_REASON(code), text: text))
        }
    }

    /// All waiting errors as one text; `fallback` if there is none.
    static func text(or fallback: String) -> String {
        let entries = drain()
        return entries.isEmpty ? fallback : entries.map(\.text).joined(separator: "; ")
    }
}

/// Why certificates, keys or settings cannot be used.
package struct TLSConfigurationError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong.
    package enum Reason: String, Sendable {
        /// The file is not there.
        case missing
        /// The file is there and cannot be read.
        case unreadable
        /// The text holds no certificate or key in PEM form, or a damaged one.
        case unparsable
        /// The private key is protected by a password.
        case encryptedKey
        /// The private key is not that of the certificate.
        case keyMismatch
        /// The key or the signature is weaker than 112 bits of security.
        case tooWeak
        /// OpenSSL refuses a setting.
        case refused
    }

    /// The file, or what stands for it if the bytes came from elsewhere.
    package let source: String
    package let reason: Reason
    /// The reason in words.
    package let detail: String

    package init(source: String, reason: Reason, detail: String) {
        self.source = source
        self.reason = reason
        self.detail = detail
    }

    package var description: String { "\(source): \(detail)" }
}
