internal import Bytes

/// Makes request ids: 20 characters of `[a-z2-9]`, 100 random bits. One for each reactor.
package struct RequestIDGenerator: Sendable {
    /// Length of an id in octets.
    package static let length = 20

    private var state: (UInt64, UInt64, UInt64, UInt64)

    /// Seeded by the kernel, which `SystemRandomNumberGenerator` asks.
    package init() {
        var random = SystemRandomNumberGenerator()
        self.init(seed: (random.next(), random.next(), random.next(), random.next()))
    }

    /// Seeded for a test. Not all zero.
    package init(seed: (UInt64, UInt64, UInt64, UInt64)) {
        precondition(seed.0 | seed.1 | seed.2 | seed.3 != 0, "the generator needs a seed that is not zero")
        state = seed
    }

    /// Appends a new id.
    package mutating func append(to output: inout [UInt8]) {
        var id = InlineArray<20, UInt8>(repeating: 0)
        for half in stride(from: 0, to: RequestIDGenerator.length, by: 10) {
            var bits = next()
            for index in half..<half + 10 {
                id[index] = RequestIDGenerator.character(UInt8(truncatingIfNeeded: bits & 31))
                bits >>= 5
            }
        }
        output.append(copying: id.span)
    }

    /// A letter but `l` and `o`, or a digit but 0 and 1: nothing that is misread.
    private static func character(_ value: UInt8) -> UInt8 {
        if value >= 24 { return value - 24 + UInt8(ascii: "2") }
        let letter = value + UInt8(ascii: "a")
        return letter + (letter >= UInt8(ascii: "l") ? 1 : 0) + (letter >= UInt8(ascii: "n") ? 1 : 0)
    }

    /// xoshiro256++ by Blackman and Vigna: ids are no secrets, so a fast generator does.
    private mutating func next() -> UInt64 {
        let sum = state.0 &+ state.3
        let result = (sum << 23 | sum >> 41) &+ state.0
        let shifted = state.1 << 17
        state.2 ^= state.0
        state.3 ^= state.1
        state.1 ^= state.2
        state.0 ^= state.3
        state.2 ^= shifted
        state.3 = state.3 << 45 | state.3 >> 19
        return result
    }
}

/// Whether a client's id may be used as it is: 1...128 octets of `[A-Za-z0-9._-]`.
package func isRequestID(_ text: Span<UInt8>) -> Bool {
    guard (1...128).contains(text.count) else { return false }
    for index in 0..<text.count {
        let byte = text[index]
        let isLetter = (byte | 0x20) &- 97 < 26
        let isDigit = byte &- 48 < 10
        if !isLetter && !isDigit && byte != UInt8(ascii: ".") && byte != UInt8(ascii: "_") && byte != UInt8(ascii: "-")
        {
            return false
        }
    }
    return true
}
