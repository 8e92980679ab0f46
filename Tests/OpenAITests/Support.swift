import Bytes

/// The octets of a text.
func octets(_ text: String) -> [UInt8] { Array(text.utf8) }

/// What `write` appends to a queue, as text.
func written(_ write: (inout ByteQueue) -> Void) -> String {
    var queue = ByteQueue()
    write(&queue)
    return String(decoding: [UInt8](copying: queue.span), as: UTF8.self)
}

/// A small generator with a seed, so that a failure comes again.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
