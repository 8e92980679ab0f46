import Glibc
import Synchronization
import Testing

extension GatewayTests {
    /// Thousands of requests that go well, fail, hang and are left, from many clients: nothing is lost or left behind.
    @Suite struct Storms {
        /// What becomes of a request, drawn by its number; the client and the engines draw alike.
        private struct Draw {
            private var bits: UInt64

            init(_ seed: Int) {
                bits = UInt64(truncatingIfNeeded: seed) &* 0x9E37_79B9_7F4A_7C15
                bits ^= bits >> 32
            }

            mutating func next(_ bound: Int) -> Int {
                bits = (bits ^ (bits >> 29)) &* 0xBF58_476D_1CE4_E5B9
                bits ^= bits >> 32
                return Int(bits % UInt64(bound))
            }
        }

        /// An engine that fails in every way, by the number in the request and its own.
        private static func flaky(_ engine: Int, _ gate: (reached: Signal, go: Signal)) -> FakeUpstream.Script {
            { exchange in
                let text = exchange.request.text
                if text.contains(#""gate""#) {
                    gate.reached.raise()
                    try gate.go.wait()
                }
                if text.contains(#""gate""#) || text.contains(#""calm""#) { return try Engines.answer(exchange) }
                let digits = text.split(separator: "\"user\":\"r").last?.prefix { $0.isNumber } ?? "0"
                var draw = Draw((Int(digits) ?? 0) * 7 + engine)
                switch draw.next(40) {
                case 0: try Engines.refuse(exchange, 500)
                case 1: try Engines.refuse(exchange, 503, ["retry-after-ms: 20"])
                case 2: throw SocketError.ended
                case 3:
                    exchange.socket.reset()
                    throw SocketError.ended
                case 4: try exchange.waitForClose()
                case 5:
                    try exchange.write("nonsense\r\n\r\n")
                    throw SocketError.ended
                case 6: try exchange.answer(200, ["content-type: text/html"], "<html>")
                case 7:
                    try exchange.begin()
                    try exchange.event(Streams.content)
                    throw SocketError.ended
                case 8:
                    try exchange.begin()
                    try exchange.event(Streams.content)
                    try exchange.waitForClose()
                case 9:
                    try exchange.begin()
                    try exchange.waitForClose()
                case 10: try Engines.refuse(exchange, 400)
                case 11:
                    try exchange.begin()
                    try exchange.event(Streams.content)
                    try exchange.event(#"{"error":{"message":"died","code":500}}"#)
                default: try Engines.answer(exchange)
                }
            }
        }

        /// What all clients together have seen.
        private struct Tally: Sendable {
            var statuses: [Int: Int] = [:]
            var left = 0
            var broken = 0
            var lost = 0
        }

        /// Sends a share of the requests, one after another.
        private static func run(_ numbers: Range<Int>, _ port: UInt16, _ tally: borrowing Mutex<Tally>) throws {
            var socket = try Socket.connect(to: port)
            var reader = WireReader(socket)
            func renew() throws {
                socket.close()
                socket = try Socket.connect(to: port)
                reader = WireReader(socket)
            }
            for number in numbers {
                var draw = Draw(number * 31 + 5)
                let isStream = draw.next(2) == 0
                let body = #"{"model":"m","user":"r\#(number)","stream":\#(isStream),"messages":[]}"#
                let field = draw.next(20) == 0 ? "x-penstock-timeout: 0.0\(1 + draw.next(9))\r\n" : ""
                let priority = draw.next(4) == 0 ? "x-penstock-priority: \(draw.next(7) - 3)\r\n" : ""
                try socket.send(
                    Array(
                        """
                        POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-length: \(body.utf8.count)\r\n\
                        \(field)\(priority)\r\n\(body)
                        """.utf8))
                switch draw.next(8) {
                case 0:
                    // Leaves at once, or when the answer begins.
                    if draw.next(2) == 0 { _ = try? socket.read(atMost: 64) }
                    if draw.next(2) == 0 { socket.reset() }
                    tally.withLock { $0.left += 1 }
                    try renew()
                default:
                    guard let head = try? reader.head() else {
                        tally.withLock { $0.lost += 1 }
                        try renew()
                        continue
                    }
                    let isWhole = head.isChunked ? reader.restOfChunks().isWhole : (try? reader.body(of: head)) != nil
                    tally.withLock {
                        $0.statuses[head.status, default: 0] += 1
                        if !isWhole { $0.broken += 1 }
                    }
                    if !isWhole { try renew() }
                }
            }
            socket.close()
        }

        @Test(
            "of 10,000 requests each client gets an answer, and nothing stays in flight",
            arguments: [
                "concurrency: {perEndpoint: 6, pool: 20}, queue: {maxRequests: 20, timeout: 2s}",
                "hedging: {after: 30ms}, continuation: always", "concurrency: {perEndpoint: adaptive}, affinity: none",
            ])
        func storm(_ settings: String) async throws {
            let isLimited = settings.contains("pool: 20")
            let (count, clients) = (isLimited ? 10_000 : 4_000, 24)
            let gate = (reached: Signal(), go: Signal())
            let engines = try (0..<4).map { try FakeUpstream(Storms.flaky($0, gate)) }
            var plan = Plan(provider: "timeouts: {idle: 100ms}")
            let retries = "timeouts: {firstToken: 100ms}, retries: {minPerSecond: 1000}, slowStart: off, "
            plan.pool("m", engines, retries + "ejection: {duration: 100ms, maxDuration: 200ms}, " + settings)
            plan.model("m", "pool: m")
            let tally = Shared(Mutex(Tally()))
            let lines = try await withGateway(plan.text, upstreams: engines, reactors: 2) { gateway in
                let port = gateway.port
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for client in 0..<clients {
                        let share = count * client / clients..<count * (client + 1) / clients
                        group.addTask { try await onThread { try Storms.run(share, port, tally.value) } }
                    }
                    try await group.waitForAll()
                }
                // The last clients that left may not have been noticed yet.
                try await eventually { try await gateway.metrics().sum("penstock_requests_in_flight") == 0 }
                try await gateway.expectSettled()
                let scrape = try await gateway.metrics()
                let seen = tally.value.withLock { $0 }
                #expect(seen.lost == 0)
                let answered = seen.statuses.values.reduce(0, +)
                #expect(answered + seen.left == count)
                #expect(Set(seen.statuses.keys).isSubset(of: [200, 400, 500, 502, 503, 504]), "\(seen.statuses)")
                #expect(seen.statuses[200, default: 0] > answered * 8 / 10, "\(seen)")
                let counted = scrape.sum("penstock_requests_total")
                // Who left before the gateway had read the request is not counted.
                #expect(counted >= Double(answered) && counted <= Double(count), "\(counted) of \(answered)")
                if isLimited { try await Storms.expectRoom(gateway, engines, gate) }
            }
            let answered = tally.value.withLock { $0.statuses.values.reduce(0, +) }
            #expect(lines.exchanges.count >= answered)
            #expect(lines.exchanges.count <= count + 100)
        }

        /// After the storm every place is free, and not one more: as many requests as may run at once do.
        private static func expectRoom(
            _ gateway: RunningGateway, _ engines: [FakeUpstream], _ gate: (reached: Signal, go: Signal)
        ) async throws {
            // Each of another session: one session would go to one engine, and the others stay as they are.
            var session = 0
            try await eventually {
                session += 1
                let body = #"{"model":"m","user":"calm","prompt_cache_key":"\#(session)"}"#
                _ = try await gateway.post("/v1/chat/completions", body)
                return try await gateway.metrics().sum("penstock_endpoint_up") == Double(engines.count)
            }
            let before = engines.map(\.requestCount).reduce(0, +)
            let client = try HTTP2Client(port: gateway.port)
            for _ in 1...30 { try client.post("/v1/chat/completions", #"{"model":"m","user":"gate"}"#) }
            for _ in 1...20 { try await gate.reached.happened() }
            let marker = try client.post("/v1/embeddings", "{")
            while true {
                let frame = try await client.frame()
                if frame.stream == marker, frame.endsStream { break }
            }
            #expect(engines.map(\.requestCount).reduce(0, +) == before + 20)
            for _ in 1...30 { gate.go.raise() }
            #expect(try await client.answers(30).map(\.status) == Array(repeating: 200, count: 30))
            try await gateway.expectSettled()
        }
    }
}

/// Holds what cannot be copied.
private final class Shared<Value: ~Copyable & Sendable>: Sendable {
    let value: Value

    init(_ value: consuming Value) { self.value = value }
}
