import Bytes
import HTTP
import Testing

@testable import HTTP2

struct Flood: CustomTestStringConvertible, Sendable {
    let testDescription: String
    /// The units, such as a frame or a request with its reset, after which the connection must be cut.
    let goal: Int
    let reason: HTTP2CloseReason
    /// What comes before.
    var start: [UInt8] = []
    /// The unit with that number.
    let unit: @Sendable (Int) -> [UInt8]
}

/// The attacks of RFC 9113 section 10.5 and of CVEs, each with the number of units it may last.
@Suite struct FloodTests {
    private static func id(_ index: Int) -> UInt32 { UInt32(2 * index + 1) }

    static let floods: [Flood] = [
        Flood(testDescription: "rapid reset, CVE-2023-44487", goal: 100, reason: .earlyResets) {
            Wire.headers(id($0)) + Wire.reset(id($0))
        },
        Flood(
            testDescription: "resets of one stream", goal: 201, reason: .earlyResets,
            start: Wire.headers(1) + Wire.headers(3) + Wire.headers(5)
        ) { _ in Wire.reset(1) },
        Flood(testDescription: "MadeYouReset by WINDOW_UPDATE, CVE-2025-8671", goal: 200, reason: .glitches) {
            Wire.headers(id($0)) + Wire.windowUpdate(id($0), 0x7FFF_FFFF)
        },
        Flood(testDescription: "MadeYouReset by bad content-length", goal: 200, reason: .glitches) {
            Wire.headers(id($0), Wire.request([("content-length", "1")]), endStream: false)
                + Wire.data(id($0), [1, 2], endStream: true)
        },
        Flood(testDescription: "MadeYouReset by bad trailers", goal: 200, reason: .glitches) {
            Wire.headers(id($0), endStream: false) + Wire.headers(id($0), Wire.field(":path", "/"))
        },
        Flood(testDescription: "PING, CVE-2019-9512", goal: 512, reason: .pings) { _ in Wire.ping() },
        Flood(testDescription: "SETTINGS, CVE-2019-9515", goal: 512, reason: .settings) { _ in Wire.settings },
        Flood(testDescription: "window toggling", goal: 640, reason: .settings) {
            Wire.setting(4, $0 % 2 == 0 ? 0 : 65_535)
        },
        Flood(testDescription: "table size toggling", goal: 640, reason: .settings) {
            Wire.setting(1, $0 % 2 == 0 ? 0 : 4096)
        },
        Flood(testDescription: "PRIORITY, CVE-2019-9513", goal: 512, reason: .priorities) {
            Wire.priority(id($0), on: 0)
        },
        Flood(
            testDescription: "empty DATA, CVE-2019-9518", goal: 512, reason: .emptyData,
            start: Wire.headers(1, endStream: false)
        ) { _ in Wire.data(1, []) },
        Flood(testDescription: "unknown frames", goal: 512, reason: .unknownFrames) { _ in
            Wire.frame(0xF0, 0, 0, [1])
        },
        Flood(testDescription: "WINDOW_UPDATE", goal: 512, reason: .windowUpdates) { _ in Wire.windowUpdate(0, 1) },
        Flood(
            testDescription: "CONTINUATION, CVE-2024-28182", goal: 9, reason: .continuations,
            start: Wire.headers(1, [], endHeaders: false)
        ) { _ in Wire.continuation(1, Wire.field("a", "b"), endHeaders: false) },
        Flood(
            testDescription: "empty CONTINUATION", goal: 9, reason: .continuations,
            start: Wire.headers(1, [], endHeaders: false)
        ) { _ in Wire.continuation(1, [], endHeaders: false) },
        Flood(testDescription: "empty header names, CVE-2019-9516", goal: 101, reason: .glitches) {
            Wire.headers(id($0), Wire.block(Wire.request) + Wire.field("", ""))
        },
        Flood(testDescription: "431 again and again", goal: 101, reason: .glitches) {
            Wire.headers(id($0), Wire.block(Wire.request) + [UInt8](repeating: 0x82 + 0x0E, count: 150))
        },
        // 0x40: literal with indexing, then 0xBE: the newest entry of the table, one octet for 4,000.
        Flood(testDescription: "HPACK bomb, CVE-2016-6581", goal: 1, reason: .headerList) {
            Wire.headers(
                id($0),
                Wire.block(Wire.request) + [0x40] + Wire.field("x", String(repeating: "a", count: 4000)).dropFirst()
                    + [UInt8](repeating: 0xBE, count: 10_000))
        },
        Flood(testDescription: "cookie crumbs, CVE-2026-49975", goal: 1, reason: .headerList) {
            Wire.headers(id($0), Wire.block(Wire.request) + [0x60, 1, 0x61] + [UInt8](repeating: 0xBE, count: 4000))
        },
    ]

    @Test("a flood is cut within its goal, read or not", arguments: floods, [true, false])
    func flood(_ row: Flood, isRead: Bool) {
        let server = TestServer()
        server.answer = nil
        server.receive(Wire.greeting + Wire.settingsAcknowledgement + row.start)
        var output = ByteQueue()
        var units = 0
        while units < 2000 {
            units += 1
            server.receive(row.unit(units + 10))
            server.session.produce(into: &output, limit: 65_536)
            if isRead { output.removeAll() }
            if server.session.verdict != .ok { break }
        }
        #expect(server.session.verdict == .close(row.reason))
        #expect(units <= row.goal && server.requests <= row.goal + 3)
        let isHeard = isRead || SentFrame.parse(Array(copying: output.span)).contains { $0.type == 7 }
        #expect(isHeard)
        server.session.abandon()
        #expect(server.session.isIdle)
    }

    @Test("a flood that comes in one piece is cut as well, and its requests are few")
    func onePiece() {
        let server = TestServer()
        server.answer = nil
        let flood = (0..<5000).map { Wire.headers(Self.id($0)) + Wire.reset(Self.id($0)) }.joined()
        let verdict = server.receive(Wire.greeting + Array(flood))
        #expect(verdict == .close(.earlyResets))
        #expect(server.requests <= 51)
    }

    @Test("a client that cancels half of what it asks, all day, is served")
    func busyEditor() {
        let (client, server) = (TestClient(), TestServer())
        server.answer = nil
        for second in 0..<100 {
            server.now = Int64(second) * 1_000_000_000
            for index in 0..<20 {
                let stream = client.request()
                converse(client, server)
                if index % 5 != 0 {
                    stream?.reset()
                } else if let id = stream?.id {
                    server.streams[id]?.respond(status: 204, fields: HeaderFields(), endStream: true)
                }
                converse(client, server)
            }
        }
        #expect(server.session.verdict == .ok)
        #expect(server.requests == 2000)
    }

    @Test("a header list beyond the soft limit is answered 431 and the connection stays")
    func headerListLimits() {
        let many = (0..<120).map { ("x-\($0)", "1") }
        let large = [
            ("x-large", String(repeating: "a", count: 12_000)), ("y-large", String(repeating: "b", count: 12_000)),
            ("z-large", String(repeating: "c", count: 12_000)),
        ]
        let server = TestServer()
        server.answer = 1
        _ = server.exchange(Wire.greeting + Wire.settingsAcknowledgement)
        _ = server.exchange(Wire.headers(1, Wire.block(Wire.request + many)))
        let block = Wire.block(Wire.request + large)
        _ = server.exchange(
            Wire.headers(3, Array(block.prefix(16_000)), endHeaders: false)
                + Wire.continuation(3, Array(block[16_000..<32_000]), endHeaders: false)
                + Wire.continuation(3, Array(block[32_000...]), endHeaders: true))
        _ = server.exchange(Wire.headers(5))
        #expect(server.events.prefix(4).filter { $0 == .rejected(1, status: 431) }.count == 1)
        #expect(server.events.contains(.rejected(3, status: 431)))
        #expect(server.events.last == .closed(5, code: 0))
        #expect(server.session.verdict == .ok)
    }

    @Test("a refused upload that is still on its way does not cut the connection")
    func refusedUploads() {
        let (client, server) = (TestClient(), TestServer())
        server.answer = nil
        server.onHead = { $0.respond(status: 413, fields: HeaderFields(), endStream: true) }
        converse(client, server)
        for _ in 0..<40 {
            _ = client.request(body: [UInt8](repeating: 0, count: 250_000))
            converse(client, server)
        }
        #expect(server.session.verdict == .ok && client.session.verdict == .ok)
        #expect(client.events.filter { if case .head(_, 413, _) = $0 { true } else { false } }.count == 40)
    }
}
