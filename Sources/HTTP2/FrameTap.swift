internal import Bytes

/// Judges the header of each frame before nghttp2 sees it.
///
/// nghttp2 reports no frames it ignores, keeps no rates, and forgets closed streams; so what floods and what comes for
/// a closed stream must be seen here. Pure: no I/O, time comes in, and nothing is allocated. One header costs a few
/// nanoseconds; payloads are skipped, but for the dependency in PRIORITY.
package struct FrameTap: ~Copyable {
    /// Whose frames are judged.
    package enum Peer: Sendable {
        /// We are the server: a preface comes first, and streams are the peer's.
        case client
        /// We are the client.
        case server
    }

    /// A frame that ends the connection.
    package struct Fault: Equatable, Sendable {
        /// How many bytes of the input came before that frame; nghttp2 may still have them.
        package let offset: Int
        /// What was wrong.
        package let reason: HTTP2CloseReason
    }

    internal let peer: Peer
    internal var ledger: FrameLedger
    /// Streams the peer opened; index and content derive from the id.
    internal var streams = StreamMemory()

    private var prefaceLeft: Int
    private var payloadLeft = 0
    /// Octets of a header that came in pieces.
    private var partial: UInt64 = 0
    private var partialCount = 0
    private var kind = FrameKind.data.rawValue
    private var streamID: UInt32 = 0
    /// Octets of a PRIORITY payload still to be read as its dependency.
    private var dependencyLeft = 0
    private var dependency: UInt32 = 0
    private var awaitsContinuation = false
    private var headerBlockStart: Int64 = 0

    /// A tap on a new connection.
    package init(peer: Peer, budgets: FrameBudgets, now: Int64) {
        self.peer = peer
        ledger = FrameLedger(budgets: budgets, now: now)
        prefaceLeft = peer == .client ? 24 : 0
    }

    /// Whether the 24 octets of the client's preface are through.
    package var isPrefaceComplete: Bool { prefaceLeft == 0 }

    /// When the header block that is not complete began, in nanoseconds; `nil` if none is open.
    package var headerBlockOpenSince: Int64? {
        let isInFrame =
            payloadLeft > 0 && (kind == FrameKind.headers.rawValue || kind == FrameKind.continuation.rawValue)
        return isInFrame || awaitsContinuation ? headerBlockStart : nil
    }

    /// Judges the frames that begin in `bytes`.
    ///
    /// - Parameters:
    ///   - bytes: What the peer sent next. Cut anywhere.
    ///   - now: Monotonic nanoseconds.
    /// - Returns: The first frame that ends the connection. Nothing may be inspected after it.
    package mutating func inspect(_ bytes: UnsafeRawBufferPointer, now: Int64) -> Fault? {
        var position = 0
        if prefaceLeft > 0 {
            position = min(prefaceLeft, bytes.count)
            prefaceLeft -= position
        }
        while position < bytes.count {
            if payloadLeft > 0 {
                let step = min(payloadLeft, bytes.count - position)
                if dependencyLeft > 0, let reason = readDependency(bytes[position..<(position + step)]) {
                    return Fault(offset: position, reason: reason)
                }
                position += step
                payloadLeft -= step
                continue
            }
            let start = position
            let reason: HTTP2CloseReason?
            if partialCount == 0 && bytes.count - position >= 9 {
                let head = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
                reason = judge(head, bytes[position + 8], now: now)
                position += 9
            } else {
                reason = gather(bytes[position], now: now)
                position += 1
            }
            if let reason { return Fault(offset: start, reason: reason) }
        }
        return nil
    }

    /// Takes one octet of a header that came in pieces, and judges it when it is the last.
    private mutating func gather(_ octet: UInt8, now: Int64) -> HTTP2CloseReason? {
        if partialCount < 8 {
            partial = partial << 8 | UInt64(octet)
            partialCount += 1
            return nil
        }
        let head = partial
        partial = 0
        partialCount = 0
        return judge(head, octet, now: now)
    }

    /// Takes a header apart and judges it.
    @inline(__always)
    private mutating func judge(_ head: UInt64, _ last: UInt8, now: Int64) -> HTTP2CloseReason? {
        payloadLeft = Int(head >> 40)
        kind = UInt8(truncatingIfNeeded: head >> 32)
        let flags = UInt8(truncatingIfNeeded: head >> 24)
        streamID = (UInt32(truncatingIfNeeded: head) << 8 | UInt32(last)) & 0x7FFF_FFFF
        switch kind {
        case FrameKind.data.rawValue:
            return judgeData(endsStream: flags & 1 != 0, now: now)
        case FrameKind.headers.rawValue:
            headerBlockStart = now
            awaitsContinuation = flags & 4 == 0
            return judgeHeaders(endsStream: flags & 1 != 0, now: now)
        case FrameKind.windowUpdate.rawValue:
            return ledger.countWindowUpdate()
        default:
            return judgeRare(flags: flags, now: now)
        }
    }

    @inline(__always)
    private mutating func judgeData(endsStream: Bool, now: Int64) -> HTTP2CloseReason? {
        if payloadLeft == 0 && !endsStream, let reason = ledger.count(.emptyData, now: now) { return reason }
        guard peer == .client else { return nil }
        switch streams.state(of: streamID) {
        case .open(let isReset):
            if endsStream { streams.markEnded(streamID) }
            return isReset ? ledger.count(.ignoredData, now: now) : nil
        // DATA for an idle stream is nghttp2's to refuse; of a stream from long ago nothing is known.
        case .idle, .forgotten: return nil
        case .ended, .skipped: return .closedStream
        }
    }

    @inline(__always)
    private mutating func judgeHeaders(endsStream: Bool, now: Int64) -> HTTP2CloseReason? {
        guard peer == .client else { return nil }
        switch streams.state(of: streamID) {
        case .idle:
            // An even id or 0 is nghttp2's to refuse.
            if streamID & 1 == 1 {
                streams.open(streamID, isEnded: endsStream)
                ledger.countStream()
            }
            return nil
        case .open(let isReset):
            if endsStream { streams.markEnded(streamID) }
            return isReset ? ledger.count(.glitches, now: now) : nil
        case .ended: return .closedStream
        case .skipped: return .unopenedStream
        case .forgotten: return nil
        }
    }

    private mutating func judgeRare(flags: UInt8, now: Int64) -> HTTP2CloseReason? {
        switch FrameKind(rawValue: kind) {
        case .priority: return judgePriority(now: now)
        case .reset:
            guard peer == .client else { return ledger.count(.resets, now: now) }
            // Once for each stream: the second RST_STREAM for the same one counts like any other.
            if streams.markPeerReset(streamID) { return nil }
            return ledger.count(.resets, now: now) ?? ledger.countEarlyReset(now: now)
        case .settings: return ledger.count(.settings, now: now)
        case .ping: return ledger.count(.pings, now: now)
        case .continuation:
            if flags & 4 != 0 { awaitsContinuation = false }
            return nil
        case .goAway, nil: return ledger.count(.unknown, now: now)
        // nghttp2 accepts promises until the server has acknowledged that we want none. But the server has read that
        // before any request it could answer with one. A promise from a client is nghttp2's to refuse.
        case .pushPromise: return peer == .server ? .protocolViolation : nil
        case .data, .headers, .windowUpdate: return nil
        }
    }

    /// PRIORITY is nghttp2's to check, but it looks at none once we have said SETTINGS_NO_RFC7540_PRIORITIES.
    private mutating func judgePriority(now: Int64) -> HTTP2CloseReason? {
        if streamID == 0 { return .priorityOnConnection }
        if payloadLeft != 5 { return .prioritySize }
        dependencyLeft = 4
        dependency = 0
        return ledger.count(.priorities, now: now)
    }

    private mutating func readDependency(_ payload: Slice<UnsafeRawBufferPointer>) -> HTTP2CloseReason? {
        for octet in payload {
            dependency = dependency << 8 | UInt32(octet)
            dependencyLeft -= 1
            if dependencyLeft == 0 { return dependency & 0x7FFF_FFFF == streamID ? .selfDependency : nil }
        }
        return nil
    }
}

/// The frame types of RFC 9113 section 6.
internal enum FrameKind: UInt8 {
    case data = 0, headers, priority, reset, settings, pushPromise, ping, goAway, windowUpdate, continuation
}
