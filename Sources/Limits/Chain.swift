/// Neighbours of one slot in a `Chain`. -1: none.
internal struct ChainLink: Sendable {
    internal var previous: Int32 = -1
    internal var next: Int32 = -1
}

/// A doubly linked list of slots whose links lie in an array beside it: any slot is taken out in constant time.
internal struct Chain: Sendable {
    internal private(set) var head: Int32 = -1
    internal private(set) var tail: Int32 = -1

    internal var isEmpty: Bool { head < 0 }
    /// The first slot. The chain must not be empty.
    internal var first: Int { Int(head) }
    /// The last slot. The chain must not be empty.
    internal var last: Int { Int(tail) }

    internal mutating func append(_ slot: Int, _ links: inout [ChainLink]) {
        links[slot] = ChainLink(previous: tail, next: -1)
        if tail >= 0 { links[Int(tail)].next = Int32(slot) } else { head = Int32(slot) }
        tail = Int32(slot)
    }

    internal mutating func prepend(_ slot: Int, _ links: inout [ChainLink]) {
        links[slot] = ChainLink(previous: -1, next: head)
        if head >= 0 { links[Int(head)].previous = Int32(slot) } else { tail = Int32(slot) }
        head = Int32(slot)
    }

    internal mutating func remove(_ slot: Int, _ links: inout [ChainLink]) {
        let link = links[slot]
        if link.previous >= 0 { links[Int(link.previous)].next = link.next } else { head = link.next }
        if link.next >= 0 { links[Int(link.next)].previous = link.previous } else { tail = link.previous }
    }

    /// Puts the first slot behind the last.
    internal mutating func rotate(_ links: inout [ChainLink]) {
        if head == tail { return }
        let slot = first
        remove(slot, &links)
        append(slot, &links)
    }
}
