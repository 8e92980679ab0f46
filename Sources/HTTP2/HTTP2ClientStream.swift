internal import Bytes
package import HTTP

/// One request of ours and its response on an HTTP/2 connection.
///
/// Belongs to its session and is used again for later requests, unless somebody still holds it when it closes. After
/// that its methods do nothing. Not `Sendable`: it stays on the session's reactor.
package final class HTTP2ClientStream {
    /// The stream's number on its connection.
    @exclusivity(unchecked) package internal(set) var id: Int32 = 0
    /// The head of the response. The owner may take it (`swap`) once `responseHead` was called.
    @exclusivity(unchecked) package var response = ResponseHead()
    /// Whatever the transport wants to find again.
    @exclusivity(unchecked) package var owner: AnyObject?
    /// A final head has come.
    @exclusivity(unchecked) package internal(set) var isResponseStarted = false
    /// The whole response has come.
    @exclusivity(unchecked) package internal(set) var isResponseComplete = false
    /// The stream has been reset by us, or is closed.
    @exclusivity(unchecked) package internal(set) var isReset = false
    /// Meaningful in `streamClosed`: the server has not acted on the request, so it may be sent again elsewhere.
    ///
    /// True if the server refused it, named a lower stream as its last, or never got it.
    @exclusivity(unchecked) package internal(set) var isUnprocessed = false

    // The session outlives its streams' use of it: it clears this when the stream closes, and when it dies itself.
    @exclusivity(unchecked) internal unowned(unsafe) var session: HTTP2ClientSession?
    @exclusivity(unchecked) internal var output = StreamOutput()
    /// Why we have reset the stream.
    @exclusivity(unchecked) internal private(set) var resetCode = HTTP2Code.noError
    /// Index in the session's list of open streams.
    @exclusivity(unchecked) internal var slot = 0
    /// The head of the request has been written.
    @exclusivity(unchecked) internal var isSent = false
    /// Response bytes the delegate has not consumed yet.
    @exclusivity(unchecked) internal var unconsumed = 0

    internal init() {}

    /// Whether the stream has ended; everything done to it is in vain then.
    package var isClosed: Bool { session == nil }

    /// Bytes of the request body that nghttp2 has not taken yet.
    package var bufferedBytes: Int { output.queue.count }

    /// Whether the writer should wait for `requestDrained`.
    package var isOverHighWater: Bool { output.isOverHighWater }

    /// Sends bytes of the body. They are copied and leave with the next `produce`, as the peer's window allows.
    package func write(_ bytes: Span<UInt8>) {
        guard let session, !isReset, !bytes.isEmpty else { return }
        precondition(!output.isFinished, "the body has ended")
        output.queue.append(bytes)
        if output.queue.count >= session.limits.outputHighWater { output.isOverHighWater = true }
        resume(session)
    }

    /// Ends the body.
    package func finish() {
        guard let session, !isReset, !output.isFinished else { return }
        output.isFinished = true
        resume(session)
    }

    /// Cancels the request. `streamClosed` follows with the next `produce`.
    package func reset(_ code: UInt32 = HTTP2Code.cancel) {
        guard let session, !isReset else { return }
        isReset = true
        resetCode = code
        session.engine.reset(id, code: code)
    }

    /// Gives the server credit for `count` bytes of the response body that have gone on.
    package func consumed(_ count: Int) {
        // What a stream leaves behind when it is reset or closes is credited then.
        guard let session, !isReset else { return }
        precondition(count >= 0 && count <= unconsumed, "more consumed than received")
        unconsumed -= count
        session.consume(count, of: id)
    }

    private func resume(_ session: HTTP2ClientSession) {
        guard output.isDeferred else { return }
        output.isDeferred = false
        session.engine.resume(id)
    }

    /// Forgets everything but memory of ordinary size.
    internal func recycle() {
        if response.fields.bytes.capacity > 8192 {
            response = ResponseHead()
        } else {
            response.reset()
        }
        owner = nil
        isResponseStarted = false
        isResponseComplete = false
        isReset = false
        resetCode = HTTP2Code.noError
        isUnprocessed = false
        output.reset()
        isSent = false
        unconsumed = 0
    }
}
