internal import COpenSSL
internal import Glibc

/// The authorities whose certificates are believed.
///
/// Made once and shared by every context that trusts the same: reading the system's authorities takes milliseconds
/// and about a mebibyte.
///
/// - Note: Sendable: filled in `init` and only read afterwards; OpenSSL locks the store while it looks things up.
package final class TrustStore: @unchecked Sendable {
    let store: OpaquePointer
    /// The certificates of a store read from PEM text, for the list of names that a server sends; empty for the
    /// system's.
    let authorities: [OpaquePointer]

    /// The authorities in PEM text.
    package init(_ source: PEMSource) throws(TLSConfigurationError) {
        ERR_clear_error()
        authorities = try TLSCertificate.readCertificates(source)
        guard let store = X509_STORE_new() else { fatalError("out of memory") }
        for authority in authorities { X509_STORE_add_cert(store, authority) }
        self.store = store
        // Adding one twice is reported as an error and does no harm.
        ERR_clear_error()
    }

    /// The authorities in a PEM file.
    package convenience init(file: String) throws(TLSConfigurationError) {
        try self.init(PEMSource(file: file))
    }

    /// The authorities the system trusts: what `SSL_CERT_FILE` and `SSL_CERT_DIR` name, or else OpenSSL's own places.
    package static func system() -> TrustStore {
        TrustStore()
    }

    private init() {
        guard let store = X509_STORE_new() else { fatalError("out of memory") }
        self.store = store
        authorities = []
        // OpenSSL itself looks into the directory only when a name is wanted, so that part costs nothing here.
        X509_STORE_set_default_paths(store)
        // Other distributions keep the bundle elsewhere than the Debian build of OpenSSL expects it.
        let bundles = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"]
        if access(X509_get_default_cert_file(), R_OK) != 0, getenv(X509_get_default_cert_file_env()) == nil,
            let bundle = bundles.first(where: { access($0, R_OK) == 0 })
        {
            X509_STORE_load_file(store, bundle)
        }
        ERR_clear_error()
    }

    deinit {
        X509_STORE_free(store)
        authorities.forEach { X509_free($0) }
    }
}
