import Glibc
import Synchronization

/// Why a socket failed.
enum SocketError: Error, Equatable {
    case system(String, Int32)
    case timedOut
    /// The peer reset the connection.
    case reset
    /// The peer ended the connection before what was expected.
    case ended
}

/// A blocking TCP socket on the loopback.
final class Socket: Sendable {
    let descriptor: Int32
    private let isClosed = Mutex(false)

    init(owning descriptor: Int32) {
        self.descriptor = descriptor
        var limit = timeval(tv_sec: patienceSeconds, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
    }

    deinit { close() }

    private static func make() throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw SocketError.system("socket", errno) }
        return descriptor
    }

    private static func loopback<Result>(
        _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    /// Connects. A small receive buffer makes a reader that takes little.
    static func connect(to port: UInt16, receiveBuffer: Int32? = nil) throws -> Socket {
        let descriptor = try make()
        if var size = receiveBuffer {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        guard loopback(port, { Glibc.connect(descriptor, $0, $1) }) == 0 else {
            let code = errno
            Glibc.close(descriptor)
            throw SocketError.system("connect", code)
        }
        return Socket(owning: descriptor)
    }

    /// Begins to connect and does not wait for it.
    static func beginConnecting(to port: UInt16) throws -> Socket {
        let descriptor = try make()
        let flags = fcntl(descriptor, F_GETFL)
        _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK)
        _ = loopback(port) { Glibc.connect(descriptor, $0, $1) }
        return Socket(owning: descriptor)
    }

    /// Listens; the kernel chooses the port if it is 0.
    static func listen(port: UInt16 = 0, backlog: Int32 = 128) throws -> Socket {
        let descriptor = try make()
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        guard loopback(port, { bind(descriptor, $0, $1) }) == 0, Glibc.listen(descriptor, backlog) == 0 else {
            let code = errno
            Glibc.close(descriptor)
            throw SocketError.system("listen", code)
        }
        let socket = Socket(owning: descriptor)
        var forever = timeval()
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &forever, socklen_t(MemoryLayout<timeval>.size))
        return socket
    }

    /// The port it is bound to.
    var port: UInt16 {
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
        }
        return UInt16(bigEndian: address.sin_port)
    }

    /// The next connection; `nil` once the listener is shut.
    func accept() -> Socket? {
        while true {
            let accepted = Glibc.accept(descriptor, nil, nil)
            if accepted >= 0 { return Socket(owning: accepted) }
            if errno != EINTR && errno != ECONNABORTED { return nil }
        }
    }

    func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count >= 0 {
                sent += count
            } else if errno == EAGAIN {
                throw SocketError.timedOut
            } else if errno == EPIPE || errno == ECONNRESET {
                throw SocketError.reset
            } else if errno != EINTR {
                throw SocketError.system("send", errno)
            }
        }
    }

    /// Sends as much as the kernel takes without waiting; returns how much that was.
    func sendWithoutWaiting(_ bytes: [UInt8]) throws -> Int {
        let count = bytes.withUnsafeBytes {
            Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
        }
        if count >= 0 { return count }
        if errno == EAGAIN { return 0 }
        throw SocketError.reset
    }

    /// Whether something can be sent within that many milliseconds.
    func isWritable(within millis: Int32) throws -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        return poll(&entry, 1, millis) > 0
    }

    /// Whether something came, or the connection ended, within that many milliseconds.
    func isReadable(within millis: Int32) throws -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, millis) > 0
    }

    /// What comes next; empty at the end.
    func read(atMost limit: Int = 65536) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: limit)
        while true {
            let count = recv(descriptor, &bytes, limit, 0)
            if count >= 0 { return Array(bytes.prefix(count)) }
            switch errno {
            case EINTR: continue
            case EAGAIN: throw SocketError.timedOut
            case ECONNRESET, EPIPE: throw SocketError.reset
            default: throw SocketError.system("recv", errno)
            }
        }
    }

    /// Says that nothing more will be sent.
    func endOutput() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Wakes whoever is blocked on it, and ends it; the descriptor lives until `close`.
    func shut() {
        isClosed.withLock { if !$0 { shutdown(descriptor, Int32(SHUT_RDWR)) } }
    }

    func close() {
        isClosed.withLock {
            if !$0 { Glibc.close(descriptor) }
            $0 = true
        }
    }

    /// Ends it with RST.
    func reset() {
        isClosed.withLock {
            guard !$0 else { return }
            var linger = linger(l_onoff: 1, l_linger: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
            Glibc.close(descriptor)
            $0 = true
        }
    }
}

/// A port on which connections are never established: its queue is full and nobody accepts.
final class SilentListener: Sendable {
    private let listener: Socket
    private let fillers: [Socket]

    init() throws {
        listener = try Socket.listen(backlog: 0)
        var fillers: [Socket] = []
        for _ in 1...3 { fillers.append(try Socket.beginConnecting(to: listener.port)) }
        self.fillers = fillers
    }

    var port: UInt16 { listener.port }
}
