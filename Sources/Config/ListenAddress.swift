internal import Topology

/// Where a listener binds: an IP address, or all of them, and a port.
package struct ListenAddress: Sendable, Hashable, CustomStringConvertible {
    /// An IPv4 address, an IPv6 address without brackets, or empty: all addresses of both families.
    package let host: String
    /// 0...65535; 0: the kernel chooses.
    package let port: UInt16

    package init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// Reads `127.0.0.1:4000`, `[::1]:4000`, `localhost:4000`, `:4000` or `*:4000`.
    package init(parsing text: String) throws(ListenAddressError) {
        if text.hasPrefix("unix:") || text.hasPrefix("/") { throw .unixSocket }
        if text.contains("://") { throw .url }
        guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")) else { throw .missingPort }
        let (host, port) = (text[..<colon], text[text.utf8.index(after: colon)...])
        guard let number = portNumber(port) else { throw port.utf8.last == UInt8(ascii: "]") ? .missingPort : .badPort }
        self.port = number
        switch host {
        case "", "*": self.host = ""
        case "localhost": self.host = "127.0.0.1"
        case _ where isIPv4Literal(host): self.host = String(host)
        case _ where host.hasPrefix("[") && host.hasSuffix("]") && isIPv6Literal(host.dropFirst().dropLast()):
            self.host = host.dropFirst().dropLast().lowercased()
        default: throw .badHost
        }
    }

    package var description: String { host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// Whether both cannot be bound at once.
    package func clashes(with other: ListenAddress) -> Bool {
        guard port == other.port, port != 0 else { return false }
        return host == other.host || coversFamily(of: other) || other.coversFamily(of: self)
    }

    /// Whether this is a wildcard that takes in the other's address.
    private func coversFamily(of other: ListenAddress) -> Bool {
        switch host {
        case "", "::": true
        case "0.0.0.0": !other.host.utf8.contains(UInt8(ascii: ":"))
        default: false
        }
    }
}

/// What is wrong with the address of a listener.
package enum ListenAddressError: Error, Equatable {
    case missingPort, badPort, badHost, unixSocket, url

    /// One clause that says what is wrong.
    package var explanation: String {
        switch self {
        case .missingPort: "has no port"
        case .badPort: "has a malformed port"
        case .badHost: "has a host that is no IP address"
        case .unixSocket: "is a Unix socket, which listeners do not support"
        case .url: "is a URL"
        }
    }
}
