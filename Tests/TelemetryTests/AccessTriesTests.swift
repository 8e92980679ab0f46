import Bytes
import Testing

@testable import Telemetry

@Suite struct AccessTriesTests {
    private func line(_ tries: AccessTries) -> String {
        var record = AccessRecord()
        var tries = tries
        record.take(&tries)
        var log = AccessLog(format: .json)
        return written { log.append(record, to: &$0) }
    }

    private func tries(_ attempts: [(endpoint: String, status: Int, reason: StaticString)]) -> AccessTries {
        var tries = AccessTries()
        for attempt in attempts {
            tries.append(
                endpoint: attempt.endpoint.utf8.span, status: attempt.status, nanos: 1000, reason: attempt.reason)
        }
        return tries
    }

    @Test("one good attempt is not told")
    func single() {
        let tries = tries([("a", 200, "")])
        #expect(!tries.isWorthTelling && !line(tries).contains("tries"))
    }

    @Test("one failed attempt is told, its status only if there was one")
    func failed() {
        let line = line(tries([("a\"b", 0, "connect_failed")]))
        #expect(line.contains(#""tries":[{"endpoint":"a\"b","ms":0.001,"reason":"connect_failed"}]"#))
    }

    @Test("no more than the limit are kept, and no more than the limit of each name")
    func bounds() {
        let name = String(repeating: "x", count: 500)
        let tries = tries(.init(repeating: (name, 503, "full"), count: 1000))
        #expect(tries.entries.count == AccessTries.limit)
        #expect(line(tries).utf8.count < 5000)
    }

    @Test("a record gives back the memory of the exchange before")
    func exchange() {
        var record = AccessRecord()
        var first = tries([("a", 500, "server_error")])
        record.take(&first)
        #expect(first.entries.isEmpty)
        var second = tries([("b", 500, "server_error")])
        record.take(&second)
        #expect(second.entries.isEmpty && !second.isWorthTelling)
        let kept = record.tries.entries.count
        #expect(kept == 1)
        record.reset()
        let left = record.tries.entries.count
        #expect(left == 0)
    }
}
