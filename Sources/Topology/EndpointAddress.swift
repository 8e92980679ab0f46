/// Where an endpoint is: what a URL `http(s)://host[:port][/prefix]` says, checked.
package struct EndpointAddress: Sendable, Hashable, CustomStringConvertible {
    /// Whether the scheme is `https`.
    package let usesTLS: Bool
    /// A DNS name in lower case, an IPv4 address, or an IPv6 address without brackets.
    package let host: String
    /// 1...65535; 80 or 443 if the URL names none.
    package let port: UInt16
    /// What stands before every request path: empty, or `/prefix` without a slash at its end.
    package let pathPrefix: String

    /// Whether `host` is an address and not a name, so that there is nothing to resolve and no SNI to send.
    package var isIPLiteral: Bool { isIPv6Literal(host[...]) || isIPv4Literal(host[...]) }

    /// Host and port as the `Host` field writes them: IPv6 in brackets, the scheme's own port left out.
    package var authority: String {
        let written = host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host
        return port == (usesTLS ? 443 : 80) ? written : "\(written):\(port)"
    }

    /// The URL in its plainest form.
    package var description: String { (usesTLS ? "https://" : "http://") + authority + pathPrefix }

    /// Reads a URL.
    ///
    /// A path that ends in `/v1`, as SDK base URLs do, loses it: request paths bring their own.
    /// - Throws: What is wrong with the URL, as one sentence fragment for a message.
    package init(parsing text: String) throws(EndpointAddressError) {
        guard text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else { throw .badCharacter }
        let (usesTLS, rest) = try Self.scheme(of: text)
        if rest.utf8.contains(where: { $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "#") }) { throw .queryOrFragment }
        let slash = rest.utf8.firstIndex(of: UInt8(ascii: "/")) ?? rest.endIndex
        let authority = rest[..<slash]
        if authority.utf8.contains(UInt8(ascii: "@")) { throw .userInfo }
        let (host, port) = try Self.hostAndPort(authority)
        self.usesTLS = usesTLS
        self.host = host
        self.port = port ?? (usesTLS ? 443 : 80)
        self.pathPrefix = try Self.prefix(rest[slash...])
    }

    private static func scheme(of text: String) throws(EndpointAddressError) -> (usesTLS: Bool, rest: Substring) {
        let lowered = text.prefix(8).lowercased()
        if lowered.hasPrefix("https://") { return (true, text.dropFirst(8)) }
        if lowered.hasPrefix("http://") { return (false, text.dropFirst(7)) }
        throw text.contains("://") ? .unknownScheme : .missingScheme
    }

    private static func hostAndPort(_ authority: Substring) throws(EndpointAddressError) -> (String, UInt16?) {
        var host = authority
        var port: Substring?
        if authority.utf8.first == UInt8(ascii: "[") {
            guard let close = authority.utf8.firstIndex(of: UInt8(ascii: "]")) else { throw .badHost }
            host = authority[authority.utf8.index(after: authority.startIndex)..<close]
            guard isIPv6Literal(host) else { throw .badHost }
            let rest = authority[authority.utf8.index(after: close)...]
            if !rest.isEmpty {
                guard rest.utf8.first == UInt8(ascii: ":") else { throw .badHost }
                port = rest.dropFirst()
            }
        } else {
            if let colon = authority.utf8.firstIndex(of: UInt8(ascii: ":")) {
                host = authority[..<colon]
                port = authority[authority.utf8.index(after: colon)...]
                // An IPv6 address without brackets.
                if port?.utf8.contains(UInt8(ascii: ":")) == true { throw .badHost }
            }
            guard isHostName(host) else { throw host.isEmpty ? .missingHost : .badHost }
        }
        guard let port else { return (host.lowercased(), nil) }
        guard let number = portNumber(port), number > 0 else { throw .badPort }
        return (host.lowercased(), number)
    }

    private static func prefix(_ path: Substring) throws(EndpointAddressError) -> String {
        let segments = path.split(separator: "/", omittingEmptySubsequences: true)
        for segment in segments {
            if segment == "." || segment == ".." { throw .badPath }
            guard segment.utf8.allSatisfy(isPathByte) else { throw .badPath }
        }
        let kept = segments.last == "v1" ? segments.dropLast() : segments[...]
        return kept.map { "/" + $0 }.joined()
    }
}

/// What is wrong with an endpoint's URL.
package enum EndpointAddressError: Error, Equatable {
    case missingScheme, unknownScheme, missingHost, badHost, badPort, userInfo, queryOrFragment, badPath, badCharacter

    /// One clause that says what is wrong and what would be right.
    package var explanation: String {
        switch self {
        case .missingScheme: "has no scheme, expected http:// or https:// in front"
        case .unknownScheme: "has a scheme that is neither http nor https"
        case .missingHost: "names no host"
        case .badHost: "has a malformed host (an IPv6 address stands in brackets)"
        case .badPort: "has a malformed port, expected 1...65535"
        case .userInfo: "holds a user name; credentials belong into the provider's apiKey"
        case .queryOrFragment: "holds a query or fragment"
        case .badPath: "has a path with characters or segments that are not allowed"
        case .badCharacter: "holds blanks or characters that are not ASCII"
        }
    }
}

/// Decimal digits, 0...65535; no sign, no blanks.
package func portNumber(_ text: Substring) -> UInt16? {
    guard (1...5).contains(text.utf8.count), text.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
    return UInt16(text)
}

/// Whether `host` is a DNS name (letters, digits, `-`, `_` in labels of 1...63) or an IPv4 address.
///
/// - SeeAlso: RFC 1123 section 2.1. A name that ends in a number would be an address, as in the WHATWG URL rules.
package func isHostName(_ host: Substring) -> Bool {
    guard (1...253).contains(host.utf8.count) else { return false }
    let labels = host.split(separator: ".", omittingEmptySubsequences: false)
    // One dot at the end marks an absolute name.
    let relevant = labels.count > 1 && labels.last?.isEmpty == true ? labels.dropLast() : labels[...]
    guard let last = relevant.last else { return false }
    if last.utf8.allSatisfy({ (48...57).contains($0) }) { return isIPv4Literal(host) }
    return relevant.allSatisfy { label in
        (1...63).contains(label.utf8.count) && label.utf8.first != UInt8(ascii: "-")
            && label.utf8.last != UInt8(ascii: "-") && label.utf8.allSatisfy(isNameByte)
    }
}

private func isNameByte(_ byte: UInt8) -> Bool {
    (48...57).contains(byte) || (97...122).contains(byte | 0x20) || byte == UInt8(ascii: "-")
        || byte == UInt8(ascii: "_")
}

private func isPathByte(_ byte: UInt8) -> Bool {
    isNameByte(byte) || ".~!$&'()*+,;=:@".utf8.contains(byte)
}
