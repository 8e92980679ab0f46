import Bytes
import Testing

@Suite("Octets")
struct ASCIITests {
    @Test("only A to Z have a lower case")
    func lowercase() {
        for byte in UInt8.min ... .max {
            let expected = (65...90).contains(byte) ? byte + 32 : byte
            #expect(asciiLowercased(byte) == expected)
        }
    }

    @Test("comparisons look at every byte and at the length")
    func comparisons() {
        let bytes = Array("Keep-Alive".utf8)
        #expect(bytesEqual(bytes.span, "Keep-Alive") == true)
        #expect(bytesEqual(bytes.span, "Keep-Alivx") == false)
        #expect(bytesEqual(bytes.span, "Keep-Aliv") == false)
        #expect(bytesEqualIgnoringCase(bytes.span, "keep-alive") == true)
        #expect(bytesEqualIgnoringCase(Array("\u{212A}eep-alive".utf8).span, "keep-alive") == false)
        #expect(bytesBegin(bytes.span, with: "Keep") == true)
        #expect(bytesBegin(bytes.span, with: "Keep-Alive-") == false)
        #expect(bytesEqual(Array("é".utf8).span, Array("é".utf8).span) == true)
        #expect(bytesEqual(Array("é".utf8).span, Array("e\u{301}".utf8).span) == false)
        let none: [UInt8] = []
        #expect(bytesEqual(none.span, "") == true)
        #expect(bytesEqual(none.span, none.span) == true)
        #expect(bytesBegin(none.span, with: "") == true)
    }

    @Test("the first of a byte is found from where one begins")
    func search() {
        let bytes = Array("abcabc".utf8)
        #expect(firstIndex(of: UInt8(ascii: "c"), in: bytes.span) == 2)
        #expect(firstIndex(of: UInt8(ascii: "c"), in: bytes.span, from: 3) == 5)
        #expect(firstIndex(of: UInt8(ascii: "x"), in: bytes.span) == nil)
        #expect(firstIndex(of: UInt8(ascii: "a"), in: bytes.span, from: 6) == nil)
    }

    @Test("text is text only if it is UTF-8")
    func validation() {
        #expect(text(Array("é".utf8).span) == "é")
        #expect(text([0xFF].span) == nil)
        #expect(text([UInt8]().span) == "")
    }
}

@Suite("Decimal")
struct DecimalTests {
    struct Row: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let start: Int
        let limit: Int
        let value: Int?
        let end: Int
        let error: DecimalError?

        init(_ text: String, from start: Int = 0, limit: Int = .max, _ value: Int, end: Int) {
            (testDescription, self.start, self.limit, self.value, self.end, error) = (
                text, start, limit, value, end, nil
            )
        }

        init(_ text: String, from start: Int = 0, limit: Int = .max, _ error: DecimalError) {
            (testDescription, self.start, self.limit, value, end, self.error) = (text, start, limit, nil, start, error)
        }
    }

    @Test(
        "reads digits and nothing else",
        arguments: [
            Row("0", 0, end: 1), Row("123 ", 123, end: 3), Row("x42;", from: 1, 42, end: 3), Row("007", 7, end: 3),
            Row("9223372036854775807", .max, end: 19), Row("9223372036854775808", .tooLarge),
            Row("99999999999999999999", .tooLarge), Row("101", limit: 100, .tooLarge),
            Row("100", limit: 100, 100, end: 3),
            Row("", .notANumber), Row("+5", .notANumber), Row("-0", .notANumber), Row(" 5", .notANumber),
            Row("5", from: 1, .notANumber), Row("٣", .notANumber),
        ]
    )
    func reads(_ row: Row) {
        var offset = row.start
        do throws(DecimalError) {
            let value = try readDecimal(Array(row.testDescription.utf8).span, at: &offset, limit: row.limit)
            #expect(value == row.value)
        } catch {
            #expect(error == row.error)
        }
        #expect(offset == row.end)
    }
}
