import COpenSSL
import Glibc
import TLS

/// Makes certificates for tests, in memory.
final class TestAuthority: Sendable {
    enum KeyType: Sendable { case p256, rsa(bits: CInt) }

    /// A certificate with its key, both in PEM form.
    struct Issued: Sendable {
        let certificate: PEMSource
        let key: PEMSource

        func loaded() throws -> TLSCertificate { try TLSCertificate(certificate, key: key) }
    }

    private nonisolated(unsafe) let key: OpaquePointer
    private nonisolated(unsafe) let certificate: OpaquePointer
    /// The authority's own certificate.
    let root: PEMSource

    init(name: String = "Test Authority") {
        key = TestAuthority.makeKey(.p256)
        let certificate = TestAuthority.makeCertificate(
            name: name, alternatives: nil, key: key, issuer: nil, days: -1...3650, isAuthority: true)
        self.certificate = certificate
        root = PEMSource(name: "root.pem", bytes: TestAuthority.pem { PEM_write_bio_X509($0, certificate) })
    }

    deinit {
        X509_free(certificate)
        EVP_PKEY_free(key)
    }

    /// A certificate of this authority.
    ///
    /// - Parameters:
    ///   - alternatives: As in OpenSSL's configuration: `DNS:a.test,IP:127.0.0.1`; `nil` for none.
    ///   - days: When it is valid, counted from today.
    func issue(
        _ name: String,
        alternatives: String?,
        keyType: KeyType = .p256,
        days: ClosedRange<Int> = -1...365
    ) -> Issued {
        let leafKey = TestAuthority.makeKey(keyType)
        defer { EVP_PKEY_free(leafKey) }
        let leaf = TestAuthority.makeCertificate(
            name: name, alternatives: alternatives, key: leafKey, issuer: (certificate, key), days: days,
            isAuthority: false)
        defer { X509_free(leaf) }
        return Issued(
            certificate: PEMSource(name: "\(name).crt", bytes: TestAuthority.pem { PEM_write_bio_X509($0, leaf) }),
            key: PEMSource(
                name: "\(name).key",
                bytes: TestAuthority.pem { PEM_write_bio_PrivateKey($0, leafKey, nil, nil, 0, nil, nil) }))
    }

    /// The key of a new certificate, protected by a password.
    static func encryptedKey() -> PEMSource {
        let key = makeKey(.p256)
        defer { EVP_PKEY_free(key) }
        let password = Array("secret".utf8)
        return PEMSource(
            name: "encrypted.key",
            bytes: pem {
                PEM_write_bio_PrivateKey($0, key, EVP_aes_256_cbc(), password, CInt(password.count), nil, nil)
            })
    }

    private static func makeKey(_ type: KeyType) -> OpaquePointer {
        let context: OpaquePointer?
        switch type {
        case .p256:
            context = EVP_PKEY_CTX_new_from_name(nil, "EC", nil)
            EVP_PKEY_keygen_init(context)
            EVP_PKEY_CTX_set_group_name(context, "P-256")
        case .rsa(let bits):
            context = EVP_PKEY_CTX_new_from_name(nil, "RSA", nil)
            EVP_PKEY_keygen_init(context)
            EVP_PKEY_CTX_set_rsa_keygen_bits(context, bits)
        }
        defer { EVP_PKEY_CTX_free(context) }
        var key: OpaquePointer?
        precondition(EVP_PKEY_generate(context, &key) == 1, "no key was made")
        return key!
    }

    private static func makeCertificate(
        name: String,
        alternatives: String?,
        key: OpaquePointer,
        issuer: (certificate: OpaquePointer, key: OpaquePointer)?,
        days: ClosedRange<Int>,
        isAuthority: Bool
    ) -> OpaquePointer {
        let certificate = X509_new()!
        X509_set_version(certificate, 2)
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), Int.random(in: 1...Int(Int32.max)))
        X509_gmtime_adj(X509_getm_notBefore(certificate), days.lowerBound * 86400)
        X509_gmtime_adj(X509_getm_notAfter(certificate), days.upperBound * 86400)
        X509_set_pubkey(certificate, key)
        let subject = X509_get_subject_name(certificate)
        X509_NAME_add_entry_by_txt(subject, "CN", 0x1000 | 1, name, -1, -1, 0)
        X509_set_issuer_name(certificate, X509_get_subject_name(issuer?.certificate ?? certificate))
        add(NID_basic_constraints, isAuthority ? "critical,CA:TRUE" : "critical,CA:FALSE", to: certificate)
        if let alternatives { add(NID_subject_alt_name, alternatives, to: certificate) }
        precondition(X509_sign(certificate, issuer?.key ?? key, EVP_sha256()) > 0, "not signed")
        return certificate
    }

    private static func add(_ kind: CInt, _ value: String, to certificate: OpaquePointer) {
        let addition = X509V3_EXT_conf_nid(nil, nil, kind, value)
        precondition(addition != nil, "no extension of \(value)")
        X509_add_ext(certificate, addition, -1)
        X509_EXTENSION_free(addition)
    }

    private static func pem(_ write: (OpaquePointer) -> CInt) -> [UInt8] {
        let memory = BIO_new(BIO_s_mem())!
        defer { BIO_free(memory) }
        precondition(write(memory) == 1, "not written")
        var bytes = [UInt8](repeating: 0, count: 65536)
        let count = BIO_read(memory, &bytes, CInt(bytes.count))
        return Array(bytes.prefix(Int(count)))
    }
}
