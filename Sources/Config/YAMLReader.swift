internal import CYAML
internal import Glibc

/// Reads one YAML document into nodes: libyaml's events, with bounds that hostile input cannot exceed.
///
/// Aliases share the anchored node; merge keys, tags, complex keys and further documents are refused.
final class YAMLReader {
    /// Bytes of a file.
    static let sizeLimit = 8 << 20
    /// Mappings and lists within each other.
    static let depthLimit = 64
    /// Nodes of a document, aliases counted as often as they are used.
    static let nodeLimit = 100_000

    /// Why a document could not be read to its end.
    struct Failure: Error {
        var position: Position?
        var message: String
    }

    // On the heap: the parser holds a pointer to itself.
    private let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
    private let bytes: UnsafeBufferPointer<UInt8>
    private var anchors: [String: YAMLNode] = [:]
    private var nodesRead = 0
    /// Mistakes that do not keep the rest from being read.
    private var flaws: [Failure] = []

    /// - Parameter bytes: Outlives the reader.
    private init(_ bytes: UnsafeBufferPointer<UInt8>) {
        self.bytes = bytes
        // It fails only without memory, and Swift allocations do not survive that either.
        precondition(yaml_parser_initialize(parser) == 1, "libyaml found no memory")
        yaml_parser_set_input_string(parser, bytes.baseAddress, bytes.count)
    }

    deinit {
        yaml_parser_delete(parser)
        parser.deallocate()
    }

    /// Reads `text`.
    ///
    /// - Returns: The root, `nil` for an empty document or after a failure; and all mistakes found.
    static func read(_ text: [UInt8]) -> (root: YAMLNode?, failures: [Failure]) {
        // libyaml asserts that there is a buffer, which an empty array need not have.
        if text.isEmpty { return (nil, []) }
        if let failure = unreadable(text) { return (nil, [failure]) }
        return text.withUnsafeBufferPointer { bytes in
            let reader = YAMLReader(bytes)
            do throws(Failure) {
                let root = try reader.document()
                return (root, reader.flaws)
            } catch {
                return (nil, reader.flaws + [error])
            }
        }
    }

    /// Judges what must hold before libyaml sees the bytes.
    private static func unreadable(_ text: [UInt8]) -> Failure? {
        if text.count > sizeLimit { return Failure(message: "larger than \(sizeLimit >> 20) MiB") }
        if let index = text.firstIndex(of: 0) {
            return Failure(position: position(of: index, in: text), message: "NUL byte; not a text file, or not UTF-8")
        }
        if text.withUnsafeBufferPointer({ String(validating: $0, as: UTF8.self) }) == nil {
            let index = firstInvalidByte(of: text)
            return Failure(position: position(of: index, in: text), message: "not UTF-8")
        }
        return nil
    }

    private static func firstInvalidByte(of text: [UInt8]) -> Int {
        var decoder = UTF8()
        var index = 0
        var iterator = text.makeIterator()
        while case .scalarValue(let scalar) = decoder.decode(&iterator) { index += UTF8.width(scalar) }
        return index
    }

    private static func position(of index: Int, in text: some Collection<UInt8>) -> Position {
        let before = text.prefix(index)
        let line = before.reduce(into: 1) { $0 += $1 == UInt8(ascii: "\n") ? 1 : 0 }
        let lineText = before.reversed().prefix { $0 != UInt8(ascii: "\n") }.reversed()
        return Position(line: line, column: String(decoding: lineText, as: UTF8.self).unicodeScalars.count + 1)
    }

    /// Reads stream start to stream end.
    private func document() throws(Failure) -> YAMLNode? {
        var root: YAMLNode?
        var documents = 0
        while true {
            var event = try nextEvent()
            defer { yaml_event_delete(&event) }
            switch event.type {
            case YAML_STREAM_END_EVENT: return root
            case YAML_DOCUMENT_START_EVENT:
                documents += 1
                guard documents == 1 else { throw refusal("a second document; a configuration is one", at: event) }
            case YAML_STREAM_START_EVENT, YAML_DOCUMENT_END_EVENT: continue
            default: root = try node(from: &event, depth: 0)
            }
        }
    }

    private func nextEvent() throws(Failure) -> yaml_event_t {
        var event = yaml_event_t()
        guard yaml_parser_parse(parser, &event) == 1 else { throw syntaxError() }
        return event
    }

    /// Makes the node that begins with `event`; reads the events up to its end.
    private func node(from event: inout yaml_event_t, depth: Int) throws(Failure) -> YAMLNode {
        guard depth < Self.depthLimit else { throw refusal("nested deeper than \(Self.depthLimit) levels", at: event) }
        let position = Position(event.start_mark)
        switch event.type {
        case YAML_SCALAR_EVENT:
            let scalar = event.data.scalar
            try refuse(tag: scalar.tag, at: event)
            let text = String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
            let plain = scalar.style == YAML_PLAIN_SCALAR_STYLE
            return try finished(.scalar(text, plain: plain), at: position, count: 1, anchor: scalar.anchor)
        case YAML_SEQUENCE_START_EVENT:
            try refuse(tag: event.data.sequence_start.tag, at: event)
            let (items, count) = try items(depth: depth)
            return try finished(.sequence(items), at: position, count: count, anchor: event.data.sequence_start.anchor)
        case YAML_MAPPING_START_EVENT:
            try refuse(tag: event.data.mapping_start.tag, at: event)
            let (entries, count) = try entries(depth: depth)
            return try finished(.mapping(entries), at: position, count: count, anchor: event.data.mapping_start.anchor)
        case YAML_ALIAS_EVENT:
            let name = String(cString: event.data.alias.anchor)
            guard let target = anchors[name] else { throw refusal("alias *\(name) of an unknown anchor", at: event) }
            try spend(target.count, at: position)
            return target
        default: throw refusal("not YAML", at: event)
        }
    }

    private func items(depth: Int) throws(Failure) -> (items: [YAMLNode], count: Int) {
        var items: [YAMLNode] = []
        var count = 1
        while true {
            var event = try nextEvent()
            defer { yaml_event_delete(&event) }
            if event.type == YAML_SEQUENCE_END_EVENT { return (items, count) }
            let item = try node(from: &event, depth: depth + 1)
            count += item.count
            items.append(item)
        }
    }

    private func entries(depth: Int) throws(Failure) -> (entries: [YAMLEntry], count: Int) {
        var entries: [YAMLEntry] = []
        var positions: [String: Position] = [:]
        var count = 1
        while true {
            var event = try nextEvent()
            defer { yaml_event_delete(&event) }
            if event.type == YAML_MAPPING_END_EVENT { return (entries, count) }
            guard event.type == YAML_SCALAR_EVENT else { throw refusal("a key that is not a plain word", at: event) }
            let keyNode = try node(from: &event, depth: depth + 1)
            guard case .scalar(let key, _) = keyNode.content else {
                throw refusal("a key that is not a word", at: event)
            }
            if key == "<<" { throw refusal("merge keys (<<) are not supported; write the settings out", at: event) }
            var valueEvent = try nextEvent()
            defer { yaml_event_delete(&valueEvent) }
            let value = try node(from: &valueEvent, depth: depth + 1)
            count += 1 + value.count
            if let first = positions.updateValue(keyNode.position, forKey: key) {
                let message = "key \(quoted(key)) is here twice, first at \(first.line):\(first.column)"
                flaws.append(Failure(position: keyNode.position, message: message))
                continue
            }
            entries.append(YAMLEntry(key: key, position: keyNode.position, value: value))
        }
    }

    private func finished(
        _ content: YAMLNode.Content, at position: Position, count: Int, anchor: UnsafePointer<UInt8>?
    ) throws(Failure) -> YAMLNode {
        try spend(1, at: position)
        let node = YAMLNode(content: content, position: position, count: count)
        if let anchor { anchors[String(cString: anchor)] = node }
        return node
    }

    private func spend(_ count: Int, at position: Position) throws(Failure) {
        nodesRead += count
        guard nodesRead <= Self.nodeLimit else {
            throw Failure(position: position, message: "more than \(Self.nodeLimit) values, aliases counted out")
        }
    }

    /// Only the tags that say what the text is anyway are let through.
    private func refuse(tag: UnsafePointer<UInt8>?, at event: yaml_event_t) throws(Failure) {
        guard let tag else { return }
        let name = String(cString: tag)
        if name == "!"
            || ["str", "int", "bool", "float", "map", "seq"].contains(where: { "tag:yaml.org,2002:\($0)" == name })
        {
            return
        }
        throw refusal("tag \(quoted(name)) is not supported", at: event)
    }

    private func refusal(_ message: String, at event: yaml_event_t) -> Failure {
        Failure(position: Position(event.start_mark), message: message)
    }
}

extension YAMLReader {
    /// What libyaml says of the error it stopped at, in the words of someone who writes a file.
    private func syntaxError() -> Failure {
        let position = Position(parser.pointee.problem_mark)
        guard let problem = parser.pointee.problem else { return Failure(position: nil, message: "not YAML") }
        if parser.pointee.error == YAML_READER_ERROR {
            // Reader errors carry a byte offset and no mark; control characters are all that is left of them here.
            let place = Self.position(of: min(parser.pointee.problem_offset, bytes.count), in: bytes)
            return Failure(position: place, message: "not YAML: " + String(cString: problem))
        }
        var message = "not YAML: " + String(cString: problem)
        if message.hasSuffix("found character that cannot start any token") {
            message = "a tab cannot indent, and @ ` % cannot begin an unquoted value"
        }
        if let context = parser.pointee.context {
            message += ", " + String(cString: context)
            let start = Position(parser.pointee.context_mark)
            if start.line != position.line { message += " that begins at \(start.line):\(start.column)" }
        }
        return Failure(position: position, message: message)
    }
}

extension Position {
    /// libyaml counts from 0, in characters.
    init(_ mark: yaml_mark_t) {
        self.init(line: Int(mark.line) + 1, column: Int(mark.column) + 1)
    }
}

/// `text` between quotes as messages show it: no control characters, and not endless.
func quoted(_ text: String) -> String {
    var shown = String.UnicodeScalarView()
    for scalar in text.unicodeScalars.prefix(80) {
        shown.append(
            scalar.properties.generalCategory == .control || scalar == "\u{2028}" || scalar == "\u{2029}"
                ? "\u{FFFD}" : scalar)
    }
    return "\"" + String(shown) + (text.unicodeScalars.count > 80 ? "…" : "") + "\""
}
