internal import CNghttp2

/// The version of nghttp2 in use, such as `1.52.0`.
package func nghttp2Version() -> String {
    guard let version = nghttp2_version(0)?.pointee.version_str else { return "unknown" }
    return String(cString: version)
}
