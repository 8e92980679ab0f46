/// Streams that have ended, kept to be used again with the memory of their heads and queues.
///
/// One for all sessions of a reactor, so that an idle connection holds none.
package final class HTTP2StreamPool<Stream: AnyObject> {
    @exclusivity(unchecked) private var streams: [Stream] = []
    private let capacity: Int

    /// An empty pool that keeps at most `capacity` streams.
    package init(capacity: Int = 256) { self.capacity = capacity }

    /// A stream that nobody else holds, or `nil`.
    internal func take() -> Stream? { streams.popLast() }

    /// Keeps a stream that nobody else holds.
    internal func put(_ stream: consuming Stream) {
        if streams.count < capacity { streams.append(stream) }
    }
}
