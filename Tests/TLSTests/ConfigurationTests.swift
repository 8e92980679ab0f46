import Glibc
import TLS
import Testing

@Suite("Certificates and keys")
struct ConfigurationTests {
    private static let issued = PairSetup.issued
    private static let damaged = PEMSource(
        name: "damaged.crt",
        bytes: Array("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".utf8))

    struct Row: CustomTestStringConvertible {
        let testDescription: String
        var certificate = issued.certificate
        var key = issued.key
        let source: String
        let reason: TLSConfigurationError.Reason
    }

    @Test(
        "each mistake is told with its file",
        arguments: [
            Row(
                testDescription: "no certificate", certificate: PEMSource(name: "e.crt", bytes: []), source: "e.crt",
                reason: .unparsable),
            Row(
                testDescription: "key as certificate", certificate: issued.key, source: "a.test.key",
                reason: .unparsable),
            Row(
                testDescription: "damaged certificate", certificate: damaged, source: "damaged.crt", reason: .unparsable
            ),
            Row(
                testDescription: "no key", key: PEMSource(name: "e.key", bytes: Array("x".utf8)), source: "e.key",
                reason: .unparsable),
            Row(
                testDescription: "certificate as key", key: issued.certificate, source: "a.test.crt",
                reason: .unparsable),
            Row(
                testDescription: "another's key", key: PairSetup.authority.issue("b", alternatives: nil).key,
                source: "b.key", reason: .keyMismatch),
            Row(
                testDescription: "encrypted key", key: TestAuthority.encryptedKey(), source: "encrypted.key",
                reason: .encryptedKey),
        ]
    )
    func mistakes(_ row: Row) {
        let error = #expect(throws: TLSConfigurationError.self) {
            _ = try TLSCertificate(row.certificate, key: row.key)
        }
        #expect(error?.source == row.source && error?.reason == row.reason)
        #expect(error?.description.hasPrefix("\(row.source): ") == true)
    }

    @Test("a file that is missing or no file is told")
    func files() {
        let missing = #expect(throws: TLSConfigurationError.self) { _ = try PEMSource(file: "/nowhere/tls.crt") }
        #expect(missing?.description == "/nowhere/tls.crt: No such file or directory" && missing?.reason == .missing)
        let folder = #expect(throws: TLSConfigurationError.self) { _ = try TrustStore(file: "/") }
        #expect(folder?.description == "/: Is a directory" && folder?.reason == .unreadable)
    }

    @Test("certificate and key may stand in one file, with the chain")
    func oneFile() throws {
        let text = Self.issued.key.bytes + Self.issued.certificate.bytes + PairSetup.authority.root.bytes
        let path = "/tmp/penstock-tls-test-\(getpid()).pem"
        let file = fopen(path, "w")
        fwrite(text, 1, text.count, file)
        fclose(file)
        defer { unlink(path) }
        let certificate = try TLSCertificate(file: path, keyFile: path)
        #expect(certificate.names == ["a.test"] && certificate.source == path)
        #expect(certificate.warnings(at: time(nil)).isEmpty)
        #expect(certificate.warnings(at: certificate.notAfter - 86400).first?.contains("expires at") == true)
        #expect(certificate.warnings(at: certificate.notAfter + 1).first?.contains("expired at") == true)
        #expect(certificate.warnings(at: certificate.notBefore - 1).first?.contains("not valid before") == true)
    }

    @Test("a weak key is refused in words")
    func weakKey() throws {
        let weak = PairSetup.authority.issue("weak", alternatives: "DNS:weak.test", keyType: .rsa(bits: 1024))
        let error = #expect(throws: TLSConfigurationError.self) {
            _ = try TLSServerContext(certificates: [weak.loaded()], protocols: [], ticketKeys: TicketKeys(), now: 0)
        }
        #expect(error?.reason == .tooWeak)
        #expect(
            error?.description.hasPrefix("weak.crt: the certificate is too weak to be used (ee key too small)") == true)
    }

    @Test("a bundle of authorities may hold one twice")
    func twice() throws {
        let root = PairSetup.authority.root
        let trust = try TrustStore(PEMSource(name: "twice.pem", bytes: root.bytes + root.bytes))
        #expect(try PairSetup(verification: .required(trust)).connected().client.isEstablished)
    }
}
