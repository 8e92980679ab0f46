/// What was special about an exchange, as two letters each.
///
/// What an option set does by itself stands here again: the general form is not specialised in other modules, where an
/// empty literal then takes 300 instructions.
@usableFromInline package struct AccessFlags: OptionSet, Sendable {
    @usableFromInline package var rawValue: UInt32

    @inlinable package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// No flags.
    @inlinable package init() { rawValue = 0 }

    @inlinable package init(arrayLiteral flags: AccessFlags...) {
        rawValue = 0
        for flag in flags { rawValue |= flag.rawValue }
    }

    /// Whether no flag is set.
    @inlinable package var isEmpty: Bool { rawValue == 0 }

    /// Whether all these flags are set.
    @inlinable package func contains(_ flags: AccessFlags) -> Bool { rawValue & flags.rawValue == flags.rawValue }

    /// Sets flags.
    @inlinable package mutating func insert(_ flags: AccessFlags) { rawValue |= flags.rawValue }

    package static let noRoute = AccessFlags(rawValue: 1 << 0)
    package static let noModel = AccessFlags(rawValue: 1 << 1)
    package static let unauthorised = AccessFlags(rawValue: 1 << 2)
    package static let rateLimited = AccessFlags(rawValue: 1 << 3)
    package static let queueFull = AccessFlags(rawValue: 1 << 4)
    package static let noHealthyEndpoint = AccessFlags(rawValue: 1 << 5)
    package static let connectFailed = AccessFlags(rawValue: 1 << 6)
    package static let upstreamReset = AccessFlags(rawValue: 1 << 7)
    package static let upstreamTimeout = AccessFlags(rawValue: 1 << 8)
    package static let streamStalled = AccessFlags(rawValue: 1 << 9)
    package static let totalTimeout = AccessFlags(rawValue: 1 << 10)
    package static let retriesExhausted = AccessFlags(rawValue: 1 << 11)
    package static let fallbackUsed = AccessFlags(rawValue: 1 << 12)
    package static let clientCancelled = AccessFlags(rawValue: 1 << 13)
    package static let clientStalled = AccessFlags(rawValue: 1 << 14)
    package static let bodyTooLarge = AccessFlags(rawValue: 1 << 15)
    package static let translationFailed = AccessFlags(rawValue: 1 << 16)
    package static let draining = AccessFlags(rawValue: 1 << 17)
    package static let retryBudgetExhausted = AccessFlags(rawValue: 1 << 18)
    package static let hedged = AccessFlags(rawValue: 1 << 19)
    package static let continued = AccessFlags(rawValue: 1 << 20)
    package static let shed = AccessFlags(rawValue: 1 << 21)

    /// What the flags are called, in the order in which they are written.
    internal static let names: [(flag: AccessFlags, letters: StaticString)] = [
        (.noRoute, "NR"), (.noModel, "NM"), (.unauthorised, "UA"), (.rateLimited, "RL"), (.queueFull, "QF"),
        (.noHealthyEndpoint, "NB"), (.connectFailed, "CF"), (.upstreamReset, "UR"), (.upstreamTimeout, "UT"),
        (.streamStalled, "ST"), (.totalTimeout, "TT"), (.retriesExhausted, "RX"), (.fallbackUsed, "FB"),
        (.clientCancelled, "CC"), (.clientStalled, "CS"), (.bodyTooLarge, "ML"), (.translationFailed, "TX"),
        (.draining, "DR"), (.retryBudgetExhausted, "RB"), (.hedged, "HG"), (.continued, "CT"), (.shed, "SH"),
    ]
}
