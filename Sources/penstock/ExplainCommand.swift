internal import ArgumentParser
internal import Config
internal import Gateway
internal import Glibc

/// `penstock explain`.
struct ExplainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Shows where a request would go, and why: route, tiers, and each endpoint's verdict and score.",
        discussion: """
            With --config alone a file is explained without running it: no endpoint has been heard of then, and all \
            stand at `warming`. With --admin a running gateway is asked: what stands there is what it knows at this \
            moment. Nothing is sent to an engine.

            Where does a batch job of the team "red" go?
              penstock explain --config gateway.yaml --model llama-70b --header 'x-job: batch-7' --header 'x-team: red'

            Why did that request not go to the new endpoint? Ask the gateway that served it:
              penstock explain --admin 127.0.0.1:4001 --body request.json --session alice

            The first line says what would happen. Under `routes`, * is the route that holds, and the others say what \
            they lack. Under each tier the pools stand with their turn; under a pool # is the order of preference, \
            `verdict` says why an endpoint takes no part, and of scores the lower is the better.

            Where weights or equal scores leave the choice to chance, --seed makes the draw the same each time.

            Exit status: 0 if there is an explanation, 65 if the request would be refused before that (such as an \
            unknown model), 66 if a file cannot be read, 69 if the gateway does not answer, 78 if the configuration \
            is wrong.
            """)

    @Option(help: ArgumentHelp("The configuration file to explain.", valueName: "file"), completion: .file())
    var config: String?

    @Option(help: ArgumentHelp("The admin address of a running gateway to ask instead.", valueName: "host:port"))
    var admin: String?

    @Option(help: ArgumentHelp("The model as a client writes it (default: as the body says).", valueName: "name"))
    var model: String?

    @Option(help: ArgumentHelp("A header field of the request, such as 'x-team: red'; may be repeated."))
    var header: [String] = []

    @Option(help: ArgumentHelp("The request's JSON body; - is standard input.", valueName: "file"), completion: .file())
    var body: String?

    @Option(help: "The session the request belongs to, as x-session-id would say it.")
    var session: String?

    @Option(help: "The path of the request.")
    var path = "/v1/chat/completions"

    @Option(help: "Makes random draws the same each time; 0 or more.")
    var seed: Int?

    @Flag(help: "Prints JSON instead of tables.")
    var json = false

    func validate() throws {
        guard (config == nil) != (admin == nil) else {
            throw ValidationError("Give --config for a file or --admin for a running gateway, one of them.")
        }
        if model == nil, body == nil { throw ValidationError("Say which model: --model NAME, or --body with it.") }
        if let seed, seed < 0 { throw ValidationError("--seed must be 0 or more.") }
    }

    func run() throws {
        let question = try question()
        if let config {
            try explain(question, file: config)
        } else if let admin {
            try explain(question, at: admin)
        }
    }

    private func question() throws -> ExplainQuestion {
        var question = ExplainQuestion()
        (question.model, question.session, question.path, question.seed) = (model, session, path, seed)
        for text in header {
            guard let colon = text.firstIndex(of: ":") else {
                throw ValidationError("--header '\(text)': write it as 'name: value'.")
            }
            let value = text[text.index(after: colon)...].drop { $0 == " " }
            question.headers.append(ExplainQuestion.Field(name: String(text[..<colon]), value: String(value)))
        }
        if let body { question.body = try ExplainCommand.read(body) }
        if let problem = question.problem { throw fail(problem, ExitStatus.wrongRequest) }
        return question
    }

    private func explain(_ question: ExplainQuestion, file: String) throws {
        let load = Configuration.load(file: file, in: .process)
        for problem in load.problems { Terminal.error(problem.rendered(colored: Terminal.isErrorTerminal)) }
        guard let configuration = load.configuration else {
            throw ExitCode(load.isUnreadable ? ExitStatus.noInput : ExitStatus.configuration)
        }
        do throws(ExplainError) {
            print(try Gateway.explain(question, with: configuration, asText: !json), terminator: "")
        } catch {
            throw fail(error.description, ExitStatus.wrongRequest)
        }
    }

    private func explain(_ question: ExplainQuestion, at address: String) throws {
        let answer: AdminClient.Answer
        do throws(AdminClientError) {
            answer = try AdminClient(address).post(
                "/admin/v1/explain?format=\(json ? "json" : "text")", json: question.json)
        } catch {
            throw fail("\(address): \(error.reason)", ExitStatus.unavailable)
        }
        guard answer.status == 200 else {
            let said = errorMessage(inAnswer: answer.body) ?? "the answer has the status \(answer.status)"
            // What is no error of the API does not come from an admin address.
            let isOurs = errorMessage(inAnswer: answer.body) != nil && (400..<500).contains(answer.status)
            throw fail(said, isOurs ? ExitStatus.wrongRequest : ExitStatus.unavailable)
        }
        print(String(decoding: answer.body, as: UTF8.self), terminator: "")
    }

    private func fail(_ reason: String, _ status: Int32) -> ExitCode {
        Terminal.error("penstock explain: \(reason)")
        return ExitCode(status)
    }

    /// The whole of a file.
    private static func read(_ path: String) throws -> [UInt8] {
        let descriptor = path == "-" ? 0 : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0, let bytes = readAll(descriptor) else {
            Terminal.error("\(path): \(String(cString: strerror(errno)))")
            throw ExitCode(ExitStatus.noInput)
        }
        if descriptor != 0 { close(descriptor) }
        return bytes
    }
}

/// What can be read of a descriptor up to its end; `nil`, with `errno`, if that fails.
func readAll(_ descriptor: Int32, limit: Int = 64 << 20) -> [UInt8]? {
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 65536)
    while bytes.count < limit {
        let count = piece.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
        if count == 0 { return bytes }
        if count < 0 {
            if errno == EINTR { continue }
            return nil
        }
        bytes += piece[..<count]
    }
    errno = EFBIG
    return nil
}
