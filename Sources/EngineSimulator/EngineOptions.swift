internal import Bytes
internal import HTTP

/// A setting that can be changed at run time, or for one request by a header field.
///
/// One table for three uses: `POST /simulator/config` with `{"interval_ms": 5}`, the same as a query, and the field
/// `x-sim-interval-ms: 5` of a request. The second name is that of the load-test engine of the same kind.
internal struct EngineOption: Sendable {
    let names: [String]
    let apply: @Sendable (inout EngineSettings, Double) -> Void

    private init(_ names: String..., apply: @escaping @Sendable (inout EngineSettings, Double) -> Void) {
        self.names = names
        self.apply = apply
    }

    /// Every option but the rates of faults.
    static let all: [EngineOption] = [
        EngineOption("first_token_ms", "delay_ms") { $0.firstToken = .milliseconds($1) },
        EngineOption("interval_ms") { $0.interval = .milliseconds($1) },
        EngineOption("keepalive_ms") { $0.keepAlive = $1 == 0 ? .seconds(86_400) : .milliseconds($1) },
        EngineOption("tokens", "chunks") { $0.tokens = whole($1, 1...EngineSettings.tokensLimit) },
        EngineOption("jitter") { $0.jitter = min(1, $1) },
        EngineOption("max_tokens_wins") { $0.maxTokensWins = $1 != 0 },
        EngineOption("bytes_per_token") { $0.bytesPerToken = whole($1, 1...1_000_000) },
        EngineOption("embedding_dimensions") { $0.embeddingDimensions = whole($1, 1...16_384) },
        EngineOption("max_running", "max_num_seqs") { $0.capacity.maxRunning = $1 < 1 ? nil : whole($1) },
        EngineOption("max_waiting") { $0.capacity.maxWaiting = $1 < 0 ? nil : whole($1) },
        EngineOption("refusal_status") { $0.capacity.refusalStatus = whole($1, 429...503) == 429 ? 429 : 503 },
        EngineOption("prefill_us_per_token") { $0.capacity.prefillPerToken = .microseconds($1) },
        EngineOption("decode_us_per_running", "decode_us_per_seq") { $0.capacity.decodePerRunning = .microseconds($1) },
        EngineOption("status", "error_status") { $0.faults.status = whole($1, 400...599) },
        EngineOption("retry_after") { $0.faults.retryAfterSeconds = $1 < 0 ? nil : whole($1) },
        EngineOption("slow_ms") { $0.faults.slowness = .milliseconds($1) },
        EngineOption("fault_after") { $0.faults.after = whole($1) },
        EngineOption("fault_count") { $0.faults.count = $1 < 0 ? nil : whole($1) },
        EngineOption("health_status") { $0.faults.healthStatus = whole($1, 200...599) },
        EngineOption("health_hangs") { $0.faults.healthHangs = $1 != 0 },
        EngineOption("models_status") { $0.faults.modelsStatus = whole($1, 200...599) },
    ]

    private static func whole(_ value: Double, _ range: ClosedRange<Int> = 0...1_000_000_000) -> Int {
        min(range.upperBound, max(range.lowerBound, Int(min(value, 1e12))))
    }
}

extension EngineSettings {
    /// Sets the option of that name, written with `_` or `-`. Returns whether there is one and the value is usable.
    internal mutating func set(_ name: String, to value: Double) -> Bool {
        guard value.isFinite, value >= -1, value <= 1e12 else { return false }
        let name = String(name.map { $0 == "-" ? "_" : $0 })
        if name.hasSuffix("_rate"), let fault = EngineFault(rawValue: String(name.dropLast(5))) {
            faults.rates[fault] = value
            return true
        }
        guard let option = EngineOption.all.first(where: { $0.names.contains(name) }) else { return false }
        // Only a bound or a field that may be absent has a meaning for -1.
        guard value >= 0 || ["max_waiting", "retry_after", "fault_count"].contains(name) else { return false }
        option.apply(&self, value)
        return true
    }
}

/// What the fields `x-sim-…` (or `x-mock-…`) of a request ask for.
internal struct RequestWishes {
    /// The engine's settings with the request's own in their place.
    var settings: EngineSettings
    /// The fault the request asks for.
    var fault: EngineFault?
    /// What is wrong with the wishes: a test that misspells one must not pass for lack of the fault.
    var problem: String?

    init(_ settings: EngineSettings, _ fields: HeaderFields) {
        self.settings = settings
        var asksForStatus = false
        for field in fields.fields where field.name == .other {
            let name = fields.bytes.span.extracting(field.nameRange)
            let prefix = bytesBegin(name, with: "x-sim-") ? 6 : bytesBegin(name, with: "x-mock-") ? 7 : 0
            guard prefix > 0, let option = text(name.extracting(prefix...)),
                let value = text(fields.bytes.span.extracting(field.valueRange))
            else { continue }
            if option == "fault", let wanted = EngineFault(rawValue: value) {
                fault = wanted
            } else if let number = Double(value), self.settings.set(option, to: number) {
                asksForStatus = asksForStatus || option == "status"
            } else if prefix == 6 {
                problem = "The field 'x-sim-\(option): \(value)' is not understood."
            }
        }
        if asksForStatus, fault == nil { fault = .error }
    }
}
