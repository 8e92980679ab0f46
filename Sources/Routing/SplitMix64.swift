/// Seeded randomness: the same seed gives the same decisions, so that a simulation can replay them.
///
/// Concrete, because a generic parameter would cost a hundred times the draw itself across rooms.
/// - SeeAlso: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators" (2014).
package struct SplitMix64: RandomNumberGenerator, Sendable, Equatable {
    @usableFromInline internal var state: UInt64

    package init(seed: UInt64) { state = seed }

    /// The next 64 bits.
    @inlinable package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return mixed(state)
    }

    /// The next number in 0..<1.
    @inlinable package mutating func unit() -> Double { unitInterval(next()) }

    /// The next number in 0..<bound.
    @inlinable package mutating func below(_ bound: Int) -> Int { scaled(next(), to: bound) }
}

/// Spreads the bits of `value` over all 64; a permutation.
@inlinable package func mixed(_ value: UInt64) -> UInt64 {
    var mixed = value
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
}

/// 64 even bits as a number in 0..<1.
@inlinable package func unitInterval(_ bits: UInt64) -> Double { Double(bits >> 11) * 0x1p-53 }

/// 64 even bits as a number in 0..<bound; the bias is `bound` / 2⁶⁴.
@inlinable package func scaled(_ bits: UInt64, to bound: Int) -> Int {
    Int(truncatingIfNeeded: bits.multipliedFullWidth(by: UInt64(truncatingIfNeeded: bound)).high)
}
