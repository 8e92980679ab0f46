import Testing

@testable import Topology

@Suite("Where a model's name leads")
struct ModelTableTests {
    struct Row: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let name: String
        /// Index of the model, and what an endpoint sees; `nil`: unknown.
        let expected: (Int, String?)?
    }

    static let table = ModelTable([
        Model(name: "llama", pool: 0, aliases: ["gpt-4o-mini", "small-*"]),
        Model(name: "gpt-*", pool: 1),
        Model(name: "gpt-4*", pool: 2),
        Model(name: "*-embed", pool: 3),
        Model(name: "é", pool: 4),
        Model(name: "*", pool: 5),
    ])

    @Test(
        "exact names win over patterns, specific patterns over general ones, octet for octet",
        arguments: [
            Row(testDescription: "a name", name: "llama", expected: (0, nil)),
            Row(testDescription: "an alias is seen as the name", name: "gpt-4o-mini", expected: (0, "llama")),
            Row(testDescription: "an alias with a star", name: "small-7b", expected: (0, "llama")),
            Row(testDescription: "the longer pattern", name: "gpt-4o", expected: (2, nil)),
            Row(testDescription: "the shorter pattern", name: "gpt-3", expected: (1, nil)),
            Row(testDescription: "a star may stand for nothing", name: "gpt-", expected: (1, nil)),
            Row(testDescription: "a pattern with a suffix", name: "x-embed", expected: (3, nil)),
            Row(testDescription: "a composed letter", name: "\u{e9}", expected: (4, nil)),
            Row(testDescription: "the same letter decomposed is another name", name: "e\u{301}", expected: (5, nil)),
            Row(testDescription: "case matters", name: "Llama", expected: (5, nil)),
            Row(testDescription: "an empty name meets only the star", name: "", expected: (5, nil)),
        ])
    func match(_ row: Row) {
        let found = ModelTableTests.table.match(Array(row.name.utf8).span)
        #expect(found?.model == row.expected?.0)
        #expect(found?.resolved.map { String(decoding: $0, as: UTF8.self) } == row.expected?.1)
    }

    @Test("without a star an unknown name leads nowhere")
    func unknown() {
        let table = ModelTable([Model(name: "a", pool: 0), Model(name: "b-*", pool: 0)])
        #expect(table.match(Array("c".utf8).span) == nil)
        #expect(table.match(Array("b".utf8).span) == nil)
        #expect(ModelTable([]).match(Array("a".utf8).span) == nil)
    }

    @Test("of two models with one name the first serves")
    func duplicate() {
        let table = ModelTable([Model(name: "a", pool: 7), Model(name: "a", pool: 8)])
        #expect(table.match(Array("a".utf8).span)?.model == 0)
    }

    @Test("a thousand names are all found")
    func many() {
        let table = ModelTable((0..<1000).map { Model(name: "model-\($0)", pool: $0) })
        for index in 0..<1000 {
            let found = table.match(Array("model-\(index)".utf8).span)
            #expect(found?.model == index)
        }
    }
}
