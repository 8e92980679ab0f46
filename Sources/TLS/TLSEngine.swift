package import Bytes
internal import COpenSSL
internal import Glibc

/// What came of a read.
package enum TLSReadResult: Equatable, Sendable {
    /// So many bytes of plaintext stand in the buffer.
    case bytes(Int)
    /// All ciphertext is used up; give more.
    case wantsInput
    /// The peer has said that no more will come.
    case closed
    /// The connection is lost. Send what stands in `output` (an alert for the peer), then close.
    case failed(TLSError)
}

/// The TLS of one connection, without any input or output of its own.
///
/// ```
/// engine.receive(ciphertext)               // borrowed
/// loop: switch engine.read(into: buffer) { … }  // until .wantsInput, .closed or .failed, or until the reader pauses
/// engine.endReceive()                      // keeps a copy of what was not read
/// send(engine.output.bytes)                // after reads and writes alike
/// ```
///
/// The handshake is part of reading: reads answer `.wantsInput` and fill `output` until `isEstablished`. Not Sendable:
/// it lives with its connection on one reactor.
package final class TLSEngine {
    /// Which side of the connection this is.
    private enum Side {
        case server(TLSServerContext)
        case client(TLSClientContext, sessionKey: String)

        var isServer: Bool {
            if case .server = self { true } else { false }
        }
    }

    /// Ciphertext to be sent. The owner of the engine sends and consumes it.
    package var output = ByteQueue()
    /// Whether the handshake is done, so that plaintext may be written.
    package private(set) var isEstablished = false
    /// The application protocol agreed on; `nil` without ALPN. Known once established.
    package private(set) var alpn: ALPNProtocol?

    let connection: OpaquePointer
    private let side: Side
    /// The end that reading came to; it stays so.
    private var end: TLSReadResult?
    private var isEndReported = false
    private var hasSentClose = false
    private var hasInputEnded = false
    /// Ciphertext left from earlier calls, before `borrowed`.
    private var backlog = ByteQueue()
    /// What is left of the ciphertext of this call.
    private var borrowed = UnsafeRawBufferPointer(start: nil, count: 0)
    /// Ciphertext used up since the last byte of plaintext.
    private var barrenCount = 0

    /// More ciphertext than a handshake can take; the longest certificate chain OpenSSL accepts has 100 KiB.
    private static let handshakeLimit = 256 << 10
    /// More than the largest record several times over. A peer that sends so much without any data floods us with
    /// key updates or empty records, each of which costs us more than it.
    private static let barrenLimit = 64 << 10
    /// Ciphertext kept for a reader that pauses.
    private static let backlogLimit = 1 << 20

    /// The server's side of a new connection.
    package init(server context: TLSServerContext) {
        guard let connection = SSL_new(context.defaultContext) else { fatalError("out of memory") }
        self.connection = connection
        side = .server(context)
        attach(context.bioMethod)
        SSL_set_accept_state(connection)
    }

    /// The client's side of a new connection; its first flight stands in `output`.
    ///
    /// - Parameters:
    ///   - serverName: The host name or literal IP address that the certificate must be for. A name also goes to the
    ///     server (SNI).
    ///   - sessionKey: Tells apart servers of the same name that share no sessions, such as by address and port.
    package init(client context: TLSClientContext, serverName: String, sessionKey: String = "") {
        guard let connection = SSL_new(context.handle.pointer) else { fatalError("out of memory") }
        self.connection = connection
        let key = sessionKey.isEmpty ? serverName : "\(serverName) \(sessionKey)"
        side = .client(context, sessionKey: key)
        attach(context.bioMethod)
        SSL_set_connect_state(connection)
        if let error = expect(serverName, isVerifying: context.isVerifying) {
            end = .failed(error)
            return
        }
        context.resume(connection, key: key)
        _ = handshake()
    }

    deinit {
        // Otherwise OpenSSL takes a session off resumption because its connection had no orderly end.
        if case .failed(let error) = end, error.kind != .truncated {
        } else {
            SSL_set_shutdown(connection, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN)
        }
        SSL_free(connection)
    }

    private func attach(_ method: EngineBIOMethod) {
        guard let bio = BIO_new(method.pointer) else { fatalError("out of memory") }
        // Unretained: connection and BIO never outlive self, deinit sees to it.
        let owner = Unmanaged.passUnretained(self).toOpaque()
        BIO_set_data(bio, owner)
        BIO_set_init(bio, 1)
        // One reference for reading and writing: OpenSSL takes it once if both are the same.
        SSL_set_bio(connection, bio, bio)
        penstock_SSL_set_app_data(connection, owner)
    }

    /// Tells OpenSSL whom we call; an error if the name cannot be one.
    private func expect(_ serverName: String, isVerifying: Bool) -> TLSError? {
        var name = Substring(serverName)
        if name.first == "[", name.last == "]" { name = name.dropFirst().dropLast() }
        if name.last == "." { name.removeLast() }
        let host = String(name)
        let refusal = TLSError(.certificateRefused, "\"\(serverName)\" is no name a certificate can be for")
        // A NUL would cut the name short in C, and no name at all would switch the check off.
        guard !host.isEmpty, !host.utf8.contains(0) else { return refusal }
        let parameters = SSL_get0_param(connection)
        if X509_VERIFY_PARAM_set1_ip_asc(parameters, host) == 1 { return nil }
        ERR_clear_error()
        X509_VERIFY_PARAM_set_hostflags(parameters, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
        guard SSL_set1_host(connection, host) == 1, penstock_SSL_set_tlsext_host_name(connection, host) == 1 else {
            ERR_clear_error()
            return refusal
        }
        return nil
    }
}

// MARK: - Sessions

extension TLSEngine {
    /// Keeps a session of the server for the next connection; false if there is nowhere to.
    func keep(session: OpaquePointer) -> Bool {
        guard case .client(let context, let key) = side else { return false }
        context.store(session: session, for: key)
        return true
    }
}

// MARK: - Reading

extension TLSEngine {
    /// Lends ciphertext from the peer until `endReceive`.
    ///
    /// - Parameter ciphertext: Must stay valid until `endReceive`.
    package func receive(_ ciphertext: UnsafeRawBufferPointer) {
        precondition(borrowed.count == 0, "receive before the last endReceive")
        borrowed = ciphertext
    }

    /// Ends the loan of the ciphertext; what was not read of it is copied and read first next time.
    package func endReceive() {
        if borrowed.count > 0 {
            if backlog.count + borrowed.count <= TLSEngine.backlogLimit {
                backlog.append(borrowed)
            } else if end == nil {
                end = .failed(TLSError(.excessive, "more ciphertext came than can be kept for a reader that pauses"))
            }
        }
        borrowed = UnsafeRawBufferPointer(start: nil, count: 0)
    }

    /// Tells that the transport has ended: nothing follows what was received.
    package func receiveEnd() {
        hasInputEnded = true
    }

    /// Whether reading on could tell something new without further input: data, or the end.
    package var hasUnreadInput: Bool {
        borrowed.count > 0 || !backlog.isEmpty || SSL_pending(connection) > 0
            || (!isEndReported && (end != nil || hasInputEnded))
    }

    /// Decrypts into `buffer`, as much as fits and is there.
    ///
    /// - Parameter buffer: At least one byte; 16 KiB and more take whole records.
    package func read(into buffer: UnsafeMutableRawBufferPointer) -> TLSReadResult {
        precondition(buffer.count > 0, "nowhere to read to")
        if let end { return report(end) }
        if !isEstablished, let unfinished = handshake() { return report(unfinished) }
        var filled = 0
        while filled < buffer.count, hasUnreadInput {
            ERR_clear_error()
            var count = 0
            let rest = buffer.baseAddress.unsafelyUnwrapped + filled
            if SSL_read_ex(connection, rest, buffer.count - filled, &count) == 1 {
                filled += count
                barrenCount = 0
                continue
            }
            end = outcome(of: 0)
            if end == nil, barrenCount > TLSEngine.barrenLimit {
                end = .failed(TLSError(.excessive, "the peer sends records without data"))
            }
            break
        }
        if filled > 0 { return .bytes(filled) }
        return end.map { report($0) } ?? .wantsInput
    }

    private func report(_ result: TLSReadResult) -> TLSReadResult {
        if end != nil { isEndReported = true }
        return result
    }

    /// Goes on with the handshake as far as the input allows; `nil` once it is done.
    private func handshake() -> TLSReadResult? {
        if barrenCount == 0, let first = firstInputByte, let error = strangerError(first) {
            end = .failed(error)
            return end
        }
        ERR_clear_error()
        let result = SSL_do_handshake(connection)
        if result == 1 {
            isEstablished = true
            barrenCount = 0
            alpn = selectedProtocol()
            return nil
        }
        end = outcome(of: result)
        if end == nil, barrenCount > TLSEngine.handshakeLimit {
            end = .failed(TLSError(.excessive, "the handshake does not come to an end"))
        }
        return end ?? .wantsInput
    }

    private var firstInputByte: UInt8? { backlog.bytes.first ?? borrowed.first }

    /// What to make of a first byte that begins no TLS record.
    ///
    /// A handshake record begins with 22, and a server's alert with 21. OpenSSL's own check knows four methods only
    /// and waits for eleven bytes.
    private func strangerError(_ first: UInt8) -> TLSError? {
        switch (first, side.isServer) {
        case (22, _), (21, false): nil
        case (UInt8(ascii: "A")...UInt8(ascii: "Z"), true): TLSError(.plainHTTP, "http request on a TLS port")
        case (UInt8(ascii: "H"), false): TLSError(.plainHTTP, "the server answered in plain HTTP on a TLS connection")
        default: TLSError(.notTLS, "the peer does not speak TLS")
        }
    }

    /// What the last call's failure means; `nil` if only input is missing.
    private func outcome(of result: CInt) -> TLSReadResult? {
        switch SSL_get_error(connection, result) {
        case SSL_ERROR_WANT_READ: return nil
        case SSL_ERROR_ZERO_RETURN: return .closed
        default: break
        }
        var error = TLSError.fromQueue()
        if error.kind == .truncated {
            error = TLSError(
                .truncated, isEstablished ? "connection ended without TLS close" : "connection ended in the handshake")
        }
        let verdict = SSL_get_verify_result(connection)
        if error.kind == .certificateRefused, verdict != Int(X509_V_OK) {
            error = TLSError(
                .certificateRefused, "certificate refused: \(String(cString: X509_verify_cert_error_string(verdict)))")
        }
        return .failed(error)
    }

    private func selectedProtocol() -> ALPNProtocol? {
        var name: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        SSL_get0_alpn_selected(connection, &name, &count)
        return ALPNProtocol(name: UnsafeBufferPointer(start: name, count: Int(count)))
    }

    /// Whether the transport has ended and everything from it was taken.
    var isAtInputEnd: Bool { hasInputEnded && backlog.isEmpty && borrowed.count == 0 }

    /// Copies input for OpenSSL: how much, 0 at the end of the transport, -1 if there is none now.
    func takeInput(into target: UnsafeMutableRawBufferPointer) -> Int {
        let source = backlog.isEmpty ? borrowed : backlog.bytes
        let count = min(source.count, target.count)
        guard count > 0, let from = source.baseAddress, let into = target.baseAddress else {
            return hasInputEnded ? 0 : -1
        }
        memcpy(into, from, count)
        if backlog.isEmpty {
            borrowed = UnsafeRawBufferPointer(rebasing: borrowed[count...])
        } else {
            backlog.consume(count)
            if backlog.isEmpty { backlog.removeAll() }
        }
        barrenCount += count
        return count
    }
}

// MARK: - Writing

extension TLSEngine {
    /// Encrypts `plaintext` into `output`, in records of up to 16 KiB.
    ///
    /// - Throws: `.notEstablished` before the handshake is done or after the end.
    package func write(_ plaintext: UnsafeRawBufferPointer) throws(TLSError) {
        guard isEstablished, !hasSentClose else {
            throw TLSError(.notEstablished, "write outside of an established connection")
        }
        if case .failed(let error) = end { throw error }
        guard plaintext.count > 0 else { return }
        ERR_clear_error()
        var written = 0
        guard SSL_write_ex(connection, plaintext.baseAddress, plaintext.count, &written) == 1 else {
            let error = TLSError.fromQueue()
            end = .failed(error)
            throw error
        }
    }

    /// Encrypts `plaintext` into `output`, in records of up to 16 KiB.
    package func write(_ plaintext: Span<UInt8>) throws(TLSError) {
        try plaintext.withUnsafeBytes { bytes throws(TLSError) in try write(bytes) }
    }

    /// Says goodbye: the closing alert goes to `output`. Reading may go on. Does nothing the second time, or if there
    /// is no connection to close.
    package func close() {
        guard isEstablished, !hasSentClose else { return }
        if case .failed = end { return }
        hasSentClose = true
        ERR_clear_error()
        SSL_shutdown(connection)
        ERR_clear_error()
    }
}
