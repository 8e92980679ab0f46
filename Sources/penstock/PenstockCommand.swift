internal import ArgumentParser
internal import Gateway

/// The command line.
struct PenstockCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "penstock",
        abstract: "An inference gateway: one OpenAI-compatible endpoint in front of many engines.",
        discussion: """
            Try it without an engine of your own:
              penstock serve --simulate
              curl http://127.0.0.1:4000/v1/models

            Put it in front of engines that run already; their models are found by themselves:
              penstock serve --engine http://10.0.0.11:8000 --engine http://10.0.0.12:8000

            With a configuration file:
              penstock check gateway.yaml
              penstock serve --config gateway.yaml
              penstock explain --config gateway.yaml --model NAME

            Applications set base_url to http://HOST:4000/v1; operators and Prometheus ask \
            http://127.0.0.1:4001/metrics, /healthz and /readyz.
            """,
        version: "penstock \(penstockVersion) (\(Gateway.libraryVersions))",
        subcommands: [ServeCommand.self, CheckCommand.self, ExplainCommand.self, SimulateEngineCommand.self])
}
