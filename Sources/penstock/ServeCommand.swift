internal import ArgumentParser
internal import Config
internal import Dispatch
internal import Glibc
internal import Topology

/// `penstock serve`.
struct ServeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Serves: with a configuration file, in front of given engines, or of those found on this machine.",
        discussion: """
            With neither --config nor --engine, engines are looked for on localhost's usual ports: vLLM 8000, \
            llama.cpp 8080, Ollama 11434, SGLang 30000, LM Studio 1234. What they list in /v1/models is served, also \
            if they come up later.

            A configuration file is read again when it changes and on SIGHUP; a wrong one leaves the old in force. \
            SIGTERM and SIGINT end the process after the running exchanges; a second one ends it at once. SIGUSR1 \
            opens log files anew.
            """)

    @Option(help: ArgumentHelp("The configuration file.", valueName: "file"), completion: .file())
    var config: String?

    @Option(help: ArgumentHelp("An engine to serve, such as http://127.0.0.1:8000; may be repeated.", valueName: "url"))
    var engine: [String] = []

    @Option(help: ArgumentHelp("Where applications connect (default 127.0.0.1:4000).", valueName: "host:port"))
    var listen: String?

    @Option(help: ArgumentHelp("Where operators connect (default 127.0.0.1:4001).", valueName: "host:port"))
    var admin: String?

    @Flag(help: "Starts simulated engines in this process and serves them: for a first look.")
    var simulate = false

    func validate() throws {
        if config != nil, !engine.isEmpty || simulate || listen != nil || admin != nil {
            throw ValidationError(
                "--config says everything itself: use it alone, without --engine, --simulate, --listen or --admin.")
        }
    }

    func run() throws {
        signal(SIGPIPE, SIG_IGN)
        let source: ConfigurationSource
        if let config {
            source = .file(config)
        } else {
            source = .fixed(try configurationWithoutFile(), isSearch: engine.isEmpty && !simulate)
        }
        let server: ServerProcess
        do throws(StartError) {
            server = try ServerProcess(source, greeting: simulate ? greeting : nil)
        } catch {
            Terminal.error(error.text)
            throw ExitCode(error.status)
        }
        server.start()
        dispatchMain()
    }

    /// What a newcomer can paste into another terminal.
    private var greeting: String {
        let address = listen ?? "127.0.0.1:4000"
        return """

            Penstock serves the model "demo" from two simulated engines. In another terminal:

              curl -N http://\(address)/v1/chat/completions -H 'content-type: application/json' \\
                -d '{"model": "demo", "stream": true, "messages": [{"role": "user", "content": "Hello"}]}'

            Metrics: curl http://\(admin ?? "127.0.0.1:4001")/metrics      Ctrl-C ends it.

            """
    }

    private func configurationWithoutFile() throws -> Configuration {
        var addresses: [EndpointAddress] = []
        for url in engine {
            do throws(EndpointAddressError) {
                addresses.append(try EndpointAddress(parsing: url))
            } catch {
                throw ValidationError("--engine \(url): \(error.explanation)")
            }
        }
        if simulate { addresses += try DemoEngines.start() }
        if addresses.isEmpty { addresses = try ServeCommand.usualEngines.map { try EndpointAddress(parsing: $0) } }
        return Configuration.forEngines(
            addresses, listen: try address(listen, "--listen"), admin: try address(admin, "--admin"))
    }

    private func address(_ text: String?, _ option: String) throws -> ListenAddress? {
        guard let text else { return nil }
        do throws(ListenAddressError) {
            return try ListenAddress(parsing: text)
        } catch {
            throw ValidationError("\(option) \(text): \(error.explanation)")
        }
    }

    /// Where engines listen unless they are told otherwise.
    private static let usualEngines = [
        "http://127.0.0.1:8000", "http://127.0.0.1:8080", "http://127.0.0.1:11434", "http://127.0.0.1:30000",
        "http://127.0.0.1:1234",
    ]
}
