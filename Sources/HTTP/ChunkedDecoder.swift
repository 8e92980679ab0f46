internal import Bytes

/// What a piece of a chunked body turned out to be.
package enum ChunkedEvent: Sendable, Equatable {
    /// Body bytes: where they lie in the input.
    case data(Range<Int>)
    /// The input is used up and the body is not.
    case needMore
    /// The body ended. What follows in the input belongs to the next message.
    case end
}

/// Reads a chunked body in whatever pieces it arrives. Extensions and trailers are checked and dropped.
///
/// It holds a few integers and no bytes; one-octet chunks cost some ten nanoseconds each.
///
/// - SeeAlso: RFC 9112 section 7.1.
package struct ChunkedDecoder: Sendable {
    private enum Phase: Sendable {
        case size, sizeDigits, sizeFeed
        case data, dataReturn, dataFeed
        case extensionGap, extensionStart, extensionName, extensionNameGap
        case valueStart, valueToken, valueQuoted, valueEscape, valueEnd
        case trailerStart, trailerName, trailerValue, trailerFeed, lastFeed
        case ended
    }

    private let limits: HTTP1Limits
    private var phase = Phase.size
    /// Bytes of the chunk that are still to come; the size while its digits are read.
    private var remaining = 0
    private var sizeDigits = 0
    private var extensionBytes = 0
    private var extensionTotalBytes = 0
    private var trailerBytes = 0

    /// A decoder at the start of a body.
    package init(limits: HTTP1Limits) {
        self.limits = limits
    }

    /// Whether the body ended.
    package var hasEnded: Bool { phase == .ended }

    /// Reads on to the next event.
    ///
    /// - Parameters:
    ///   - input: Bytes of the body.
    ///   - offset: In: where to read on. Out: index of the first byte not read; the end of the input with `.needMore`.
    /// - Throws: What is wrong with the chunks; the decoder is of no more use then.
    package mutating func decode(_ input: Span<UInt8>, at offset: inout Int) throws(HTTP1Error) -> ChunkedEvent {
        while offset < input.count, phase != .ended {
            if phase == .data {
                let taken = min(remaining, input.count - offset)
                offset += taken
                remaining -= taken
                if remaining == 0 { phase = .dataReturn }
                return .data((offset - taken)..<offset)
            }
            let byte = input[offset]
            offset += 1
            phase = try next(after: byte)
        }
        return phase == .ended ? .end : .needMore
    }

    /// The phase after `byte`.
    private mutating func next(after byte: UInt8) throws(HTTP1Error) -> Phase {
        switch phase {
        case .size, .sizeDigits: return try nextInSize(byte)
        case .sizeFeed:
            guard byte == UInt8(ascii: "\n") else { throw .malformedChunk }
            return remaining > 0 ? .data : .trailerStart
        case .dataReturn:
            guard byte == UInt8(ascii: "\r") else { throw .malformedChunk }
            return .dataFeed
        case .dataFeed:
            guard byte == UInt8(ascii: "\n") else { throw .malformedChunk }
            return .size
        case .extensionGap, .extensionStart, .extensionName, .extensionNameGap:
            try countExtensionByte()
            return try nextInExtensionName(byte)
        case .valueStart, .valueToken, .valueQuoted, .valueEscape, .valueEnd:
            try countExtensionByte()
            return try nextInExtensionValue(byte)
        case .trailerStart, .trailerName, .trailerValue, .trailerFeed, .lastFeed:
            trailerBytes += 1
            guard trailerBytes <= limits.trailerBytes else { throw .trailersTooLarge }
            return try nextInTrailer(byte)
        case .data, .ended:
            preconditionFailure("no octet is read one by one here")
        }
    }

    private mutating func nextInSize(_ byte: UInt8) throws(HTTP1Error) -> Phase {
        if let digit = hexDigit(byte) {
            if phase == .size {
                remaining = 0
                sizeDigits = 0
                extensionBytes = 0
            }
            // Leading zeros say nothing; unbounded they would let a chunk line be as long as its sender likes.
            if remaining == 0, sizeDigits >= 16 { try countExtensionByte() }
            sizeDigits += 1
            remaining = remaining << 4 | Int(digit)
            guard remaining <= HTTP1FieldFacts.largestLength else { throw .chunkTooLarge }
            return .sizeDigits
        }
        guard phase == .sizeDigits else { throw .malformedChunk }
        if byte == UInt8(ascii: "\r") { return .sizeFeed }
        try countExtensionByte()
        if byte == UInt8(ascii: ";") { return .extensionStart }
        guard isBlank(byte) else { throw .malformedChunk }
        return .extensionGap
    }

    /// `*( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )` up to the equals sign.
    private func nextInExtensionName(_ byte: UInt8) throws(HTTP1Error) -> Phase {
        if isBlank(byte) { return phase == .extensionName ? .extensionNameGap : phase }
        switch (phase, byte) {
        case (.extensionStart, _) where tokenOctets[Int(byte)] != 0: return .extensionName
        case (.extensionName, _) where tokenOctets[Int(byte)] != 0: return .extensionName
        case (.extensionName, UInt8(ascii: "\r")): return .sizeFeed
        case (.extensionName, UInt8(ascii: "=")), (.extensionNameGap, UInt8(ascii: "=")): return .valueStart
        case (.extensionStart, _): throw .malformedChunk
        case (_, UInt8(ascii: ";")): return .extensionStart
        default: throw .malformedChunk
        }
    }

    /// The value of an extension, a token or a quoted string.
    private func nextInExtensionValue(_ byte: UInt8) throws(HTTP1Error) -> Phase {
        switch phase {
        case .valueQuoted, .valueEscape:
            guard isFieldOctet(byte) else { throw .malformedChunk }
            if phase == .valueEscape { return .valueQuoted }
            if byte == UInt8(ascii: "\\") { return .valueEscape }
            return byte == UInt8(ascii: "\"") ? .valueEnd : .valueQuoted
        case .valueStart:
            if isBlank(byte) { return .valueStart }
            if byte == UInt8(ascii: "\"") { return .valueQuoted }
            guard tokenOctets[Int(byte)] != 0 else { throw .malformedChunk }
            return .valueToken
        default:
            if phase == .valueToken, tokenOctets[Int(byte)] != 0 { return .valueToken }
            if byte == UInt8(ascii: "\r") { return .sizeFeed }
            if byte == UInt8(ascii: ";") { return .extensionStart }
            guard isBlank(byte) else { throw .malformedChunk }
            return .extensionGap
        }
    }

    /// Trailer lines, held to the rules of field lines, and the empty line that ends the body.
    private func nextInTrailer(_ byte: UInt8) throws(HTTP1Error) -> Phase {
        switch phase {
        case .trailerStart where byte == UInt8(ascii: "\r"):
            return .lastFeed
        case .trailerStart:
            guard tokenOctets[Int(byte)] != 0 else { throw .malformedTrailer }
            return .trailerName
        case .trailerName:
            if byte == UInt8(ascii: ":") { return .trailerValue }
            guard tokenOctets[Int(byte)] != 0 else { throw .malformedTrailer }
            return .trailerName
        case .trailerValue:
            if byte == UInt8(ascii: "\r") { return .trailerFeed }
            guard isFieldOctet(byte) else { throw .malformedTrailer }
            return .trailerValue
        default:
            guard byte == UInt8(ascii: "\n") else { throw .malformedTrailer }
            return phase == .lastFeed ? .ended : .trailerStart
        }
    }

    private mutating func countExtensionByte() throws(HTTP1Error) {
        extensionBytes += 1
        extensionTotalBytes += 1
        guard extensionBytes <= limits.chunkExtensionBytes,
            extensionTotalBytes <= limits.chunkExtensionTotalBytes
        else { throw .chunkExtensionTooLong }
    }
}
