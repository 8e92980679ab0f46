/// All that decides an endpoint's standing, but for the time it is full until, in one word.
///
/// In one word because it is read without a lock: what belongs together is never seen half changed.
/// Bits 0...1 phase, 2 draining, 3 gone, 4 strikes, 5 full streak, 6 half-open request runs, 8...15 generation, 16...63 time of the end of
/// the ejection without its lowest 16 bits (66 µs).
internal struct HealthWord: Sendable, Equatable {
    internal enum Phase: UInt64, Sendable {
        /// 0: the word of an endpoint without blame is 0 in its low byte.
        case active = 0
        case warming = 1
        case suspect = 2
        case unreachable = 3
    }

    internal let rawValue: UInt64

    internal init(rawValue: UInt64) { self.rawValue = rawValue }

    internal init(
        _ phase: Phase, isDraining: Bool, isGone: Bool, hasStrikes: Bool, hasFullStreak: Bool,
        isHalfOpenTaken: Bool, generation: UInt8, until: Int64
    ) {
        rawValue =
            phase.rawValue | (isDraining ? 4 : 0) | (isGone ? 8 : 0) | (hasStrikes ? 16 : 0)
            | (hasFullStreak ? 32 : 0) | (isHalfOpenTaken ? 64 : 0) | UInt64(generation) << 8
            | UInt64(HealthWord.coarse(until))
    }

    /// The time as the word keeps it: up to 66 µs earlier, never negative.
    internal static func coarse(_ time: Int64) -> Int64 { max(0, time) & ~0xFFFF }

    /// In service, and nothing that a success would have to clear.
    @inline(__always) internal var isBlameless: Bool { rawValue & 0xFF == 0 }
    /// In service, and nothing but a streak of being full to clear.
    internal var hasOnlyFullStreak: Bool { rawValue & 0xFF == 32 }
    /// In service, drained or not.
    internal var isInService: Bool { rawValue & 2 == 0 }
    internal var isDrainingOrGone: Bool { rawValue & 12 != 0 }
    internal var isHalfOpenTaken: Bool { rawValue & 64 != 0 }
    /// In service, heard of, and with nothing that a first token would clear.
    internal var isUnchangedByToken: Bool { rawValue & 0b10011 == 0 }
    internal var generation: UInt8 { UInt8(truncatingIfNeeded: rawValue >> 8) }
    internal var until: Int64 { Int64(bitPattern: rawValue & ~0xFFFF) }

    @inline(__always)
    internal func standing(fullUntil: Int64, at now: Int64) -> Standing {
        if rawValue & 0xF == 0 { return now < fullUntil ? .full : .ready }
        return unusualStanding(fullUntil: fullUntil, at: now)
    }

    private func unusualStanding(fullUntil: Int64, at now: Int64) -> Standing {
        if rawValue & 8 != 0 { return .gone }
        if rawValue & 4 != 0 { return .draining }
        if isInService { return now < fullUntil ? .full : rawValue & 1 == 0 ? .ready : .warming }
        if now < until { return rawValue & 1 == 0 ? .suspect : .unreachable }
        return now < fullUntil ? .full : .halfOpen
    }
}
