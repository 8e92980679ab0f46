import Bytes
import Glibc
import CLinux
import Reactor
import TLS
import Testing

/// An answer as a client reads it.
struct Answer: Equatable {
    var status = 0
    var fields: [String: String] = [:]
    var body: [UInt8] = []
    /// Whether the body ended as announced.
    var isWhole = false

    var text: String { String(decoding: body, as: UTF8.self) }
}

/// A blocking connection of the test's thread, plain or with TLS. Reads end after ten seconds at the latest.
final class Client {
    private var descriptor: Int32
    private let tls: TLSEngine?
    private(set) var inbox: [UInt8] = []
    private(set) var hasEnded = false
    /// The `errno` of the last failed read or write.
    private(set) var failure: Int32 = 0

    init(_ descriptor: Int32, tls: TLSEngine? = nil) {
        self.descriptor = descriptor
        self.tls = tls
        setTimeout(seconds: 10)
        if tls != nil {
            flush()
            while tls?.isEstablished == false, !hasEnded { receive() }
        }
    }

    /// Connects to a port of 127.0.0.1.
    convenience init(port: UInt16, tls: TLSEngine? = nil, receiveBuffer: Int32? = nil) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        if var size = receiveBuffer {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        let address = SocketAddress(literal: "127.0.0.1", port: port)!
        let result = address.withSockaddr { connect(descriptor, $0, $1) }
        precondition(result == 0, "cannot connect to port \(port)")
        self.init(descriptor, tls: tls)
    }

    deinit { close() }

    var alpn: ALPNProtocol? { tls?.alpn }

    func setTimeout(seconds: Int) {
        var limit = timeval(tv_sec: seconds, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    // MARK: Writing

    @discardableResult
    func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        guard let tls else { return write(bytes) }
        guard (try? tls.write(bytes.span)) != nil else { return false }
        return flush()
    }

    /// As much as goes at once, without waiting. Returns how much that was.
    func sendAvailable(_ bytes: [UInt8]) -> Int {
        bytes.withUnsafeBytes {
            max(0, Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL)))
        }
    }

    @discardableResult
    private func flush() -> Bool {
        guard let tls, tls.output.count > 0 else { return true }
        let bytes = Array(tls.output.bytes)
        tls.output.removeAll()
        return write(bytes)
    }

    private func write(_ bytes: [UInt8]) -> Bool {
        var offset = 0
        while offset < bytes.count {
            let count = bytes[offset...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count < 0 {
                failure = errno
                return false
            }
            offset += count
        }
        return true
    }

    // MARK: Reading

    /// Takes what one read brings into `inbox`.
    func receive() {
        guard !hasEnded else { return }
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = Glibc.read(descriptor, &buffer, buffer.count)
        if count < 0 { failure = errno }
        guard count > 0 else {
            hasEnded = true
            return
        }
        guard let tls else {
            inbox += buffer[..<count]
            return
        }
        buffer.withUnsafeBytes { bytes in
            tls.receive(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
            var plain = [UInt8](repeating: 0, count: 65536)
            loop: while true {
                switch plain.withUnsafeMutableBytes({ tls.read(into: $0) }) {
                case .bytes(let got): inbox += plain[..<got]
                case .wantsInput: break loop
                case .closed, .failed:
                    hasEnded = true
                    break loop
                }
            }
            tls.endReceive()
        }
        flush()
    }

    /// Takes `count` bytes, or what came before the end.
    func take(_ count: Int) -> [UInt8] {
        while inbox.count < count, !hasEnded { receive() }
        let taken = Array(inbox.prefix(count))
        inbox.removeFirst(taken.count)
        return taken
    }

    /// Takes up to and with `mark`; everything if the end comes first.
    func take(through mark: String) -> String {
        let mark = Array(mark.utf8)
        var searched = 0
        while true {
            if inbox.count >= mark.count {
                for start in searched...(inbox.count - mark.count) where inbox[start...].starts(with: mark) {
                    return String(decoding: take(start + mark.count), as: UTF8.self)
                }
                searched = inbox.count - mark.count
            }
            guard !hasEnded else { return String(decoding: take(inbox.count), as: UTF8.self) }
            receive()
        }
    }

    /// Everything up to the end.
    func takeAll() -> [UInt8] {
        while !hasEnded { receive() }
        return take(inbox.count)
    }

    /// The next answer, interim ones among them.
    func answer(toHead: Bool = false) -> Answer {
        var answer = Answer()
        let head = take(through: "\r\n\r\n")
        let lines = head.split(separator: "\r\n")
        guard head.hasSuffix("\r\n\r\n"), let first = lines.first else { return answer }
        answer.status = Int(first.split(separator: " ").dropFirst().first ?? "") ?? 0
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            answer.fields[parts[0].lowercased()] = parts[1].drop { $0 == " " }.description
        }
        if toHead || answer.status < 200 || answer.status == 204 || answer.status == 304 {
            answer.isWhole = true
        } else if answer.fields["transfer-encoding"] == "chunked" {
            readChunks(&answer)
        } else if let length = answer.fields["content-length"].flatMap({ Int($0) }) {
            answer.body = take(length)
            answer.isWhole = answer.body.count == length
        } else {
            answer.body = takeAll()
            answer.isWhole = failure == 0
        }
        return answer
    }

    private func readChunks(_ answer: inout Answer) {
        while true {
            let line = take(through: "\r\n")
            guard line.hasSuffix("\r\n"), let size = Int(line.dropLast(1), radix: 16) else { return }
            let chunk = take(size)
            answer.body += chunk
            guard chunk.count == size, take(through: "\r\n") == "\r\n" else { return }
            if size == 0 {
                answer.isWhole = true
                return
            }
        }
    }

    /// Whether nothing comes but the end, by a regular close or a reset.
    var isClosedByPeer: Bool { takeAll().isEmpty && failure != EAGAIN }

    // MARK: Ending

    func shutdownOutput() { shutdown(descriptor, Int32(SHUT_WR)) }

    func close() {
        if descriptor >= 0 { Glibc.close(descriptor) }
        descriptor = -1
    }

    func reset() {
        Sockets.resetOnClose(descriptor)
        close()
    }
}
