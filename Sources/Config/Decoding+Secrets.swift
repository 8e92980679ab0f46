/// Readers of single nodes, for list items and for values that may be secret.
extension Decoding {
    /// Text of 1...`limit` bytes without control characters.
    func plainText(of node: YAMLNode, for key: String, limit: Int = 1024) -> String? {
        guard let text = text(of: node, for: key, expected: "text") else { return nil }
        guard (1...limit).contains(text.utf8.count) else {
            report("\(key) must have 1...\(limit) bytes, has \(text.utf8.count)", at: node.position)
            return nil
        }
        if text.unicodeScalars.contains(where: { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) }) {
            report("\(key) holds a control character", at: node.position)
            return nil
        }
        return text
    }

    /// A secret: `env:NAME`, `file:PATH`, or the text itself.
    ///
    /// - Parameter warnsOfLiteral: Whether a secret that stands in the file is worth a warning.
    /// - Returns: `nil` after a problem was reported.
    func secret(of node: YAMLNode, for key: String, warnsOfLiteral: Bool = true) -> Secret? {
        guard case .scalar(let raw, _) = node.content, !node.isEmpty else {
            report("\(key) must be env:NAME, file:PATH or text, is \(node.kind)", at: node.position)
            return nil
        }
        guard let found = referredSecret(raw, of: node, for: key, warnsOfLiteral: warnsOfLiteral) else { return nil }
        let (bytes, origin) = found
        guard !bytes.isEmpty else {
            report("\(key): \(origin) is empty", at: node.position, excerpt: excerpt(for: raw))
            return nil
        }
        // It becomes the value of a header field: RFC 9110 section 5.5.
        guard bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
            report(
                "\(key): \(origin) holds a line break or control character", at: node.position,
                excerpt: excerpt(for: raw))
            return nil
        }
        return Secret(bytes)
    }

    private func excerpt(for raw: String) -> Excerpt { isReference(raw) ? .line : .beforeValue }

    private func isReference(_ raw: String) -> Bool {
        raw.hasPrefix("env:") || raw.hasPrefix("file:") || raw.hasPrefix("${")
    }

    private func referredSecret(
        _ raw: String, of node: YAMLNode, for key: String, warnsOfLiteral: Bool
    ) -> (bytes: [UInt8], origin: String)? {
        if raw.hasPrefix("env:") {
            let name = String(raw.dropFirst(4))
            guard isVariableName(name) else {
                report(
                    "\(key): env: must be followed by the name of a variable", at: node.position, excerpt: .beforeValue)
                return nil
            }
            guard let value = environment(name) else {
                report("\(key): environment variable \(quoted(name)) is not set", at: node.position)
                return nil
            }
            return (trimmed(Array(value.utf8)), "environment variable \(quoted(name))")
        }
        if raw.hasPrefix("file:") {
            guard let path = expanded(String(raw.dropFirst(5)), at: node) else { return nil }
            guard !path.isEmpty else {
                report("\(key): file: must be followed by a path", at: node.position)
                return nil
            }
            guard let file = contents(of: path, for: key, at: node.position) else { return nil }
            return (trimmed(file.bytes), "file \(quoted(file.path))")
        }
        guard let text = expanded(raw, at: node) else { return nil }
        if warnsOfLiteral, !raw.contains("${") {
            report(
                "\(key) stands in the file for all to read; write env:NAME or file:PATH", at: node.position,
                severity: .warning, excerpt: .beforeValue)
        }
        return (trimmed(Array(text.utf8)), "the value")
    }

    /// Without the line break an editor puts at the end of a file.
    private func trimmed(_ bytes: [UInt8]) -> [UInt8] {
        var rest = bytes[...]
        while let last = rest.last, last == UInt8(ascii: "\n") || last == UInt8(ascii: "\r") { rest.removeLast() }
        return Array(rest)
    }
}
