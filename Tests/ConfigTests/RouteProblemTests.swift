@testable import Config
import Testing

/// A pool and a model before what a case adds.
private let head = "pools: [{name: gpu, endpoints: [http://h:1]}]\nmodels:\n  - name: a\n"

private let tierCases = [
    WrongFile(
        "pools that are not there, wherever they are named",
        head + "    tiers: [gpu, gpo, {pool: gup}, {pools: [{pool: cloud}]}]\n"
            + "    routes: [{name: r, match: {tags: eu}, tiers: [gppu]}]\n",
        "gateway.yaml:4:18: error: no pool is named \"gpo\"; did you mean \"gpu\"?",
        "gateway.yaml:4:30: error: no pool is named \"gup\"; did you mean \"gpu\"?",
        "gateway.yaml:4:52: error: no pool is named \"cloud\"",
        "gateway.yaml:5:51: error: no pool is named \"gppu\"; did you mean \"gpu\"?"),
    WrongFile(
        "pool and tiers", head + "    pool: gpu\n    tiers: [gpu]\n",
        "gateway.yaml:5:5: error: model \"a\" has both pool and tiers; name the pool as one of the tiers"),
    WrongFile(
        "keys of a pool beside tiers", head + "    tiers: [gpu]\n    upstreamModel: m\n    retries: {attempts: 1}\n",
        "gateway.yaml:5:5: error: upstreamModel belongs to the pools that tiers name",
        "gateway.yaml:6:5: error: retries belongs to the pools that tiers name"),
    WrongFile(
        "keys of a pool beside its name", head + "    pool: gpu\n    hedging: {after: 1s}\n",
        "gateway.yaml:5:5: error: hedging belongs to the pool, here \"gpu\""),
    WrongFile(
        "keys of a pool without one", head + "    queue: {maxRequests: 1}\n  - {name: b, pool: gpu}\n",
        "gateway.yaml:3:5: error: model \"a\" needs a pool, tiers, or endpoints of its own"),
    WrongFile(
        "no tiers", head + "    tiers: []\n  - {name: b, tiers: }\n  - {name: c, pool: gpu}\n",
        "gateway.yaml:4:12: error: tiers of model \"a\" must have 1...16 items, has 0",
        "gateway.yaml:5:22: error: tiers of model \"b\" must have 1...16 items, has 0"),
    WrongFile(
        "tiers that are none", head + "    tiers: [[gpu], {}, {pools: []}, {pools: [[gpu], {weight: 1}]}, gpu]\n",
        "gateway.yaml:4:13: error: tier must be the name of a pool or a mapping, is a list",
        "gateway.yaml:4:20: error: tier needs a pool, or pools",
        "gateway.yaml:4:32: error: pools must have 1...64 items, has 0",
        "gateway.yaml:4:46: error: item of pools must be the name of a pool or a mapping, is a list",
        "gateway.yaml:4:53: error: item of pools needs a pool"),
    WrongFile(
        "endpoints of none", "models: [{name: a, endpoints: }]\n",
        "gateway.yaml:1:31: error: endpoints of model \"a\" is empty"),
    WrongFile(
        "tiers taken for weights", head + "    tiers: [{pool: gpu, weight: 9}, {pools: [gpu], weight: 1}]\n",
        "gateway.yaml:4:25: error: weight needs others to share with: pools: [{pool: NAME, weight: 1}]",
        "gateway.yaml:4:52: error: weight cannot stand beside pools; it belongs to an item of them"),
    WrongFile(
        "weights, twins and misspelt keys",
        head
            + "    tiers:\n      - pools: [{pool: gpu, weight: -1}, {pool: gpu, wieght: 1}, {pool: gpu, upstreamModel: m}]\n",
        "gateway.yaml:5:37: error: weight must be a whole number 0...1000000, is \"-1\"",
        "gateway.yaml:5:42: error: pool \"gpu\" is here twice, first at 5:17",
        "gateway.yaml:5:54: error: unknown key \"wieght\" in item of pools; did you mean \"weight\"?"),
]

private let routeCases = [
    WrongFile(
        "routes without match, sense or name",
        head + """
                pool: gpu
                routes:
                  - {name: r, tiers: [gpu]}
                  - {name: s, match: {}, tiers: [gpu]}
                  - {name: t, match: {tags: eu}}
                  - {match: {tags: us}, tiers: [gpu]}
                  - {name: u, match: all, tiers: [gpu]}
                  - {name: v, match: {headers: {}}, tiers: []}

            """,
        "gateway.yaml:6:9: error: route \"r\" needs a match of headers or tags; what holds for all requests belongs to the model",
        "gateway.yaml:7:26: error: route \"s\" needs a match of headers or tags; what holds for all requests belongs to the model",
        "gateway.yaml:8:9: error: route \"t\" changes nothing: it needs tiers or a priority",
        "gateway.yaml:9:9: error: route needs a name",
        "gateway.yaml:10:26: error: match must be a mapping, is a single value",
        "gateway.yaml:11:26: error: route \"v\" needs a match of headers or tags; what holds for all requests belongs to the model",
        "gateway.yaml:11:48: error: tiers of route \"v\" must have 1...16 items, has 0"),
    WrongFile(
        "routes of one name, and one that is never reached",
        head + """
                pool: gpu
                routes:
                  - {name: r, match: {headers: {a: "1", b: "2"}, tags: [x, y]}, priority: 1}
                  - {name: r, match: {headers: {A: "1"}}, priority: 1}
                  - {name: s, match: {headers: {b: "2", a: "1"}, tags: [y, x]}, priority: 1}
              - {name: b, pool: gpu, routes: [{name: r, match: {tags: x}, priority: 1}]}

            """,
        "gateway.yaml:7:16: error: route \"r\" is here twice, first at 6:16",
        "gateway.yaml:8:9: warning: route \"s\" never matches: \"r\" before it takes all"),
    WrongFile(
        "headers and tags",
        head + """
                pool: gpu
                routes:
                  - name: r
                    priority: 1001
                    match:
                      headers: {a b: "1", x: "*a*", Y: "1", y: "2", z: ""}
                      tags: [a, "b,c", "d e", a]
                      header: {}

            """,
        "gateway.yaml:7:19: error: priority must be a whole number -1000...1000, is \"1001\"",
        "gateway.yaml:9:21: error: header \"a b\" is no valid field name",
        "gateway.yaml:9:34: error: header x has more than one * in its value",
        "gateway.yaml:9:49: error: header \"y\" is here twice in different case",
        "gateway.yaml:9:60: error: header z must have 1...1024 bytes, has 0",
        "gateway.yaml:10:21: error: tag \"b,c\" holds a comma or blank",
        "gateway.yaml:10:28: error: tag \"d e\" holds a comma or blank",
        "gateway.yaml:10:35: error: tag \"a\" is here twice, first at 10:18",
        "gateway.yaml:11:11: error: unknown key \"header\" in match; did you mean \"headers\"?"),
]

private let fallbackCases = [
    WrongFile(
        "models that are not there",
        head + """
                aliases: [other]
                pool: gpu
                fallbacks: {contextLength: a, contentPolicy: [large, b, b], overload: othr, overlod: b}
              - {name: b, pool: gpu, fallbacks: {overload: other}}
              - {name: larger, pool: gpu}

            """,
        "gateway.yaml:6:32: error: model \"a\" cannot fall back to itself",
        "gateway.yaml:6:51: error: no model is named \"large\"; did you mean \"larger\"?",
        "gateway.yaml:6:61: error: fallback \"b\" is here twice, first at 6:58",
        "gateway.yaml:6:75: error: no model is named \"othr\"",
        "gateway.yaml:6:81: error: unknown key \"overlod\" in fallbacks; did you mean \"overload\"?",
        "gateway.yaml:7:48: error: no model is named \"other\"; it is an alias of \"a\""),
    WrongFile(
        "too many",
        head
            + "    pool: gpu\n    routes: [{name: r, match: {tags: [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}, priority: 1}]\n",
        "gateway.yaml:5:38: error: tags has 17 items, more than 16"),
    WrongFile(
        "a default model that is not there", "defaultModel: lama\n" + minimal,
        "gateway.yaml:1:15: error: no model is named \"lama\"; did you mean \"llama\"?"),
    WrongFile(
        "a default model that is an alias", "defaultModel: x\n" + minimal + "    aliases: [x]\n",
        "gateway.yaml:1:15: error: no model is named \"x\"; it is an alias of \"llama\""),
    WrongFile(
        "a default model beside one that matches all",
        "defaultModel: llama\n" + minimal + "  - {name: \"*\", endpoints: [http://h:1]}\n",
        "gateway.yaml:1:15: warning: defaultModel is never used: model \"*\" matches every name"),
]

@Suite struct RouteProblemTests {
    @Test("wrong tiers", arguments: tierCases)
    func tiers(_ file: WrongFile) { file.check() }

    @Test("wrong routes", arguments: routeCases)
    func routes(_ file: WrongFile) { file.check() }

    @Test("wrong fallbacks and default models", arguments: fallbackCases)
    func fallbacks(_ file: WrongFile) { file.check() }

    @Test("no message shows the value of a header")
    func headerValues() {
        let routes =
            "    routes: [{name: r, match: {headers: {authorization: \"*geheim*\", \"a b\": geheim}}, priority: 1}]\n"
        let loaded = load(head + "    pool: gpu\n" + routes)
        #expect(loaded.problems.count == 2)
        for problem in loaded.problems { #expect(!problem.rendered().contains("geheim")) }
    }
}
