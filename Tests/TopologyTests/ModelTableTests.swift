import Bytes
import Testing
import Topology

@Suite struct ModelTableTests {
    struct Row: Sendable, CustomTestStringConvertible {
        let name: String
        let model: String?
        var resolved: String?
        var testDescription: String { name }
    }

    private static let table = ModelTable([
        Model(name: "llama", pool: 0, aliases: ["gpt-4o-mini", "gpt-4o*"]),
        Model(name: "gpt-*", pool: 1, aliases: ["other-*"]),
        Model(name: "gpt-4*", pool: 2),
        Model(name: "gpt-4-turbo", pool: 3),
        Model(name: "*-instruct", pool: 4),
        Model(name: "qwen*-instruct", pool: 5),
        Model(name: "llama", pool: 6),
        Model(name: "org/Name-1.5", pool: 7),
    ])

    @Test(
        "exact names win, then aliases as exact names, then the pattern with most literal bytes, then the first",
        arguments: [
            Row(name: "llama", model: "0"), Row(name: "gpt-4o-mini", model: "0", resolved: "llama"),
            Row(name: "gpt-4o", model: "0", resolved: "llama"), Row(name: "gpt-4o-2", model: "0", resolved: "llama"),
            Row(name: "gpt-4-turbo", model: "3"), Row(name: "gpt-4-x", model: "2"), Row(name: "gpt-3.5", model: "1"),
            Row(name: "gpt-", model: "1"), Row(name: "gpt", model: nil), Row(name: "other-1", model: "1"),
            Row(name: "x-instruct", model: "4"), Row(name: "qwen3-instruct", model: "5"),
            Row(name: "qwen-instruct", model: "5"), Row(name: "-instruct", model: "4"),
            Row(name: "gpt-4-instruct", model: "4"), Row(name: "org/Name-1.5", model: "7"),
            Row(name: "org/name-1.5", model: nil), Row(name: "Llama", model: nil), Row(name: "llama ", model: nil),
            Row(name: "", model: nil), Row(name: "unknown", model: nil),
        ])
    func match(_ row: Row) {
        let match = ModelTableTests.table.match(row.name.utf8.span)
        #expect(
            match.map { "\(ModelTableTests.table.models[$0.model].routes[0].tiers[0].targets[0].pool)" } == row.model)
        #expect(match?.resolved.map { String(decoding: $0, as: UTF8.self) } == row.resolved)
    }

    @Test("a pattern's parts may not overlap in a name")
    func overlap() {
        let table = ModelTable([Model(name: "aba*ba", pool: 0)])
        #expect(table.match("aba".utf8.span) == nil)
        #expect(table.match("abaa".utf8.span) == nil)
        #expect(table.match("ababa".utf8.span) != nil)
        #expect(table.match("abaXba".utf8.span) != nil)
    }

    @Test("a lone * takes every name, also the empty one, and yields to all others")
    func catchAll() {
        let table = ModelTable([Model(name: "*", pool: 0), Model(name: "a*", pool: 1), Model(name: "b", pool: 2)])
        #expect(table.match("x".utf8.span)?.model == 0)
        #expect(table.match("".utf8.span)?.model == 0)
        #expect(table.match("ab".utf8.span)?.model == 1)
        #expect(table.match("b".utf8.span)?.model == 2)
    }

    @Test("lists name every exact name once, and no pattern")
    func exactNames() {
        let names = ModelTableTests.table.exactNames.map { String(decoding: $0, as: UTF8.self) }
        #expect(names == ["llama", "gpt-4o-mini", "gpt-4-turbo", "org/Name-1.5"])
    }

    @Test("thousands of names are all found")
    func many() {
        let table = ModelTable((0..<5000).map { Model(name: "model-\($0)", pool: $0) })
        for number in 0..<5000 { #expect(table.match("model-\(number)".utf8.span)?.model == number) }
        #expect(table.match("model-5000".utf8.span) == nil)
    }

    @Test("an empty table matches nothing")
    func empty() { #expect(ModelTable([]).match("x".utf8.span) == nil) }
}
