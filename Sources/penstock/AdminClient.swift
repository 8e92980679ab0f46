internal import Glibc
internal import Reactor
internal import Topology

/// Why the admin address did not answer.
struct AdminClientError: Error {
    let reason: String
}

/// Asks a running gateway over its admin address: one request, plain HTTP, waiting for the answer.
struct AdminClient {
    /// What was answered.
    struct Answer {
        let status: Int
        let body: [UInt8]
    }

    private let host: String
    private let port: UInt16
    private static let timeoutSeconds = 10

    /// - Parameter address: `127.0.0.1:4001`, `name:4001` or a URL of these.
    init(_ address: String) throws(AdminClientError) {
        let url: EndpointAddress
        do throws(EndpointAddressError) {
            url = try EndpointAddress(parsing: address.contains("://") ? address : "http://\(address)")
        } catch {
            throw AdminClientError(reason: "the address \(error.explanation)")
        }
        guard !url.usesTLS else { throw AdminClientError(reason: "an admin address does not speak TLS") }
        (host, port) = (url.host, url.port)
    }

    /// Posts JSON.
    func post(_ target: String, json: [UInt8]) throws(AdminClientError) -> Answer {
        let descriptor = try connection()
        defer { close(descriptor) }
        let authority = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        let head =
            "POST \(target) HTTP/1.1\r\nhost: \(authority)\r\ncontent-type: application/json\r\n"
            + "content-length: \(json.count)\r\nconnection: close\r\n\r\n"
        try write(Array(head.utf8) + json, to: descriptor)
        guard let bytes = readAll(descriptor) else { throw AdminClient.failure() }
        return try AdminClient.answer(bytes)
    }

    private func connection() throws(AdminClientError) -> Int32 {
        var addresses: [SocketAddress] = []
        if let literal = SocketAddress(literal: host, port: port) {
            addresses = [literal]
        } else {
            do throws(ResolutionError) {
                addresses = try Resolver.systemLookup(host).get()
            } catch {
                throw AdminClientError(reason: "\(error)")
            }
        }
        var last: Int32 = 0
        for var address in addresses {
            address.port = port
            let descriptor = socket(address.family.rawDomain, Int32(SOCK_STREAM.rawValue), 0)
            guard descriptor >= 0 else { throw AdminClient.failure() }
            var patience = timeval(tv_sec: AdminClient.timeoutSeconds, tv_usec: 0)
            let size = socklen_t(MemoryLayout<timeval>.size)
            setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, size)
            setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, size)
            if address.withSockaddr({ connect(descriptor, $0, $1) }) == 0 { return descriptor }
            last = errno
            close(descriptor)
        }
        errno = last
        throw AdminClient.failure()
    }

    private func write(_ bytes: [UInt8], to descriptor: Int32) throws(AdminClientError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            // Who refuses early has answered: that is what is worth reading.
            if count < 0, errno == EPIPE || errno == ECONNRESET { return }
            guard count > 0 else { throw AdminClient.failure() }
            rest = rest.dropFirst(count)
        }
    }

    /// What the system says of the call before.
    private static func failure() -> AdminClientError {
        let isLate = errno == EAGAIN || errno == EINPROGRESS
        return AdminClientError(reason: isLate ? "no answer in \(timeoutSeconds) s" : String(cString: strerror(errno)))
    }

    /// Reads a whole answer; ours have a length, and end with the connection.
    private static func answer(_ bytes: [UInt8]) throws(AdminClientError) -> Answer {
        var end = 0
        while end + 3 < bytes.count, !bytes[end..<(end + 4)].elementsEqual("\r\n\r\n".utf8) { end += 1 }
        let words = bytes.prefix { $0 != 13 }.split(separator: UInt8(ascii: " "))
        guard end + 3 < bytes.count, words.count >= 2, words[0].starts(with: "HTTP/1.".utf8),
            let status = Int(String(decoding: words[1], as: UTF8.self))
        else { throw AdminClientError(reason: "what answers there does not speak HTTP") }
        return Answer(status: status, body: Array(bytes[(end + 4)...]))
    }
}
