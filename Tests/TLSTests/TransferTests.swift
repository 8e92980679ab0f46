import COpenSSL
import Testing

@testable import TLS

@Suite("Transfer")
struct TransferTests {
    /// A mebibyte that no two records share.
    private static let mebibyte = (0..<(1 << 20)).map { UInt8(truncatingIfNeeded: $0 ^ ($0 >> 8) ^ ($0 >> 16)) }

    @Test("a mebibyte arrives whole, in full records", arguments: [TLSVersion.tls12, .tls13])
    func bulk(_ version: TLSVersion) throws {
        let pair = try PairSetup(version: version).connected()
        pair.sent.toClient = 0
        try pair.server.write(TransferTests.mebibyte.span)
        try pair.client.write(TransferTests.mebibyte.span)
        pair.run()
        #expect(pair.clientRead == TransferTests.mebibyte && pair.serverRead == TransferTests.mebibyte)
        // 64 records of 16 KiB; 29 bytes each is the most that either version adds.
        #expect(pair.sent.toClient <= 1 << 20 + 64 * 29)
    }

    @Test("a small write is a small record")
    func small() throws {
        let pair = try PairSetup().connected()
        try pair.server.write(text: "data: x\n\n")
        // Header 5, content type 1, tag 16.
        #expect(pair.server.outputCount == 9 + 22)
        pair.run()
        #expect(pair.clientRead == Array("data: x\n\n".utf8))
    }

    @Test("records that came together are read together")
    func manyRecords() throws {
        let pair = try PairSetup().connected()
        for index in 0..<100 { try pair.server.write(text: "\(index % 10)") }
        let ciphertext = pair.server.takeOutput()
        var buffer = [UInt8](repeating: 0, count: 64)
        ciphertext.withUnsafeBytes { bytes in
            pair.client.receive(bytes)
            #expect(buffer.withUnsafeMutableBytes { pair.client.read(into: $0) } == .bytes(64))
            #expect(pair.client.hasUnreadInput)
            #expect(buffer.withUnsafeMutableBytes { pair.client.read(into: $0) } == .bytes(36))
            #expect(!pair.client.hasUnreadInput)
            pair.client.endReceive()
        }
    }

    @Test("a reader that pauses finds everything later, in order")
    func pause() throws {
        let pair = try PairSetup().connected()
        try pair.server.write(Array(TransferTests.mebibyte.prefix(200_000)).span)
        let ciphertext = pair.server.takeOutput()
        var first = [UInt8](repeating: 0, count: 1000)
        ciphertext.withUnsafeBytes { bytes in
            pair.client.receive(bytes)
            #expect(first.withUnsafeMutableBytes { pair.client.read(into: $0) } == .bytes(1000))
            pair.client.endReceive()
        }
        #expect(pair.client.hasUnreadInput)
        try pair.server.write(text: "end")
        var rest: [UInt8] = []
        #expect(pair.client.feed(pair.server.takeOutput(), &rest) == .wantsInput)
        #expect(first + rest == TransferTests.mebibyte.prefix(200_000) + Array("end".utf8))
        #expect(!pair.client.hasUnreadInput)
    }

    @Test("what is kept for a reader that pauses is bounded")
    func pauseBound() throws {
        let pair = try PairSetup().connected()
        try pair.server.write(TransferTests.mebibyte.span)
        let ciphertext = pair.server.takeOutput()
        ciphertext.withUnsafeBytes { bytes in
            pair.client.receive(bytes)
            pair.client.endReceive()
        }
        var read: [UInt8] = []
        #expect(pair.client.drain(&read).error?.kind == .excessive)
    }

    @Test("goodbye is heard, and the other direction stays open")
    func close() throws {
        let pair = try PairSetup().connected()
        try pair.client.write(text: "request")
        pair.client.close()
        pair.client.close()
        pair.run()
        #expect(pair.serverRead == Array("request".utf8) && pair.serverState == .closed)
        try pair.server.write(text: "answer")
        pair.run()
        #expect(pair.clientRead == Array("answer".utf8))
        #expect(throws: TLSError.self) { try pair.client.write(text: "more") }
        pair.server.close()
        pair.run()
        #expect(pair.clientState == .closed)
    }

    @Test("a transport that ends without goodbye is a truncation, after all data was given")
    func truncation() throws {
        let pair = try PairSetup().connected()
        try pair.server.write(text: "half")
        var read: [UInt8] = []
        pair.client.receiveEnd()
        let end = pair.client.feed(pair.server.takeOutput(), &read)
        #expect(read == Array("half".utf8))
        #expect(end.error == TLSError(.truncated, "connection ended without TLS close"))
        #expect(pair.client.drain(&read) == end)
    }

    @Test("an end that came along with data is still to be read, once")
    func pendingEnd() throws {
        let pair = try PairSetup().connected()
        try pair.server.write(text: "last")
        pair.server.close()
        let ciphertext = pair.server.takeOutput()
        var buffer = [UInt8](repeating: 0, count: 64)
        ciphertext.withUnsafeBytes { bytes in
            pair.client.receive(bytes)
            #expect(buffer.withUnsafeMutableBytes { pair.client.read(into: $0) } == .bytes(4))
            pair.client.endReceive()
        }
        #expect(pair.client.hasUnreadInput)
        #expect(buffer.withUnsafeMutableBytes { pair.client.read(into: $0) } == .closed)
        #expect(!pair.client.hasUnreadInput)
        pair.server.receiveEnd()
        #expect(pair.server.hasUnreadInput)
        #expect(buffer.withUnsafeMutableBytes { pair.server.read(into: $0) }.error?.kind == .truncated)
        #expect(!pair.server.hasUnreadInput)
    }

    @Test("a record cut short is a truncation")
    func cutRecord() throws {
        let pair = try PairSetup().connected()
        try pair.server.write(text: "never whole")
        var read: [UInt8] = []
        #expect(pair.client.feed(Array(pair.server.takeOutput().dropLast()), &read) == .wantsInput)
        pair.client.receiveEnd()
        #expect(pair.client.drain(&read).error?.kind == .truncated)
        #expect(read.isEmpty)
    }

    @Test("nothing may be written before the handshake is done")
    func earlyWrite() throws {
        let server = TLSEngine(server: try PairSetup().serverContext())
        let error = #expect(throws: TLSError.self) { try server.write(text: "x") }
        #expect(error?.kind == .notEstablished)
        server.close()
        #expect(server.outputCount == 0)
    }
}
