/// A mapping while it is read: hands out values by key and type, and at its end reports the keys nobody asked for.
///
/// Each reader leaves its target alone if the key is absent, so that the target's own default stands, and after it
/// reported a problem.
final class Section {
    let decoding: Decoding
    /// What it is, for messages: `provider "local"`.
    var title: String
    /// Where it stands, without numbers: `providers[].timeouts`.
    let path: String
    /// Where it begins; `nil` if it is absent.
    let position: Position?
    private let entries: [YAMLEntry]
    private var asked: [String] = []

    /// - Parameter node: `nil` or an empty one is a section without keys.
    init(_ node: YAMLNode?, path: String, title: String, decoding: Decoding) {
        self.decoding = decoding
        self.path = path
        self.title = title
        position = node?.position
        switch node?.content {
        case .mapping(let entries)?: self.entries = entries
        default:
            entries = []
            if let node, !node.isEmpty {
                decoding.report("\(title) must be a mapping, is \(node.kind)", at: node.position)
            }
        }
    }

    /// The entry of that key; `nil` if it is absent.
    func entry(_ key: String) -> YAMLEntry? {
        asked.append(key)
        decoding.knownKeys.insert(path.isEmpty ? key : "\(path).\(key)")
        return entries.first { $0.key == key }
    }

    /// The value of that key; `nil` if it is absent.
    func node(_ key: String) -> YAMLNode? { entry(key)?.value }

    /// Whether the key is there. Does not count as asking.
    func has(_ key: String) -> Bool { entries.contains { $0.key == key } }

    /// The entry of a key that has no place here, so that it is not also reported as unknown; `nil` if it is absent.
    func misplaced(_ key: String) -> YAMLEntry? {
        asked.append(key)
        return entries.first { $0.key == key }
    }

    /// Where the value of the first of these keys that is there stands; else where the section begins.
    func position(of keys: String...) -> Position? {
        keys.lazy.compactMap { key in self.entries.first { $0.key == key }?.value.position }.first ?? position
    }

    /// The mapping under a key.
    func section(_ key: String, title: String? = nil) -> Section {
        Section(
            node(key), path: path.isEmpty ? key : "\(path).\(key)", title: title ?? "\(key)", decoding: decoding)
    }

    /// The mapping under a key; `nil` if the key is absent.
    func optionalSection(_ key: String) -> Section? {
        let found = section(key)
        return found.position == nil ? nil : found
    }

    /// The list under a key; `nil` if it is absent, empty or no list.
    func items(_ key: String) -> [YAMLNode]? {
        guard let node = node(key), !node.isEmpty else { return nil }
        guard case .sequence(let items) = node.content else {
            decoding.report("\(key) must be a list, is \(node.kind)", at: node.position)
            return nil
        }
        return items
    }

    /// The list under a key; `nil` if it is absent or no list. An empty key is an empty list.
    func requiredItems(_ key: String) -> [YAMLNode]? {
        guard let node = node(key), node.isEmpty else { return items(key) }
        return []
    }

    /// Reports a problem of the section as a whole.
    func report(_ message: String, severity: ConfigurationProblem.Severity = .error) {
        decoding.report(message, at: position, severity: severity)
    }

    /// Reports every key that nobody asked for.
    func finish() {
        for entry in entries where !asked.contains(entry.key) {
            let place = path.isEmpty ? "" : " in \(title)"
            let hint =
                decoding.problems.count < Decoding.problemLimit ? suggestion(for: entry.key, among: asked) : ""
            decoding.report(
                "unknown key \(quoted(entry.key))\(place)\(hint)", at: entry.position,
                excerpt: .key(entry.key.unicodeScalars.count))
        }
    }
}

extension Section {
    /// The text of a key, checked; `nil` if it is absent or wrong.
    ///
    /// - Parameters:
    ///   - expected: `a duration such as 30s`.
    ///   - parse: The value, or `nil` if the text is none.
    func value<Value>(_ key: String, expected: String, parse: (String) -> Value?) -> Value? {
        guard let node = node(key), let text = decoding.text(of: node, for: key, expected: expected) else { return nil }
        if let value = parse(text) { return value }
        decoding.report("\(key) must be \(expected), is \(shown(node, text))", at: node.position)
        return nil
    }

    /// The value as it was written: what a variable held is not shown, for it may be a secret that went astray.
    private func shown(_ node: YAMLNode, _ text: String) -> String {
        guard case .scalar(let raw, _) = node.content else { return node.kind }
        return quoted(raw)
    }

    /// Reads `true` or `false`.
    func boolean(_ key: String, into target: inout Bool) {
        if let value = value(
            key, expected: "true or false", parse: { $0 == "true" ? true : $0 == "false" ? false : nil })
        {
            target = value
        }
    }

    /// Reads a whole number.
    func integer(_ key: String, into target: inout Int, in range: ClosedRange<Int>) {
        let expected = "a whole number \(range.lowerBound)...\(range.upperBound)"
        let parse = { (text: String) in wholeNumber(text).flatMap { range.contains($0) ? $0 : nil } }
        if let value = value(key, expected: expected, parse: parse) { target = value }
    }

    /// Reads a size in bytes.
    func size(_ key: String, into target: inout Int, in range: ClosedRange<Int>) {
        let bounds = "\(byteSizeText(range.lowerBound))...\(byteSizeText(range.upperBound))"
        let parse = { (text: String) in byteSize(text).flatMap { range.contains($0) ? $0 : nil } }
        let expected = "a size of \(bounds), such as \(byteSizeText(target))"
        if let value = value(key, expected: expected, parse: parse) { target = value }
    }

    /// Reads a duration that cannot be switched off.
    func duration(_ key: String, into target: inout Duration, in range: ClosedRange<Duration>) {
        let parse = { (text: String) in Config.duration(text).flatMap { range.contains($0) ? $0 : nil } }
        let expected = "a duration of \(bounds(range)), such as \(durationText(target))"
        if let value = value(key, expected: expected, parse: parse) { target = value }
    }

    /// Reads a duration, or `off` or `0`, which become `nil`.
    func duration(_ key: String, into target: inout Duration?, in range: ClosedRange<Duration>) {
        let parse = { (text: String) -> Duration?? in
            if text == "off" { return .some(nil) }
            guard let value = Config.duration(text) else { return nil }
            return value == .zero ? .some(nil) : range.contains(value) ? .some(value) : nil
        }
        let expected = "a duration of \(bounds(range)), such as \(durationText(target ?? .seconds(60))), or off"
        if let value = value(key, expected: expected, parse: parse) { target = value }
    }

    private func bounds(_ range: ClosedRange<Duration>) -> String {
        "\(durationText(range.lowerBound))...\(durationText(range.upperBound))"
    }

    /// Reads one of the words an enumeration knows.
    func choice<Choice>(_ key: String, into target: inout Choice)
    where Choice: RawRepresentable<String> & CaseIterable {
        let words = Choice.allCases.map(\.rawValue)
        guard let node = node(key),
            let text = decoding.text(of: node, for: key, expected: listed(words))
        else { return }
        if let value = Choice(rawValue: text) {
            target = value
            return
        }
        let hint = suggestion(for: text, among: words)
        decoding.report("\(key) must be \(listed(words)), is \(shown(node, text))\(hint)", at: node.position)
    }

    /// Reads text of 1...`limit` bytes without control characters.
    func string(_ key: String, limit: Int = 1024) -> (text: String, position: Position)? {
        guard let node = node(key) else { return nil }
        return decoding.plainText(of: node, for: key, limit: limit).map { ($0, node.position) }
    }

    /// Reads a PEM file; `marker` must occur in it.
    func pem(_ key: String, holding marker: String) -> Configuration.PEMFile? {
        guard let (path, position) = string(key, limit: 4096),
            let file = decoding.contents(of: path, for: key, at: position)
        else { return nil }
        guard String(decoding: file.bytes, as: UTF8.self).contains("\(marker)-----") else {
            let what = marker.lowercased()
            decoding.report("\(key): \(quoted(file.path)) holds no PEM \(what) (-----BEGIN …)", at: position)
            return nil
        }
        return Configuration.PEMFile(path: file.path, contents: Secret(file.bytes))
    }
}

/// `a, b or c`.
func listed(_ words: [String]) -> String {
    guard words.count > 1 else { return words.first ?? "" }
    return words.dropLast().joined(separator: ", ") + " or " + (words.last ?? "")
}
