import Testing

@testable import Bytes

@Suite struct ByteWriterTests {
    private func written(reserving count: Int = 0, _ body: (consuming ByteWriter) -> ByteWriter) -> String {
        var queue = ByteQueue()
        queue.write(reserving: count, body)
        return Bytes.text(queue.span) ?? "no UTF-8"
    }

    private func decimal(_ value: Int) -> String {
        written { writer in
            var writer = writer
            writer.write("", decimal: value)
            return writer
        }
    }

    @Test("decimals of every length")
    func decimals() {
        for value in 0...20_000 where decimal(value) != "\(value)" { Issue.record("\(value)") }
        var power = 1
        while power < Int.max / 10 {
            power *= 10
            for value in [power - 1, power, power + 1, -power] { #expect(decimal(value) == "\(value)") }
        }
        for value in [Int.max, .max - 1, .min, .min + 1, -1, -10_000] { #expect(decimal(value) == "\(value)") }
    }

    @Test("three digits behind the point")
    func thousandths() {
        func text(_ value: Int) -> String {
            written { writer in
                var writer = writer
                writer.write("=", thousandths: value)
                return writer
            }
        }
        for value in 0...12_000 {
            let digits = "\(value % 1000)"
            let expected = "=\(value / 1000)." + String(repeating: "0", count: 3 - digits.count) + digits
            if text(value) != expected { Issue.record("\(value): \(text(value))") }
        }
        #expect(text(.max) == "=9223372036854775.807" && text(-5) == "=0.000" && text(.min) == "=0.000")
    }

    @Test("hexadecimal digits")
    func hex() {
        func text(_ value: UInt64) -> String {
            written { writer in
                var writer = writer
                writer.write("<", hex: value, UInt8(ascii: ">"))
                return writer
            }
        }
        #expect(text(0x0123_4567_89AB_CDEF) == "<0123456789abcdef>")
        #expect(text(0xFEDC_BA98_7654_3210) == "<fedcba9876543210>")
        #expect(text(0) == "<0000000000000000>" && text(.max) == "<ffffffffffffffff>")
    }

    @Test("words of every length")
    func words() {
        let words: [StaticString] = [
            "", "a", "ab", "abc", "abcd", "abcdefg", "abcdefgh", "abcdefghijklmno", "abcdefghijklmnop",
            "abcdefghijklmnopqrstuvwxyz",
        ]
        for word in words {
            let text = written { writer in
                var writer = writer
                writer.write("[", word: word, UInt8(ascii: "]"))
                return writer
            }
            #expect(text == "[\(word)]")
        }
    }

    @Test("a time")
    func time() {
        let text = written { writer in
            var writer = writer
            writer.write(
                (0x3837_3635_3433_3231, 0x4847_4645_4443_4241, 0x6463_6261), threeDigits: 7, UInt8(ascii: "Z"))
            return writer
        }
        #expect(text == "12345678ABCDEFGHabcd007Z")
    }

    @Test("room is taken as it is needed, and nothing is lost", arguments: [0, 1, 30, 100_000])
    func growing(_ reserved: Int) {
        var texts = TextSlots(2)
        let long = String(repeating: "x", count: 256)
        texts.set(1, long.utf8.span)
        var queue = ByteQueue()
        queue.append("before;")
        queue.consume(3)
        queue.write(reserving: reserved) { writer in
            var writer = writer
            for index in 0..<500 {
                writer.write("text=", 1, of: texts, UInt8(ascii: ";"))
                writer.write("", 0, of: texts, UInt8(ascii: ";"))
                writer.write("number=", decimal: index)
                writer = writer.withQueue { $0.append(text: "|\(index)|") }
                writer.write(";")
            }
            return writer
        }
        queue.append("after")
        let expected = (0..<500).map { "text=\(long);;number=\($0)|\($0)|;" }.joined()
        #expect(Bytes.text(queue.span) == "ore;" + expected + "after")
    }
}

@Suite struct TextSlotsTests {
    private func isPlain(_ bytes: [UInt8]) -> Bool {
        var texts = TextSlots(3)
        texts.set(1, bytes.span)
        #expect([UInt8](copying: texts.text(1)) == bytes && texts.count(1) == bytes.count)
        #expect(texts.count(0) == 0 && texts.count(2) == 0)
        return texts.isPlain(1)
    }

    @Test("every octet in every place is told plain or not", arguments: 0...255)
    func plainness(_ octet: Int) {
        let octet = UInt8(octet)
        let expected = (0x20...0x7E).contains(octet) && octet != 0x22 && octet != 0x5C
        for length in [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33] {
            for place in 0..<length {
                var bytes = [UInt8](repeating: UInt8(ascii: "a"), count: length)
                bytes[place] = octet
                if isPlain(bytes) != expected { Issue.record("\(octet) at \(place) of \(length)") }
            }
        }
    }

    @Test("texts of every length")
    func lengths() {
        for length in 0...TextSlots.limit { #expect(isPlain((0..<length).map { 97 + UInt8($0 % 26) })) }
    }

    @Test("texts lie beside each other and are forgotten together")
    func several() {
        var texts = TextSlots(20)
        for slot in 0..<20 { texts.set(slot, "\(slot)\(String(repeating: "\"", count: 250))".utf8.span) }
        for slot in 0..<20 {
            let text = Bytes.text(texts.text(slot))
            #expect(text == "\(slot)\(String(repeating: "\"", count: 250))")
            let isPlain = texts.isPlain(slot)
            #expect(!isPlain)
        }
        texts.removeAll()
        for slot in 0..<20 {
            let (count, isPlain) = (texts.count(slot), texts.isPlain(slot))
            #expect(count == 0 && isPlain)
        }
    }
}
