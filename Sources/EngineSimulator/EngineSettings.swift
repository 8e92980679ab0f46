/// How a simulated engine behaves. The defaults suit a demonstration: answers come at reading speed.
package struct EngineSettings: Sendable {
    /// Names the engine serves; any other is answered 404.
    package var models = ["demo"]
    /// Whether every model name is served; `models` is only what is listed then.
    package var servesAnyModel = false
    /// What the list of models says of their owner, by which gateways tell engines apart.
    package var owner = "simulator"
    /// Key that requests below `/v1` must show; `nil` lets everybody in.
    package var apiKey: String?
    /// From a request's turn to its first token.
    package var firstToken = Duration.milliseconds(20)
    /// Between two tokens of an answer; zero: as fast as the client takes them.
    package var interval = Duration.milliseconds(15)
    /// 0...1: how far an interval may differ from `interval`, as a share of it.
    package var jitter = 0.0
    /// Words of an answer that nobody cuts short. 1...`tokensLimit`.
    package var tokens = 24
    /// Whether `max_tokens` of a request sets the length of the answer, instead of bounding it.
    package var maxTokensWins = false
    /// Bytes of a prompt that count as one token. At least 1.
    package var bytesPerToken = 4
    /// Numbers of an embedding where the request does not say. 1...16,384.
    package var embeddingDimensions = 16
    /// How many requests are served at once, and what a running one costs the others.
    package var capacity = EngineCapacity()
    /// What goes wrong.
    package var faults = FaultSettings()
    /// Connections without a request are closed after that, as engine servers do.
    package var keepAlive = Duration.seconds(75)
    /// Start of the random numbers that jitter and fault rates use.
    package var seed: UInt64 = 1

    /// The longest answer.
    package static let tokensLimit = 100_000

    /// The defaults.
    package init() {}
}

/// The capacity model: what makes a busy engine slow.
package struct EngineCapacity: Sendable {
    /// Requests that are computed at once; `nil`: no bound.
    package var maxRunning: Int?
    /// Requests that may wait for their turn; more are answered `refusalStatus`. `nil`: no bound.
    package var maxWaiting: Int?
    /// 429 or 503: what those are answered for whom there is no room.
    package var refusalStatus = 503
    /// Cost of reading a prompt; prompts are read one after another.
    package var prefillPerToken = Duration.zero
    /// Added to the interval between tokens for every request that runs.
    package var decodePerRunning = Duration.zero
    /// Tokens that the key-value cache holds, for `vllm:kv_cache_usage_perc`.
    package var cacheTokens = 131_072

    /// No bounds, no costs.
    package init() {}
}

/// How often what goes wrong, and how exactly.
package struct FaultSettings: Sendable {
    /// 0...1 for each fault; at most one happens to a request.
    package var rates: [EngineFault: Double] = [:]
    /// Status of an error answer. 400...599.
    package var status = 500
    /// Seconds for the `retry-after` field of error answers; `nil` sends none.
    package var retryAfterSeconds: Int?
    /// Delay of a slow first byte.
    package var slowness = Duration.seconds(2)
    /// Steps of an answer before a fault in its middle.
    package var after = 1
    /// How many faults happen in all; `nil`: no bound.
    package var count: Int?
    /// What `GET /health` answers.
    package var healthStatus = 200
    /// Whether `GET /health` is never answered.
    package var healthHangs = false
    /// What `GET /v1/models` answers.
    package var modelsStatus = 200

    /// Nothing goes wrong.
    package init() {}
}

extension Duration {
    /// Whole nanoseconds, 0 to a day, so that sums of many do not overflow.
    internal var nanos: Int64 {
        let (seconds, attoseconds) = components
        guard seconds < 86_400 else { return 86_400_000_000_000 }
        return max(0, seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    }
}
