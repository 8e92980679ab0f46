internal import ArgumentParser
internal import Config

/// `penstock check FILE`.
struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Checks a configuration file and names every mistake in it.",
        discussion: """
            Each problem is one line, FILE:LINE:COLUMN: what is wrong, what was expected, and the nearest valid name. \
            Environment variables and files that the configuration refers to are read, as `serve` would.

            Exit status: 0 if the file can be served (warnings allowed), 78 if not, 66 if it cannot be read.
            """)

    @Argument(help: "The configuration file.", completion: .file(extensions: ["yaml", "yml"]))
    var file: String

    func run() throws {
        let load = Configuration.load(file: file, in: .process)
        for problem in load.problems { Terminal.error(problem.rendered(colored: Terminal.isErrorTerminal)) }
        guard let configuration = load.configuration else {
            throw ExitCode(load.isUnreadable ? ExitStatus.noInput : ExitStatus.configuration)
        }
        let models = configuration.models.count
        let pools = configuration.pools.count
        print("\(file): ok, \(models) model\(models == 1 ? "" : "s"), \(pools) pool\(pools == 1 ? "" : "s")")
    }
}

extension ConfigurationLoad {
    /// Whether the file itself could not be read.
    var isUnreadable: Bool { configuration == nil && problems.count == 1 && problems[0].position == nil }
}
