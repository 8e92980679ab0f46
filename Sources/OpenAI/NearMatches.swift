/// Names that someone who wrote `name` may have meant, nearest first.
///
/// Letters of either case count as the same, and so does a name with and without its `organisation/`.
/// - Parameters:
///   - name: What was written. Longer than 128 octets, nothing is like it.
///   - candidates: Names to choose from; the first 1,000 are looked at, to bound the cost.
///   - limit: The most names returned.
/// - Complexity: O(length²) for each candidate of about the same length; for cold paths.
package func nearMatches(of name: [UInt8], among candidates: [[UInt8]], limit: Int = 3) -> [[UInt8]] {
    guard !name.isEmpty, name.count <= 128 else { return [] }
    let wanted = name.map(folded)
    let tolerance = max(1, min(8, name.count / 3))
    var found: [(distance: Int, name: [UInt8])] = []
    for candidate in candidates.prefix(1000) where candidate.count <= 256 {
        let text = candidate.map(folded)
        if let distance = resemblance(wanted, text, tolerance) { found.append((distance, candidate)) }
    }
    found.sort { left, right in
        left.distance == right.distance
            ? left.name.lexicographicallyPrecedes(right.name) : left.distance < right.distance
    }
    return found.prefix(limit).map(\.name)
}

private func folded(_ byte: UInt8) -> UInt8 {
    byte &- 65 < 26 ? byte | 0x20 : byte
}

/// How far apart two names are; `nil` if too far.
private func resemblance(_ wanted: [UInt8], _ candidate: [UInt8], _ tolerance: Int) -> Int? {
    let bare = candidate.suffix(after: { $0 == UInt8(ascii: "/") })
    let wantedBare = wanted.suffix(after: { $0 == UInt8(ascii: "/") })
    var best = editDistance(wanted[...], candidate[...], limit: tolerance)
    if let distance = editDistance(wantedBare, bare, limit: tolerance) { best = min(best ?? .max, distance + 1) }
    // `llama-3` is not near `llama-3.1-70b-instruct` by edits, but it is what was begun.
    if best == nil, wantedBare.count >= 3, bare.starts(with: wantedBare) || wantedBare.starts(with: bare) {
        best = tolerance + 1
    }
    return best
}

extension Array where Element == UInt8 {
    /// What stands behind the last element that `isSeparator`; all of it if there is none.
    fileprivate func suffix(after isSeparator: (UInt8) -> Bool) -> ArraySlice<UInt8> {
        guard let last = lastIndex(where: isSeparator) else { return self[...] }
        return self[(last + 1)...]
    }
}

/// Levenshtein's distance, or `nil` if it is above `limit`.
private func editDistance(_ left: ArraySlice<UInt8>, _ right: ArraySlice<UInt8>, limit: Int) -> Int? {
    guard abs(left.count - right.count) <= limit else { return nil }
    var row = Array(0...right.count)
    for (index, byte) in left.enumerated() {
        var diagonal = row[0]
        row[0] = index + 1
        var smallest = row[0]
        for (column, other) in right.enumerated() {
            let replaced = diagonal + (byte == other ? 0 : 1)
            diagonal = row[column + 1]
            row[column + 1] = min(replaced, row[column] + 1, diagonal + 1)
            smallest = min(smallest, row[column + 1])
        }
        if smallest > limit { return nil }
    }
    return row[right.count] <= limit ? row[right.count] : nil
}
