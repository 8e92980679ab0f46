internal import Bytes

/// `message` with every word that holds a network address of an inner host replaced by `[address]`.
///
/// An engine's words may name the host it runs on; public names, such as a link to documentation, stay.
/// - Returns: Text; what is not UTF-8 becomes U+FFFD.
internal func withoutAddresses(_ message: [UInt8]) -> String {
    var clean: [UInt8] = []
    clean.reserveCapacity(message.count)
    var start = 0
    var index = 0
    while index <= message.count {
        if index == message.count || isWordEnd(message[index]) {
            let word = message[start..<index]
            if isInnerAddress(word) {
                clean.append("[address]")
            } else {
                clean.append(contentsOf: word)
            }
            if index < message.count { clean.append(message[index]) }
            start = index + 1
        }
        index += 1
    }
    return String(decoding: clean, as: UTF8.self)
}

private func isWordEnd(_ byte: UInt8) -> Bool {
    switch byte {
    case 0...0x20, UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "<"),
        UInt8(ascii: ">"), UInt8(ascii: ","), UInt8(ascii: "`"), UInt8(ascii: "="):
        true
    default: false
    }
}

private func isInnerAddress(_ word: ArraySlice<UInt8>) -> Bool {
    guard word.count >= 7 else { return false }
    let text = word.map { asciiLowercased($0) }
    for mark: StaticString in ["localhost", ".svc", ".cluster.local", ".internal", ".local:", "://[", "fe80:"]
    where APIError.contains(text.span, mark) {
        return true
    }
    if isInnerURL(text) { return true }
    return hasIPv4(text)
}

/// A URL whose host has no dot: a name that only an inner network knows.
private func isInnerURL(_ text: [UInt8]) -> Bool {
    guard let scheme = text.indices.first(where: { text[$0...].starts(with: "://".utf8) }) else { return false }
    let host = text[(scheme + 3)...].prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: ":") }
    return !host.contains(UInt8(ascii: ".")) || host.reversed().starts(with: "lacol.".utf8)
}

/// Whether four decimal numbers of at most three digits stand there with dots between them.
private func hasIPv4(_ text: [UInt8]) -> Bool {
    var numbers = 0
    var digits = 0
    for (index, byte) in text.enumerated() {
        if byte &- 48 < 10 {
            digits += 1
            if digits == 1 { numbers += 1 }
            if digits > 3 { numbers = 0 }
            let isLast = index + 1 == text.count || text[index + 1] &- 48 >= 10
            if numbers == 4, isLast { return true }
        } else {
            if byte != UInt8(ascii: ".") || digits == 0 { numbers = 0 }
            digits = 0
        }
    }
    return false
}
