/// Why `${…}` could not be replaced.
struct ExpansionError: Error, Equatable {
    var message: String
    /// Characters before the `$`.
    var offset: Int
}

/// Replaces `${NAME}` and `${NAME:-default}`; `$${` stands for a literal `${`.
///
/// What a variable holds is text and never YAML or another reference. The default also replaces an empty variable.
func expandVariables(
    in text: String, environment: (String) -> String?
) throws(ExpansionError) -> String {
    var result = ""
    let scalars = Array(text.unicodeScalars)
    var index = 0
    while index < scalars.count {
        if scalars[index...].starts(with: "$${".unicodeScalars) {
            result += "${"
            index += 3
            continue
        }
        guard scalars[index...].starts(with: "${".unicodeScalars) else {
            result.unicodeScalars.append(scalars[index])
            index += 1
            continue
        }
        guard let close = scalars[index...].firstIndex(of: "}") else {
            throw ExpansionError(message: "${ without }; write $${ for a literal ${", offset: index)
        }
        result += try value(
            of: String.UnicodeScalarView(scalars[index + 2..<close]), at: index, environment: environment)
        index = close + 1
    }
    return result
}

/// The value of `NAME` or `NAME:-default`.
private func value(
    of reference: String.UnicodeScalarView, at offset: Int, environment: (String) -> String?
) throws(ExpansionError) -> String {
    let nameEnd = reference.firstIndex { !isNameScalar($0) } ?? reference.endIndex
    let name = String(reference[..<nameEnd])
    let rest = String(reference[nameEnd...])
    guard isVariableName(name), rest.isEmpty || rest.hasPrefix(":-") else {
        throw ExpansionError(message: "malformed reference, expected ${NAME} or ${NAME:-default}", offset: offset)
    }
    if let value = environment(name), rest.isEmpty || !value.isEmpty { return value }
    guard !rest.isEmpty else {
        throw ExpansionError(
            message: "environment variable \(quoted(name)) is not set, and ${\(name)} has no default", offset: offset)
    }
    return String(rest.dropFirst(2))
}

/// Whether `name` can be the name of an environment variable: `[A-Za-z_][A-Za-z0-9_]*`.
func isVariableName(_ name: String) -> Bool {
    guard let first = name.unicodeScalars.first, !("0"..."9").contains(first) else { return false }
    return name.unicodeScalars.allSatisfy(isNameScalar)
}

private func isNameScalar(_ scalar: Unicode.Scalar) -> Bool {
    ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || ("0"..."9").contains(scalar) || scalar == "_"
}
