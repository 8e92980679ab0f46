import Bytes
import HTTP
import HTTP2
import TLS
import Testing

/// A frame as it came.
struct Frame: Equatable {
    let type: UInt8
    let flags: UInt8
    let id: UInt32
    let payload: [UInt8]

    static let reset: UInt8 = 3, settings: UInt8 = 4, goAway: UInt8 = 7

    /// The error code of RST_STREAM or GOAWAY.
    var code: UInt32 { payload.dropFirst(type == Frame.goAway ? 4 : 0).prefix(4).reduce(0) { $0 << 8 | UInt32($1) } }
    /// The last stream of GOAWAY.
    var lastStream: UInt32 { payload.prefix(4).reduce(0) { $0 << 8 | UInt32($1) } }

    /// The bytes of a frame.
    static func make(_ type: UInt8, _ flags: UInt8, _ id: UInt32, _ payload: [UInt8] = []) -> [UInt8] {
        let count = payload.count
        return [UInt8(count >> 16), UInt8(count >> 8 & 255), UInt8(count & 255), type, flags] + word(id) + payload
    }

    static func word(_ value: UInt32) -> [UInt8] { [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) } }

    /// Takes whole frames off the front of `bytes`.
    static func take(from bytes: inout [UInt8]) -> [Frame] {
        var frames: [Frame] = []
        var offset = 0
        while bytes.count - offset >= 9 {
            let head = bytes[offset..<offset + 9].map { UInt32($0) }
            let count = Int(head[0] << 16 | head[1] << 8 | head[2])
            guard bytes.count - offset >= 9 + count else { break }
            frames.append(
                Frame(
                    type: UInt8(head[3]), flags: UInt8(head[4]), id: head[5...].reduce(0) { $0 << 8 | $1 },
                    payload: Array(bytes[offset + 9..<offset + 9 + count])))
            offset += 9 + count
        }
        bytes.removeFirst(offset)
        return frames
    }
}

/// An HTTP/2 client on the test's thread.
final class HTTP2Client: HTTP2ClientDelegate {
    struct Response: Equatable {
        var status = 0
        var body: [UInt8] = []
        var hasEnded = false
        var closeCode: UInt32?

        var text: String { String(decoding: body, as: UTF8.self) }
    }

    let client: Client
    private let session: HTTP2ClientSession
    private(set) var responses: [Int32: Response] = [:]
    private var streams: [Int32: HTTP2ClientStream] = [:]
    private(set) var frames: [Frame] = []
    private var raw: [UInt8] = []
    private var uncredited: [Int32: Int] = [:]
    /// Streams that get no credit for what they have sent.
    var stalled: Set<Int32> = []

    init(port: UInt16, tls: TLSEngine? = nil, window: Int = 65535, receiveBuffer: Int32? = nil) {
        client = Client(port: port, tls: tls, receiveBuffer: receiveBuffer)
        var limits = HTTP2Limits()
        limits.streamWindow = window
        limits.connectionWindow = max(window, 1 << 20)
        limits.concurrentStreams = 1000
        session = HTTP2ClientSession(limits: limits, now: 0)
        session.delegate = self
        flush()
    }

    func flush() {
        var output = ByteQueue()
        session.produce(into: &output, limit: 1 << 24)
        if !output.isEmpty { client.send(Array(copying: output.span)) }
    }

    /// Begins a request; with `ends` false more of its body follows.
    func request(
        _ path: String, _ method: HTTP.Method = .get, body: [UInt8]? = nil, length: Int? = nil, ends: Bool = true,
        expect: Bool = false
    ) -> Int32 {
        let authority = Array("a".utf8), path = Array(path.utf8)
        var fields = HeaderFields()
        if expect { fields.append(name: "expect", value: "100-continue") }
        let stream = session.request(
            method, isSecure: false, authority: authority.span, path: path.span, fields: fields, contentLength: length,
            endStream: body == nil && ends)
        guard let stream else { return 0 }
        streams[stream.id] = stream
        responses[stream.id] = Response()
        if let body { stream.write(body.span) }
        if body != nil, ends { stream.finish() }
        flush()
        return stream.id
    }

    func write(_ id: Int32, _ bytes: [UInt8], ends: Bool = false) {
        streams[id]?.write(bytes.span)
        if ends { streams[id]?.finish() }
        flush()
    }

    func cancel(_ id: Int32) {
        streams[id]?.reset()
        flush()
    }

    /// Gives the stream credit for `count` bytes.
    func credit(_ id: Int32, _ count: Int) {
        let count = min(count, uncredited[id] ?? 0)
        uncredited[id]? -= count
        streams[id]?.consumed(count)
        flush()
    }

    func release(_ id: Int32) {
        stalled.remove(id)
        credit(id, .max)
    }

    /// Reads and answers until `condition` holds or the connection ends.
    @discardableResult
    func run(until condition: () -> Bool) -> Bool {
        while !condition() {
            guard !client.hasEnded else { return false }
            client.receive()
            let bytes = client.take(client.inbox.count)
            raw += bytes
            frames += Frame.take(from: &raw)
            _ = session.receive(bytes.span, now: 0)
            flush()
        }
        return true
    }

    /// The response of a stream once it has ended or was reset.
    func response(_ id: Int32) -> Response {
        run { responses[id]?.hasEnded == true || responses[id]?.closeCode != nil }
        return responses[id] ?? Response()
    }

    func runToEnd() { run { false } }

    var goAways: [Frame] { frames.filter { $0.type == Frame.goAway } }
    func resets(_ id: Int32) -> [UInt32] {
        frames.filter { $0.type == Frame.reset && $0.id == UInt32(id) }.map(\.code)
    }

    // MARK: What the session tells

    func responseHead(_ stream: HTTP2ClientStream) { responses[stream.id]?.status = stream.response.status }

    func responseData(_ stream: HTTP2ClientStream, _ bytes: Span<UInt8>) {
        responses[stream.id]?.body.append(copying: bytes)
        if stalled.contains(stream.id) {
            uncredited[stream.id, default: 0] += bytes.count
        } else {
            stream.consumed(bytes.count)
        }
    }

    func responseEnd(_ stream: HTTP2ClientStream) { responses[stream.id]?.hasEnded = true }
    func requestDrained(_ stream: HTTP2ClientStream) {}

    func streamClosed(_ stream: HTTP2ClientStream, code: UInt32) {
        responses[stream.id]?.closeCode = code
        streams[stream.id] = nil
    }
}
