/// The candidate that was probably meant by `word`, if one is near: at most 2 typing mistakes, 3 in long words.
///
/// Case, `_` and `-` do not count, so that `api_key` finds `apiKey`.
func nearest(to word: String, among candidates: some Sequence<String>) -> String? {
    let wanted = folded(word)
    guard !wanted.isEmpty, wanted.count <= 64 else { return nil }
    let bound = wanted.count >= 8 ? 3 : wanted.count >= 4 ? 2 : 1
    var best: (candidate: String, distance: Int)?
    for candidate in candidates {
        let other = folded(candidate)
        guard abs(other.count - wanted.count) <= bound else { continue }
        let distance = editDistance(wanted, other)
        if distance <= bound, distance < best?.distance ?? Int.max { best = (candidate, distance) }
    }
    return best?.candidate
}

/// `; did you mean "x"?`, or nothing.
func suggestion(for word: String, among candidates: some Sequence<String>) -> String {
    nearest(to: word, among: candidates).map { "; did you mean \(quoted($0))?" } ?? ""
}

private func folded(_ word: String) -> [UInt8] {
    word.utf8.compactMap { byte in
        if byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-") { return nil }
        return (65...90).contains(byte) ? byte | 0x20 : byte
    }
}

/// Insertions, deletions, replacements and swaps of neighbours that turn one into the other (optimal string alignment).
private func editDistance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    var beforePrevious: [Int] = []
    var previous = Array(0...right.count)
    for (row, byte) in left.enumerated() {
        var current = [row + 1]
        for (column, other) in right.enumerated() {
            var cost = min(previous[column] + (byte == other ? 0 : 1), previous[column + 1] + 1, current[column] + 1)
            if row > 0, column > 0, byte == right[column - 1], left[row - 1] == other {
                cost = min(cost, beforePrevious[column - 1] + 1)
            }
            current.append(cost)
        }
        (beforePrevious, previous) = (previous, current)
    }
    return previous[right.count]
}
