internal import Bytes
internal import HTTP
internal import OpenAI
internal import Reactor
internal import Transport

/// The engine itself: what its requests share. Lives on one reactor.
internal final class SimulatorService: RequestService {
    let reactor: Reactor
    /// Seconds since 1970.
    let startedAt: Int
    var settings: EngineSettings
    var statistics = EngineStatistics()
    var meters = EngineMeters()
    var lastRequest: RecordedRequest?
    private(set) var capacity = CapacityModel()
    private var random: SplitMix64
    private var nextID = 0
    private let instance: Int
    /// The connections of the service.
    weak var server: HTTPServer?

    init(_ settings: EngineSettings, on reactor: Reactor) {
        self.settings = settings
        self.reactor = reactor
        let now = wallClockNanos()
        startedAt = Int(now / 1_000_000_000)
        instance = Int(now) & 0xFFFF_FFFF
        random = SplitMix64(settings.seed)
    }

    func makeHandler(_ origin: Origin) -> any RequestHandler { SimulatedExchange(self) }

    func recycle(_ handler: any RequestHandler) {}

    func render(_ refusal: Refusal, head: inout ResponseHead, body: inout ByteQueue) {
        let error = APIError(.malformedBody, refusal.status, "\(refusal.reason)")
        head.status = refusal.status
        head.fields.append(.contentType, "application/json")
        error.write(.openai, requestID: Span(), into: &body)
    }

    /// A number for an answer that no other engine gives.
    func makeID() -> [UInt8] {
        nextID += 1
        var id = ByteQueue()
        id.append(hex: instance)
        id.append("x")
        id.append(hex: nextID)
        return [UInt8](copying: id.span)
    }

    /// Whether a model is served here.
    func serves(_ model: Span<UInt8>) -> Bool {
        settings.servesAnyModel || settings.models.contains { bytesEqual(Array($0.utf8).span, model) }
    }

    /// What goes wrong with the next request, as the rates and the bound on faults decide.
    func chooseFault(_ wishes: RequestWishes) -> EngineFault? {
        if let fault = wishes.fault { return count(fault) }
        guard settings.faults.count != 0 else { return nil }
        for fault in EngineFault.allCases {
            guard let rate = settings.faults.rates[fault], rate > 0, random.unit() < rate else { continue }
            if let left = settings.faults.count { settings.faults.count = left - 1 }
            return count(fault)
        }
        return nil
    }

    private func count(_ fault: EngineFault) -> EngineFault {
        statistics.faults[fault, default: 0] += 1
        return fault
    }

    /// Nanoseconds until the next token of a request with these settings.
    func nextInterval(_ settings: EngineSettings) -> Int64 {
        var nanos = settings.interval.nanos
        if settings.jitter > 0 {
            let factor = 1 + settings.jitter * (2 * random.unit() - 1)
            nanos = Int64(Double(nanos) * factor)
        }
        return nanos + self.settings.capacity.decodePerRunning.nanos * Int64(capacity.running)
    }

    // MARK: Turns

    /// Asks for a turn; `turnCame` tells of it, at once or later.
    ///
    /// - Returns: `false` if too many wait.
    func enter(_ exchange: SimulatedExchange) -> Bool {
        switch capacity.claim(exchange, settings.capacity) {
        case .runs: begin(exchange)
        case .waits: break
        case .refused: return false
        }
        return true
    }

    /// Gives a turn back.
    func leave(_ exchange: SimulatedExchange) {
        if let next = capacity.leave(exchange, settings.capacity) { begin(next) }
    }

    /// Gives up waiting.
    func cancelWaiting(_ exchange: SimulatedExchange) {
        capacity.cancel(exchange)
    }

    private func begin(_ claimant: any CapacityClaimant) {
        let prefillEnd = capacity.begin(claimant, settings.capacity, now: reactor.now)
        claimant.turnCame(prefillEnd: prefillEnd)
    }

    /// Goes over to other settings, for requests from now on.
    func change(_ next: EngineSettings) {
        settings = next
        server?.update(limits: ServerLimits(next), tls: nil)
    }

    /// The statistics with what is true now.
    var currentStatistics: EngineStatistics {
        var now = statistics
        now.running = capacity.running
        now.waiting = capacity.waitingCount
        now.connections = server?.connectionCount ?? 0
        return now
    }

    /// Forgets what was counted; what runs stays counted.
    func resetStatistics() {
        let open = statistics.open
        statistics = EngineStatistics()
        statistics.open = open
        meters = EngineMeters()
    }
}

extension ServerLimits {
    /// What an engine grants its clients.
    init(_ settings: EngineSettings) {
        self.init()
        bodyBytes = 64 << 20
        idleTimeout = settings.keepAlive.nanos
    }
}

/// Sebastiano Vigna's generator: small, seeded, good enough for dice.
internal struct SplitMix64 {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    /// The next number in 0..<1.
    mutating func unit() -> Double {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return Double((mixed ^ (mixed >> 31)) >> 11) / 9_007_199_254_740_992
    }
}
