import COpenSSL
import CLinux
import Glibc
import TLS

/// A certificate for `a.test` that nobody has signed but itself, made anew for each run.
enum TestCertificate {
    /// Contexts of both sides; the client trusts anyone.
    static func contexts(
        _ protocols: [ALPNProtocol] = [.h2, .http1]
    ) throws -> (server: TLSServerContext, client: TLSClientContext) {
        let server = try TLSServerContext(
            certificates: [issued.get()], protocols: protocols, ticketKeys: TicketKeys(), now: time(nil))
        return (server, try TLSClientContext(verification: .off, protocols: protocols))
    }

    private static let issued = Result { try make() }

    private static func make() throws -> TLSCertificate {
        let context = EVP_PKEY_CTX_new_from_name(nil, "EC", nil)
        defer { EVP_PKEY_CTX_free(context) }
        EVP_PKEY_keygen_init(context)
        EVP_PKEY_CTX_set_group_name(context, "P-256")
        var key: OpaquePointer?
        precondition(EVP_PKEY_generate(context, &key) == 1, "no key was made")
        defer { EVP_PKEY_free(key) }
        let certificate = X509_new()
        defer { X509_free(certificate) }
        X509_set_version(certificate, 2)
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1)
        X509_gmtime_adj(X509_getm_notBefore(certificate), -86400)
        X509_gmtime_adj(X509_getm_notAfter(certificate), 86400)
        X509_set_pubkey(certificate, key)
        let name = X509_get_subject_name(certificate)
        // 0x1001 is MBSTRING_ASC.
        X509_NAME_add_entry_by_txt(name, "CN", 0x1001, "a.test", -1, -1, 0)
        X509_set_issuer_name(certificate, name)
        let names = X509V3_EXT_conf_nid(nil, nil, NID_subject_alt_name, "DNS:a.test")
        X509_add_ext(certificate, names, -1)
        X509_EXTENSION_free(names)
        precondition(X509_sign(certificate, key, EVP_sha256()) > 0, "not signed")
        return try TLSCertificate(
            PEMSource(name: "a.crt", bytes: pem { PEM_write_bio_X509($0, certificate) }),
            key: PEMSource(name: "a.key", bytes: pem { PEM_write_bio_PrivateKey($0, key, nil, nil, 0, nil, nil) }))
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
