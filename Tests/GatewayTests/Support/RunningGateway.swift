import Config
import Gateway
import Glibc
import Telemetry
import Testing

/// A whole gateway on ports of its own.
struct RunningGateway: Sendable {
    let gateway: Gateway
    let port: UInt16
    let adminPort: UInt16
    private let logPath: String

    /// What a test that does not care for listeners puts before its models.
    static let preamble = """
        listeners: [{address: "127.0.0.1:0"}]
        admin: {address: "127.0.0.1:0"}
        shutdown: {timeout: 2s}

        """

    static func configuration(_ text: String) throws -> Configuration {
        let load = Configuration.load(text: Array(text.utf8), file: "gateway.yaml", in: .process)
        return try #require(load.configuration, "\(load.problems.map(\.description))")
    }

    /// Starts with `preamble` and `text`, the rest of a configuration file.
    static func start(_ text: String, preamble: String = preamble, reactors: Int = 1) async throws -> RunningGateway {
        try await start(configuration(preamble + text), reactors: reactors)
    }

    static func start(_ configuration: Configuration, reactors: Int = 1) async throws -> RunningGateway {
        signal(SIGPIPE, SIG_IGN)
        let path = temporaryPath("log")
        let log = Log(try LogWriter(.file(path)), format: .json, level: .debug)
        let gateway = try Gateway(configuration, log: log, version: "test", cores: reactors, now: 1_700_000_000)
        try await gateway.start()
        let ports = await gateway.ports
        let adminPort = await gateway.adminPort
        return RunningGateway(
            gateway: gateway, port: try #require(ports.first), adminPort: adminPort ?? 0, logPath: path)
    }

    func client(receiveBuffer: Int32? = nil) throws -> Client { try Client(port: port, receiveBuffer: receiveBuffer) }

    /// One request on a connection of its own.
    func post(
        _ target: String, _ body: String, _ fields: [String] = ["content-type: application/json"]
    ) async throws -> WireMessage {
        let client = try client()
        defer { client.close() }
        return try await client.post(target, body, fields)
    }

    /// One request on a connection of its own.
    func get(_ target: String, _ fields: [String] = []) async throws -> WireMessage {
        let client = try client()
        defer { client.close() }
        return try await client.get(target, fields)
    }

    func admin() throws -> Client { try Client(port: adminPort) }

    /// Goes over to another configuration.
    func apply(_ text: String, preamble: String = preamble) async throws {
        try await gateway.apply(RunningGateway.configuration(preamble + text))
    }

    /// What a scrape says.
    func metrics() async throws -> Scrape {
        let client = try admin()
        defer { client.close() }
        return Scrape(text: try await client.get("/metrics").text)
    }

    /// Ends the gateway and returns the lines of its log, those of exchanges alone if asked.
    @discardableResult
    func stop() async throws -> [String] {
        await gateway.shutDown()
        let text = String(decoding: try readFile(logPath), as: UTF8.self)
        unlink(logPath)
        return text.split(separator: "\n").map(String.init)
    }
}

extension [String] {
    /// The lines of the access log.
    var exchanges: [String] { filter { $0.contains(#""message":"exchange""#) } }
}

/// Metrics as a scrape saw them.
struct Scrape: Sendable {
    let text: String

    /// The sum of the series of that name whose labels have all these.
    func sum(_ name: String, _ labels: String...) -> Double {
        var sum = 0.0
        for line in text.split(separator: "\n") where line.hasPrefix(name + "{") || line.hasPrefix(name + " ") {
            guard labels.allSatisfy({ line.contains($0) }), let value = line.split(separator: " ").last else {
                continue
            }
            sum += Double(value) ?? 0
        }
        return sum
    }
}

/// A path nobody uses yet.
func temporaryPath(_ suffix: String) -> String {
    "/tmp/penstock-test-\(getpid())-\(UInt64.random(in: 0 ... .max)).\(suffix)"
}

/// Runs `body` with a gateway in front of `upstreams` and ends all of them, whatever happens.
///
/// - Returns: The lines of the log.
@discardableResult
func withGateway(
    _ text: String, upstreams: [FakeUpstream] = [], preamble: String = RunningGateway.preamble, reactors: Int = 1,
    _ body: (RunningGateway) async throws -> Void
) async throws -> [String] {
    defer { for upstream in upstreams { upstream.stop() } }
    let running = try await RunningGateway.start(text, preamble: preamble, reactors: reactors)
    do {
        try await body(running)
    } catch {
        try await running.stop()
        throw error
    }
    return try await running.stop()
}

/// One model `m`, served by one engine.
///
/// - Parameters:
///   - provider: Settings of the provider.
///   - pool: Settings of the pool, such as `once`.
@discardableResult
func withEngine(
    _ script: @escaping FakeUpstream.Script = { try $0.answer() }, provider: String = "", pool: String = "",
    reactors: Int = 1,
    _ body: (RunningGateway, FakeUpstream) async throws -> Void
) async throws -> [String] {
    let upstream = try FakeUpstream(script)
    let text = """
        providers: [{name: default, \(provider)}]
        pools: [{name: m, endpoints: ["\(upstream.url)"], \(pool)}]
        models: [{name: m, pool: m}]
        """
    return try await withGateway(text, upstreams: [upstream], reactors: reactors) { try await body($0, upstream) }
}

/// A setting of a pool for tests of how a single failure is shown: it is not tried again.
let once = "retries: {attempts: 1}"

/// All tests of the room, one after another: each has a gateway of its own, and few cores must do.
@Suite(.serialized, .timeLimit(.minutes(1)))
enum GatewayTests {}

/// Writes a file for one test.
func writeFile(_ path: String, _ text: String) throws {
    guard let file = fopen(path, "w") else { throw SocketError.system("fopen", errno) }
    fputs(text, file)
    fclose(file)
}

func removeFile(_ path: String) { unlink(path) }
