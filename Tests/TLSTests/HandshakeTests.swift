import COpenSSL
import Testing

@testable import TLS

@Suite("Handshake")
struct HandshakeTests {
    struct ALPNRow: CustomTestStringConvertible {
        let testDescription: String
        let server: [ALPNProtocol]
        let client: [ALPNProtocol]
        let chosen: ALPNProtocol?
    }

    @Test("both sides are established and agree", arguments: [TLSVersion.tls12, .tls13])
    func establishes(_ version: TLSVersion) throws {
        let pair = try PairSetup(version: version).connected()
        #expect(pair.client.isEstablished && pair.server.isEstablished)
        #expect(pair.client.version == version && pair.server.version == version)
        #expect(pair.client.cipher == pair.server.cipher && pair.client.cipher?.contains("AES") == true)
        #expect(pair.clientState == .wantsInput && pair.serverState == .wantsInput)
        #expect(!pair.client.isResumed && !pair.server.isResumed)
        #expect(pair.server.requestedServerName == "a.test" && pair.client.peerSubject == "CN=a.test")
        #expect(pair.server.peerSubject == nil)
    }

    @Test(
        "the server's first protocol that the client offers is chosen",
        arguments: [
            ALPNRow(testDescription: "both", server: [.h2, .http1], client: [.http1, .h2], chosen: .h2),
            ALPNRow(
                testDescription: "server prefers http/1.1", server: [.http1, .h2], client: [.h2, .http1], chosen: .http1
            ),
            ALPNRow(
                testDescription: "client has http/1.1 only", server: [.h2, .http1], client: [.http1], chosen: .http1),
            ALPNRow(testDescription: "client without ALPN", server: [.h2, .http1], client: [], chosen: nil),
            ALPNRow(testDescription: "server without ALPN", server: [], client: [.h2], chosen: nil),
        ]
    )
    func alpn(_ row: ALPNRow) throws {
        let pair = try PairSetup(serverProtocols: row.server, clientProtocols: row.client).connected()
        #expect(pair.client.isEstablished && pair.server.isEstablished)
        #expect(pair.client.alpn == row.chosen && pair.server.alpn == row.chosen)
    }

    @Test("no common protocol ends the handshake on both sides")
    func alpnMismatch() throws {
        let pair = try PairSetup(serverProtocols: [.h2], clientProtocols: [.http1]).connected()
        #expect(pair.serverError?.kind == .noCommonGround)
        #expect(pair.clientError?.kind == .alertReceived)
        #expect(pair.clientError?.detail.contains("no application protocol") == true)
    }

    @Test(
        "the certificate follows the name the client asks for",
        arguments: [
            ("a.test", "CN=a.test"), ("A.TEST", "CN=a.test"), ("b.test", "CN=b.test"), ("x.c.test", "CN=*.c.test"),
            ("only-cn.test", "CN=only-cn.test"), ("c.test", "CN=a.test"), ("x.y.c.test", "CN=a.test"),
            ("unknown.test", "CN=a.test"), ("127.0.0.1", "CN=a.test"),
        ]
    )
    func sni(_ name: String, _ subject: String) throws {
        let authority = PairSetup.authority
        var setup = PairSetup(verification: .off)
        setup.certificates += [
            authority.issue("b.test", alternatives: "DNS:b.test"),
            authority.issue("*.c.test", alternatives: "DNS:*.c.test"),
            authority.issue("only-cn.test", alternatives: nil),
        ]
        let pair = try setup.connected(name: name)
        #expect(pair.client.peerSubject == subject)
        #expect(pair.server.alpn == .h2, "ALPN works whatever the certificate")
    }

    @Test("an RSA and an ECDSA certificate of one name are offered side by side", arguments: ["RSA", "ECDSA"])
    func twoKeyTypes(_ type: String) throws {
        var setup = PairSetup(version: .tls12)
        setup.certificates.append(
            PairSetup.authority.issue("a.test", alternatives: "DNS:a.test", keyType: .rsa(bits: 2048)))
        let context = try setup.clientContext()
        SSL_CTX_set_cipher_list(context.handle.pointer, "ECDHE-\(type)-AES128-GCM-SHA256")
        let pair = EnginePair(
            client: TLSEngine(client: context, serverName: "a.test"),
            server: TLSEngine(server: try setup.serverContext()))
        pair.run()
        #expect(pair.client.isEstablished && pair.client.cipher == "ECDHE-\(type)-AES128-GCM-SHA256")
    }

    @Test("a certificate whose names are all taken is warned of")
    func uselessCertificate() throws {
        var setup = PairSetup()
        setup.certificates.append(PairSetup.authority.issue("second", alternatives: "DNS:a.test"))
        #expect(
            try setup.serverContext().warnings == [
                "second.crt: never shown, for earlier certificates have all its names"
            ])
    }

    @Test(
        "bytes may come one at a time, in handshake and data, on either version", arguments: [TLSVersion.tls12, .tls13])
    func bytewise(_ version: TLSVersion) throws {
        let pair = try PairSetup(version: version).connected(piece: 1)
        #expect(pair.client.isEstablished && pair.server.isEstablished)
        try pair.client.write(text: "ping")
        try pair.server.write(text: "pong")
        pair.run(piece: 1)
        #expect(pair.serverRead == Array("ping".utf8) && pair.clientRead == Array("pong".utf8))
    }

    @Test("the first data may come with the end of the handshake")
    func earlyWrite() throws {
        let server = TLSEngine(server: try PairSetup().serverContext())
        let client = TLSEngine(client: try PairSetup().clientContext(), serverName: "a.test")
        var ignored: [UInt8] = []
        server.feed(client.takeOutput(), &ignored)
        client.feed(server.takeOutput(), &ignored)
        try client.write(text: "GET")
        var read: [UInt8] = []
        #expect(server.feed(client.takeOutput(), &read) == .wantsInput)
        #expect(read == Array("GET".utf8))
    }
}

@Suite("Resumption")
struct ResumptionTests {
    /// Two connections of one client, the server's context made anew in between, as a reload does.
    private func second(_ setup: PairSetup, to other: PairSetup, name: String = "a.test") throws -> EnginePair {
        let client = try setup.clientContext()
        let first = EnginePair(
            client: TLSEngine(client: client, serverName: "a.test"),
            server: TLSEngine(server: try setup.serverContext()))
        first.run()
        #expect(!first.server.isResumed && first.client.isEstablished)
        let again = EnginePair(
            client: TLSEngine(client: client, serverName: name), server: TLSEngine(server: try other.serverContext()))
        again.run()
        #expect(again.client.isEstablished && again.server.isEstablished)
        #expect(again.client.isResumed == again.server.isResumed)
        return again
    }

    @Test("a session outlives a reload with the same keys", arguments: [TLSVersion.tls12, .tls13])
    func reload(_ version: TLSVersion) throws {
        let setup = PairSetup(version: version)
        let again = try second(setup, to: setup)
        #expect(again.server.isResumed)
        #expect(again.server.alpn == .h2 && again.client.alpn == .h2)
        #expect(again.client.peerSubject == "CN=a.test")
    }

    @Test("a session ends with its keys")
    func otherKeys() throws {
        let setup = PairSetup()
        var other = setup
        other.keys = TicketKeys()
        #expect(try !second(setup, to: other).server.isResumed)
    }

    @Test("tickets of two keys ago still open, those of three not", arguments: [(1, true), (2, true), (3, false)])
    func rotation(_ turns: Int, _ isResumed: Bool) throws {
        let setup = PairSetup()
        let client = try setup.clientContext()
        let server = try setup.serverContext()
        EnginePair(client: TLSEngine(client: client, serverName: "a.test"), server: TLSEngine(server: server)).run()
        for _ in 0..<turns { setup.keys.rotate() }
        let again = EnginePair(
            client: TLSEngine(client: client, serverName: "a.test"), server: TLSEngine(server: server))
        again.run()
        #expect(again.server.isResumed == isResumed && again.client.isEstablished)
    }

    @Test("keys rotate by themselves when their time is over")
    func automaticRotation() throws {
        var setup = PairSetup()
        setup.keys = TicketKeys(lifetime: .zero)
        // Every ticket takes a new key, and each connection gets two tickets: the last two keys are always known.
        #expect(try second(setup, to: setup).server.isResumed)
    }

    @Test("a session is offered to the same server only")
    func otherName() throws {
        var setup = PairSetup()
        setup.certificates = [PairSetup.authority.issue("a.test", alternatives: "DNS:a.test,DNS:b.test")]
        #expect(try !second(setup, to: setup, name: "b.test").server.isResumed)
    }

    @Test("a session without a client certificate does not pass where one is required")
    func policyChange() throws {
        let setup = PairSetup()
        var other = setup
        other.clients = .optional(try TrustStore(PairSetup.authority.root))
        #expect(try !second(setup, to: other).server.isResumed)
    }
}
