internal import Glibc

/// Why a file could not be read.
package struct FileReadError: Error, Equatable {
    /// In the kernel's words: `No such file or directory`.
    package var reason: String

    package init(reason: String) { self.reason = reason }
}

/// What loading a configuration takes from the world; tests put their own in place.
package struct ConfigurationSurroundings: Sendable {
    /// The value of an environment variable; `nil` if it is not set.
    package var environment: @Sendable (String) -> String?
    /// All bytes of a file.
    package var readFile: @Sendable (String) throws(FileReadError) -> [UInt8]

    package init(
        environment: @escaping @Sendable (String) -> String?,
        readFile: @escaping @Sendable (String) throws(FileReadError) -> [UInt8]
    ) {
        self.environment = environment
        self.readFile = readFile
    }

    /// Environment and files of this process.
    package static var process: ConfigurationSurroundings {
        ConfigurationSurroundings(
            environment: { name in getenv(name).map { String(cString: $0) } },
            readFile: { path throws(FileReadError) in try Config.readFile(path) })
    }
}

/// Reads a file of at most `limit` bytes. Blocks: for the control plane only.
package func readFile(_ path: String, limit: Int = 8 << 20) throws(FileReadError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .lastError() }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while bytes.count <= limit {
        let count = chunk.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
        if count < 0, errno == EINTR { continue }
        guard count >= 0 else { throw .lastError() }
        if count == 0 { return bytes }
        bytes.append(contentsOf: chunk[..<count])
    }
    throw FileReadError(reason: "larger than \(byteSizeText(limit))")
}

extension FileReadError {
    /// What `errno` says.
    static func lastError() -> FileReadError {
        FileReadError(reason: String(cString: strerror(errno)))
    }
}
