internal import COpenSSL

/// The version of OpenSSL in use, such as `3.0.17`.
package func openSSLVersion() -> String {
    guard let version = OpenSSL_version(OPENSSL_VERSION_STRING) else { return "unknown" }
    return String(cString: version)
}
