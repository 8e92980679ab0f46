/// A node of a YAML document, with where it stands. Scalars are text: their meaning is the reader's to decide.
struct YAMLNode: Sendable {
    /// What a node holds. `plain` tells an unquoted scalar, which alone can be empty or a reference.
    enum Content: Sendable {
        case scalar(String, plain: Bool)
        case sequence([YAMLNode])
        case mapping([YAMLEntry])
    }

    let content: Content
    let position: Position
    /// Nodes in this one, itself included, aliases counted as often as they are used.
    let count: Int

    /// Whether nothing was written: `key:`, `key: ~` or `key: null`.
    var isEmpty: Bool {
        guard case .scalar(let text, plain: true) = content else { return false }
        return text.isEmpty || text == "~" || text == "null"
    }

    /// What kind of thing was written, for messages.
    var kind: String {
        switch content {
        case .scalar: isEmpty ? "nothing" : "a single value"
        case .sequence: "a list"
        case .mapping: "a mapping"
        }
    }
}

/// One `key: value` of a mapping.
struct YAMLEntry: Sendable {
    let key: String
    let position: Position
    let value: YAMLNode
}
