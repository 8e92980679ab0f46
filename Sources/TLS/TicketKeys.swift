internal import COpenSSL
internal import Synchronization

/// The keys that encrypt session tickets.
///
/// One object serves all listeners and reactors and outlives reloads, so a client resumes wherever it comes back.
/// A new key is made every `lifetime`; the two before it still open the tickets they sealed, so a ticket is good for
/// at least two lifetimes. Forward secrecy of resumed TLS 1.2 sessions ends with the last key that opens them.
///
/// - SeeAlso: RFC 5077 section 4 for the form of a ticket.
package final class TicketKeys: Sendable {
    private struct Key: Sendable {
        let name: [UInt8]
        let cipher: [UInt8]
        let mac: [UInt8]
        let made: ContinuousClock.Instant
    }

    private let keys: Mutex<[Key]>
    private let lifetime: Duration

    /// Makes the first key.
    ///
    /// - Parameter lifetime: How long new tickets are sealed with the same key.
    package init(lifetime: Duration = .seconds(3600)) {
        self.lifetime = lifetime
        keys = Mutex([TicketKeys.makeKey()])
    }

    /// Starts sealing with a new key now.
    package func rotate() {
        let fresh = TicketKeys.makeKey()
        keys.withLock { keys in
            keys.insert(fresh, at: 0)
            if keys.count > 3 { keys.removeLast() }
        }
    }

    private static func makeKey() -> Key {
        func random(_ count: Int) -> [UInt8] {
            var bytes = [UInt8](repeating: 0, count: count)
            guard RAND_bytes(&bytes, CInt(count)) == 1 else { fatalError("no randomness to be had") }
            return bytes
        }
        return Key(name: random(16), cipher: random(32), mac: random(32), made: .now)
    }

    private func sealingKey() -> Key {
        let newest = keys.withLock { $0[0] }
        guard newest.made.duration(to: .now) > lifetime else { return newest }
        // Two threads may both find it due; the second rotation is harmless.
        rotate()
        return keys.withLock { $0[0] }
    }

    /// What OpenSSL asks for each ticket: set up cipher and MAC.
    ///
    /// - Returns: 1 if done, 2 if done with an old key so that a new ticket is due, 0 for a ticket we cannot open, -1
    ///   for failure.
    func prepare(
        name: UnsafeMutablePointer<UInt8>,
        vector: UnsafeMutablePointer<UInt8>,
        cipher: OpaquePointer,
        mac: OpaquePointer,
        sealing: Bool
    ) -> CInt {
        if sealing {
            let key = sealingKey()
            guard RAND_bytes(vector, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) == 1 else { return -1 }
            for index in 0..<16 { name[index] = key.name[index] }
            guard EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), nil, key.cipher, vector) == 1 else { return -1 }
            return penstock_EVP_MAC_set_hmac_sha256(mac, key.mac, 32) == 1 ? 1 : -1
        }
        let wanted = UnsafeBufferPointer(start: name, count: 16)
        let found = keys.withLock { keys in
            keys.firstIndex { $0.name.elementsEqual(wanted) }.map { (key: keys[$0], isNewest: $0 == 0) }
        }
        guard let found else { return 0 }
        guard penstock_EVP_MAC_set_hmac_sha256(mac, found.key.mac, 32) == 1,
            EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nil, found.key.cipher, vector) == 1
        else { return -1 }
        return found.isNewest ? 1 : 2
    }
}
