package import Bytes

/// The bytes of a request body, shared between the exchange that may send them again and the attempt that sends them.
/// Not changed while an attempt runs.
package final class RequestBody {
    package var bytes = ByteQueue()

    /// An empty body.
    package init() {}

    /// The bytes, for reading. Not to be held while `bytes` changes.
    package var contents: Span<UInt8> {
        @_lifetime(borrow self)
        get { _overrideLifetime(Span(_unsafeBytes: bytes.bytes), borrowing: self) }
    }
}
