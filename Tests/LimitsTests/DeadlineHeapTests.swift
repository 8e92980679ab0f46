import Testing

@testable import Limits

@Suite struct DeadlineHeapTests {
    @Test("the nearest deadline is always first", arguments: [1 as UInt64, 2, 3])
    func nearest(_ seed: UInt64) {
        var random = SeededRandom(seed)
        var heap = DeadlineHeap()
        var naive: [Int: Int64] = [:]
        for _ in 0..<2_000 {
            let slot = Int.random(in: 0..<300, using: &random)
            if naive.removeValue(forKey: slot) != nil {
                heap.remove(slot)
            } else {
                let deadline = Int64.random(in: 0..<1_000, using: &random)
                naive[slot] = deadline
                heap.insert(slot, deadline)
            }
            let next = heap.next
            #expect(next?.deadline == naive.values.min())
            if let next { #expect(naive[next.slot] == next.deadline) }
        }
    }

    @Test("deadlines leave in order")
    func order() {
        var random = SeededRandom(4)
        var heap = DeadlineHeap()
        var deadlines: [Int64] = []
        for slot in 0..<1_000 {
            deadlines.append(Int64.random(in: 0..<500, using: &random))
            heap.insert(slot, deadlines[slot])
        }
        var left: [Int64] = []
        while let next = heap.next {
            left.append(next.deadline)
            heap.remove(next.slot)
        }
        #expect(left == deadlines.sorted())
    }
}
