import Synchronization

/// An engine that does what a script says: plain sockets, a thread for each connection.
final class FakeUpstream: Sendable {
    /// Answers one request. If it returns, the next request of the connection is read.
    typealias Script = @Sendable (UpstreamExchange) throws -> Void

    let port: UInt16
    private let listener: Socket
    private let script: Script
    private let readsBodies: Bool
    private let answersProbes: Bool
    private let state = Mutex(State())

    private struct State {
        var requests: [WireMessage] = []
        var connections: [Socket] = []
        var connectionsUsed = 0
    }

    /// - Parameters:
    ///   - readsBodies: Whether a request's body is read before the script runs; else the script may read it.
    ///   - answersProbes: Whether questions for health and models are answered well, and are not seen by the script.
    init(
        port: UInt16 = 0, readsBodies: Bool = true, answersProbes: Bool = true,
        _ script: @escaping Script = { try $0.answer() }
    ) throws {
        listener = try Socket.listen(port: port)
        self.port = listener.port
        self.script = script
        self.readsBodies = readsBodies
        self.answersProbes = answersProbes
        let (listener, me) = (listener, self)
        startThread { while let socket = listener.accept() { me.serve(socket) } }
    }

    var url: String { "http://127.0.0.1:\(port)" }
    /// Everything that was forwarded so far.
    var requests: [WireMessage] { state.withLock { $0.requests } }
    /// On how many connections that was.
    var connectionCount: Int { state.withLock { $0.connectionsUsed } }

    /// Ends everything.
    func stop() {
        listener.shut()
        for socket in state.withLock({ $0.connections }) { socket.shut() }
    }

    private func serve(_ socket: Socket) {
        state.withLock { $0.connections.append(socket) }
        startThread {
            let reader = WireReader(socket)
            var isUsed = false
            while let head = try? reader.head(), let body = self.readsBodies ? try? reader.body(of: head) : [] {
                let request = WireMessage(head: head, body: body)
                if self.answersProbes, request.isProbe {
                    let status = request.target.hasSuffix("/health") ? 200 : 404
                    do { try UpstreamExchange(request, reader).answer(status) } catch { break }
                    continue
                }
                self.state.withLock {
                    $0.requests.append(request)
                    if !isUsed { $0.connectionsUsed += 1 }
                }
                isUsed = true
                do { try self.script(UpstreamExchange(request, reader)) } catch { break }
            }
            socket.close()
        }
    }
}

/// One request at a fake upstream, and the means to answer it.
struct UpstreamExchange: Sendable {
    let request: WireMessage
    private let reader: WireReader

    init(_ request: WireMessage, _ reader: WireReader) {
        self.request = request
        self.reader = reader
    }

    var socket: Socket { reader.socket }

    func write(_ text: String) throws { try socket.send(Array(text.utf8)) }

    /// A whole answer.
    func answer(
        _ status: Int = 200, _ fields: [String] = ["content-type: application/json"], _ body: String = #"{"ok":true}"#
    ) throws {
        var head = "HTTP/1.1 \(status) Whatever\r\n"
        for field in fields { head += field + "\r\n" }
        try write(head + "content-length: \(body.utf8.count)\r\n\r\n" + body)
    }

    /// The head of a chunked answer.
    func begin(_ type: String = "text/event-stream", _ fields: [String] = []) throws {
        var head = "HTTP/1.1 200 OK\r\ncontent-type: \(type)\r\ntransfer-encoding: chunked\r\n"
        for field in fields { head += field + "\r\n" }
        try write(head + "\r\n")
    }

    func chunk(_ text: String) throws { try write("\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n") }

    /// A chunk with one event.
    func event(_ data: String, name: String? = nil) throws {
        try chunk((name.map { "event: \($0)\n" } ?? "") + "data: \(data)\n\n")
    }

    func end() throws { try write("0\r\n\r\n") }

    /// Reads the body, if that is left to the script.
    func body() throws -> [UInt8] { try reader.body(of: request.head) }

    /// Blocks until the gateway has closed the connection; what it sends meanwhile is thrown away.
    func waitForClose() throws { _ = try reader.toEnd() }
}

/// A number that two threads see.
final class SharedCount: Sendable {
    private let count = Atomic(0)

    var value: Int { count.load(ordering: .relaxed) }

    func add(_ amount: Int) { count.wrappingAdd(amount, ordering: .relaxed) }
}

extension UpstreamExchange {
    /// Writes chunks with large events until the gateway takes no more; the rest after `go`.
    ///
    /// - Parameters:
    ///   - count: Grows by what was written.
    ///   - stalled: Raised when nothing could be written for half a second.
    func pushUntilStalled(bytes: Int, count: SharedCount, stalled: Signal, go: Signal) throws {
        let line =
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\(String(repeating: "x", count: 16_000))\"}}]}\n\n"
        let chunk = Array((String(line.utf8.count, radix: 16) + "\r\n" + line + "\r\n").utf8)
        var offset = 0
        while count.value < bytes || offset > 0 {
            let sent = try socket.sendWithoutWaiting(Array(chunk[offset...]))
            count.add(sent)
            offset = (offset + sent) % chunk.count
            if sent == 0, try !socket.isWritable(within: 500) { break }
        }
        stalled.raise()
        try go.wait()
        if offset > 0 { try socket.send(Array(chunk[offset...])) }
        while count.value < bytes {
            try socket.send(chunk)
            count.add(chunk.count)
        }
    }
}
