/// A set of HTTP statuses, 100...599; others are never in it.
package struct StatusSet: Sendable, Equatable, ExpressibleByArrayLiteral {
    /// One bit for each status from 100.
    private var bits = SIMD8<UInt64>.zero

    package init() {}

    package init(arrayLiteral statuses: Int...) {
        for status in statuses { insert(status) }
    }

    package init(_ statuses: some Sequence<Int>) {
        for status in statuses { insert(status) }
    }

    /// Adds a status; nothing happens if it is not in 100...599.
    package mutating func insert(_ status: Int) {
        guard (100...599).contains(status) else { return }
        bits[(status - 100) >> 6] |= 1 << UInt64((status - 100) & 63)
    }

    package func contains(_ status: Int) -> Bool {
        guard (100...599).contains(status) else { return false }
        return bits[(status - 100) >> 6] & (1 << UInt64((status - 100) & 63)) != 0
    }
}
