import Testing

@testable import HTTP2

/// Feeds `bytes` in pieces of `size`.
private func inspect(_ bytes: [UInt8], size: Int = .max, peer: FrameTap.Peer = .client) -> HTTP2CloseReason? {
    var tap = FrameTap(peer: peer, budgets: FrameBudgets(), now: 0)
    var start = 0
    while start < bytes.count {
        let end = min(bytes.count, size == .max ? bytes.count : start + size)
        let fault = bytes[start..<end].withUnsafeBytes { tap.inspect($0, now: 0) }
        if let fault { return fault.reason }
        start = end
    }
    return nil
}

struct TapCase: CustomTestStringConvertible {
    let testDescription: String
    let frames: [UInt8]
    var reason: HTTP2CloseReason?
}

@Suite struct FrameTapTests {
    static let cases: [TapCase] = [
        TapCase(testDescription: "nothing but the preface", frames: []),
        TapCase(testDescription: "requests one after another", frames: Wire.headers(1) + Wire.headers(3)),
        TapCase(
            testDescription: "a request with body and trailers",
            frames: Wire.headers(1, endStream: false) + Wire.data(1, [1, 2, 3]) + Wire.headers(1)),
        TapCase(
            testDescription: "DATA after END_STREAM", frames: Wire.headers(1) + Wire.data(1, [1]),
            reason: .closedStream),
        TapCase(
            testDescription: "HEADERS after END_STREAM", frames: Wire.headers(1) + Wire.headers(1),
            reason: .closedStream),
        TapCase(
            testDescription: "DATA after RST_STREAM",
            frames: Wire.headers(1, endStream: false) + Wire.reset(1) + Wire.data(1, [1]), reason: .closedStream),
        TapCase(
            testDescription: "HEADERS after RST_STREAM",
            frames: Wire.headers(1, endStream: false) + Wire.reset(1) + Wire.headers(1), reason: .closedStream),
        TapCase(
            testDescription: "HEADERS for a lower id never opened", frames: Wire.headers(5) + Wire.headers(3),
            reason: .unopenedStream),
        TapCase(
            testDescription: "DATA for a lower id never opened", frames: Wire.headers(5) + Wire.data(3, [1]),
            reason: .closedStream),
        TapCase(
            testDescription: "WINDOW_UPDATE and PRIORITY after END_STREAM",
            frames: Wire.headers(1) + Wire.windowUpdate(1, 1) + Wire.priority(1, on: 0)),
        TapCase(
            testDescription: "DATA for an idle stream, which is nghttp2's to refuse", frames: Wire.data(7, [1])),
        TapCase(
            testDescription: "PRIORITY on the connection", frames: Wire.priority(0, on: 1),
            reason: .priorityOnConnection),
        TapCase(
            testDescription: "PRIORITY of 4 octets", frames: Wire.frame(2, 0, 1, [0, 0, 0, 0]), reason: .prioritySize),
        TapCase(
            testDescription: "PRIORITY on itself", frames: Wire.priority(3, on: 3), reason: .selfDependency),
        TapCase(
            testDescription: "PRIORITY on itself, exclusively", frames: Wire.priority(3, on: 0x8000_0003),
            reason: .selfDependency),
        TapCase(testDescription: "PRIORITY on another", frames: Wire.priority(3, on: 1)),
    ]

    @Test("what frames mean does not depend on where they are cut", arguments: cases, [Int.max, 1, 7, 9, 10])
    func framing(_ row: TapCase, size: Int) {
        #expect(inspect(Wire.greeting + row.frames, size: size) == row.reason)
    }

    @Test("the fault's offset is the beginning of its frame")
    func offset() {
        var tap = FrameTap(peer: .client, budgets: FrameBudgets(), now: 0)
        let good = Wire.greeting + Wire.headers(1)
        let fault = (good + Wire.data(1, [1])).withUnsafeBytes { tap.inspect($0, now: 0) }
        #expect(fault == FrameTap.Fault(offset: good.count, reason: .closedStream))
    }

    @Test("a stream of 300 streams ago is forgotten, not refused")
    func forgetsOldStreams() {
        var frames = Wire.headers(1, endStream: false)
        for index in 1...300 { frames += Wire.headers(UInt32(2 * index + 1)) }
        #expect(inspect(Wire.greeting + frames + Wire.data(1, [1])) == nil)
    }

    struct Flood: CustomTestStringConvertible {
        let testDescription: String
        let frame: [UInt8]
        let allowed: Int
        let reason: HTTP2CloseReason
    }

    @Test(
        "each kind of frame has its budget",
        arguments: [
            Flood(testDescription: "PING", frame: Wire.ping(), allowed: 100, reason: .pings),
            Flood(testDescription: "PING ACK", frame: Wire.ping(1), allowed: 100, reason: .pings),
            Flood(testDescription: "SETTINGS", frame: Wire.settings, allowed: 50, reason: .settings),
            Flood(testDescription: "PRIORITY", frame: Wire.priority(3, on: 1), allowed: 200, reason: .priorities),
            Flood(testDescription: "RST_STREAM", frame: Wire.reset(1), allowed: 200, reason: .resets),
            Flood(testDescription: "empty DATA", frame: Wire.data(0, []), allowed: 100, reason: .emptyData),
            Flood(testDescription: "unknown", frame: Wire.frame(0x42, 0, 0, [1]), allowed: 200, reason: .unknownFrames),
            Flood(testDescription: "GOAWAY", frame: Wire.goAway(0, 0), allowed: 200, reason: .unknownFrames),
            Flood(
                testDescription: "WINDOW_UPDATE", frame: Wire.windowUpdate(0, 1), allowed: 100, reason: .windowUpdates),
        ])
    func floods(_ row: Flood) {
        let frames = Array(repeatElement(row.frame, count: row.allowed + 1).joined())
        #expect(inspect(Array(frames.dropLast(row.frame.count)), peer: .server) == nil)
        #expect(inspect(frames, peer: .server) == row.reason)
    }

    @Test("budgets fill up again: half of them a second can be spent for ever")
    func decay() {
        var tap = FrameTap(peer: .server, budgets: FrameBudgets(), now: 0)
        let pings = Array(repeatElement(Wire.ping(), count: 49).joined())
        for second in 0..<60 {
            #expect(pings.withUnsafeBytes { tap.inspect($0, now: Int64(second) * 1_000_000_000) } == nil)
        }
        let burst = Array(repeatElement(Wire.ping(), count: 60).joined())
        #expect(burst.withUnsafeBytes { tap.inspect($0, now: 60 * 1_000_000_000) } != nil)
    }

    @Test("resets before the response are cut after 50, resets after it began are not")
    func earlyResets() {
        var tap = FrameTap(peer: .client, budgets: FrameBudgets(), now: 0)
        #expect(Wire.greeting.withUnsafeBytes { tap.inspect($0, now: 0) } == nil)
        for index in 0..<300 {
            let id = UInt32(2 * index + 1)
            #expect(Wire.headers(id).withUnsafeBytes { tap.inspect($0, now: 0) } == nil)
            tap.streams.markAnswered(id)
            #expect(Wire.reset(id).withUnsafeBytes { tap.inspect($0, now: 0) } == nil)
        }
        // A second reset of an answered stream is no longer free.
        #expect(Wire.reset(599).withUnsafeBytes { tap.inspect($0, now: 0) } == nil)
        var sent = 0
        for index in 300..<1000 {
            let id = UInt32(2 * index + 1)
            sent += 1
            if (Wire.headers(id) + Wire.reset(id)).withUnsafeBytes({ tap.inspect($0, now: 0) }) != nil { break }
        }
        #expect(sent <= 200)
    }

    @Test("a stream we had reset may still send, within reason")
    func lateFrames() {
        var tap = FrameTap(peer: .client, budgets: FrameBudgets(), now: 0)
        let start = Wire.greeting + Wire.headers(1, endStream: false)
        #expect(start.withUnsafeBytes { tap.inspect($0, now: 0) } == nil)
        tap.streams.markReset(1)
        let late = Array(repeatElement(Wire.data(1, [1]), count: 1000).joined())
        #expect(late.withUnsafeBytes { tap.inspect($0, now: 0) } == nil)
        let fault = Wire.data(1, [1]).withUnsafeBytes { tap.inspect($0, now: 0) }
        #expect(fault?.reason == .ignoredData)
    }

    @Test("an open header block is dated")
    func headerBlockTime() {
        var tap = FrameTap(peer: .client, budgets: FrameBudgets(), now: 0)
        let block = Wire.block(Wire.request)
        let first = Wire.greeting + Wire.headers(1, Array(block.prefix(10)), endHeaders: false)
        #expect(first.dropLast(2).withUnsafeBytes { tap.inspect($0, now: 5) } == nil)
        #expect(tap.headerBlockOpenSince == 5)
        #expect(first.suffix(2).withUnsafeBytes { tap.inspect($0, now: 6) } == nil)
        #expect(tap.headerBlockOpenSince == 5)
        let rest = Wire.continuation(1, Array(block.dropFirst(10)), endHeaders: true)
        #expect(rest.withUnsafeBytes { tap.inspect($0, now: 7) } == nil)
        #expect(tap.headerBlockOpenSince == nil)
    }
}
