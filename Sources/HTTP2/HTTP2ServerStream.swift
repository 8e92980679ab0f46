package import Bytes
package import HTTP

/// One request and its response on an HTTP/2 connection.
///
/// Belongs to its session and is used again for later requests, unless somebody still holds it when it closes. After
/// that its methods do nothing. Not `Sendable`: it stays on the session's reactor.
package final class HTTP2ServerStream {
    /// The stream's number on its connection.
    @exclusivity(unchecked) package internal(set) var id: Int32 = 0
    /// The head of the request. The owner may take it (`swap`) once `requestHead` was called.
    package var request: RequestHead {
        unsafeAddress { UnsafePointer(requestCell.address) }
        unsafeMutableAddress { requestCell.address }
    }
    /// Where `request` lies.
    package let requestCell = Cell(RequestHead())
    /// Whatever the transport wants to find again; the transport holds it until `streamClosed`.
    @exclusivity(unchecked) package var owner: Unmanaged<AnyObject>?
    /// The client has sent its whole request.
    @exclusivity(unchecked) package internal(set) var isRequestComplete = false
    /// `respond` has been called.
    @exclusivity(unchecked) package private(set) var isResponseStarted = false
    /// The stream has been reset by us, or is closed.
    @exclusivity(unchecked) package internal(set) var isReset = false

    // Unretained: the session outlives its streams' use of it, for it clears this when the stream closes, and when it
    // dies itself. Nothing that streams call of it can end it: that calls nobody back.
    @exclusivity(unchecked) internal var session: Unmanaged<HTTP2ServerSession>?
    @exclusivity(unchecked) internal var output = StreamOutput()
    /// Why we have reset the stream.
    @exclusivity(unchecked) internal private(set) var resetCode = HTTP2Code.noError
    /// Index in the session's list of open streams.
    @exclusivity(unchecked) internal var slot = 0
    /// The delegate knows this stream.
    @exclusivity(unchecked) internal var isAnnounced = false
    /// We refused the request: what follows of its body is dropped.
    @exclusivity(unchecked) internal var isRejected = false
    /// An invalid frame of this stream has been counted.
    @exclusivity(unchecked) internal var isGlitchCounted = false
    /// Request bytes the delegate has not consumed yet.
    @exclusivity(unchecked) internal var unconsumed = 0

    internal init() {}

    /// Whether the stream has ended; everything done to it is in vain then.
    package var isClosed: Bool { session == nil }

    /// Bytes of the response that nghttp2 has not taken yet.
    package var bufferedBytes: Int { output.queue.count }

    /// Whether the writer should wait for `responseDrained`.
    package var isOverHighWater: Bool { output.isOverHighWater }

    /// Sends the head of the response. Once, before `write` and `finish`.
    ///
    /// - Parameters:
    ///   - status: 200...599.
    ///   - fields: Copied. Those of HTTP/1.1 connections are left out, and `content-length`.
    ///   - contentLength: The length of the body, if it is known.
    ///   - endStream: There is no body. If the request is not complete, the rest of it is declined.
    package func respond(status: Int, fields: HeaderFields, contentLength: Int? = nil, endStream: Bool = false) {
        guard let session, !isReset else { return }
        precondition(!isResponseStarted, "a stream has one response")
        isResponseStarted = true
        if endStream { output.isFinished = true }
        session._withUnsafeGuaranteedRef {
            $0.submit(status: status, fields, contentLength: contentLength, of: self, endStream: endStream)
        }
    }

    /// Sends `100 Continue`, before `respond`.
    package func respondContinue() {
        guard let session, !isReset, !isResponseStarted else { return }
        session._withUnsafeGuaranteedRef { $0.submitContinue(of: self) }
    }

    /// Sends bytes of the body. They are copied and leave with the next `produce`, as the peer's window allows.
    package func write(_ bytes: Span<UInt8>) {
        guard let session, !isReset, !output.isBroken, !bytes.isEmpty else { return }
        precondition(isResponseStarted && !output.isFinished, "the body lies between head and end")
        output.queue.append(bytes)
        session._withUnsafeGuaranteedRef { session in
            if output.queue.count >= session.limits.outputHighWater { output.isOverHighWater = true }
            resume(session)
        }
    }

    /// Ends the body.
    package func finish() {
        guard let session, !isReset, !output.isFinished, !output.isBroken else { return }
        precondition(isResponseStarted, "a response begins with its head")
        output.isFinished = true
        session._withUnsafeGuaranteedRef { resume($0) }
    }

    /// Ends the response with `INTERNAL_ERROR` once what was written has left: the client sees that it is not whole.
    package func breakOff() {
        guard let session, !isReset, !output.isFinished else { return }
        guard isResponseStarted else { return reset(HTTP2Code.internalError) }
        // Not the client's fault: it is not counted against it.
        isGlitchCounted = true
        output.isBroken = true
        resetCode = HTTP2Code.internalError
        session._withUnsafeGuaranteedRef { resume($0) }
    }

    /// Breaks the stream off. Bytes not sent yet are dropped; `streamClosed` follows with the next `produce`.
    package func reset(_ code: UInt32) {
        guard let session, !isReset else { return }
        isReset = true
        resetCode = code
        session._withUnsafeGuaranteedRef { $0.engine.reset(id, code: code) }
    }

    /// Gives the client credit for `count` bytes of the request body that have gone on.
    package func consumed(_ count: Int) {
        // What a stream leaves behind when it is reset or closes is credited then.
        guard let session, !isReset else { return }
        precondition(count >= 0 && count <= unconsumed, "more consumed than received")
        unconsumed -= count
        session._withUnsafeGuaranteedRef { $0.engine.consume(id, count) }
    }

    private func resume(_ session: HTTP2ServerSession) {
        guard output.isDeferred else { return }
        output.isDeferred = false
        session.engine.resume(id)
    }

    /// Forgets everything but memory of ordinary size.
    internal func recycle() {
        if request.fields.bytes.capacity > 8192 || request.target.capacity > 8192 {
            request = RequestHead()
        } else {
            request.reset()
        }
        owner = nil
        isRequestComplete = false
        isResponseStarted = false
        isReset = false
        resetCode = HTTP2Code.noError
        output.reset()
        isAnnounced = false
        isRejected = false
        isGlitchCounted = false
        unconsumed = 0
    }
}
