/// What a simulated engine says: always the same to the same prompt, in words that read like sentences.
internal enum AnswerText {
    private static let passage = """
        A penstock is a pipe that brings water from a reservoir to the turbines. A gate at its head lets in as much \
        as the machines below can take. When one of them stops, the gate closes slowly, for a moving column of water \
        does not like to be stopped at once. Whoever keeps the gate watches the level, the flow and the pressure. He \
        opens it wide in spring and guards every drop in August. The machines do not know him, and the river does \
        not either. They only notice that the water comes, evenly, day and night. That is all the work there is, and \
        it is enough.
        """

    /// Every word with the space before it.
    private static let words: [[UInt8]] = passage.split(separator: " ").map { Array(" \($0)".utf8) }

    /// Where sentences begin.
    private static let beginnings: [Int] = words.indices.filter { $0 == 0 || words[$0 - 1].last == UInt8(ascii: ".") }

    /// The word with which the answer to a prompt begins.
    static func start(_ prompt: TextHash, choice: Int) -> Int {
        beginnings[(Int(truncatingIfNeeded: prompt.value >> 33) + choice) % beginnings.count]
    }

    /// The word at a place of the answer that begins with the word `start`.
    static func word(_ index: Int, from start: Int) -> ArraySlice<UInt8> {
        let word = words[(start + index) % words.count]
        return index == 0 ? word.dropFirst() : word[...]
    }

    /// Whether the answer that begins with the word `start`, and never ends, begins with a text.
    static func begins(with text: ArraySlice<UInt8>, from start: Int) -> Bool {
        var rest = text
        var index = 0
        while !rest.isEmpty {
            let word = word(index, from: start)
            guard word.prefix(rest.count).elementsEqual(rest.prefix(word.count)) else { return false }
            rest = rest.dropFirst(word.count)
            index += 1
        }
        return true
    }

    /// How many words the first `bytes` of an answer hold, a part of a word counted in, and how many bytes that part
    /// has; 0 where a word ends.
    static func place(of bytes: Int, from start: Int) -> (words: Int, part: Int) {
        var rest = bytes
        var index = 0
        while rest > 0 {
            let word = word(index, from: start).count
            index += 1
            if rest < word { return (index, rest) }
            rest -= word
        }
        return (index, 0)
    }
}

/// One choice of an answer, in pieces of one token each.
internal struct Answer: Sendable {
    /// Why it ends.
    enum Finish: Sendable { case stop, length, toolCall }

    /// A call that the model wants made.
    struct ToolCall: Sendable {
        let name: [UInt8]
        /// The JSON of the arguments.
        let arguments: [UInt8]
    }

    private enum Source: Sendable {
        /// Words from one place on, of an answer that begins with `start`; `skipped` bytes of the first are not said.
        case words(start: Int, first: Int, skipped: Int)
        /// That text, some bytes at a time.
        case bytes([UInt8])
    }

    private static let bytesPerPiece = 6

    private let source: Source
    /// Bytes of the last piece that are not cut off; `nil`: all.
    private var lastPieceBytes: Int?
    /// How many tokens.
    private(set) var count: Int
    private(set) var finish: Finish
    /// The stop sequence that ended it.
    private(set) var stopSequence: [UInt8]?
    let toolCall: ToolCall?

    /// Words, until the natural end or the limit.
    ///
    /// - Parameters:
    ///   - start: The word it begins with.
    ///   - written: Bytes of it that are there already and are not said again.
    ///   - natural: Words of the whole; `nil`: more than the limit, or than any answer has.
    ///   - limit: The most tokens that may be added.
    init(words start: Int, after written: Int = 0, natural: Int?, limit: Int?) {
        let place = AnswerText.place(of: written, from: start)
        // The rest of a word is a token like any other.
        let first = place.part > 0 ? place.words - 1 : place.words
        source = .words(start: start, first: first, skipped: place.part)
        let natural = natural.map { max(0, $0 - first) } ?? EngineSettings.tokensLimit + 1
        count = min(natural, limit ?? .max, EngineSettings.tokensLimit)
        finish = natural > count ? .length : .stop
        toolCall = nil
    }

    /// A given text, some bytes at a time.
    init(text: [UInt8], limit: Int?) {
        source = .bytes(text)
        let natural = (text.count + Answer.bytesPerPiece - 1) / Answer.bytesPerPiece
        count = min(natural, limit ?? .max)
        finish = natural > count ? .length : .stop
        toolCall = nil
    }

    /// A call of a tool; its arguments are the text.
    init(_ call: ToolCall) {
        source = .bytes(call.arguments)
        count = max(1, (call.arguments.count + Answer.bytesPerPiece - 1) / Answer.bytesPerPiece)
        finish = .toolCall
        toolCall = call
    }

    /// The token at a place.
    func piece(_ index: Int) -> ArraySlice<UInt8> {
        let whole: ArraySlice<UInt8>
        switch source {
        case .words(let start, let first, let skipped):
            whole = AnswerText.word(first + index, from: start).dropFirst(index == 0 ? skipped : 0)
        case .bytes(let text):
            whole = text[Answer.boundary(index, text)..<Answer.boundary(index + 1, text)]
        }
        guard let lastPieceBytes, index == count - 1 else { return whole }
        return whole.prefix(lastPieceBytes)
    }

    /// Where a piece of a text begins: never within a character.
    private static func boundary(_ index: Int, _ text: [UInt8]) -> Int {
        var offset = min(text.count, index * bytesPerPiece)
        while offset < text.count, text[offset] & 0xC0 == 0x80 { offset += 1 }
        return offset
    }

    /// All tokens together.
    var text: [UInt8] {
        var text: [UInt8] = []
        for index in 0..<count { text += piece(index) }
        return text
    }

    /// Ends the answer before the first of these sequences.
    mutating func stop(before sequences: [[UInt8]]) {
        let text = self.text
        var cut: Int?
        for sequence in sequences where !sequence.isEmpty && sequence.count <= text.count {
            for start in 0...(text.count - sequence.count)
            where start < cut ?? .max && text[start..<(start + sequence.count)].elementsEqual(sequence) {
                cut = start
                stopSequence = sequence
                break
            }
        }
        guard let cut else { return }
        finish = .stop
        var length = 0
        for index in 0..<count {
            let piece = piece(index).count
            if length + piece >= cut {
                count = cut == 0 ? 0 : index + 1
                lastPieceBytes = cut - length
                return
            }
            length += piece
        }
    }
}
