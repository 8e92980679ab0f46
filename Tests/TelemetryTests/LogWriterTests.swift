import Bytes
import Dispatch
import Glibc
import Synchronization
import Testing

@testable import Telemetry

@Suite(.timeLimit(.minutes(1))) struct LogWriterTests {
    @discardableResult
    private func submit(_ lines: [UInt8], count: Int = 1, to writer: LogWriter) -> Bool {
        writer.submit(lines.span, count: count)
    }

    private let line = Array((String(repeating: "x", count: 99) + "\n").utf8)

    @Test("a blocked output delays nobody; what does not fit is dropped and counted, the rest comes whole and in order")
    func blocked() throws {
        let pipe = Pipe()
        // Far more than a pipe takes (64 KiB), so that the writer is stuck for certain.
        let writer = try LogWriter(.descriptor(pipe.writer), limit: 400_000)
        let rounds = 20_000
        let filling = [UInt8](repeating: 120, count: 992) + [10]
        var accepted = 0
        let taken = ContinuousClock().measure {
            for index in 0..<rounds where submit(Array("\(1_000_000 + index)".utf8) + filling, to: writer) {
                accepted += 1
            }
        }
        #expect(taken < .seconds(20), "submitting waited for the output: \(taken)")
        #expect(accepted * 1000 > 64 * 1024)
        #expect(accepted <= 400 + 66, "the limit and what the pipe took")
        #expect(writer.droppedLines == rounds - accepted)
        #expect(!writer.flush(millis: 20), "nothing was read yet")
        let lines = pipe.read(accepted * 1000).split(separator: 10)
        #expect(lines.count == accepted)
        #expect(lines.allSatisfy { $0.count == 999 })
        #expect(zip(lines, lines.dropFirst()).allSatisfy { $0.lexicographicallyPrecedes($1) })
        #expect(writer.flush())
        #expect(submit(line, to: writer), "it takes lines again")
        #expect(writer.flush())
        close(pipe.writer)
        close(pipe.reader)
    }

    @Test("lines of many threads stay whole")
    func threads() throws {
        let pipe = Pipe()
        let writer = try LogWriter(.descriptor(pipe.writer))
        let read = Mutex<[UInt8]>([])
        let done = DispatchSemaphore(value: 0)
        DispatchQueue.global().async {
            let all = pipe.read(.max)
            read.withLock { $0 = all }
            done.signal()
        }
        DispatchQueue.concurrentPerform(iterations: 4) { worker in
            let line = [UInt8](repeating: 97 + UInt8(worker), count: 99) + [10]
            for _ in 0..<2000 { submit(line, to: writer) }
        }
        #expect(writer.flush(millis: 20_000))
        close(pipe.writer)
        done.wait()
        close(pipe.reader)
        let lines = read.withLock { $0 }.split(separator: 10)
        #expect(lines.count == 4 * 2000)
        #expect(lines.allSatisfy { line in line.count == 99 && line.allSatisfy { $0 == line.first } })
        #expect(writer.droppedLines == 0)
    }

    @Test("an output that refuses costs its lines, which are counted")
    func refused() throws {
        let writer = try LogWriter(.file("/dev/full"))
        submit(line, count: 3, to: writer)
        #expect(writer.flush())
        #expect(writer.droppedLines == 3)
        let pipe = Pipe()
        close(pipe.reader)
        let broken = try LogWriter(.descriptor(pipe.writer))
        submit(line, to: broken)
        #expect(broken.flush())
        #expect(broken.droppedLines == 1)
        close(pipe.writer)
    }

    @Test("a descriptor that someone made non-blocking is waited for")
    func nonBlocking() throws {
        let pipe = Pipe()
        #expect(fcntl(pipe.writer, F_SETFL, O_NONBLOCK) == 0)
        let writer = try LogWriter(.descriptor(pipe.writer))
        for _ in 0..<3000 { submit(line, to: writer) }
        #expect(pipe.read(300_000).count == 300_000)
        #expect(writer.flush())
        #expect(writer.droppedLines == 0)
        close(pipe.writer)
        close(pipe.reader)
    }

    @Test("a file that was moved away is opened anew")
    func rotation() throws {
        let path = "/tmp/penstock-log-test-\(getpid())"
        defer {
            unlink(path)
            unlink(path + ".1")
        }
        let writer = try LogWriter(.file(path))
        submit(Array("one\n".utf8), to: writer)
        #expect(writer.flush())
        #expect(rename(path, path + ".1") == 0)
        submit(Array("two\n".utf8), to: writer)
        #expect(writer.flush())
        writer.reopen { _ in Issue.record("the file could not be opened") }
        submit(Array("three\n".utf8), to: writer)
        #expect(writer.flush())
        #expect(String(decoding: fileContents(path + ".1"), as: UTF8.self) == "one\ntwo\n")
        #expect(String(decoding: fileContents(path), as: UTF8.self) == "three\n")
    }

    @Test("a file that cannot be opened is an error")
    func cannotOpen() {
        #expect(throws: LogError.cannotOpen(path: "/nowhere/x")) { try LogWriter(.file("/nowhere/x")) }
    }
}
