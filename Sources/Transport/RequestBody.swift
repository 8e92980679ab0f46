package import Bytes

/// The bytes of a request body, shared between the exchange that may send them again and the attempt that sends them.
/// Not changed while an attempt runs.
package final class RequestBody {
    package var bytes = ByteQueue()

    /// An empty body.
    package init() {}
}
