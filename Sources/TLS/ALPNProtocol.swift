/// An application protocol agreed on during the handshake.
///
/// - SeeAlso: RFC 7301, and RFC 9113 section 3.2 for `h2`.
package enum ALPNProtocol: UInt8, Sendable, CaseIterable {
    case h2
    case http1

    /// The name that goes over the wire.
    package var name: StaticString {
        switch self {
        case .h2: "h2"
        case .http1: "http/1.1"
        }
    }

    /// The protocol of that name; `nil` if it is another one.
    init?(name: UnsafeBufferPointer<UInt8>) {
        let match = ALPNProtocol.allCases.first { known in
            name.elementsEqual(UnsafeBufferPointer(start: known.name.utf8Start, count: known.name.utf8CodeUnitCount))
        }
        guard let match else { return nil }
        self = match
    }

    /// A list as it goes over the wire: each name after a byte with its length.
    static func wireFormat(_ protocols: [ALPNProtocol]) -> [UInt8] {
        protocols.flatMap { entry in
            let name = UnsafeBufferPointer(start: entry.name.utf8Start, count: entry.name.utf8CodeUnitCount)
            return [UInt8(name.count)] + name
        }
    }

    /// The first of `preferred` that a peer's list in wire format holds; `nil` if none or if the list is malformed.
    static func select(from offered: UnsafeBufferPointer<UInt8>, preferred: [ALPNProtocol]) -> ALPNProtocol? {
        var found: [ALPNProtocol] = []
        var index = 0
        while index < offered.count {
            let start = index + 1
            let end = start + Int(offered[index])
            guard end > start, end <= offered.count else { return nil }
            if let known = ALPNProtocol(name: UnsafeBufferPointer(rebasing: offered[start..<end])) {
                found.append(known)
            }
            index = end
        }
        return preferred.first { found.contains($0) }
    }
}

/// The versions of TLS that are spoken.
package enum TLSVersion: String, Sendable {
    case tls12 = "TLSv1.2"
    case tls13 = "TLSv1.3"
}
