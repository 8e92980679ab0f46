import TLS
import Testing

@Suite("Verification")
struct VerificationTests {
    @Test(
        "a good certificate is accepted for its names",
        arguments: ["a.test", "A.Test", "a.test.", "127.0.0.1", "::1", "[::1]"]
    )
    func accepted(_ name: String) throws {
        let pair = try PairSetup().connected(name: name)
        #expect(pair.client.isEstablished && pair.clientError == nil)
    }

    @Test(
        "a certificate for another name or address is refused", arguments: ["b.test", "sub.a.test", "127.0.0.2", "::2"])
    func wrongName(_ name: String) throws {
        let pair = try PairSetup().connected(name: name)
        #expect(!pair.client.isEstablished)
        #expect(pair.clientError?.kind == .certificateRefused)
        #expect(pair.clientError?.detail.contains("mismatch") == true)
        #expect(pair.serverError?.kind == .alertReceived)
    }

    @Test(
        "a wildcard stands for one whole label",
        arguments: [("x.w.test", true), ("w.test", false), ("x.y.w.test", false)])
    func wildcard(_ name: String, _ isAccepted: Bool) throws {
        var setup = PairSetup()
        setup.certificates = [PairSetup.authority.issue("w", alternatives: "DNS:*.w.test")]
        #expect(try setup.connected(name: name).client.isEstablished == isAccepted)
    }

    @Test("a server name that cannot be one fails before a byte is sent", arguments: ["", ".", "a\0b"])
    func impossibleName(_ name: String) throws {
        let client = TLSEngine(client: try PairSetup().clientContext(), serverName: name)
        var ignored: [UInt8] = []
        #expect(client.outputCount == 0)
        #expect(client.drain(&ignored).error?.kind == .certificateRefused)
    }

    @Test("an unknown authority is refused")
    func wrongAuthority() throws {
        let pair = try PairSetup(verification: .required(TrustStore(TestAuthority(name: "Other").root))).connected()
        #expect(pair.clientError?.kind == .certificateRefused)
        #expect(pair.clientError?.detail.contains("issuer") == true)
    }

    @Test("the system's authorities do not know ours")
    func systemStore() throws {
        let pair = try PairSetup(verification: .required(.system())).connected()
        #expect(pair.clientError?.kind == .certificateRefused)
    }

    @Test("an expired certificate is refused and warned of")
    func expired() throws {
        var setup = PairSetup()
        setup.certificates = [PairSetup.authority.issue("a.test", alternatives: "DNS:a.test", days: -10 ... -1)]
        let pair = try setup.connected()
        #expect(pair.clientError?.detail == "certificate refused: certificate has expired")
        let warnings = try setup.serverContext().warnings
        #expect(warnings.count == 1 && warnings[0].hasPrefix("a.test.crt: certificate expired at 20"))
    }

    @Test("nothing is refused when verification is off")
    func off() throws {
        var setup = PairSetup(verification: .off)
        setup.certificates = [TestAuthority(name: "Other").issue("x", alternatives: "DNS:x", days: -10 ... -1)]
        #expect(try setup.connected().client.isEstablished)
    }

    struct ClientRow: CustomTestStringConvertible {
        let testDescription: String
        let isRequired: Bool
        let certificate: TestAuthority.Issued?
        let subject: String?
        let failure: TLSError.Kind?
    }

    private static let good = PairSetup.authority.issue("client", alternatives: nil)
    private static let foreign = TestAuthority(name: "Other").issue("stranger", alternatives: nil)

    @Test(
        "client certificates are asked for and checked",
        arguments: [
            ClientRow(
                testDescription: "required, good", isRequired: true, certificate: good, subject: "CN=client",
                failure: nil),
            ClientRow(
                testDescription: "required, none", isRequired: true, certificate: nil, subject: nil,
                failure: .certificateRefused),
            ClientRow(
                testDescription: "required, foreign", isRequired: true, certificate: foreign, subject: nil,
                failure: .certificateRefused),
            ClientRow(
                testDescription: "optional, good", isRequired: false, certificate: good, subject: "CN=client",
                failure: nil),
            ClientRow(
                testDescription: "optional, none", isRequired: false, certificate: nil, subject: nil, failure: nil),
            ClientRow(
                testDescription: "optional, foreign", isRequired: false, certificate: foreign, subject: nil,
                failure: .certificateRefused),
        ], [TLSVersion.tls12, .tls13]
    )
    func clientCertificates(_ row: ClientRow, _ version: TLSVersion) throws {
        let trust = try TrustStore(PairSetup.authority.root)
        let pair = try PairSetup(
            clients: row.isRequired ? .required(trust) : .optional(trust), clientCertificate: row.certificate,
            version: version
        ).connected()
        #expect(pair.server.isEstablished == (row.failure == nil))
        #expect(pair.serverError?.kind == row.failure)
        #expect(pair.server.peerSubject == row.subject)
        #expect(pair.clientError?.kind == (row.failure == nil ? nil : .alertReceived))
    }
}
