internal import Bytes
internal import CNghttp2

/// The body a stream sends: what waits, and whether more comes.
internal struct StreamOutput: ~Copyable {
    var queue = ByteQueue()
    /// No more bytes come.
    var isFinished = false
    /// The body ends with an error once what waits has left.
    var isBroken = false
    /// nghttp2 found nothing to send and does not ask again before it is told.
    var isDeferred = false
    /// The writer was told to pause, and waits to hear that it may go on.
    var isOverHighWater = false

    /// What nghttp2 may send now, at most `limit` bytes. The bytes stay until `HTTP2Engine.sendData`.
    mutating func offer(_ limit: Int, _ flags: UnsafeMutablePointer<UInt32>) -> Int {
        let count = min(limit, queue.count)
        // nghttp2 then resets the stream with INTERNAL_ERROR.
        if count == 0 && isBroken { return Int(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue) }
        if count == 0 && !isFinished {
            isDeferred = true
            return Int(NGHTTP2_ERR_DEFERRED.rawValue)
        }
        flags.pointee |= NGHTTP2_DATA_FLAG_NO_COPY.rawValue
        if isFinished && count == queue.count { flags.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue }
        return count
    }

    /// Ready for another stream.
    mutating func reset() {
        queue.removeAll(keeping: 16 * 1024)
        isFinished = false
        isBroken = false
        isDeferred = false
        isOverHighWater = false
    }
}
