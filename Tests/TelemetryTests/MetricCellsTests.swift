import Bytes
import Dispatch
import Testing

@Suite struct MetricCellsTests {
    @Test("counts of several reactors and of threads without a shard add up", .timeLimit(.minutes(1)))
    func concurrentWriters() {
        let run = MetricCells().allocate(1)
        let counter = CounterHandle(run)
        let rounds = 100_000
        DispatchQueue.concurrentPerform(iterations: 8) { worker in
            let shard = worker < 4 ? MetricShard(reactor: worker + 1) : .control
            for _ in 0..<rounds { counter.add(3, on: shard) }
        }
        #expect(run.sum(at: 0, shards: 5) == 8 * 3 * rounds)
        #expect(run.sum(at: 0, shards: 1) == 4 * 3 * rounds)
    }

    @Test("the sum of a histogram survives threads without a shard", .timeLimit(.minutes(1)))
    func concurrentHistogram() {
        let run = MetricCells().allocate(4)
        let histogram = HistogramHandle(run, HistogramBounds(nanos: [1_000_000_000, 2_000_000_000]))
        DispatchQueue.concurrentPerform(iterations: 4) { worker in
            let shard = worker < 2 ? MetricShard(reactor: worker + 1) : .control
            for _ in 0..<10_000 { histogram.observe(nanos: 1_500_000_000, on: shard) }
        }
        #expect(run.sum(at: 2, shards: 3) == 40_000)
        #expect(run.doubleSum(at: 0, shards: 3) == 60_000)
    }

    @Test("what one shard adds to a gauge another may take away")
    func gauge() {
        let run = MetricCells().allocate(1)
        let gauge = GaugeHandle(run)
        gauge.add(5, on: MetricShard(reactor: 1))
        gauge.add(-7, on: MetricShard(reactor: 255))
        gauge.add(2, on: .control)
        #expect(run.sum(at: 0, shards: 256) == 0)
        gauge.set(9)
        #expect(run.sum(at: 0, shards: 1) == 9)
    }

    @Test("a duration falls into the first bucket whose bound is not below it")
    func buckets() {
        let nanos = [1, 2, 3, 1000, 1024, 1025, 5_000_000, Int.max - 1]
        let bounds = HistogramBounds(nanos: nanos)
        for value in [Int.min, -1, 0, 1, 2, 3, 4, 999, 1000, 1001, 1023, 1024, 1025, 1026, 5_000_001, .max - 1, .max] {
            #expect(bounds.bucket(of: value) == nanos.firstIndex { $0 >= value } ?? nanos.count, "\(value)")
        }
        #expect(HistogramBounds(nanos: []).bucket(of: 7) == 0)
    }

    @Test("cells that were given back come anew as zero")
    func reuse() {
        let cells = MetricCells()
        let first = cells.allocate(3)
        CounterHandle(first).add(7, on: MetricShard(reactor: 200))
        cells.free(first)
        let second = cells.allocate(3)
        #expect(second.sum(at: 0, shards: 256) == 0)
        CounterHandle(second).add(1, on: .control)
        #expect(first.sum(at: 0, shards: 256) == 1, "the same memory")
    }

    @Test("growth moves no cells and overlaps none")
    func growth() {
        let cells = MetricCells()
        let runs = (0..<5000).map { cells.allocate(1 + $0 % 20) }
        for (index, run) in runs.enumerated() { CounterHandle(run).add(index, on: MetricShard(reactor: 1 + index % 9)) }
        #expect(runs.enumerated().allSatisfy { $0.element.sum(at: 0, shards: 10) == $0.offset })
    }
}
