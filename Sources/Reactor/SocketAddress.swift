package import Glibc

/// An IPv4 or IPv6 address with a port.
///
/// A plain value of 24 bytes: hashing and comparing touch no padding of the C structures, and an IPv4-mapped IPv6
/// address, as a dual-stack listener reports its IPv4 peers, is stored as the IPv4 address it means.
package struct SocketAddress: Sendable, Hashable {
    /// Which internet protocol.
    package enum Family: UInt8, Sendable {
        case v4, v6

        /// The constant for `socket(2)`.
        package var rawDomain: CInt { self == .v4 ? AF_INET : AF_INET6 }
    }

    /// The address in network byte order; IPv4 uses the first four bytes of `high`.
    private let high: UInt64
    private let low: UInt64
    /// The interface of a link-local IPv6 address; zero otherwise.
    private let scope: UInt32
    /// In host byte order; zero lets the kernel choose when listening.
    package var port: UInt16
    package let family: Family

    private init(family: Family, high: UInt64, low: UInt64, scope: UInt32, port: UInt16) {
        self.family = family
        self.high = high
        self.low = low
        self.scope = scope
        self.port = port
    }

    /// The IPv4 address in C's form.
    package init(_ address: sockaddr_in) {
        self.init(
            family: .v4, high: UInt64(address.sin_addr.s_addr), low: 0, scope: 0,
            port: UInt16(bigEndian: address.sin_port))
    }

    /// The IPv6 address in C's form.
    package init(_ address: sockaddr_in6) {
        let (high, low) = withUnsafeBytes(of: address.sin6_addr) {
            ($0.load(as: UInt64.self), $0.load(fromByteOffset: 8, as: UInt64.self))
        }
        let port = UInt16(bigEndian: address.sin6_port)
        if high == 0, UInt64(bigEndian: low) >> 32 == 0xffff {
            self.init(family: .v4, high: low >> 32, low: 0, scope: 0, port: port)
        } else {
            self.init(family: .v6, high: high, low: low, scope: address.sin6_scope_id, port: port)
        }
    }

    /// What `accept`, `getsockname` or `getaddrinfo` filled in; `nil` if that is neither IPv4 nor IPv6.
    ///
    /// - Parameter address: Borrowed; must hold as many bytes as its family says.
    package init?(_ address: UnsafePointer<sockaddr>) {
        let raw = UnsafeRawPointer(address)
        switch CInt(address.pointee.sa_family) {
        case AF_INET: self.init(raw.loadUnaligned(as: sockaddr_in.self))
        case AF_INET6: self.init(raw.loadUnaligned(as: sockaddr_in6.self))
        default: return nil
        }
    }

    /// What `accept` or `getsockname` filled in; `nil` if that is neither IPv4 nor IPv6.
    package init?(_ storage: sockaddr_storage) {
        guard
            let address = withUnsafePointer(
                to: storage, { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { SocketAddress($0) } })
        else { return nil }
        self = address
    }

    /// The address a socket is bound to; `nil` if it is no internet socket.
    package init?(localOf descriptor: CInt) {
        guard let address = SocketAddress.ask(descriptor, getsockname) else { return nil }
        self = address
    }

    /// The address a socket is connected to; `nil` if it is not connected or no internet socket.
    package init?(peerOf descriptor: CInt) {
        guard let address = SocketAddress.ask(descriptor, getpeername) else { return nil }
        self = address
    }

    private static func ask(
        _ descriptor: CInt,
        _ question: (CInt, UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> CInt
    ) -> SocketAddress? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                question(descriptor, address, &length) == 0 ? SocketAddress(address) : nil
            }
        }
    }

    /// Calls `body` with the address in C's form, as `bind` and `connect` want it. The pointer is good for the call.
    package func withSockaddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        switch family {
        case .v4:
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = UInt32(truncatingIfNeeded: high)
            return SocketAddress.lend(&address, body)
        case .v6:
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = port.bigEndian
            address.sin6_scope_id = scope
            withUnsafeMutableBytes(of: &address.sin6_addr) {
                $0.storeBytes(of: high, as: UInt64.self)
                $0.storeBytes(of: low, toByteOffset: 8, as: UInt64.self)
            }
            return SocketAddress.lend(&address, body)
        }
    }

    private static func lend<Address, Result>(
        _ address: inout Address,
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<Address>.size)) }
        }
    }
}

// MARK: - Text

extension SocketAddress: CustomStringConvertible {
    /// The address a literal names: `1.2.3.4`, `::1`, `[::1]` or `fe80::1%eth0`; `nil` if it is anything else, such as
    /// a host name or the short forms `127.1` and `0x7f000001` that `getaddrinfo` would take.
    package init?(literal: some StringProtocol, port: UInt16) {
        var text = Substring(literal)
        if text.first == "[", text.last == "]", text.contains(":") { text = text.dropFirst().dropLast() }
        // inet_pton reads up to the first NUL and would accept what stands before it.
        guard !text.utf8.contains(0) else { return nil }
        var v4 = in_addr()
        if inet_pton(AF_INET, String(text), &v4) == 1 {
            self.init(family: .v4, high: UInt64(v4.s_addr), low: 0, scope: 0, port: port)
            return
        }
        let parts = text.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
        var address = sockaddr_in6()
        guard let first = parts.first, inet_pton(AF_INET6, String(first), &address.sin6_addr) == 1 else { return nil }
        if parts.count == 2 {
            address.sin6_scope_id = UInt32(parts[1]) ?? if_nametoindex(String(parts[1]))
            guard address.sin6_scope_id != 0 else { return nil }
        }
        address.sin6_port = port.bigEndian
        self.init(address)
    }

    /// The address that `1.2.3.4:80` or `[::1]:80` names; `nil` if it is anything else.
    package init?(_ text: some StringProtocol) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        let host = text[..<colon]
        // Without brackets `::1:80` is an address of its own, not `::1` with a port.
        guard host.first == "[" || !host.contains(":") else { return nil }
        self.init(literal: host, port: port)
    }

    /// The address without the port: `1.2.3.4`, `::1`, `fe80::1%2`.
    package var host: String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { text in
            let whole = (high, low)
            let printed = withUnsafeBytes(of: whole) {
                inet_ntop(family.rawDomain, $0.baseAddress, text.baseAddress, socklen_t(INET6_ADDRSTRLEN))
            }
            // inet_ntop fails only for an unknown family or too little space.
            guard let printed else { return "?" }
            return scope == 0 ? String(cString: printed) : "\(String(cString: printed))%\(scope)"
        }
    }

    /// `1.2.3.4:80` or `[::1]:80`.
    package var description: String {
        family == .v4 ? "\(host):\(port)" : "[\(host)]:\(port)"
    }
}

// MARK: - Well-known addresses

extension SocketAddress {
    /// 127.0.0.1 or ::1.
    package static func loopback(_ family: Family = .v4, port: UInt16) -> SocketAddress {
        switch family {
        case .v4:
            SocketAddress(family: .v4, high: UInt64(UInt32(0x7f00_0001).bigEndian), low: 0, scope: 0, port: port)
        case .v6: SocketAddress(family: .v6, high: 0, low: UInt64(1).bigEndian, scope: 0, port: port)
        }
    }

    /// 0.0.0.0 or ::, on which a listener accepts from everywhere.
    package static func any(_ family: Family = .v4, port: UInt16) -> SocketAddress {
        SocketAddress(family: family, high: 0, low: 0, scope: 0, port: port)
    }

    /// Whether this is an address of 127.0.0.0/8 or ::1.
    package var isLoopback: Bool {
        switch family {
        case .v4: UInt32(truncatingIfNeeded: high).bigEndian >> 24 == 127
        case .v6: high == 0 && low == UInt64(1).bigEndian
        }
    }
}
