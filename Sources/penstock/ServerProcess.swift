internal import Config
internal import Dispatch
internal import Gateway
internal import Glibc
internal import Telemetry
internal import Topology

/// Where the configuration comes from.
enum ConfigurationSource: Sendable {
    case file(String)
    /// `isSearch`: engines are looked for, none was named.
    case fixed(Configuration, isSearch: Bool)
}

/// Why the process could not start.
struct StartError: Error {
    let text: String
    let status: Int32
}

/// The running process: signals, reloads, the end.
// Sendable: what changes is touched on `queue` alone.
final class ServerProcess: @unchecked Sendable {
    private let source: ConfigurationSource
    /// For a person, once it serves.
    private let greeting: String?
    private let gateway: Gateway
    private let log: Log
    private let queue = DispatchQueue(label: "penstock.process")
    private let initial: ConfigurationLoad?
    private var signals: [any DispatchSourceSignal] = []
    private var watcher: FileWatcher?
    private var isEnding = false

    /// Reads the configuration and opens the log.
    init(_ source: ConfigurationSource, greeting: String?) throws(StartError) {
        self.source = source
        self.greeting = greeting
        let configuration: Configuration
        switch source {
        case .file(let path):
            let load = Configuration.load(file: path, in: .process)
            guard let read = load.configuration else {
                let text = load.problems.map { $0.rendered(colored: Terminal.isErrorTerminal) }.joined(separator: "\n")
                let status = load.isUnreadable ? ExitStatus.noInput : ExitStatus.configuration
                throw StartError(text: text, status: status)
            }
            configuration = read
            initial = load
        case .fixed(let given, _):
            configuration = given
            initial = nil
        }
        log = try ServerProcess.openLog(configuration.logging)
        do throws(GatewayError) {
            gateway = try Gateway(
                configuration, log: log, version: penstockVersion, cores: usableCores(), now: time(nil))
        } catch {
            throw StartError(text: "penstock: \(error)", status: ExitStatus.configuration)
        }
    }

    private static func openLog(_ settings: Configuration.Logging) throws(StartError) -> Log {
        let output: LogOutput =
            switch settings.output {
            case .stdout: .standardOutput
            case .stderr: .standardError
            case .file(let path): .file(path)
            }
        let writer: LogWriter
        do throws(LogError) {
            writer = try LogWriter(output)
        } catch {
            throw StartError(text: "penstock: cannot write the log: \(error)", status: ExitStatus.noInput)
        }
        let format: LogFormat =
            switch settings.format {
            case .json: .json
            case .console: .console(colour: writer.wantsColour)
            case .auto: writer.isTerminal ? .console(colour: writer.wantsColour) : .json
            }
        return Log(writer, format: format, level: LogLevel(settings.level))
    }

    /// Starts to serve, or ends the process with the reason why it cannot.
    func start() {
        for problem in initial?.problems ?? [] { log.write(.warning, "configuration", ["problem": "\(problem)"]) }
        if case .fixed(let configuration, true) = source {
            let urls = configuration.pools.flatMap(\.endpoints).map(\.address.description).joined(separator: " ")
            log.write(.notice, "looking for engines on this machine", ["asked": .text(urls)])
        }
        // Before anything is served, so that no signal and no change of a file falls into a gap.
        queue.sync {
            listenToSignals()
            watchFiles()
        }
        Task {
            do throws(GatewayError) {
                try await gateway.start()
            } catch {
                Terminal.error("penstock: \(error)")
                exit(ExitStatus.unavailable)
            }
            if let greeting { Terminal.error(greeting) }
        }
    }

    private func listenToSignals() {
        on(SIGTERM) { $0.end() }
        on(SIGINT) { $0.end() }
        on(SIGUSR1) { $0.log.writer.reopen { _ in } }
        on(SIGHUP) { $0.reload() }
    }

    private func watchFiles() {
        guard case .file(let path) = source, let initial else { return }
        do throws(FileReadError) {
            watcher = try FileWatcher(paths: [path] + initial.files, queue: queue) { self.reload() }
        } catch {
            log.write(.warning, "the configuration file is not watched", ["reason": .text(error.reason)])
        }
    }

    private func on(_ number: Int32, _ action: @escaping @Sendable (ServerProcess) -> Void) {
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
        source.setEventHandler { action(self) }
        source.activate()
        signals.append(source)
    }

    /// Reads the file again. A wrong one is reported and ignored.
    private func reload() {
        guard case .file(let path) = source, !isEnding else { return }
        let load = Configuration.load(file: path, in: .process)
        watcher?.watch([path] + load.files)
        for problem in load.problems {
            log.write(problem.severity == .error ? .error : .warning, "configuration", ["problem": "\(problem)"])
        }
        Task {
            guard let next = load.configuration else { return await rejected("the file has errors") }
            do throws(GatewayError) {
                try await gateway.apply(next)
                log.setLevel(LogLevel(next.logging.level))
            } catch {
                await rejected(error.description)
            }
        }
    }

    private func rejected(_ reason: String) async {
        log.write(.error, "configuration rejected, the old one stays in force", ["reason": .text(reason)])
        await gateway.rejected()
    }

    /// Ends after the running exchanges; asked twice, at once.
    private func end() {
        if isEnding { exit(2) }
        isEnding = true
        watcher?.cancel()
        Task {
            await gateway.shutDown()
            exit(0)
        }
    }
}

extension LogLevel {
    /// The level a configuration names.
    init(_ level: Configuration.Logging.Level) {
        self =
            switch level {
            case .debug: .debug
            case .info: .info
            case .notice: .notice
            case .warning: .warning
            case .error: .error
            }
    }
}

/// Cores this process may run on.
func usableCores() -> Int { max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }
