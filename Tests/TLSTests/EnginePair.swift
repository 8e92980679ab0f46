import Bytes
import COpenSSL
import Glibc

@testable import TLS

/// A client and a server whose ciphertext is carried between them.
final class EnginePair {
    let client: TLSEngine
    let server: TLSEngine
    /// What each side has read.
    var clientRead: [UInt8] = []
    var serverRead: [UInt8] = []
    /// How reading stands on each side: the last result that was no bytes.
    var clientState = TLSReadResult.wantsInput
    var serverState = TLSReadResult.wantsInput
    /// Ciphertext carried from the client to the server, and back.
    var sent = (toServer: 0, toClient: 0)

    init(client: TLSEngine, server: TLSEngine) {
        self.client = client
        self.server = server
    }

    /// Carries ciphertext to and fro, in pieces of at most `piece` bytes, until neither side has anything to say.
    func run(piece: Int = 65536) {
        while client.output.count > 0 || server.output.count > 0 {
            sent.toServer += client.output.count
            sent.toClient += server.output.count
            for bytes in pieces(&client.output, of: piece) { serverState = server.feed(bytes, &serverRead) }
            for bytes in pieces(&server.output, of: piece) { clientState = client.feed(bytes, &clientRead) }
        }
    }

    private func pieces(_ queue: inout ByteQueue, of size: Int) -> [[UInt8]] {
        let whole = Array(queue.bytes)
        queue.removeAll()
        return stride(from: 0, to: whole.count, by: size).map { Array(whole[$0..<min($0 + size, whole.count)]) }
    }

    var clientError: TLSError? { clientState.error }
    var serverError: TLSError? { serverState.error }
}

extension TLSReadResult {
    var error: TLSError? { if case .failed(let error) = self { error } else { nil } }
}

extension TLSEngine {
    /// Gives the engine ciphertext and appends all plaintext that comes of it.
    @discardableResult
    func feed(_ ciphertext: [UInt8], _ plaintext: inout [UInt8]) -> TLSReadResult {
        ciphertext.withUnsafeBytes { bytes in
            receive(bytes)
            defer { endReceive() }
            return drain(&plaintext)
        }
    }

    /// Reads until there is no more.
    func drain(_ plaintext: inout [UInt8], bufferSize: Int = 16384) -> TLSReadResult {
        withUnsafeTemporaryAllocation(byteCount: bufferSize, alignment: 1) { buffer in
            while true {
                let result = read(into: buffer)
                guard case .bytes(let count) = result else { return result }
                plaintext.append(contentsOf: buffer.prefix(count))
            }
        }
    }

    func write(text: String) throws(TLSError) {
        try write(Array(text.utf8).span)
    }

    /// How much stands in `output`; `#expect` cannot look into a queue that is owned once.
    var outputCount: Int { output.count }

    /// Everything in `output`, which is empty then.
    func takeOutput() -> [UInt8] {
        defer { output.removeAll() }
        return Array(output.bytes)
    }
}

/// What tests configure on both sides, with defaults that work.
struct PairSetup {
    static let authority = TestAuthority()
    static let issued = authority.issue("a.test", alternatives: "DNS:a.test,IP:127.0.0.1,IP:::1")

    var certificates: [TestAuthority.Issued] = [issued]
    var serverProtocols: [ALPNProtocol] = [.h2, .http1]
    var clientProtocols: [ALPNProtocol] = [.h2, .http1]
    var clients = ClientCertificatePolicy.none
    var keys = TicketKeys()
    var verification: ServerVerification?
    var clientCertificate: TestAuthority.Issued?
    var version: TLSVersion = .tls13

    func serverContext() throws -> TLSServerContext {
        try TLSServerContext(
            certificates: certificates.map { try $0.loaded() }, protocols: serverProtocols, ticketKeys: keys,
            clients: clients, now: time(nil))
    }

    func clientContext() throws -> TLSClientContext {
        let context = try TLSClientContext(
            verification: verification ?? .required(TrustStore(PairSetup.authority.root)),
            protocols: clientProtocols, certificate: clientCertificate?.loaded())
        let highest = version == .tls12 ? TLS1_2_VERSION : TLS1_3_VERSION
        penstock_SSL_CTX_set_max_proto_version(context.handle.pointer, highest)
        return context
    }

    /// A pair that has run as far as it goes.
    func connected(name: String = "a.test", piece: Int = 65536) throws -> EnginePair {
        let pair = EnginePair(
            client: TLSEngine(client: try clientContext(), serverName: name),
            server: TLSEngine(server: try serverContext()))
        pair.run(piece: piece)
        return pair
    }
}
