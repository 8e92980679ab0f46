/// What is remembered of the last streams a client opened: 256 of them in one KiB, open or closed.
///
/// nghttp2 forgets a stream when it closes, and then ignores what comes for it. RFC 9113 section 5.1 wants an error,
/// unless it was we who reset the stream and the peer could not know yet.
internal struct StreamMemory {
    /// What a frame for a stream meets.
    enum State: Equatable {
        /// Higher than any opened so far, or 0.
        case idle
        /// The peer may still send; `isReset` if we wanted no more.
        case open(isReset: Bool)
        /// The peer ended or reset it itself.
        case ended
        /// Lower than one that was opened, and never opened itself.
        case skipped
        /// Too long ago to be known.
        case forgotten
    }

    /// At index `id / 2 % 256`: the rest of `id / 2` in the upper 24 bits, and flags.
    private var slots = InlineArray<256, UInt32>(repeating: 0)
    private var highest: UInt32 = 0

    private static let opened: UInt32 = 1
    private static let ended: UInt32 = 2
    private static let weReset: UInt32 = 4
    private static let answered: UInt32 = 8
    private static let peerReset: UInt32 = 16

    @inline(__always)
    private func index(_ id: UInt32) -> Int { Int(id >> 1 & 255) }

    /// The flags of a stream that is remembered.
    @inline(__always)
    private func flags(_ id: UInt32) -> UInt32? {
        let slot = slots[index(id)]
        return slot & Self.opened != 0 && slot >> 8 == id >> 9 ? slot : nil
    }

    @inline(__always)
    func state(of id: UInt32) -> State {
        if id > highest || id == 0 { return .idle }
        // Ids of our own streams are even: none was ever opened.
        if id & 1 == 0 { return .idle }
        if let flags = flags(id) {
            return flags & Self.ended != 0 ? .ended : .open(isReset: flags & Self.weReset != 0)
        }
        return (highest - id) / 2 < 256 ? .skipped : .forgotten
    }

    @inline(__always)
    mutating func open(_ id: UInt32, isEnded: Bool) {
        highest = id
        slots[index(id)] = (id >> 9) << 8 | Self.opened | (isEnded ? Self.ended : 0)
    }

    @inline(__always)
    private mutating func mark(_ id: UInt32, _ flag: UInt32) {
        if flags(id) != nil { slots[index(id)] |= flag }
    }

    /// The peer has sent END_STREAM.
    @inline(__always)
    mutating func markEnded(_ id: UInt32) { mark(id, Self.ended) }

    /// We have reset the stream.
    mutating func markReset(_ id: UInt32) { mark(id, Self.weReset) }

    /// Our response has begun.
    @inline(__always)
    mutating func markAnswered(_ id: UInt32) { mark(id, Self.answered) }

    /// The peer has reset the stream. Returns whether our response had begun and this is its first reset.
    mutating func markPeerReset(_ id: UInt32) -> Bool {
        guard let flags = flags(id) else { return false }
        mark(id, Self.ended | Self.peerReset)
        return flags & Self.answered != 0 && flags & Self.peerReset == 0
    }
}
