import COpenSSL
import Testing

@testable import TLS

@Suite("Misbehaving peers")
struct MisbehaviourTests {
    @Test(
        "plain HTTP on a TLS port is called by its name",
        arguments: [
            "GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "POST", "P", "CONNECT a:1 HTTP/1.1\r\n",
        ]
    )
    func plainHTTP(_ text: String) throws {
        let server = TLSEngine(server: try PairSetup().serverContext())
        var read: [UInt8] = []
        let result = server.feed(Array(text.utf8), &read)
        #expect(result == .failed(TLSError(.plainHTTP, "http request on a TLS port")))
        #expect(read.isEmpty && server.outputCount == 0)
    }

    @Test("a server that answers in plain HTTP is called by its name")
    func plainAnswer() throws {
        let client = TLSEngine(client: try PairSetup().clientContext(), serverName: "a.test")
        var read: [UInt8] = []
        #expect(client.feed(Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8), &read).error?.kind == .plainHTTP)
    }

    struct Garbage: CustomTestStringConvertible {
        let testDescription: String
        let bytes: [UInt8]
        let kind: TLSError.Kind
    }

    @Test(
        "garbage instead of a handshake fails at once",
        arguments: [
            Garbage(testDescription: "zeros", bytes: .init(repeating: 0, count: 64), kind: .notTLS),
            Garbage(testDescription: "SSLv2 hello", bytes: [0x80, 0x2e, 1, 0, 2], kind: .notTLS),
            Garbage(testDescription: "SSH", bytes: Array("ssh-2.0-x\r\n".utf8), kind: .notTLS),
            Garbage(
                testDescription: "handshake record of garbage", bytes: [22, 3, 1, 0, 4, 9, 9, 9, 9, 9],
                kind: .protocolViolation),
            Garbage(testDescription: "data before the handshake", bytes: [23, 3, 3, 0, 1, 0], kind: .notTLS),
            Garbage(
                testDescription: "record too long", bytes: [22, 3, 1, 0xff, 0xff] + .init(repeating: 1, count: 100),
                kind: .protocolViolation),
            Garbage(testDescription: "version of no TLS", bytes: [22, 9, 9, 0, 4, 1, 0, 0, 0], kind: .notTLS),
        ]
    )
    func garbage(_ row: Garbage) throws {
        let server = TLSEngine(server: try PairSetup().serverContext())
        var read: [UInt8] = []
        let result = server.feed(row.bytes, &read)
        #expect(result.error?.kind == row.kind)
        #expect(server.drain(&read) == result, "the failure stays")
        #expect(throws: TLSError.self) { try server.write(text: "x") }
    }

    @Test("every byte of a record is protected", arguments: Array(stride(from: 0, to: 31, by: 3)))
    func tampered(_ index: Int) throws {
        let pair = try PairSetup().connected()
        try pair.server.write(text: "data: x\n\n")
        var record = pair.server.takeOutput()
        record[index] ^= 1
        var read: [UInt8] = []
        pair.client.receiveEnd()
        #expect(pair.client.feed(record, &read).error != nil)
        #expect(read.isEmpty)
    }

    @Test("a handshake cut at any byte never establishes")
    func cutHandshake() throws {
        let setup = PairSetup()
        let serverContext = try setup.serverContext()
        let clientContext = try setup.clientContext()
        let hello = TLSEngine(client: clientContext, serverName: "a.test").takeOutput()
        for count in 0..<hello.count {
            let server = TLSEngine(server: serverContext)
            var read: [UInt8] = []
            #expect(server.feed(Array(hello.prefix(count)), &read) == .wantsInput)
            server.receiveEnd()
            #expect(server.drain(&read).error?.kind == .truncated)
            #expect(!server.isEstablished)
        }
    }

    @Test("a hello with a wrong byte anywhere fails or goes on, and never crashes")
    func mutatedHello() throws {
        let serverContext = try PairSetup().serverContext()
        let hello = TLSEngine(client: try PairSetup().clientContext(), serverName: "a.test").takeOutput()
        for index in 0..<hello.count {
            for bit in [UInt8(1), 0x80] {
                var wrong = hello
                wrong[index] ^= bit
                let server = TLSEngine(server: serverContext)
                var read: [UInt8] = []
                server.feed(wrong, &read)
                #expect(!server.isEstablished && read.isEmpty)
            }
        }
    }

    @Test("TLS 1.1 is refused")
    func oldVersion() throws {
        let context = try PairSetup().clientContext()
        SSL_CTX_set_security_level(context.handle.pointer, 0)
        penstock_SSL_CTX_set_min_proto_version(context.handle.pointer, TLS1_1_VERSION)
        penstock_SSL_CTX_set_max_proto_version(context.handle.pointer, TLS1_1_VERSION)
        SSL_CTX_set_cipher_list(context.handle.pointer, "ALL")
        let pair = EnginePair(
            client: TLSEngine(client: context, serverName: "a.test"),
            server: TLSEngine(server: try PairSetup().serverContext()))
        pair.run()
        #expect(pair.serverError?.kind == .noCommonGround)
        #expect(pair.clientError?.kind == .alertReceived)
        #expect(!pair.server.isEstablished)
    }

    @Test("renegotiation is refused, and the connection lives on")
    func renegotiation() throws {
        let context = try PairSetup(version: .tls12).clientContext()
        SSL_CTX_clear_options(context.handle.pointer, SSL_CTX_get_options(context.handle.pointer))
        let pair = EnginePair(
            client: TLSEngine(client: context, serverName: "a.test"),
            server: TLSEngine(server: try PairSetup().serverContext()))
        pair.run()
        #expect(pair.server.version == .tls12)
        #expect(SSL_renegotiate(pair.client.connection) == 1)
        #expect(SSL_do_handshake(pair.client.connection) == -1)
        #expect(pair.client.outputCount > 0, "a new hello was sent")
        let sessionBefore = SSL_get_session(pair.server.connection)
        pair.run()
        #expect(SSL_get_session(pair.server.connection) == sessionBefore)
        #expect(pair.serverError == nil || pair.serverError?.kind == .alertReceived)
        #expect(pair.clientError?.detail.contains("no renegotiation") == true)
    }

    @Test("a flood of key updates is cut off")
    func keyUpdates() throws {
        let pair = try PairSetup().connected()
        var flood: [UInt8] = []
        for _ in 0..<4000 {
            SSL_key_update(pair.client.connection, SSL_KEY_UPDATE_REQUESTED)
            #expect(SSL_do_handshake(pair.client.connection) == 1)
        }
        flood = pair.client.takeOutput()
        var read: [UInt8] = []
        var given = 0
        while given < flood.count, pair.serverState.error == nil {
            let next = min(given + 4096, flood.count)
            pair.serverState = pair.server.feed(Array(flood[given..<next]), &read)
            given = next
        }
        #expect(pair.serverError?.kind == .excessive)
        #expect(given <= 80 << 10)
        #expect(pair.server.outputCount <= 80 << 10)
    }
}
