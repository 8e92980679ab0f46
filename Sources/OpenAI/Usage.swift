internal import Bytes

/// Tokens of one exchange, as the engine counted them.
package struct Usage: Sendable, Equatable {
    /// Tokens read, cached ones among them, in every dialect.
    package var promptTokens = 0
    /// Tokens written, reasoning among them.
    package var completionTokens = 0
    /// Both, or what the engine said.
    package var totalTokens = 0
    /// Of the prompt: tokens that came from a cache.
    package var cachedTokens = 0
    /// Of the completion: tokens of reasoning.
    package var reasoningTokens = 0

    /// No tokens.
    package init() {}
}

/// Numbers of one or several `usage` objects; later ones replace earlier ones, member by member, as Anthropic's
/// `message_start` and `message_delta` ask.
internal struct UsageCounts: Sendable {
    private var prompt: Int?
    private var input: Int?
    private var completion: Int?
    private var total: Int?
    private var cached: Int?
    private var cacheRead: Int?
    private var cacheWritten: Int?
    private var reasoning: Int?

    /// What the numbers amount to; `nil` if no member was known.
    internal var usage: Usage? {
        guard prompt != nil || input != nil || completion != nil || total != nil else { return nil }
        var usage = Usage()
        // Anthropic counts what came from or went to the cache apart from `input_tokens`.
        usage.promptTokens = prompt ?? sum(sum(input ?? 0, cacheRead ?? 0), cacheWritten ?? 0)
        usage.completionTokens = completion ?? 0
        if prompt == nil, input == nil, completion == nil { usage.promptTokens = total ?? 0 }
        usage.totalTokens = total ?? sum(usage.promptTokens, usage.completionTokens)
        usage.cachedTokens = cached ?? cacheRead ?? 0
        usage.reasoningTokens = reasoning ?? 0
        return usage
    }

    private func sum(_ left: Int, _ right: Int) -> Int {
        let (sum, overflow) = left.addingReportingOverflow(right)
        return overflow ? .max : sum
    }

    /// Takes the numbers of a `usage` object.
    internal mutating func merge(_ object: Span<UInt8>) throws(JSONError) {
        var reader = JSONMemberReader()
        while let member = try reader.next(object) {
            if member.value.kind == .object {
                try mergeDetails(object.extracting(member.value.range))
            } else if let count = jsonInteger(member.value, in: object) {
                note(object.extracting(member.key), count)
            }
        }
    }

    /// `prompt_tokens_details` and the like: names do not clash between them.
    private mutating func mergeDetails(_ object: Span<UInt8>) throws(JSONError) {
        var reader = JSONMemberReader()
        while let member = try reader.next(object) {
            guard let count = jsonInteger(member.value, in: object) else { continue }
            noteDetail(object.extracting(member.key), count)
        }
    }

    private mutating func note(_ key: Span<UInt8>, _ count: Int) {
        // By length first: most members cost one comparison of a number and one of bytes.
        switch key.count {
        case 13 where bytesEqual(key, "prompt_tokens"): prompt = count
        case 12 where bytesEqual(key, "input_tokens"): input = count
        case 17 where bytesEqual(key, "completion_tokens"): completion = count
        case 13 where bytesEqual(key, "output_tokens"): completion = count
        case 12 where bytesEqual(key, "total_tokens"): total = count
        case 23 where bytesEqual(key, "cache_read_input_tokens"): cacheRead = count
        case 27 where bytesEqual(key, "cache_creation_input_tokens"): cacheWritten = count
        default: break
        }
    }

    private mutating func noteDetail(_ key: Span<UInt8>, _ count: Int) {
        switch key.count {
        case 13 where bytesEqual(key, "cached_tokens"): cached = count
        case 16 where bytesEqual(key, "reasoning_tokens"): reasoning = count
        default: break
        }
    }
}

extension UsageCounts {
    /// Takes the numbers of a `usage` object that is written as engines write it: names without escapes, numbers, and
    /// objects of such, without blanks. A fifth of the cost of `merge`.
    ///
    /// - Returns: Whether it was all of that and nothing else; if not, some numbers may have been taken.
    internal mutating func mergePlain(_ object: Span<UInt8>) -> Bool {
        var index = 0
        return mergePlain(object, at: &index, isDetail: false) && index == object.count
    }

    private mutating func mergePlain(_ text: Span<UInt8>, at index: inout Int, isDetail: Bool) -> Bool {
        guard index + 1 < text.count, text[index] == UInt8(ascii: "{") else { return false }
        index += 1
        while index < text.count, text[index] == UInt8(ascii: "\"") {
            let start = index + 1
            guard let end = firstIndex(of: UInt8(ascii: "\""), in: text, from: start), end + 2 < text.count,
                text[end - 1] != UInt8(ascii: "\\"), text[end + 1] == UInt8(ascii: ":")
            else { return false }
            index = end + 2
            let key = text.extracting(start..<end)
            if text[index] == UInt8(ascii: "{") {
                guard !isDetail, mergePlain(text, at: &index, isDetail: true) else { return false }
            } else {
                guard let count = plainNumber(text, at: &index) else { return false }
                if isDetail { noteDetail(key, count) } else { note(key, count) }
            }
            guard index < text.count else { return false }
            index += 1
            if text[index - 1] == UInt8(ascii: "}") { return true }
            guard text[index - 1] == UInt8(ascii: ",") else { return false }
        }
        return false
    }

    /// A count as JSON writes it: no leading zero, at most 15 digits.
    private func plainNumber(_ text: Span<UInt8>, at index: inout Int) -> Int? {
        let start = index
        var value = 0
        while index < text.count, case let digit = text[index] &- 48, digit < 10, index - start < 15 {
            value = value &* 10 &+ Int(digit)
            index += 1
        }
        return index > start && (text[start] != 48 || index == start + 1) ? value : nil
    }
}

/// Reads the usage of complete responses.
package enum UsageReader {
    /// The top-level `usage` of a JSON body: Chat Completions, Responses, Messages, embeddings.
    ///
    /// - Returns: `nil` if there is none, or if the body is not JSON up to there.
    package static func read(_ body: Span<UInt8>) -> Usage? {
        readTail(body) ?? readMembers(body, toTheEnd: false)
    }

    /// Engines write `usage` last: then the end of the body says all, at a third of the cost of reading it whole.
    ///
    /// A quotation mark inside a string is escaped, so that what is found is a token of its own. It is a member of the
    /// outermost object exactly if, put behind a `{`, it and what follows make up one whole object.
    private static func readTail(_ body: Span<UInt8>) -> Usage? {
        let key: StaticString = "\"usage\":"
        let first = max(0, body.count - tailLimit)
        guard let start = lastIndex(of: key, in: body, from: first), start > 0, body[start - 1] == UInt8(ascii: ",")
        else { return nil }
        let value = start + key.utf8CodeUnitCount
        // Most often nothing follows: `…,"usage":{…}}`.
        if body[body.count - 1] == UInt8(ascii: "}"),
            let usage = readCounts(body.extracting(value..<(body.count - 1)))
        {
            return usage
        }
        var object = ByteQueue()
        object.append(UInt8(ascii: "{"))
        object.append(body.extracting(start...))
        return readMembers(object.span, toTheEnd: true)
    }

    /// The counts of what should be one whole object; `nil` if it is anything else.
    private static func readCounts(_ object: Span<UInt8>) -> Usage? {
        guard object.count > 1, object[0] == UInt8(ascii: "{") else { return nil }
        var plain = UsageCounts()
        if plain.mergePlain(object) { return plain.usage }
        var counts = UsageCounts()
        do throws(JSONError) {
            try counts.merge(object)
        } catch {
            return nil
        }
        return counts.usage
    }

    /// Bytes at the end of a body that are looked at first.
    private static let tailLimit = 1024

    private static func readMembers(_ body: Span<UInt8>, toTheEnd: Bool) -> Usage? {
        var counts = UsageCounts()
        do throws(JSONError) {
            var reader = JSONMemberReader()
            while let member = try reader.next(body) {
                guard member.value.kind == .object, isKey(member, "usage", in: body) else { continue }
                try counts.merge(body.extracting(member.value.range))
                if !toTheEnd { break }
            }
        } catch {
            // An engine's broken answer is passed on as it is; it just has no usage.
            return nil
        }
        return counts.usage
    }
}
