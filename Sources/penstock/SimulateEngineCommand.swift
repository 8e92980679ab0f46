internal import ArgumentParser
internal import Config
internal import Dispatch
internal import EngineSimulator
internal import Glibc
internal import Reactor

/// `penstock simulate-engine`.
struct SimulateEngineCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate-engine",
        abstract: "Runs a simulated engine behind the OpenAI API: for demonstrations, tests and rehearsals.",
        discussion: """
            It computes nothing and answers like an engine that does: chat and plain completions, responses, messages, \
            embeddings, rerank, score, tokenize, moderations, audio and images, whole or as streams, over HTTP/1.1 and \
            HTTP/2. The same prompt always gets the same answer. A tool is called when `tool_choice` demands it, or \
            when tools are given and the last message of the user speaks of the weather.

              penstock simulate-engine --listen 127.0.0.1:8000 --model demo
              penstock simulate-engine --first-token 300ms --interval 30ms
              penstock simulate-engine --max-running 8 --max-waiting 16
              penstock simulate-engine --fault midreset=0.01 --error-rate 0.05

            Clients can ask for behaviour in their requests, also through a gateway:
              x-sim-tokens: 100          x-sim-first-token-ms: 500     x-sim-interval-ms: 5
              x-sim-status: 429          x-sim-retry-after: 2
              x-sim-fault: midclose      x-sim-fault-after: 3

            GET /simulator/stats counts requests, faults and clients that left; GET /simulator/last is the last request \
            as it came; POST /simulator/config {"interval_ms": 5, "error_rate": 0.1} changes the behaviour of the \
            running engine; GET /metrics has vLLM's names.

            The same prompt always goes on the same way: given what was generated so far as the end of a completion's \
            prompt, or as a last message of the assistant's (continue_final_message, prefill), the answer goes on \
            where that ends, word for word. The seed of a request changes it; its temperature does not.

            Faults, with the share of the requests that meet them (--fault midclose=0.1), as to HTTP/1.1:
            \(EngineFault.allCases.map { "  \($0.rawValue.padded(to: 11))\($0.explanation)" }.joined(separator: "\n"))
            A refused connection is an engine that is not running.
            """)

    @Option(help: ArgumentHelp("Where to listen; port 0 takes a free one.", valueName: "host:port"))
    var listen = "127.0.0.1:8000"

    @Option(help: ArgumentHelp("A model to serve; may be repeated (default: demo).", valueName: "name"))
    var model: [String] = []

    @Option(help: ArgumentHelp("Owner of the models, by which clients know vllm or llamacpp.", valueName: "name"))
    var ownedBy = "simulator"

    @Option(help: ArgumentHelp("A key that requests below /v1 must show.", valueName: "key"))
    var apiKey: String?

    @Option(help: ArgumentHelp("From a request's turn to its first token.", valueName: "duration"))
    var firstToken = Latency(.milliseconds(20))

    @Option(help: ArgumentHelp("Between two tokens; 0: as fast as they are taken.", valueName: "duration"))
    var interval = Latency(.milliseconds(15))

    @Option(help: ArgumentHelp("How far intervals differ at random, as a share: 0 to 1.", valueName: "share"))
    var jitter = 0.0

    @Option(help: ArgumentHelp("Words of an answer; a request's max_tokens may cut it.", valueName: "n"))
    var tokens = 24

    @Option(help: ArgumentHelp("Requests computed at once; the others wait. 0: no bound.", valueName: "n"))
    var maxRunning = 0

    @Option(help: ArgumentHelp("Requests that may wait; the rest is refused (default: no bound).", valueName: "n"))
    var maxWaiting: Int?

    @Option(help: ArgumentHelp("What the rest is answered: 429 or 503.", valueName: "status"))
    var refusalStatus = 503

    @Option(help: ArgumentHelp("Cost of reading a prompt, for each of its tokens.", valueName: "duration"))
    var prefill = Latency(.zero)

    @Option(help: ArgumentHelp("Added to the interval for each request that runs.", valueName: "duration"))
    var decode = Latency(.zero)

    @Option(help: ArgumentHelp("Share of requests with that fault; may be repeated.", valueName: "fault=rate"))
    var fault: [FaultRate] = []

    @Option(help: ArgumentHelp("Share of requests answered with an error; as --fault error=RATE.", valueName: "rate"))
    var errorRate = 0.0

    @Option(
        help: ArgumentHelp("Share of requests whose connection is reset; as --fault reset=RATE.", valueName: "rate"))
    var resetRate = 0.0

    @Option(help: ArgumentHelp("Status of error answers.", valueName: "status"))
    var errorStatus = 500

    @Option(help: ArgumentHelp("Seconds in the retry-after field of error answers (default: none).", valueName: "s"))
    var retryAfter: Int?

    @Option(help: ArgumentHelp("Tokens before a fault in the middle of an answer.", valueName: "n"))
    var faultAfter = 1

    @Option(help: ArgumentHelp("How many faults happen in all (default: no bound).", valueName: "n"))
    var faultCount: Int?

    @Option(help: ArgumentHelp("How late the first byte of a slow answer is.", valueName: "duration"))
    var slowness = Latency(.seconds(2))

    @Option(
        help: ArgumentHelp(
            "What GET /health answers, whatever befalls requests: a status, or hang.", valueName: "status"))
    var health = "200"

    @Option(help: ArgumentHelp("What GET /v1/models answers.", valueName: "status"))
    var modelsStatus = 200

    @Option(help: ArgumentHelp("How long connections without a request stay open.", valueName: "duration"))
    var keepAlive = Latency(.seconds(75))

    @Option(help: ArgumentHelp("Seed of the random numbers.", valueName: "n"))
    var seed: UInt64 = 1

    func validate() throws {
        for (name, value) in [("--jitter", jitter), ("--error-rate", errorRate), ("--reset-rate", resetRate)]
        where !(0...1).contains(value) {
            throw ValidationError("\(name) must be 0 to 1, is \(value).")
        }
        guard (1...EngineSettings.tokensLimit).contains(tokens) else {
            throw ValidationError("--tokens must be 1 to \(EngineSettings.tokensLimit).")
        }
        guard [429, 503].contains(refusalStatus) else { throw ValidationError("--refusal-status must be 429 or 503.") }
        guard health == "hang" || Int(health).map({ (200...599).contains($0) }) == true else {
            throw ValidationError("--health must be 200 to 599, or hang.")
        }
        guard (200...599).contains(modelsStatus) else { throw ValidationError("--models-status must be 200 to 599.") }
        guard (400...599).contains(errorStatus) else { throw ValidationError("--error-status must be 400 to 599.") }
        for (name, value) in [
            ("--max-running", maxRunning), ("--max-waiting", maxWaiting ?? 0), ("--fault-after", faultAfter),
            ("--retry-after", retryAfter ?? 0), ("--fault-count", faultCount ?? 0),
        ] where value < 0 {
            throw ValidationError("\(name) must not be negative.")
        }
    }

    func run() throws {
        signal(SIGPIPE, SIG_IGN)
        Sockets.raiseDescriptorLimit()
        let address = try address()
        let engine: SimulatedEngine
        do {
            engine = try SimulatedEngine.start(settings, on: address)
        } catch {
            Terminal.error("penstock: cannot listen on \(listen): \(error)")
            throw ExitCode(ExitStatus.unavailable)
        }
        Terminal.error("simulated engine at \(engine.url) serves \(settings.models.joined(separator: ", "))")
        // Nothing is lost when an engine that computes nothing ends at once.
        let endings = [SIGTERM, SIGINT].map { (number: Int32) in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { Glibc.exit(0) }
            source.activate()
            return source
        }
        withExtendedLifetime(endings) { dispatchMain() }
    }

    private func address() throws -> SocketAddress {
        do throws(ListenAddressError) {
            let address = try ListenAddress(parsing: listen)
            return SocketAddress(literal: address.host, port: address.port) ?? .any(port: address.port)
        } catch {
            throw ValidationError("--listen \(listen): \(error.explanation)")
        }
    }

    private var settings: EngineSettings {
        var settings = EngineSettings()
        if !model.isEmpty { settings.models = model }
        settings.owner = ownedBy
        settings.apiKey = apiKey
        settings.firstToken = firstToken.duration
        settings.interval = interval.duration
        settings.jitter = jitter
        settings.tokens = tokens
        settings.capacity.maxRunning = maxRunning == 0 ? nil : maxRunning
        settings.capacity.maxWaiting = maxWaiting
        settings.capacity.refusalStatus = refusalStatus
        settings.capacity.prefillPerToken = prefill.duration
        settings.capacity.decodePerRunning = decode.duration
        for fault in fault { settings.faults.rates[fault.fault] = fault.rate }
        if errorRate > 0 { settings.faults.rates[.error] = errorRate }
        if resetRate > 0 { settings.faults.rates[.reset] = resetRate }
        settings.faults.status = errorStatus
        settings.faults.retryAfterSeconds = retryAfter
        settings.faults.after = faultAfter
        settings.faults.count = faultCount
        settings.faults.slowness = slowness.duration
        settings.faults.healthHangs = health == "hang"
        settings.faults.healthStatus = Int(health) ?? 200
        settings.faults.modelsStatus = modelsStatus
        settings.keepAlive = keepAlive.duration
        settings.seed = seed
        return settings
    }
}

/// A short time on the command line: `20ms`, `1.5s`, `300us`, `0`.
struct Latency: ExpressibleByArgument {
    let duration: Duration

    init(_ duration: Duration) { self.duration = duration }

    init?(argument: String) {
        let units: [(String, Double)] = [("us", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9)]
        let number = argument.prefix { $0.isNumber || $0 == "." }
        let unit = argument.dropFirst(number.count)
        guard let value = Double(number), value.isFinite else { return nil }
        guard let scale = value == 0 && unit.isEmpty ? 1 : units.first(where: { $0.0 == unit })?.1,
            value * scale <= 86_400e9
        else { return nil }
        duration = .nanoseconds(Int64(value * scale))
    }

    var defaultValueDescription: String {
        let micros = Int(duration / .microseconds(1))
        if micros == 0 { return "0" }
        if micros % 1_000_000 == 0 { return "\(micros / 1_000_000)s" }
        return micros % 1000 == 0 ? "\(micros / 1000)ms" : "\(micros)us"
    }
}

/// A fault and how often it happens: `midreset=0.01`.
struct FaultRate: ExpressibleByArgument {
    let fault: EngineFault
    let rate: Double

    init?(argument: String) {
        let parts = argument.split(separator: "=", maxSplits: 1)
        guard parts.count == 2, let fault = EngineFault(rawValue: String(parts[0])), let rate = Double(parts[1]),
            (0...1).contains(rate)
        else { return nil }
        self.fault = fault
        self.rate = rate
    }
}

extension String {
    /// With spaces behind it, up to a width.
    fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(1, width - count)) }
}
