/// Readers of values that pools have and others do not.
extension Section {
    /// Reads a part of a whole: `50%` or `0.5`.
    func ratio(_ key: String, into target: inout Double, in range: ClosedRange<Double>) {
        let bounds = "\(ratioText(range.lowerBound))...\(ratioText(range.upperBound))"
        let parse = { (text: String) in Config.ratio(text).flatMap { range.contains($0) ? $0 : nil } }
        let expected = "a ratio of \(bounds), such as \(ratioText(target)) or \(target)"
        if let value = value(key, expected: expected, parse: parse) { target = value }
    }

    /// Reads a whole number, or `off`, which becomes `nil`.
    func integer(_ key: String, into target: inout Int?, in range: ClosedRange<Int>) {
        let parse = { (text: String) -> Int?? in
            if text == "off" { return .some(nil) }
            return wholeNumber(text).flatMap { range.contains($0) ? .some($0) : nil }
        }
        let expected = "a whole number \(range.lowerBound)...\(range.upperBound), or off"
        if let value = value(key, expected: expected, parse: parse) { target = value }
    }

    /// Reads a list of texts without repetitions; one text stands for a list of it. Empty if the key is absent.
    ///
    /// - Parameters:
    ///   - kind: What each is, for messages: `tag`.
    ///   - bytes: The longest text.
    ///   - count: The longest list.
    func texts(_ key: String, of kind: String, bytes: Int, count: Int) -> [(text: String, position: Position)] {
        guard let node = node(key), !node.isEmpty else { return [] }
        var items = [node]
        if case .sequence(let listed) = node.content { items = listed }
        if items.count > count {
            decoding.report("\(key) has \(items.count) items, more than \(count)", at: node.position)
        }
        var texts: [(text: String, position: Position)] = []
        for item in items.prefix(count) {
            guard let text = decoding.plainText(of: item, for: kind, limit: bytes) else { continue }
            if let first = texts.first(where: { $0.text == text }) {
                decoding.reportDuplicate(kind, text, at: item.position, first: first.position)
            } else {
                texts.append((text, item.position))
            }
        }
        return texts
    }
}
