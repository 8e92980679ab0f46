internal import Bytes
package import TLS

/// Why a byte stream ended without being asked to.
package enum StreamFailure: Error, Equatable {
    /// A read or write failed with this `errno`.
    case system(Int32)
    /// The handshake or a record failed.
    case tls(TLSError)
    /// The peer took nothing for the write timeout.
    case writeStalled
}

/// Is called by the byte stream it speaks a protocol over.
package protocol ByteStreamDelegate: AnyObject {
    /// Bytes arrived; all of them are to be taken. They are valid for the call.
    func received(_ bytes: Span<UInt8>)
    /// The TLS handshake is done. Not called for plain streams.
    func established()
    /// The peer sends no more. While reading is paused this may come before bytes that are still unread.
    func inputEnded()
    /// What waited to be sent has fallen below the low-water mark, after it had been above the high one.
    func drained()
    /// A round ends: the last chance to add to `output` before it is written.
    ///
    /// - Returns: Whether there is more to add once this is sent.
    func prepareOutput() -> Bool
    /// The deadline set with `setDeadline` has passed.
    func deadlinePassed()
    /// The stream failed and is closed. The last call.
    func failed(_ failure: StreamFailure)
}

/// Stands in for a protocol that has said its last word.
final class DetachedDelegate: ByteStreamDelegate {
    private unowned let stream: ByteStream

    init(_ stream: ByteStream) { self.stream = stream }

    func received(_ bytes: Span<UInt8>) {}
    func established() {}
    func inputEnded() { stream.close() }
    func drained() {}
    func prepareOutput() -> Bool { false }
    func deadlinePassed() { stream.close() }
    func failed(_ failure: StreamFailure) {}
}

extension Span where Element == UInt8 {
    /// The bytes as a span that the caller keeps alive.
    @_lifetime(borrow bytes)
    init(_unsafeBytes bytes: UnsafeRawBufferPointer) {
        let typed = bytes.assumingMemoryBound(to: UInt8.self)
        self = _overrideLifetime(Span(_unsafeElements: typed), borrowing: bytes)
    }
}
