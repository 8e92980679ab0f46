import Bytes
import HTTP
import Testing

@Suite("Request smuggling")
struct SmugglingTests {
    @Test("the corpus is not smaller than it was")
    func size() {
        #expect(smugglingCorpus.count >= 290)
    }

    @Test("each case is read in one way or refused", arguments: smugglingCorpus)
    func verdict(_ row: SmugglingCase) {
        var reader = RequestReader()
        #expect(reader.read(octets(row.text)) == row.verdict)
    }

    @Test("how the bytes are cut changes nothing but the reason of a refusal", arguments: smugglingCorpus)
    func cuts(_ row: SmugglingCase) {
        let bytes = octets(row.text)
        var reader = RequestReader()
        // Long rows differ from short ones in their repetitions only.
        for cut in stride(from: 0, through: bytes.count, by: max(1, bytes.count / 500)) {
            expectSame(reader.read(bytes, ends: [cut]), as: row.verdict, "cut at \(cut)")
        }
        let octetByOctet = bytes.count < 2000 ? Array(0..<bytes.count) : Array(stride(from: 0, to: bytes.count, by: 97))
        expectSame(reader.read(bytes, ends: octetByOctet), as: row.verdict, "octet by octet")
    }

    private func expectSame(_ verdict: Verdict, as whole: Verdict, _ comment: Comment) {
        switch (verdict, whole) {
        case (.refused, .refused): break
        default: #expect(verdict == whole, comment)
        }
    }
}
