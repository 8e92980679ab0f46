/// The nearest of many deadlines, where any of them may be taken back.
///
/// A heap of four children per node: deadlines mostly come in order, so that `insert` mostly ends at its first
/// comparison, and a removal passes half the levels of a binary heap.
internal struct DeadlineHeap: Sendable {
    private struct Item: Sendable {
        var deadline: Int64
        var slot: Int32
    }

    private var items: [Item] = []
    /// Where each slot stands in `items`.
    private var positions: [Int32] = []

    internal var next: (deadline: Int64, slot: Int)? {
        guard let first = items.first else { return nil }
        return (first.deadline, Int(first.slot))
    }

    /// - Parameter slot: Not in the heap yet. Small: memory is taken for all slots up to it.
    internal mutating func insert(_ slot: Int, _ deadline: Int64) {
        while positions.count <= slot { positions.append(-1) }
        items.append(Item(deadline: deadline, slot: Int32(slot)))
        siftUp(items.count - 1)
    }

    /// - Parameter slot: In the heap.
    internal mutating func remove(_ slot: Int) {
        let position = Int(positions[slot])
        positions[slot] = -1
        let last = items.removeLast()
        if position == items.count { return }
        let removed = items[position].deadline
        items[position] = last
        if last.deadline < removed { siftUp(position) } else { siftDown(position) }
    }

    private mutating func siftUp(_ start: Int) {
        let item = items[start]
        var position = start
        while position > 0 {
            let parent = (position - 1) / 4
            if items[parent].deadline <= item.deadline { break }
            items[position] = items[parent]
            positions[Int(items[position].slot)] = Int32(position)
            position = parent
        }
        items[position] = item
        positions[Int(item.slot)] = Int32(position)
    }

    private mutating func siftDown(_ start: Int) {
        let item = items[start]
        var position = start
        while true {
            let children = position * 4 + 1
            if children >= items.count { break }
            var least = children
            for child in children..<min(children + 4, items.count) where items[child].deadline < items[least].deadline {
                least = child
            }
            if items[least].deadline >= item.deadline { break }
            items[position] = items[least]
            positions[Int(items[position].slot)] = Int32(position)
            position = least
        }
        items[position] = item
        positions[Int(item.slot)] = Int32(position)
    }
}
