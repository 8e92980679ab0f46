internal import Bytes

extension APITarget {
    /// Says what a request asks for, by octets: no decoding, no normalising, nothing that two readers could read in
    /// two ways.
    ///
    /// - Parameters:
    ///   - method: The method.
    ///   - target: Path and query, beginning with `/`.
    package static func classify(_ method: APIMethod, _ target: Span<UInt8>) -> APITarget {
        let end = firstIndex(of: UInt8(ascii: "?"), in: target) ?? target.count
        let path = target.extracting(0..<end)
        let dialect: APIDialect = bytesBegin(path, with: "/v1/messages") ? .anthropic : .openai
        guard var match = PathTable.match(path) else { return .notFound(dialect) }
        if let range = match.model, !isModelID(path.extracting(range), in: match.operation) {
            return .notFound(dialect)
        }
        let plainEnd = match.model?.lowerBound ?? path.count
        guard isPlain(path.extracting(0..<plainEnd)) else { return .notFound(dialect) }
        if let range = match.model, !isPlain(path.extracting(range.upperBound..<path.count)) {
            return .notFound(dialect)
        }
        let isRead = method == .get || method == .head
        if match.operation == .generic, method != .post { return .notFound(dialect) }
        if match.operation.isForwarded ? method == .post : isRead {
            if match.operation == .modelsList { match.form = .unchanged }
            return .operation(APIPath(operation: match.operation, model: match.model, form: match.form))
        }
        return .methodNotAllowed(dialect, allow: match.operation.isForwarded ? .post : .get)
    }

    /// Whether a path has only `/` and unreserved octets, no empty and no dot segment: so no `%`, `;`, `//`, `..`.
    private static func isPlain(_ path: Span<UInt8>) -> Bool {
        var previous: UInt8 = 0
        for index in path.indices {
            let byte = path[index]
            switch byte {
            case UInt8(ascii: "/"), UInt8(ascii: "."):
                if previous == byte { return false }
                if byte == UInt8(ascii: "."), previous == UInt8(ascii: "/") { return false }
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "~"):
                break
            default: return false
            }
            previous = byte
        }
        return true
    }

    /// Whether a model's place in a path is filled with a name: 1...256 octets of text, no empty and no dot segment.
    private static func isModelID(_ encoded: Span<UInt8>, in operation: APIOperation) -> Bool {
        guard encoded.count <= 3 * RequestFacts.modelLimit, let id = percentDecoded(encoded) else { return false }
        do throws(BodyError) {
            try checkModelName(id.span)
        } catch {
            return false
        }
        return id.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).allSatisfy { segment in
            !segment.isEmpty && !segment.elementsEqual(".".utf8) && !segment.elementsEqual("..".utf8)
        }
    }
}

/// A path of the table.
internal struct PathMatch {
    var operation: APIOperation
    var model: Range<Int>?
    var form = APIPath.Form.unchanged
}

/// The paths of the API.
internal enum PathTable {
    /// The operation of a path, whatever the method; `nil` if there is none.
    static func match(_ path: Span<UInt8>) -> PathMatch? {
        if bytesBegin(path, with: "/v1/") { return matchVersioned(path, from: 4) }
        if bytesBegin(path, with: "/openai/") { return matchAzure(path) }
        return unversioned(path).map { PathMatch(operation: $0) }
    }

    private static func unversioned(_ path: Span<UInt8>) -> APIOperation? {
        switch path.count {
        case 6 where bytesEqual(path, "/score"): .score
        case 7 where bytesEqual(path, "/rerank"): .rerank
        case 7 where bytesEqual(path, "/health"): .health
        case 8 where bytesEqual(path, "/pooling"): .generic
        case 9 where bytesEqual(path, "/classify"): .generic
        case 9 where bytesEqual(path, "/tokenize"): .tokenize
        case 10 where bytesEqual(path, "/v2/rerank"): .rerank
        case 11 where bytesEqual(path, "/detokenize"): .detokenize
        case 12 where bytesEqual(path, "/health/live"): .healthLive
        case 13 where bytesEqual(path, "/health/ready"): .healthReady
        default: nil
        }
    }

    /// A path below a version prefix that ends at `start`.
    private static func matchVersioned(_ path: Span<UInt8>, from start: Int) -> PathMatch? {
        let rest = path.extracting(start..<path.count)
        if bytesBegin(rest, with: "models/") {
            return PathMatch(operation: .modelGet, model: (start + 7)..<path.count)
        }
        if let operation = forwarded(rest) { return PathMatch(operation: operation) }
        if bytesEqual(rest, "models") { return PathMatch(operation: .modelsList) }
        guard isGeneric(rest) else { return nil }
        return PathMatch(operation: .generic)
    }

    /// Paths that a model is served on, without prefix.
    private static func forwarded(_ rest: Span<UInt8>) -> APIOperation? {
        switch rest.count {
        case 5 where bytesEqual(rest, "score"): .score
        case 6 where bytesEqual(rest, "rerank"): .rerank
        case 8 where bytesEqual(rest, "messages"): .messages
        case 8 where bytesEqual(rest, "tokenize"): .tokenize
        case 9 where bytesEqual(rest, "responses"): .responses
        case 10 where bytesEqual(rest, "embeddings"): .embeddings
        case 10 where bytesEqual(rest, "detokenize"): .detokenize
        case 11 where bytesEqual(rest, "completions"): .completions
        case 11 where bytesEqual(rest, "moderations"): .moderations
        case 12 where bytesEqual(rest, "audio/speech"): .speech
        case 12 where bytesEqual(rest, "images/edits"): .images
        case 16 where bytesEqual(rest, "chat/completions"): .chatCompletions
        case 17 where bytesEqual(rest, "images/variations"): .images
        case 18 where bytesEqual(rest, "images/generations"): .images
        case 18 where bytesEqual(rest, "audio/translations"): .audioTranslations
        case 20 where bytesEqual(rest, "audio/transcriptions"): .audioTranscriptions
        case 21 where bytesEqual(rest, "messages/count_tokens"): .countTokens
        default: nil
        }
    }

    /// Sub-resources that take a model in a JSON body.
    private static let genericBelow: [StaticString] = [
        "responses/input_tokens", "responses/compact", "chat/completions/render", "chat/completions/input_tokens",
    ]

    /// Prefixes that are not routed by a model: state that one backend holds, upgrades, and engines' operators' paths.
    private static let notGeneric: [StaticString] = [
        "responses/", "chat/completions/", "messages/", "files", "batches", "fine_tuning", "threads", "assistants",
        "vector_stores", "uploads", "containers", "conversations", "evals", "realtime", "organization", "skills",
        "videos", "chatkit", "models", "load_lora_adapter", "unload_lora_adapter", "loads",
    ]

    private static func isGeneric(_ rest: Span<UInt8>) -> Bool {
        guard rest.count > 0, rest[rest.count - 1] != UInt8(ascii: "/") else { return false }
        for path in genericBelow where bytesEqual(rest, path) { return true }
        for prefix in notGeneric where bytesBegin(rest, with: prefix) { return false }
        // So that no prefix is passed by with capital letters where an engine does not tell them apart.
        return rest.indices.allSatisfy { asciiLowercased(rest[$0]) == rest[$0] }
    }

    /// `/openai/v1/…`, `/openai/deployments/{model}/…`, `/openai/responses`, `/openai/models`.
    private static func matchAzure(_ path: Span<UInt8>) -> PathMatch? {
        if bytesBegin(path, with: "/openai/v1/") {
            guard var match = matchVersioned(path, from: 11) else { return nil }
            match.form = .azure(rest: 11)
            return match
        }
        if bytesEqual(path, "/openai/responses") {
            return PathMatch(operation: .responses, model: nil, form: .azure(rest: 8))
        }
        if bytesEqual(path, "/openai/models") { return PathMatch(operation: .modelsList) }
        guard bytesBegin(path, with: "/openai/deployments/") else { return nil }
        let start = 20
        guard let slash = firstIndex(of: UInt8(ascii: "/"), in: path, from: start) else { return nil }
        guard let operation = forwarded(path.extracting((slash + 1)..<path.count)), operation.dialect == .openai else {
            return nil
        }
        return PathMatch(operation: operation, model: start..<slash, form: .azure(rest: slash + 1))
    }
}
