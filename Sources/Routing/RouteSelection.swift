internal import Bytes
package import Topology

/// Why a route does not match a request.
package enum RouteMismatch: Sendable, Equatable {
    /// Index in the match's headers.
    case header(Int)
    /// Index in the match's tags.
    case tag(Int)
}

/// The first condition of a match that a request does not meet; `nil` if it meets all.
///
/// - Parameters:
///   - hasHeader: Whether a field of the request is one that is looked for.
///   - hasTag: Whether the request carries the tag; `tagList(_:contains:)` reads the field.
package func mismatch(
    of match: RouteMatch, hasHeader: (HeaderMatch) -> Bool, hasTag: (Span<UInt8>) -> Bool
) -> RouteMismatch? {
    for index in match.headers.indices where !hasHeader(match.headers[index]) { return .header(index) }
    for index in match.tags.indices {
        let tag = match.tags[index]
        if !hasTag(tag.span) { return .tag(index) }
    }
    return nil
}

/// The first route that matches a request.
///
/// - Returns: Its index; `nil` if none does, which cannot be where the last one has no conditions.
package func selectRoute(
    _ routes: [Route], hasHeader: (HeaderMatch) -> Bool, hasTag: (Span<UInt8>) -> Bool
) -> Int? {
    for index in routes.indices
    where mismatch(of: routes[index].match, hasHeader: hasHeader, hasTag: hasTag) == nil {
        return index
    }
    return nil
}

/// Whether a comma-separated list holds `tag`, octet for octet; blanks around items do not count.
package func tagList(_ list: Span<UInt8>, contains tag: Span<UInt8>) -> Bool {
    var start = 0
    while start <= list.count {
        let end = firstIndex(of: UInt8(ascii: ","), in: list, from: start) ?? list.count
        if bytesEqual(trimmed(list.extracting(start..<end)), tag), !tag.isEmpty { return true }
        start = end + 1
    }
    return false
}

@_lifetime(copy item)
private func trimmed(_ item: Span<UInt8>) -> Span<UInt8> {
    var (start, end) = (0, item.count)
    while start < end, isBlank(item[start]) { start += 1 }
    while end > start, isBlank(item[end - 1]) { end -= 1 }
    return item.extracting(start..<end)
}

private func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
