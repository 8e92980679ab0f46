/// What came of loading a configuration file.
package struct ConfigurationLoad: Sendable {
    /// What the file says; `nil` if any problem is an error.
    package let configuration: Configuration?
    /// All problems, in the order of the file.
    package let problems: [ConfigurationProblem]
    /// Files the configuration refers to (certificates, secrets), as they were opened, whether they could be read or not.
    package let files: [String]
    /// Every key that was looked for, as `limits.timeouts.idle` or `models[].name`; for the test of the documents.
    package let knownKeys: Set<String>
}

extension Configuration {
    /// Reads a configuration file and the files it refers to. Blocks: for start and reload, not for reactors.
    package static func load(file: String, in surroundings: ConfigurationSurroundings) -> ConfigurationLoad {
        do throws(FileReadError) {
            return load(text: try surroundings.readFile(file), file: file, in: surroundings)
        } catch {
            let problem = ConfigurationProblem(file: file, message: "cannot read it: \(error.reason)")
            return ConfigurationLoad(configuration: nil, problems: [problem], files: [], knownKeys: [])
        }
    }

    /// Reads a configuration from its text.
    ///
    /// - Parameters:
    ///   - text: YAML; UTF-8.
    ///   - file: Its path: for messages, and because paths in it are relative to its directory.
    ///   - surroundings: Environment variables and the files the text refers to.
    package static func load(
        text: [UInt8], file: String, in surroundings: ConfigurationSurroundings
    ) -> ConfigurationLoad {
        let (root, failures) = YAMLReader.read(text)
        let decoding = Decoding(text: String(decoding: text, as: UTF8.self), file: file, surroundings: surroundings)
        for failure in failures { decoding.report(failure) }
        var configuration = Configuration()
        // A document that could not be read to its end has no root; what is missing then says nothing.
        if root != nil || failures.isEmpty { configuration.read(root, with: decoding) }
        let problems = decoding.sortedProblems()
        return ConfigurationLoad(
            configuration: problems.hasErrors ? nil : configuration, problems: problems, files: decoding.files,
            knownKeys: decoding.knownKeys)
    }

    private mutating func read(_ node: YAMLNode?, with decoding: Decoding) {
        let root = Section(node, path: "", title: "the file", decoding: decoding)
        if let node, !node.isEmpty {
            guard case .mapping = node.content else { return }
        }
        decoding.readListeners(root, into: &self)
        readWorkers(root)
        ModelReader.read(root, into: &self)
        logging.read(root.section("logging"))
        metrics.read(root.section("metrics"))
        shutdown.read(root.section("shutdown"))
        root.finish()
        // After another error it may be the entry that is wrong which would serve.
        if models.isEmpty, !pools.contains(where: \.discoverModels), !decoding.problems.hasErrors {
            root.report("nothing to serve: neither models nor a pool with discoverModels: true")
        }
    }

    private mutating func readWorkers(_ root: Section) {
        let parse = { (text: String) -> Int?? in
            if text == "auto" { return .some(nil) }
            return wholeNumber(text).flatMap { (1...1024).contains($0) ? .some($0) : nil }
        }
        if let value = root.value("workers", expected: "a whole number 1...1024, or auto", parse: parse) {
            workers = value
        }
    }
}

extension Configuration.Logging {
    mutating func read(_ section: Section) {
        section.choice("level", into: &level)
        section.choice("format", into: &format)
        if let (text, position) = section.string("output", limit: 4096) {
            switch text {
            case "stdout": output = .stdout
            case "stderr": output = .stderr
            case _ where text.contains("/"): output = .file(section.decoding.resolve(text))
            default:
                // Without the slash every misspelt word would become a file.
                let hint = suggestion(for: text, among: ["stdout", "stderr"])
                section.decoding.report(
                    "output must be stdout, stderr or a path with a /, is \(quoted(text))\(hint)", at: position)
            }
        }
        section.boolean("access", into: &access)
        section.finish()
    }
}

extension Configuration.Metrics {
    mutating func read(_ section: Section) {
        section.boolean("enabled", into: &enabled)
        if let (text, position) = section.string("path") {
            let isPlain = text.utf8.allSatisfy {
                (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#")
            }
            if !text.hasPrefix("/") || text.utf8.count < 2 || !isPlain {
                section.decoding.report("path must begin with / as /metrics does, is \(quoted(text))", at: position)
            } else if ["/healthz", "/readyz"].contains(text) {
                section.decoding.report("path \(text) is taken by the health check", at: position)
            } else {
                path = text
            }
        }
        section.finish()
    }
}

extension Configuration.Shutdown {
    mutating func read(_ section: Section) {
        section.duration("delay", into: &delay, in: .zero...hours(1))
        section.duration("timeout", into: &timeout, in: .zero...hours(24))
        section.finish()
    }
}

extension Decoding {
    /// All problems in the order of the file, and a last one if there were too many to keep.
    fileprivate func sortedProblems() -> [ConfigurationProblem] {
        let start = Position(line: 0, column: 0)
        // Two mistakes can stand at one place; then the order in which they were found stays.
        var sorted = problems.enumerated().sorted { left, right in
            (left.element.position ?? start, left.offset) < (right.element.position ?? start, right.offset)
        }.map(\.element)
        if omitted > 0 {
            sorted.append(ConfigurationProblem(file: file, message: "and \(omitted) more problems"))
        }
        return sorted
    }
}
