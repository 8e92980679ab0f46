import COpenSSL
import Glibc

/// A certificate for `localhost` and 127.0.0.1 that nobody has signed but itself, with its key, in files.
struct TestIdentity {
    let certificate = temporaryPath("crt")
    let key = temporaryPath("key")

    init() throws {
        let (certificate, key) = TestIdentity.make()
        try writeFile(self.certificate, certificate)
        try writeFile(self.key, key)
    }

    func remove() {
        unlink(certificate)
        unlink(key)
    }

    private static func make() -> (certificate: String, key: String) {
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
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), Int.random(in: 1...Int(Int32.max)))
        X509_gmtime_adj(X509_getm_notBefore(certificate), -86400)
        X509_gmtime_adj(X509_getm_notAfter(certificate), 86400)
        X509_set_pubkey(certificate, key)
        let name = X509_get_subject_name(certificate)
        // 0x1001 is MBSTRING_ASC.
        X509_NAME_add_entry_by_txt(name, "CN", 0x1001, "localhost", -1, -1, 0)
        X509_set_issuer_name(certificate, name)
        for (kind, value) in [
            (NID_basic_constraints, "critical,CA:TRUE"), (NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1"),
        ] {
            let addition = X509V3_EXT_conf_nid(nil, nil, kind, value)
            X509_add_ext(certificate, addition, -1)
            X509_EXTENSION_free(addition)
        }
        precondition(X509_sign(certificate, key, EVP_sha256()) > 0, "not signed")
        return (
            pem { PEM_write_bio_X509($0, certificate) },
            pem { PEM_write_bio_PrivateKey($0, key, nil, nil, 0, nil, nil) }
        )
    }

    private static func pem(_ write: (OpaquePointer) -> CInt) -> String {
        let memory = BIO_new(BIO_s_mem())!
        defer { BIO_free(memory) }
        precondition(write(memory) == 1, "not written")
        var bytes = [UInt8](repeating: 0, count: 65536)
        let count = BIO_read(memory, &bytes, CInt(bytes.count))
        return String(decoding: bytes.prefix(Int(count)), as: UTF8.self)
    }
}
