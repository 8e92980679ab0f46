internal import COpenSSL
internal import Glibc

/// Text in PEM form and where it came from.
package struct PEMSource: Sendable {
    /// The file's path, or what stands for it in messages.
    package let name: String
    package let bytes: [UInt8]

    /// Text that is in memory already.
    package init(name: String, bytes: [UInt8]) {
        self.name = name
        self.bytes = bytes
    }

    /// Reads a file of at most 16 MiB. Blocks: for the start and for reloads, never on a reactor.
    package init(file path: String) throws(TLSConfigurationError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            let code = errno
            throw TLSConfigurationError(
                source: path, reason: code == ENOENT ? .missing : .unreadable, detail: String(cString: strerror(code)))
        }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        while true {
            var got = 0
            var code: CInt = 0
            bytes.append(
                contentsOf: Array(unsafeUninitializedCapacity: 65536) { buffer, count in
                    got = read(descriptor, buffer.baseAddress, 65536)
                    code = errno
                    count = max(0, got)
                })
            if got == 0 { break }
            guard got > 0, bytes.count <= 16 << 20 else {
                let detail = got < 0 ? String(cString: strerror(code)) : "larger than 16 MiB"
                throw TLSConfigurationError(source: path, reason: .unreadable, detail: detail)
            }
        }
        self.init(name: path, bytes: bytes)
    }

    /// Calls `body` with a reader of the bytes, which is good for the call.
    func withBIO<Result>(_ body: (OpaquePointer) -> Result) -> Result {
        bytes.withUnsafeBytes { raw in
            // An empty buffer has no address, and OpenSSL refuses none; a single NUL reads as empty text.
            let reader = raw.count == 0 ? BIO_new(BIO_s_mem()) : BIO_new_mem_buf(raw.baseAddress, CInt(raw.count))
            guard let reader else { fatalError("out of memory") }
            defer { BIO_free(reader) }
            return body(reader)
        }
    }
}
