internal import Bytes

/// How much a line matters.
package enum LogLevel: UInt8, Sendable, Comparable, CaseIterable {
    case debug, info, notice, warning, error

    /// The level as it is written.
    package var text: StaticString {
        switch self {
        case .debug: "debug"
        case .info: "info"
        case .notice: "notice"
        case .warning: "warning"
        case .error: "error"
        }
    }

    /// The level of that name.
    package init?(named name: String) {
        guard let level = LogLevel.allCases.first(where: { "\($0.text)".utf8.elementsEqual(name.utf8) }) else {
            return nil
        }
        self = level
    }

    package static func < (left: LogLevel, right: LogLevel) -> Bool { left.rawValue < right.rawValue }
}

/// The form of log lines.
package enum LogFormat: Sendable, Equatable {
    /// One object a line.
    case json
    /// For people.
    case console(colour: Bool)
}

/// A value in a log line: `"failures": 5`, `"endpoint": "\(endpoint)"`, `"path": .bytes(path)`.
package enum LogValue: Sendable, Equatable {
    case text(String)
    /// Foreign bytes, whether they are text or not.
    case bytes([UInt8])
    case integer(Int)
    case number(Double)
    case flag(Bool)

    /// Longest text that is written, in octets; the rest is cut off.
    internal static let limit = 2048

    /// Appends the value as JSON.
    internal func write(json output: inout ByteQueue) {
        switch self {
        case .text(let text): LogValue.write(json: text.utf8.span, &output)
        case .bytes(let bytes): LogValue.write(json: bytes.span, &output)
        // JSON knows no infinity.
        case .number(let value) where !value.isFinite: output.append(text: "\"\(value)\"")
        default: writeScalar(&output)
        }
    }

    /// Appends the value as the right side of `name=value`.
    internal func write(console output: inout ByteQueue) {
        switch self {
        case .text(let text): LogValue.write(console: text.utf8.span, &output)
        case .bytes(let bytes): LogValue.write(console: bytes.span, &output)
        default: writeScalar(&output)
        }
    }

    private func writeScalar(_ output: inout ByteQueue) {
        switch self {
        case .integer(let value): output.append(decimal: value)
        case .number(let value): output.append(text: "\(value)")
        case .flag(let value): output.append(value ? "true" : "false")
        case .text, .bytes: break
        }
    }

    private static func write(json bytes: Span<UInt8>, _ output: inout ByteQueue) {
        output.append(UInt8(ascii: "\""))
        output.append(escaped: bytes.extracting(0..<wholePrefix(bytes, limit: limit)))
        output.append(UInt8(ascii: "\""))
    }

    private static func write(console bytes: Span<UInt8>, _ output: inout ByteQueue) {
        output.append(consoleValue: bytes.extracting(0..<wholePrefix(bytes, limit: limit)))
    }
}

extension LogValue: ExpressibleByStringInterpolation, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByBooleanLiteral
{
    package init(stringLiteral value: String) { self = .text(value) }
    package init(integerLiteral value: Int) { self = .integer(value) }
    package init(floatLiteral value: Double) { self = .number(value) }
    package init(booleanLiteral value: Bool) { self = .flag(value) }
}

/// Named values in the order in which they are written.
package struct LogFields: Sendable, ExpressibleByDictionaryLiteral {
    internal private(set) var entries: [(name: StaticString, value: LogValue)]

    package init(dictionaryLiteral elements: (StaticString, LogValue)...) { entries = elements.map { ($0, $1) } }

    /// Adds a value behind the others.
    package mutating func append(_ name: StaticString, _ value: LogValue) { entries.append((name, value)) }
}
