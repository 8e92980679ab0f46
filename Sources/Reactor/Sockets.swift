internal import CLinux
internal import Glibc

/// What we ask of the kernel for TCP sockets. Every socket is non-blocking and closed on exec.
package enum Sockets {
    /// A listening socket.
    ///
    /// - Parameter sharesPort: Whether several reactors listen on the same port (`SO_REUSEPORT`).
    /// - Throws: `.system` with what the kernel said, such as `EADDRINUSE`.
    package static func listen(on address: SocketAddress, sharesPort: Bool) throws(ReactorError) -> Int32 {
        let descriptor = try open(address.family)
        enable(descriptor, SOL_SOCKET, SO_REUSEADDR)
        if sharesPort { enable(descriptor, SOL_SOCKET, SO_REUSEPORT) }
        if address.family == .v6 { enable(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY) }
        guard address.withSockaddr({ Glibc.bind(descriptor, $0, $1) }) == 0 else { throw failed("bind", descriptor) }
        guard Glibc.listen(descriptor, 4096) == 0 else { throw failed("listen", descriptor) }
        return descriptor
    }

    /// Begins to connect; the socket becomes writable when it is decided.
    package static func connect(to address: SocketAddress) throws(ReactorError) -> Int32 {
        let descriptor = try open(address.family)
        enable(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY)
        let result = address.withSockaddr { Glibc.connect(descriptor, $0, $1) }
        guard result == 0 || errno == EINPROGRESS else { throw failed("connect", descriptor) }
        return descriptor
    }

    /// How a pending connect ended: 0, or its `errno`.
    package static func connectResult(_ descriptor: Int32) -> Int32 {
        var code: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length) == 0 else { return errno }
        return code
    }

    /// The next waiting connection.
    package enum Accepted {
        case connection(Int32, SocketAddress?)
        /// Nobody waits.
        case none
        /// The process or the system has no descriptor left.
        case exhausted
    }

    /// Takes the next waiting connection, `TCP_NODELAY` set.
    package static func accept(_ listener: Int32) -> Accepted {
        var peer = sockaddr_storage()
        while true {
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let descriptor = penstock_accept(listener, &peer, &length)
            if descriptor >= 0 {
                enable(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY)
                return .connection(descriptor, SocketAddress(peer))
            }
            switch errno {
            case EMFILE, ENFILE, ENOBUFS, ENOMEM: return .exhausted
            case EAGAIN: return .none
            default: continue  // The connection is already gone (ECONNABORTED, EPROTO, EINTR): take the next.
            }
        }
    }

    /// Closes with a reset, so that the peer cannot take what it has got for complete.
    package static func resetOnClose(_ descriptor: Int32) {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
    }

    /// Raises the limit of open descriptors as far as the process may. Returns the limit in force.
    @discardableResult
    package static func raiseDescriptorLimit() -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return Int(limit.rlim_cur)
    }

    private static func open(_ family: SocketAddress.Family) throws(ReactorError) -> Int32 {
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(family.rawDomain, kind, 0)
        guard descriptor >= 0 else { throw .system("socket", errno) }
        return descriptor
    }

    private static func enable(_ descriptor: Int32, _ level: Int32, _ option: Int32) {
        var one: Int32 = 1
        setsockopt(descriptor, level, option, &one, socklen_t(MemoryLayout<Int32>.size))
    }

    private static func failed(_ call: StaticString, _ descriptor: Int32) -> ReactorError {
        let code = errno
        close(descriptor)
        return .system(call, code)
    }
}
