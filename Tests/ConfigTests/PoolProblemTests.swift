@testable import Config
import Testing

/// A pool before what a case adds.
private let head = "pools:\n- name: p\n  endpoints: [http://h:1, http://h:2]\n  discoverModels: true\n"

private let policyCases = [
    WrongFile(
        "misspelt words",
        head + "  balancing: leastRequests\n  affinity: sesion\n  continuation: on\n  slowstart: 1s\n",
        "gateway.yaml:5:14: error: balancing must be leastRequest, roundRobin, random, p2c or ewma, is \"leastRequests\"; did you mean \"leastRequest\"?",
        "gateway.yaml:6:13: error: affinity must be session or none, is \"sesion\"; did you mean \"session\"?",
        "gateway.yaml:7:17: error: continuation must be auto, always or never, is \"on\"",
        "gateway.yaml:8:3: error: unknown key \"slowstart\" in pool \"p\"; did you mean \"slowStart\"?"),
    WrongFile(
        "health",
        head
            + "  slowStart: 1h\n  health: {path: health, interval: 1ms, timeout: 1h, failures: 0, confirmModel: maybe, pth: 1}\n",
        "gateway.yaml:5:14: error: slowStart must be a duration of 100ms...10m, such as 10s, or off, is \"1h\"",
        "gateway.yaml:6:18: error: path must be auto, off or begin with /, is \"health\"; did you mean \"/health\"?",
        "gateway.yaml:6:36: error: interval must be a duration of 100ms...1h, such as 2s, is \"1ms\"",
        "gateway.yaml:6:50: error: timeout must be a duration of 10ms...10m, such as 1s, is \"1h\"",
        "gateway.yaml:6:64: error: failures must be a whole number 1...100, is \"0\"",
        "gateway.yaml:6:81: error: confirmModel must be true or false, is \"maybe\"",
        "gateway.yaml:6:88: error: unknown key \"pth\" in health; did you mean \"path\"?"),
    WrongFile(
        "a model to confirm without probes", head + "  health: {path: off, confirmModel: true}\n",
        "gateway.yaml:5:37: warning: confirmModel needs probes, but path is off"),
    WrongFile(
        "ejection",
        head
            + "  ejection: {consecutiveErrors: 0, connectFailures: 1001, errorRatio: 0, minimumRequests: 0, window: 11m, panicThreshold: 101%}\n",
        "gateway.yaml:5:33: error: consecutiveErrors must be a whole number 1...1000, is \"0\"",
        "gateway.yaml:5:53: error: connectFailures must be a whole number 1...1000, is \"1001\"",
        "gateway.yaml:5:71: error: errorRatio must be a ratio of 1%...100%, such as 50% or 0.5, is \"0\"",
        "gateway.yaml:5:91: error: minimumRequests must be a whole number 1...1000000, is \"0\"",
        "gateway.yaml:5:102: error: window must be a duration of 1s...10m, such as 10s, is \"11m\"",
        "gateway.yaml:5:123: error: panicThreshold must be a ratio of 0%...100%, such as 50% or 0.5, is \"101%\""),
    WrongFile(
        "ends below their beginnings",
        head + "  ejection: {duration: 2m}\n  retries: {backoff: 2s, maxBackoff: 1s}\n",
        "gateway.yaml:5:24: error: maxDuration 1m must not be less than duration 2m",
        "gateway.yaml:6:38: error: maxBackoff 1s must not be less than backoff 2s"),
    WrongFile(
        "concurrency and queue",
        head
            + "  concurrency: {perEndpoint: adaptiv, pool: 0}\n  queue: {maxRequests: -1, maxBytes: 1KiB, timeout: off}\n",
        "gateway.yaml:5:30: error: perEndpoint must be off, adaptive or a whole number 1...1000000, is \"adaptiv\"",
        "gateway.yaml:5:45: error: pool must be a whole number 1...1000000, or off, is \"0\"",
        "gateway.yaml:6:24: error: maxRequests must be a whole number 0...1000000, is \"-1\"",
        "gateway.yaml:6:38: error: maxBytes must be a size of 1MiB...1024GiB, such as 256MiB, is \"1KiB\"",
        "gateway.yaml:6:53: error: timeout must be a duration of 10ms...24h, such as 1m, is \"off\""),
    WrongFile(
        "retries",
        head
            + "  retries: {attempts: 0, budget: 20, minPerSecond: 0.5, backoff: 2m, statuses: [399, 600, 5xx, 503, 503, [1]]}\n",
        "gateway.yaml:5:23: error: attempts must be a whole number 1...20, is \"0\"",
        "gateway.yaml:5:34: error: budget must be a ratio of 0%...100%, such as 20% or 0.2, is \"20\"",
        "gateway.yaml:5:52: error: minPerSecond must be a whole number 0...10000, is \"0.5\"",
        "gateway.yaml:5:66: error: backoff must be a duration of 0s...1m, such as 25ms, is \"2m\"",
        "gateway.yaml:5:81: error: statuses may hold 400...599, holds \"399\"",
        "gateway.yaml:5:86: error: statuses may hold 400...599, holds \"600\"",
        "gateway.yaml:5:91: error: statuses may hold 400...599, holds \"5xx\"",
        "gateway.yaml:5:101: error: status \"503\" is here twice, first at 5:96",
        "gateway.yaml:5:106: error: statuses must be a list of numbers 400...599, is a list"),
    WrongFile(
        "timeouts that never pass", head + "  timeouts: {firstToken: 5s, attempt: 5s, request: 4s}\n",
        "gateway.yaml:5:26: warning: firstToken never passes: attempt is 5s",
        "gateway.yaml:5:39: warning: attempt never passes: request is 4s"),
    WrongFile(
        "hedging that is none", head + "  hedging: on\n",
        "gateway.yaml:5:12: error: hedging must be off or {after: 2s}, is \"on\""),
    WrongFile(
        "hedging without a time", head + "  hedging: {afetr: 1s}\n",
        "gateway.yaml:5:12: error: hedging needs after, a duration such as 2s",
        "gateway.yaml:5:13: error: unknown key \"afetr\" in hedging; did you mean \"after\"?"),
    WrongFile(
        "hedging that cannot begin",
        head + "  hedging: {after: 2s}\n  retries: {attempts: 1}\n  timeouts: {firstToken: 2s}\n",
        "gateway.yaml:5:20: error: hedging is a second attempt, but retries.attempts is 1",
        "gateway.yaml:5:20: error: after 2s no request is left to hedge: timeouts.firstToken is 2s"),
    WrongFile(
        "hedging after the provider gave up", head + "  hedging: {after: 10m}\n",
        "gateway.yaml:5:20: error: after 10m no request is left to hedge: the provider's timeouts.firstByte is 10m"),
]

@Suite struct PoolProblemTests {
    @Test("wrong policies of a pool", arguments: policyCases)
    func policies(_ file: WrongFile) { file.check() }

    @Test("hedging in a pool of one asks nobody, which may change")
    func hedgingAlone() {
        let loaded = load(minimal + "    hedging: {after: 1s}\n")
        #expect(
            loaded.problems.map(\.description) == [
                "gateway.yaml:4:22: warning: hedging has no other endpoint to ask: model \"llama\" has one"
            ])
        #expect(loaded.configuration?.pools.first?.hedgeAfter == .seconds(1))
    }

    @Test("an unknown engine")
    func engine() {
        let loaded = load(minimal + "providers: [{name: default, engine: vlm}]\n")
        let words = "auto, vllm, sglang, llamacpp, tgi, ollama, openai, anthropic or other"
        #expect(
            loaded.problems.map(\.description) == [
                "gateway.yaml:4:37: error: engine must be \(words), is \"vlm\"; did you mean \"vllm\"?"
            ])
    }
}
