internal import COpenSSL
internal import Glibc

/// A certificate with its chain and its private key.
///
/// Loading parses the text and checks that key and certificate belong together; it blocks and belongs to the start or
/// to a reload.
///
/// - Note: Sendable: nothing is changed after `init`, and OpenSSL counts references to its objects atomically.
package final class TLSCertificate: @unchecked Sendable {
    let leaf: OpaquePointer
    let chain: OpaquePointer
    let key: OpaquePointer
    /// The file of the certificate, or what stands for it.
    package let source: String
    /// The DNS names it is for, in lower case; `*.` leads a wildcard. From the subject alternative names, or else from
    /// the common name.
    package let names: [String]
    /// Seconds since 1970 of the first moment of validity.
    package let notBefore: Int
    /// Seconds since 1970 of the last moment of validity.
    package let notAfter: Int

    /// Reads certificate and key from files.
    ///
    /// - Parameters:
    ///   - file: The certificate, followed by those that lead to the root.
    ///   - keyFile: The private key, without a password. May be the same file.
    package convenience init(file: String, keyFile: String) throws(TLSConfigurationError) {
        try self.init(PEMSource(file: file), key: PEMSource(file: keyFile))
    }

    /// Reads certificate and key from text in memory.
    package init(_ certificate: PEMSource, key keySource: PEMSource) throws(TLSConfigurationError) {
        ERR_clear_error()
        let certificates = try TLSCertificate.readCertificates(certificate)
        let chain = penstock_chain_new()
        guard let chain else { fatalError("out of memory") }
        for issuer in certificates.dropFirst() { penstock_chain_push(chain, issuer) }
        let key: OpaquePointer
        do throws(TLSConfigurationError) {
            key = try TLSCertificate.readKey(keySource, for: certificates[0])
        } catch {
            X509_free(certificates[0])
            penstock_chain_free(chain)
            throw error
        }
        self.leaf = certificates[0]
        self.chain = chain
        self.key = key
        source = certificate.name
        names = TLSCertificate.names(of: certificates[0])
        notBefore = TLSCertificate.seconds(X509_get0_notBefore(certificates[0]))
        notAfter = TLSCertificate.seconds(X509_get0_notAfter(certificates[0]))
    }

    deinit {
        X509_free(leaf)
        penstock_chain_free(chain)
        EVP_PKEY_free(key)
    }

    /// What an operator should know: expired, not valid yet, or about to expire within two weeks.
    ///
    /// - Parameter now: Seconds since 1970.
    package func warnings(at now: Int) -> [String] {
        if now < notBefore { return ["\(source): certificate is not valid before \(timestamp(notBefore))"] }
        if now > notAfter { return ["\(source): certificate expired at \(timestamp(notAfter))"] }
        if notAfter - now < 14 * 86400 { return ["\(source): certificate expires at \(timestamp(notAfter))"] }
        return []
    }

    /// What kind of key this is, RSA or elliptic, as OpenSSL numbers them.
    var keyKind: CInt { EVP_PKEY_get_base_id(key) }

    /// Every certificate in the text, owned by the caller; at least one.
    static func readCertificates(_ source: PEMSource) throws(TLSConfigurationError) -> [OpaquePointer] {
        var found: [OpaquePointer] = []
        source.withBIO { reader in
            while let next = penstock_read_certificate(reader) { found.append(next) }
        }
        let errors = OpenSSLErrors.drain()
        // Reading ends with "no start line" when nothing more is there; anything else is damage.
        if let damage = errors.first(where: { !($0.library == ERR_LIB_PEM && $0.reason == PEM_R_NO_START_LINE) }) {
            found.forEach { X509_free($0) }
            throw TLSConfigurationError(
                source: source.name, reason: .unparsable, detail: "damaged certificate: \(damage.text)")
        }
        guard !found.isEmpty else {
            throw TLSConfigurationError(
                source: source.name, reason: .unparsable, detail: "no certificate in PEM form found")
        }
        return found
    }

    private static func readKey(
        _ source: PEMSource,
        for leaf: OpaquePointer
    ) throws(TLSConfigurationError) -> OpaquePointer {
        guard let key = source.withBIO({ penstock_read_private_key($0) }) else {
            let errors = OpenSSLErrors.drain()
            let encrypted = errors.contains { $0.library == ERR_LIB_PEM && $0.reason == PEM_R_BAD_PASSWORD_READ }
            let absent = errors.contains { $0.library == ERR_LIB_PEM && $0.reason == PEM_R_NO_START_LINE }
            throw TLSConfigurationError(
                source: source.name,
                reason: encrypted ? .encryptedKey : .unparsable,
                detail: encrypted
                    ? "the private key is protected by a password"
                    : absent ? "no private key in PEM form found" : "damaged private key: \(errors.first?.text ?? "")")
        }
        guard X509_check_private_key(leaf, key) == 1 else {
            EVP_PKEY_free(key)
            ERR_clear_error()
            throw TLSConfigurationError(
                source: source.name, reason: .keyMismatch, detail: "the private key is not that of the certificate")
        }
        return key
    }

    private static func names(of leaf: OpaquePointer) -> [String] {
        var names: [String] = []
        let alternatives = withUnsafeMutablePointer(to: &names) { list in
            penstock_each_dns_name(leaf, list) { list, bytes, count in
                let name = String(decoding: UnsafeBufferPointer(start: bytes, count: Int(count)), as: UTF8.self)
                list?.assumingMemoryBound(to: [String].self).pointee.append(name.lowercased())
            }
        }
        if alternatives == 0 {
            var text = [CChar](repeating: 0, count: 256)
            let count = X509_NAME_get_text_by_NID(X509_get_subject_name(leaf), NID_commonName, &text, 256)
            if count > 0 {
                names.append(String(decoding: text.prefix(Int(count)).map(UInt8.init), as: UTF8.self).lowercased())
            }
        }
        return names
    }

    private static func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int {
        var broken = tm()
        guard ASN1_TIME_to_tm(time, &broken) == 1 else { return 0 }
        return timegm(&broken)
    }
}

/// `2026-08-25T12:00:00Z` for seconds since 1970.
private func timestamp(_ seconds: Int) -> String {
    var moment = time_t(seconds)
    var broken = tm()
    gmtime_r(&moment, &broken)
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 32) { text in
        strftime(text.baseAddress!, 32, "%Y-%m-%dT%H:%M:%SZ", &broken)
        return String(cString: text.baseAddress!)
    }
}
