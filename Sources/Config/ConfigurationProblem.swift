/// A place in a configuration file. Both count from 1; columns count characters.
package struct Position: Sendable, Hashable, Comparable {
    package var line: Int
    package var column: Int

    package static func < (left: Position, right: Position) -> Bool {
        (left.line, left.column) < (right.line, right.column)
    }
}

/// One thing that is wrong, or suspicious, in a configuration file.
package struct ConfigurationProblem: Sendable, Equatable, CustomStringConvertible {
    /// `error`: the file cannot be used. `warning`: it can, but probably does not do what was meant.
    package enum Severity: String, Sendable { case error, warning }

    package var severity = Severity.error
    /// The file, as it was named when it was loaded.
    package var file: String
    /// Where; `nil` if it concerns the file as a whole.
    package var position: Position?
    /// What is wrong, what was expected, what may have been meant. Never holds a secret.
    package var message: String
    /// The line it is in, with secrets masked; `nil` if there is none to show.
    package var excerpt: String?

    /// `file:line:col: error: message`.
    package var description: String {
        "\(place): \(severity.rawValue): \(message)"
    }

    private var place: String {
        position.map { "\(file):\($0.line):\($0.column)" } ?? file
    }

    /// The problem as a terminal shows it: message, source line, caret. Two or more lines, no newline at the end.
    ///
    /// - Parameter colored: Whether ANSI colours are used.
    package func rendered(colored: Bool = false) -> String {
        let (bold, red, plain) =
            colored ? ("\u{1B}[1m", severity == .error ? "\u{1B}[31m" : "\u{1B}[33m", "\u{1B}[0m") : ("", "", "")
        var text = "\(bold)\(place): \(red)\(severity.rawValue):\(plain) \(message)"
        guard let position, let excerpt else { return text }
        // The caret is put below its column: tabs stay tabs, and what would move the cursor is not shown.
        let shown = excerpt.unicodeScalars.map { $0 == "\t" || $0.value >= 0x20 && $0.value != 0x7F ? $0 : "\u{FFFD}" }
        let lead = shown.prefix(position.column - 1).map { $0 == "\t" ? $0 : " " }
        let gutter = "\(position.line)"
        text += "\n \(gutter) | \(String(String.UnicodeScalarView(shown)))"
        text += "\n \(String(repeating: " ", count: gutter.utf8.count)) | "
        text += "\(String(String.UnicodeScalarView(lead)))\(red)^\(plain)"
        return text
    }
}

extension [ConfigurationProblem] {
    /// Whether any of them forbids to use the file.
    package var hasErrors: Bool { contains { $0.severity == .error } }
}
