internal import Bytes

/// Makes up JSON that a schema allows.
internal enum SchemaExample {
    private static let depthLimit = 16

    /// Appends a value: the first of an `enum`, a `const`, or something plain of the right type.
    static func write(_ schema: JSONNode, named name: String, depth: Int, into text: inout [UInt8]) {
        if let fixed = schema["const"] ?? schema["enum"]?.elements.first {
            text += fixed.source
            return
        }
        let type = schema["type"]?.string ?? schema["type"]?.elements.first?.string
        switch type {
        case "string": write(string: name, into: &text)
        case "integer", "number": text.append("1")
        case "boolean": text.append("true")
        case "null": text.append("null")
        case "array":
            text.append("[")
            if let items = schema["items"], depth < depthLimit {
                write(items, named: name, depth: depth + 1, into: &text)
            }
            text.append("]")
        default: writeObject(schema, depth, into: &text)
        }
    }

    private static func writeObject(_ schema: JSONNode, _ depth: Int, into text: inout [UInt8]) {
        text.append("{")
        let members = depth < depthLimit ? schema["properties"]?.members ?? [] : []
        for (index, member) in members.enumerated() {
            if index > 0 { text.append(",") }
            append(json: member.name, to: &text)
            text.append(":")
            write(member.value, named: member.name, depth: depth + 1, into: &text)
        }
        text.append("}")
    }

    private static func write(string name: String, into text: inout [UInt8]) {
        switch name.lowercased() {
        case let name where name.contains("city") || name.contains("location"): text.append("\"Delft\"")
        case let name where name.contains("date"): text.append("\"2026-01-01\"")
        default: append(json: name.isEmpty ? "water" : name, to: &text)
        }
    }

    private static func append(json string: String, to text: inout [UInt8]) {
        var queue = ByteQueue()
        queue.append(jsonString: Array(string.utf8).span)
        text.append(copying: queue.span)
    }
}
