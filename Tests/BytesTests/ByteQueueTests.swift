import Bytes
import Testing

@Suite("Byte queue")
struct ByteQueueTests {
    @Test("what goes in comes out in order, however it is cut")
    func order() {
        var generator = SplitMix(state: 1)
        var queue = ByteQueue()
        var model: [UInt8] = []
        for _ in 0..<5000 {
            switch Int.random(in: 0..<4, using: &generator) {
            case 0:
                let byte = UInt8.random(in: .min ... .max, using: &generator)
                queue.append(byte)
                model.append(byte)
            case 1:
                let count = Int.random(in: 0..<200, using: &generator)
                let bytes = (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
                queue.append(bytes)
                model += bytes
            case 2:
                let count = Int.random(in: 0...model.count, using: &generator)
                queue.consume(count)
                model.removeFirst(count)
            default:
                let count = Int.random(in: 0...model.count, using: &generator)
                queue.truncate(to: count)
                model.removeLast(model.count - count)
            }
            #expect(queue.count == model.count)
            #expect(queue.isEmpty == model.isEmpty)
        }
        #expect([UInt8](copying: queue.span) == model)
        #expect(queue.bytes.elementsEqual(model) == true)
    }

    @Test("an empty queue has no memory, an empty span, and can be emptied")
    func empty() {
        var queue = ByteQueue()
        #expect(queue.capacity == 0)
        #expect(queue.span.count == 0)
        #expect(queue.bytes.count == 0)
        queue.consume(0)
        queue.truncate(to: 0)
        queue.append([])
        queue.removeAll()
        #expect(queue.capacity == 0)
    }

    @Test(
        "numbers are written in decimal",
        arguments: [0, 7, 10, 99, 100, 1_000_000, -1, -10, Int.max, Int.min])
    func decimal(_ number: Int) {
        var queue = ByteQueue()
        queue.append(decimal: number)
        #expect(text(queue.span) == String(number))
    }

    @Test("numbers are written in hexadecimal", arguments: [0, 9, 10, 255, 256, 65536, Int.max])
    func hexadecimal(_ number: Int) {
        var queue = ByteQueue()
        queue.append(hex: number)
        #expect(text(queue.span) == String(number, radix: 16))
    }

    @Test("reserved room is written and committed")
    func reserve() {
        var queue = ByteQueue()
        queue.append("ab")
        let room = queue.reserve(1000)
        #expect(room.count >= 1000)
        room.storeBytes(of: UInt8(ascii: "c"), toByteOffset: 0, as: UInt8.self)
        queue.commit(1)
        #expect(text(queue.span) == "abc")
    }

    @Test("memory is kept up to what is said")
    func keeping() {
        var queue = ByteQueue()
        queue.append([UInt8](repeating: 1, count: 1000))
        let capacity = queue.capacity
        queue.removeAll(keeping: capacity)
        #expect(queue.capacity == capacity)
        queue.append(text: "x")
        queue.removeAll(keeping: capacity - 1)
        #expect(queue.capacity == 0)
        #expect(queue.isEmpty == true)
    }

    @Test("more consumed than there is stops the process")
    func overconsumption() async {
        await #expect(processExitsWith: .failure) {
            var queue = ByteQueue()
            queue.append("abc")
            queue.consume(4)
        }
    }
}
