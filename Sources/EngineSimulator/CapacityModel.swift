/// Waits for its turn to be computed.
internal protocol CapacityClaimant: AnyObject {
    /// The claimant's turn has come. `prefillEnd`: nanoseconds of the reactor's clock at which its prompt is read.
    func turnCame(prefillEnd: Int64)
    /// Tokens of its prompt.
    var promptTokens: Int { get }
}

/// Decides who is computed and who waits: first come, first served.
internal struct CapacityModel {
    /// What a claim led to.
    enum Verdict { case runs, waits, refused }

    /// Requests being computed.
    private(set) var running = 0
    /// Tokens of the prompts of running requests.
    private(set) var runningTokens = 0
    private var waiting: [any CapacityClaimant] = []
    /// When the prompts read so far are done.
    private var prefillFreeAt: Int64 = 0

    /// Requests that wait.
    var waitingCount: Int { waiting.count }

    /// Asks for a turn. If it runs, `begin` is to be called.
    mutating func claim(_ claimant: any CapacityClaimant, _ limits: EngineCapacity) -> Verdict {
        if waiting.isEmpty, running < limits.maxRunning ?? .max { return .runs }
        guard waiting.count < limits.maxWaiting ?? .max else { return .refused }
        waiting.append(claimant)
        return .waits
    }

    /// Makes a claimant run. Returns when its prompt is read.
    mutating func begin(_ claimant: any CapacityClaimant, _ limits: EngineCapacity, now: Int64) -> Int64 {
        running += 1
        runningTokens += claimant.promptTokens
        let cost = limits.prefillPerToken.nanos.multipliedReportingOverflow(by: Int64(claimant.promptTokens))
        prefillFreeAt = max(now, prefillFreeAt) &+ (cost.overflow ? 0 : cost.partialValue)
        return prefillFreeAt
    }

    /// A running request is done or given up. Returns who is next, to be begun.
    mutating func leave(_ claimant: any CapacityClaimant, _ limits: EngineCapacity) -> (any CapacityClaimant)? {
        running -= 1
        runningTokens -= claimant.promptTokens
        guard !waiting.isEmpty, running < limits.maxRunning ?? .max else { return nil }
        return waiting.removeFirst()
    }

    /// A waiting request is given up.
    mutating func cancel(_ claimant: any CapacityClaimant) {
        waiting.removeAll { $0 === claimant }
    }
}
