internal import Topology

/// What reading one file shares: the file's lines, the surroundings, and the problems found so far.
final class Decoding {
    /// Problems kept; a file with more is not a configuration.
    static let problemLimit = 100

    let file: String
    private let surroundings: ConfigurationSurroundings
    private let lines: [Substring.UnicodeScalarView]
    private(set) var problems: [ConfigurationProblem] = []
    private(set) var omitted = 0
    /// Files the configuration refers to, as they were opened.
    private(set) var files: [String] = []
    /// Whether messages show source lines; not while secrets may stand beside each other in one.
    var showsLines = true
    /// Every key that was asked for, as `limits.timeouts.idle` or `models[].name`.
    var knownKeys: Set<String> = []

    init(text: String, file: String, surroundings: ConfigurationSurroundings) {
        self.file = file
        self.surroundings = surroundings
        // libyaml does not count a byte order mark.
        self.lines = splitLines(
            text.unicodeScalars.first == "\u{FEFF}" ? String(text.unicodeScalars.dropFirst()) : text)
    }

    /// How much of the source line a message may show.
    enum Excerpt {
        /// All of it, but for what looks like a secret.
        case line
        /// Up to the value, which may be a secret.
        case beforeValue
        /// Up to the end of a key of so many characters: what follows may be a secret whose key was misspelt.
        case key(Int)
    }

    /// Notes a problem.
    func report(
        _ message: String, at position: Position?, severity: ConfigurationProblem.Severity = .error,
        excerpt: Excerpt = .line
    ) {
        guard problems.count < Self.problemLimit else {
            omitted += 1
            return
        }
        problems.append(
            ConfigurationProblem(
                severity: severity, file: file, position: position, message: message,
                excerpt: position.flatMap { shown(excerpt, at: $0) }))
    }

    private func shown(_ excerpt: Excerpt, at position: Position) -> String? {
        guard showsLines, lines.indices.contains(position.line - 1) else { return nil }
        let line = lines[position.line - 1]
        switch excerpt {
        case .line: return maskingSecrets(String(line.prefix(200)))
        case .beforeValue: return maskingSecrets(String(line.prefix(position.column - 1))) + "***"
        case .key(let length):
            let end = position.column - 1 + length
            return maskingSecrets(String(line.prefix(end))) + (line.count > end ? ": …" : "")
        }
    }

    /// Notes why the file is no YAML.
    func report(_ failure: YAMLReader.Failure) {
        var message = failure.message
        // In flow style `{` ends an unquoted value, which no message of the parser would tell.
        if let position = failure.position, position.column > 1, lines.indices.contains(position.line - 1),
            lines[position.line - 1].dropFirst(position.column - 2).starts(with: "${".unicodeScalars)
        {
            message = "within [ ] or { } a value with ${…} needs quotes"
        }
        report(message, at: failure.position)
    }

    /// The text of a scalar with `${NAME}` replaced.
    ///
    /// - Parameter expected: What the key takes: `a duration such as 30s`.
    /// - Returns: `nil` after a problem was reported.
    func text(of node: YAMLNode, for key: String, expected: String) -> String? {
        guard case .scalar(let raw, _) = node.content, !node.isEmpty else {
            report("\(key) must be \(expected), is \(node.kind)", at: node.position)
            return nil
        }
        return expanded(raw, at: node)
    }

    /// `raw` with references to the environment replaced; `nil` after a problem was reported.
    func expanded(_ raw: String, at node: YAMLNode) -> String? {
        guard raw.utf8.contains(UInt8(ascii: "$")) else { return raw }
        do throws(ExpansionError) {
            return try expandVariables(in: raw, environment: surroundings.environment)
        } catch {
            var position = node.position
            if case .scalar(_, plain: true) = node.content { position.column += error.offset }
            report(error.message, at: position)
            return nil
        }
    }

    /// The environment variable of that name.
    func environment(_ name: String) -> String? { surroundings.environment(name) }

    /// All bytes of a file, whose path is relative to the configuration file; `nil` after a problem was reported.
    func contents(of path: String, for key: String, at position: Position) -> (path: String, bytes: [UInt8])? {
        let resolved = resolve(path)
        if !files.contains(resolved) { files.append(resolved) }
        do throws(FileReadError) {
            return (resolved, try surroundings.readFile(resolved))
        } catch {
            report("\(key): cannot read \(quoted(resolved)): \(error.reason)", at: position)
            return nil
        }
    }

    /// `path` as seen from the directory of the configuration file.
    func resolve(_ path: String) -> String {
        guard !path.hasPrefix("/"), let slash = file.utf8.lastIndex(of: UInt8(ascii: "/")) else { return path }
        return String(file[...slash]) + path
    }
}

/// Lines as libyaml counts them: it also breaks at U+0085, U+2028 and U+2029.
private func splitLines(_ text: String) -> [Substring.UnicodeScalarView] {
    var lines: [Substring.UnicodeScalarView] = []
    let scalars = text.unicodeScalars
    var start = scalars.startIndex
    var index = start
    while index < scalars.endIndex {
        let scalar = scalars[index]
        var next = scalars.index(after: index)
        if ["\n", "\r", "\u{85}", "\u{2028}", "\u{2029}"].contains(scalar) {
            lines.append(Substring(text[start..<index]).unicodeScalars)
            if scalar == "\r", next < scalars.endIndex, scalars[next] == "\n" { next = scalars.index(after: next) }
            start = next
        }
        index = next
    }
    lines.append(Substring(text[start...]).unicodeScalars)
    return lines
}

/// Cuts a line where a key whose name promises a secret has its value, unless that is a reference.
private func maskingSecrets(_ line: String) -> String {
    var search = line[...]
    while let colon = search.utf8.firstIndex(of: UInt8(ascii: ":")) {
        let word = line[..<colon].utf8.reversed().prefix { isKeyByte($0) }.reversed()
        let name = String(decoding: word, as: UTF8.self).lowercased().filter { $0 != "-" && $0 != "_" }
        let after = line.index(after: colon)
        let value = line[after...].drop { $0 == " " || $0 == "\"" || $0 == "'" }
        let telling = ["apikey", "secret", "token", "password", "authorization", "credential"]
        let harmless =
            value.isEmpty || ["env:", "file:", "${", "{", "auto", "always", "never"].contains { value.hasPrefix($0) }
        let tells = name == "headers" && !value.isEmpty || !harmless && telling.contains { name.contains($0) }
        if tells, name != "apikeyheader" { return line[..<after] + " ***" }
        search = line[after...]
    }
    return line
}

private func isKeyByte(_ byte: UInt8) -> Bool {
    (48...57).contains(byte) || (97...122).contains(byte | 0x20) || byte == UInt8(ascii: "-")
        || byte == UInt8(ascii: "_")
}
