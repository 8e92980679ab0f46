import Bytes

/// Builds frames by hand, so that tests can say what no library would.
struct Wire {
    static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    static let settings = frame(4, 0, 0, [])
    static let settingsAcknowledgement = frame(4, 1, 0, [])
    /// How a well-behaved client begins.
    static let greeting = preface + settings

    static func frame(_ type: UInt8, _ flags: UInt8, _ id: UInt32, _ payload: [UInt8]) -> [UInt8] {
        let count = payload.count
        return [UInt8(count >> 16), UInt8(count >> 8 & 255), UInt8(count & 255), type, flags] + word(id) + payload
    }

    static func word(_ value: UInt32) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
    }

    /// A literal field without indexing and without Huffman coding; RFC 7541 section 6.2.2.
    static func field(_ name: String, _ value: String) -> [UInt8] {
        field(Array(name.utf8), Array(value.utf8))
    }

    static func field(_ name: [UInt8], _ value: [UInt8]) -> [UInt8] {
        [0] + integer(name.count) + name + integer(value.count) + value
    }

    /// An integer with a prefix of 7 bits; RFC 7541 section 5.1.
    static func integer(_ value: Int) -> [UInt8] {
        if value < 127 { return [UInt8(value)] }
        var rest = value - 127
        var octets: [UInt8] = [127]
        while rest >= 128 {
            octets.append(UInt8(rest & 127 | 128))
            rest >>= 7
        }
        return octets + [UInt8(rest)]
    }

    static func block(_ fields: [(String, String)]) -> [UInt8] {
        fields.flatMap { field($0.0, $0.1) }
    }

    static let request: [(String, String)] = [
        (":method", "POST"), (":scheme", "http"), (":path", "/v1/chat/completions"), (":authority", "localhost:4000"),
    ]

    /// `request` with some fields replaced, some left out (value `nil`), and others added.
    static func request(_ changes: [(String, String?)]) -> [UInt8] {
        var fields = request
        for (name, value) in changes {
            if let index = fields.firstIndex(where: { $0.0 == name }), name.hasPrefix(":") {
                if let value { fields[index].1 = value } else { fields.remove(at: index) }
            } else if let value {
                fields.append((name, value))
            }
        }
        return block(fields)
    }

    static func headers(_ id: UInt32, _ block: [UInt8], endStream: Bool = true, endHeaders: Bool = true) -> [UInt8] {
        frame(1, (endStream ? 1 : 0) | (endHeaders ? 4 : 0), id, block)
    }

    static func headers(_ id: UInt32, endStream: Bool = true) -> [UInt8] {
        headers(id, block(request), endStream: endStream)
    }

    static func data(_ id: UInt32, _ bytes: [UInt8], endStream: Bool = false) -> [UInt8] {
        frame(0, endStream ? 1 : 0, id, bytes)
    }

    static func reset(_ id: UInt32, _ code: UInt32 = 8) -> [UInt8] { frame(3, 0, id, word(code)) }
    static func ping(_ flags: UInt8 = 0) -> [UInt8] { frame(6, flags, 0, [1, 2, 3, 4, 5, 6, 7, 8]) }
    static func priority(_ id: UInt32, on parent: UInt32) -> [UInt8] { frame(2, 0, id, word(parent) + [15]) }
    static func windowUpdate(_ id: UInt32, _ value: UInt32) -> [UInt8] { frame(8, 0, id, word(value)) }
    static func goAway(_ last: UInt32, _ code: UInt32) -> [UInt8] { frame(7, 0, 0, word(last) + word(code)) }
    static func continuation(_ id: UInt32, _ block: [UInt8], endHeaders: Bool) -> [UInt8] {
        frame(9, endHeaders ? 4 : 0, id, block)
    }
    static func setting(_ id: UInt16, _ value: UInt32) -> [UInt8] {
        frame(4, 0, 0, [UInt8(id >> 8), UInt8(id & 255)] + word(value))
    }
}

/// A frame as it was sent.
struct SentFrame: Equatable {
    let type: UInt8
    let flags: UInt8
    let id: UInt32
    let payload: [UInt8]

    /// The error code of RST_STREAM or GOAWAY.
    var code: UInt32 {
        payload.dropFirst(type == 7 ? 4 : 0).prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// Takes a stretch of whole frames apart.
    static func parse(_ bytes: [UInt8]) -> [SentFrame] {
        var frames: [SentFrame] = []
        var rest = bytes[...]
        if rest.starts(with: Wire.preface) { rest = rest.dropFirst(24) }
        while rest.count >= 9 {
            let head = Array(rest.prefix(9))
            let count = Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2])
            let id = head[5..<9].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            frames.append(
                SentFrame(type: head[3], flags: head[4], id: id, payload: Array(rest.dropFirst(9).prefix(count))))
            rest = rest.dropFirst(9 + count)
        }
        return frames
    }
}
