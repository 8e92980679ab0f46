/// Counts what a peer sent against its `FrameBudgets`.
package struct FrameLedger {
    /// What is counted and decays.
    package enum Kind: Int {
        case resets, pings, settings, priorities, emptyData, unknown, glitches, ignoredData

        /// Why the connection is cut when the budget is spent.
        var reason: HTTP2CloseReason {
            switch self {
            case .resets: .resets
            case .pings: .pings
            case .settings: .settings
            case .priorities: .priorities
            case .emptyData: .emptyData
            case .unknown: .unknownFrames
            case .glitches: .glitches
            case .ignoredData: .ignoredData
            }
        }
    }

    private let budgets: FrameBudgets
    private var counts = InlineArray<8, Int>(repeating: 0)
    private var earlyResets = 0
    private var recentStreams = 0
    private var lastDecay: Int64
    private var windowUpdates = 0
    /// WINDOW_UPDATEs the peer has a reason for.
    private var windowUpdateCredit: Int

    internal init(budgets: FrameBudgets, now: Int64) {
        self.budgets = budgets
        lastDecay = now
        windowUpdateCredit = budgets.windowUpdates
    }

    /// Counts one frame of that kind; returns a reason if that was too many.
    internal mutating func count(_ kind: Kind, now: Int64) -> HTTP2CloseReason? {
        decay(now)
        counts[kind.rawValue] += 1
        return counts[kind.rawValue] > budget(kind) ? kind.reason : nil
    }

    /// Counts a new stream.
    @inline(__always)
    internal mutating func countStream() {
        // Decays with the next reset; until then nothing needs the count to be fresh.
        recentStreams += 1
        windowUpdateCredit += 2
    }

    /// Counts a reset of a stream whose response had not begun.
    internal mutating func countEarlyReset(now: Int64) -> HTTP2CloseReason? {
        earlyResets += 1
        return earlyResets > budgets.earlyResets && earlyResets * 2 > recentStreams ? .earlyResets : nil
    }

    /// Counts DATA that we sent.
    @inline(__always)
    internal mutating func countDataSent() { windowUpdateCredit += 20 }

    /// Counts a WINDOW_UPDATE.
    @inline(__always)
    internal mutating func countWindowUpdate() -> HTTP2CloseReason? {
        windowUpdates += 1
        return windowUpdates > windowUpdateCredit ? .windowUpdates : nil
    }

    /// Halves the counts once for each second since the last time.
    private mutating func decay(_ now: Int64) {
        let elapsed = now - lastDecay
        guard elapsed >= 1_000_000_000 else { return }
        let seconds = elapsed / 1_000_000_000
        lastDecay += seconds * 1_000_000_000
        let shift = min(seconds, 62)
        for index in counts.indices { counts[index] >>= shift }
        earlyResets >>= shift
        recentStreams >>= shift
    }

    private func budget(_ kind: Kind) -> Int {
        switch kind {
        case .resets: budgets.resets
        case .pings: budgets.pings
        case .settings: budgets.settings
        case .priorities: budgets.priorities
        case .emptyData: budgets.emptyData
        case .unknown: budgets.unknown
        case .glitches: budgets.glitches
        case .ignoredData: budgets.ignoredData
        }
    }
}
