import Synchronization

/// A client that speaks HTTP/2 by prior knowledge: frames on a plain socket, nothing done that is not asked for.
// Sendable: one test uses it, one call after another.
final class HTTP2Client: @unchecked Sendable {
    let socket: Socket
    private let reader: WireReader
    private var nextStream: UInt32 = 1

    struct Frame: Sendable {
        let type: UInt8
        let flags: UInt8
        let stream: UInt32
        let payload: [UInt8]

        static let data: UInt8 = 0
        static let headers: UInt8 = 1
        static let reset: UInt8 = 3
        static let settings: UInt8 = 4
        static let goAway: UInt8 = 7

        var endsStream: Bool { flags & 1 != 0 }
        var text: String { String(decoding: payload, as: UTF8.self) }
    }

    struct Answer: Sendable {
        var status = 0
        var text = ""
        /// The code of RST_STREAM, if the stream ended by one.
        var reset: UInt8?
    }

    /// - Parameter window: Initial window of streams; the server may send as much without asking.
    init(port: UInt16, window: UInt32 = 65535, receiveBuffer: Int32? = nil) throws {
        socket = try Socket.connect(to: port, receiveBuffer: receiveBuffer)
        reader = WireReader(socket)
        try socket.send(Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8))
        try send(Frame.settings, 0, 0, [0, 4] + HTTP2Client.bytes(window))
    }

    private static func bytes(_ value: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) }
    }

    func send(_ type: UInt8, _ flags: UInt8, _ stream: UInt32, _ payload: [UInt8]) throws {
        var frame = Array(HTTP2Client.bytes(UInt32(payload.count)).dropFirst())
        frame += [type, flags]
        frame += HTTP2Client.bytes(stream)
        frame += payload
        try socket.send(frame)
    }

    /// Sends a request; returns the number of its stream.
    @discardableResult
    func post(_ path: String, _ body: String, _ fields: [(String, String)] = []) throws -> UInt32 {
        let stream = nextStream
        nextStream += 2
        var block: [UInt8] = []
        for (name, value) in [
            (":method", "POST"), (":scheme", "http"), (":authority", "gateway"), (":path", path),
            ("content-type", "application/json"), ("content-length", "\(body.utf8.count)"),
        ] + fields {
            block += [0, UInt8(name.utf8.count)] + Array(name.utf8) + [UInt8(value.utf8.count)] + Array(value.utf8)
        }
        try send(Frame.headers, 4, stream, block)
        try send(Frame.data, 1, stream, Array(body.utf8))
        return stream
    }

    /// Resets a stream: CANCEL.
    func reset(_ stream: UInt32) throws { try send(Frame.reset, 0, stream, HTTP2Client.bytes(8)) }

    /// The next frame; settings and pings are answered and passed over.
    func frame() async throws -> Frame {
        try await onThread {
            while true {
                let head = try self.reader.take(9)
                let length = Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2])
                let stream = head[5..<9].reduce(UInt32(0)) { $0 << 8 | UInt32($1) } & 0x7FFF_FFFF
                let frame = Frame(type: head[3], flags: head[4], stream: stream, payload: try self.reader.take(length))
                switch frame.type {
                case Frame.settings:
                    if frame.flags & 1 == 0 { try self.send(Frame.settings, 1, 0, []) }
                case 6:
                    if frame.flags & 1 == 0 { try self.send(6, 1, 0, frame.payload) }
                case 8: break
                default: return frame
                }
            }
        }
    }

    /// The answers of the next `count` streams that end, in the order of their ends.
    func answers(_ count: Int) async throws -> [Answer] {
        var open: [UInt32: Answer] = [:]
        var ended: [Answer] = []
        while ended.count < count {
            let frame = try await frame()
            guard frame.stream > 0 else { continue }
            var answer = open[frame.stream] ?? Answer()
            switch frame.type {
            case Frame.headers where answer.status == 0: answer.status = HTTP2Client.status(frame.payload)
            case Frame.data: answer.text += frame.text
            case Frame.reset: answer.reset = frame.payload.last
            default: break
            }
            open[frame.stream] = answer
            if frame.endsStream && frame.type != Frame.reset || frame.type == Frame.reset { ended.append(answer) }
        }
        return ended
    }

    /// The status of a header block that begins with it, as nghttp2 writes those it has in its static table.
    private static func status(_ block: [UInt8]) -> Int {
        var index = 0
        // A change of the table's size may come first.
        while index < block.count, block[index] & 0xE0 == 0x20 { index += 1 }
        let known: [UInt8: Int] = [0x88: 200, 0x89: 204, 0x8C: 400, 0x8D: 404, 0x8E: 500]
        return index < block.count ? known[block[index]] ?? -1 : -1
    }

    func close() { socket.close() }
}
