import Bytes
import HTTP
import Testing

@testable import HTTP2

/// A small seeded generator: the same failures every time.
private struct Dice {
    var state: UInt64

    mutating func roll(_ sides: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int((state >> 33) % UInt64(sides))
    }

    mutating func octets(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(roll(256)) } }

    /// A frame that is sometimes right.
    mutating func frame() -> [UInt8] {
        let id = UInt32(roll(12))
        switch roll(14) {
        case 0...3: return Wire.headers(UInt32(1 + 2 * roll(40)), endStream: roll(2) == 0)
        case 4, 5: return Wire.data(id, octets(roll(50)), endStream: roll(4) == 0)
        case 6: return Wire.reset(id)
        case 7: return Wire.windowUpdate(id, UInt32(roll(1 << 20)))
        case 8: return Wire.priority(id, on: UInt32(roll(12)))
        case 9: return Wire.setting(UInt16(roll(10)), UInt32(roll(1 << 16)))
        case 10: return Wire.ping(UInt8(roll(2)))
        case 11: return Wire.headers(id, octets(roll(30)), endStream: roll(2) == 0, endHeaders: roll(2) == 0)
        case 12: return Wire.continuation(id, octets(roll(30)), endHeaders: roll(2) == 0)
        default: return Wire.frame(UInt8(roll(14)), UInt8(roll(256)), id, octets(roll(20)))
        }
    }
}

/// Plays with its streams at random.
private func play(_ server: TestServer, _ dice: inout Dice) {
    for stream in server.streams.values.sorted(by: { $0.id < $1.id }) {
        let bytes = dice.octets(dice.roll(100))
        switch dice.roll(8) {
        case 0 where !stream.isResponseStarted:
            stream.respond(status: 200, fields: HeaderFields(), endStream: dice.roll(2) == 0)
        case 1 where stream.isResponseStarted: stream.finish()
        case 2: stream.reset(HTTP2Code.cancel)
        case 3 where stream.isResponseStarted: stream.breakOff()
        case 4 where !stream.isResponseStarted:
            stream.respond(status: 200, fields: HeaderFields())
            stream.write(bytes.span)
        default: break
        }
    }
}

@Suite struct FuzzTests {
    @Test("frames in any order, cut anywhere: each stream ends once, and nothing is left", arguments: 0..<20)
    func frames(seed: Int) {
        var dice = Dice(state: UInt64(seed) &* 7919 &+ 1)
        for _ in 0..<100 {
            let server = TestServer()
            server.answer = nil
            server.consumes = dice.roll(2) == 0
            var output = ByteQueue()
            server.receive(Wire.greeting)
            for _ in 0..<60 where server.session.verdict == .ok {
                var bytes = (0...dice.roll(4)).flatMap { _ in dice.frame() }
                if dice.roll(20) == 0 { bytes[dice.roll(bytes.count)] = UInt8(dice.roll(256)) }
                let cut = dice.roll(bytes.count + 1)
                server.receive(Array(bytes[..<cut]))
                if dice.roll(2) == 0 { play(server, &dice) }
                server.receive(Array(bytes[cut...]))
                if dice.roll(3) > 0 { server.session.produce(into: &output) }
                output.removeAll()
            }
            server.session.abandon()
            server.session.produce(into: &output)
            #expect(server.session.isIdle)
            var closed: [Int32] = []
            for case .closed(let id, _) in server.events { closed.append(id) }
            let opened = server.events.compactMap { event -> Int32? in
                switch event {
                case .head(let id, _, _, _, _), .rejected(let id, _): id
                default: nil
                }
            }
            #expect(closed.sorted() == opened.sorted())
        }
    }

    @Test("answers in any order: each request ends once", arguments: 0..<20)
    func answers(seed: Int) {
        var dice = Dice(state: UInt64(seed) &* 104_729 &+ 3)
        for _ in 0..<100 {
            let client = TestClient()
            client.consumes = dice.roll(2) == 0
            client.receive(Wire.settings)
            var made: [Int32] = []
            for _ in 0..<60 where client.session.verdict == .ok {
                if dice.roll(2) == 0, let stream = client.request(body: dice.roll(2) == 0 ? dice.octets(50) : nil) {
                    made.append(stream.id)
                    if dice.roll(8) == 0 { stream.reset() }
                }
                if dice.roll(3) > 0 { _ = client.produce() }
                let id = made.isEmpty ? 1 : UInt32(made[dice.roll(made.count)])
                let status = Wire.headers(id, Wire.field(":status", "200"), endStream: dice.roll(2) == 0)
                client.receive(dice.roll(3) > 0 ? status : dice.frame())
            }
            client.session.abandon()
            var closed: [Int32] = []
            for case .closed(let id, _, _) in client.events { closed.append(id) }
            #expect(closed.sorted() == made)
        }
    }
}
