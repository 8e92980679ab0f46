internal import Glibc

/// What a person sees who runs a command.
enum Terminal {
    /// Writes a line to standard error.
    static func error(_ text: String) {
        let line = Array((text + "\n").utf8)
        var rest = line[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    /// Whether standard error is read by a person who welcomes colour.
    static var isErrorTerminal: Bool { isatty(2) == 1 && getenv("NO_COLOR") == nil }
}

/// Exit statuses, as sysexits.h has them.
enum ExitStatus {
    static let wrongRequest: Int32 = 65
    static let noInput: Int32 = 66
    static let unavailable: Int32 = 69
    static let configuration: Int32 = 78
}
