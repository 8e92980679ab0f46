import Bytes
import Routing
import Testing
import Topology

/// A request's headers and tags.
struct Asked {
    var headers: [(String, String)] = []
    var tags = ""

    func has(_ match: HeaderMatch) -> Bool {
        headers.contains { name, value in
            Array(name.utf8) == match.name && match.matches(Array(value.utf8).span)
        }
    }

    func has(_ tag: Span<UInt8>) -> Bool { tagList(Array(tags.utf8).span, contains: tag) }
}

extension HeaderMatch {
    init(_ name: String, _ prefix: String, _ suffix: String? = nil) {
        self.init(name: Array(name.utf8), prefix: Array(prefix.utf8), suffix: suffix.map { Array($0.utf8) })
    }
}

let exampleRoutes = [
    Route(
        name: "batch",
        match: RouteMatch(headers: [HeaderMatch("x-job", "batch", "")], tags: [Array("eu".utf8)]), tiers: []),
    Route(name: "beta", match: RouteMatch(headers: [HeaderMatch("x-beta", "", "")]), tiers: []),
    Route(name: "gold", match: RouteMatch(tags: [Array("gold".utf8), Array("eu".utf8)]), tiers: []),
    Route(name: "exact", match: RouteMatch(headers: [HeaderMatch("x-team", "red")]), tiers: []),
    Route(tiers: []),
]

@Suite("The first route that matches holds")
struct RouteSelectionTests {
    struct Row: CustomTestStringConvertible {
        let testDescription: String
        let asked: Asked
        let route: Int
    }

    @Test(
        "conditions",
        arguments: [
            Row(testDescription: "nothing said", asked: Asked(), route: 4),
            Row(testDescription: "header and tag", asked: Asked(headers: [("x-job", "batch-7")], tags: "eu"), route: 0),
            Row(testDescription: "header without the tag", asked: Asked(headers: [("x-job", "batch-7")]), route: 4),
            Row(testDescription: "tag without the header", asked: Asked(tags: "eu"), route: 4),
            Row(
                testDescription: "a second field of the name",
                asked: Asked(headers: [("x-job", "a"), ("x-job", "batch")], tags: "us,eu"), route: 0),
            Row(testDescription: "present, even if empty", asked: Asked(headers: [("x-beta", "")]), route: 1),
            Row(testDescription: "all tags, in any order", asked: Asked(tags: " eu ,\tgold"), route: 2),
            Row(testDescription: "part of a tag is none", asked: Asked(tags: "eu-west,golden"), route: 4),
            Row(testDescription: "exact value", asked: Asked(headers: [("x-team", "red")]), route: 3),
            Row(testDescription: "more than the value", asked: Asked(headers: [("x-team", "reds")]), route: 4),
            Row(
                testDescription: "the first of two", asked: Asked(headers: [("x-team", "red"), ("x-beta", "1")]),
                route: 1),
        ])
    func first(_ row: Row) {
        let chosen = selectRoute(exampleRoutes, hasHeader: { row.asked.has($0) }, hasTag: { row.asked.has($0) })
        #expect(chosen == row.route)
        #expect(selectRoute([], hasHeader: { _ in true }, hasTag: { _ in true }) == nil)
    }

    @Test("says which condition is not met")
    func mismatches() {
        let asked = Asked(headers: [("x-job", "batch")])
        let match = exampleRoutes[0].match
        #expect(mismatch(of: match, hasHeader: { asked.has($0) }, hasTag: { asked.has($0) }) == .tag(0))
        #expect(mismatch(of: match, hasHeader: { _ in false }, hasTag: { asked.has($0) }) == .header(0))
    }

    @Test(
        "tags are items of a list",
        arguments: [
            ("eu", "eu", true), ("", "eu", false), (",", "eu", false), (",,eu", "eu", true), ("a, eu ,b", "eu", true),
            ("EU", "eu", false), ("eu west", "eu", false), ("", "", false), (" , ", "", false), ("a,eu", "eu", true),
        ] as [(String, String, Bool)])
    func tags(_ list: String, _ tag: String, _ holds: Bool) {
        #expect(tagList(Array(list.utf8).span, contains: Array(tag.utf8).span) == holds)
    }
}
