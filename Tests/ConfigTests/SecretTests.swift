@testable import Config
import Testing

/// One secret, where it may come from and what may be wrong with it.
@Suite struct SecretTests {
    private let geheim = "sk-geheim-0123456789"

    private func loadKey(_ value: String, _ variables: [String: String] = [:], files: [String: String] = [:])
        -> ConfigurationLoad
    {
        load("\(minimal)providers:\n  - name: default\n    apiKey: \(value)\n", variables, files: files)
    }

    private func key(of loaded: ConfigurationLoad) -> String? {
        loaded.configuration?.pools.first?.provider.apiKey.map { String(decoding: $0.revealed, as: UTF8.self) }
    }

    @Test("a secret comes from the environment, a file, or an expanded value")
    func sources() {
        #expect(key(of: loadKey("env:KEY", ["KEY": geheim])) == geheim)
        #expect(key(of: loadKey("file:/run/key", files: ["/run/key": geheim + "\n"])) == geheim)
        #expect(key(of: loadKey("file:${DIR}/key", ["DIR": "/run"], files: ["/run/key": geheim + "\r\n"])) == geheim)
        #expect(key(of: loadKey("${KEY}", ["KEY": geheim])) == geheim)
        #expect(key(of: loadKey("${NONE:-\(geheim)}")) == geheim)
        #expect(loadKey("env:KEY", ["KEY": geheim]).problems == [])
    }

    @Test("a file is found beside the configuration, and is among those to watch")
    func relativeFile() {
        let text = "\(minimal)providers: [{name: default, apiKey: \"file:keys/engine\"}]\n"
        let loaded = load(text, files: ["/etc/penstock/keys/engine": geheim], file: "/etc/penstock/gateway.yaml")
        #expect(key(of: loaded) == geheim)
        #expect(loaded.files == ["/etc/penstock/keys/engine"])
    }

    @Test(
        "what is wrong with a secret",
        arguments: [
            WrongFile("not set", "env:KEY", "6:13: error: apiKey: environment variable \"KEY\" is not set"),
            WrongFile("no name", "\"env:\"", "6:13: error: apiKey: env: must be followed by the name of a variable"),
            WrongFile("empty", "env:EMPTY", "6:13: error: apiKey: environment variable \"EMPTY\" is empty"),
            WrongFile(
                "two lines", "env:LINES",
                "6:13: error: apiKey: environment variable \"LINES\" holds a line break or control character"),
            WrongFile("no file", "file:gone", "6:13: error: apiKey: cannot read \"gone\": No such file or directory"),
            WrongFile("no path", "\"file:\"", "6:13: error: apiKey: file: must be followed by a path"),
            WrongFile("empty file", "file:empty", "6:13: error: apiKey: file \"empty\" is empty"),
            WrongFile("a mapping", "{a: b}", "6:13: error: apiKey must be env:NAME, file:PATH or text, is a mapping"),
            WrongFile("nothing", "", "6:12: error: apiKey must be env:NAME, file:PATH or text, is nothing"),
            WrongFile(
                "unset in a value", "${GONE}",
                "6:13: error: environment variable \"GONE\" is not set, and ${GONE} has no default"),
        ]
    )
    func mistakes(_ row: WrongFile) {
        let loaded = loadKey(row.text, ["EMPTY": "", "LINES": "a\nb: c"], files: ["empty": "\n"])
        #expect(loaded.problems.map(\.description) == row.problems.map { "gateway.yaml:" + $0 })
        #expect(loaded.configuration == nil)
    }

    @Test("a secret in the file itself is a warning that does not repeat it")
    func literal() {
        let loaded = loadKey(geheim)
        #expect(key(of: loaded) == geheim)
        let shown = loaded.problems.map { $0.rendered() }
        #expect(
            shown == [
                "gateway.yaml:6:13: warning: apiKey stands in the file for all to read; write env:NAME or file:PATH\n"
                    + " 6 |     apiKey: ***\n   |             ^"
            ])
    }

    @Test(
        "no message and no excerpt shows a secret",
        arguments: [
            "providers: [{name: default, apikey: GEHEIM}]", "providers: [{name: default, apiKye: GEHEIM}]",
            "providers: [{name: default, apiKey: GEHEIM, apiKey: GEHEIM}]",
            "providers:\n  - name: default\n    apiKey: \"GEHEIM",
            "providers: [{name: default, apiKey: \"a\\n GEHEIM\"}]",
            "providers: [{name: default, headers: {\"x y\": GEHEIM}}]",
            "providers: [{name: default, headers: {host: GEHEIM}}]",
            "providers: [{name: default, headers: {authorization: \"Bearer GEHEIM\\x01\"}}]", "apiKey: GEHEIM",
            "providers: [{name: default, apiKey: \"\\x01GEHEIM\"}]", "workers: ${SECRET}",
            "limits: {bodyBytes: \"${SECRET}\"}",
            "providers: [{name: default, apiKey: GEHEIM, forwardClientCredentials: always}]",
            "providers: [{name: default, headers: {x: GEHEIM, X: GEHEIM}}]",
            "providers: [{name: default, headers: {x: GEHEIM, y: env:NONE}}]",
            "providers: [{name: default, headers: {x: GEHEIM, y: \"${NONE}\"}}]",
            "providers: [{name: default, headers: {x: GEHEIM}, timeuts: {}}]",
            "providers: [{name: default, apiKey: GEHEIM, timeouts: {connect: 1}}]",
            "providers:\n  - name: default\n    headers:\n      x: GEHEIM\n      X: GEHEIM",
        ])
    func nothingLeaks(_ text: String) {
        let text = text.replacing("GEHEIM", with: geheim)
        let loaded = load(minimal + text + "\n", ["SECRET": geheim])
        #expect(!loaded.problems.isEmpty)
        for problem in loaded.problems { #expect(!problem.rendered().contains("geheim")) }
    }

    @Test("a secret has no description")
    func masked() {
        let secret = Secret(geheim)
        var dumped = ""
        dump([secret], to: &dumped)
        for text in ["\(secret)", String(reflecting: secret), String(describing: Optional(secret)), dumped] {
            #expect(!text.contains("geheim") && !text.contains("103"))
        }
        #expect("\(secret)" == "***")
    }

    @Test(
        "headers that cannot be set",
        arguments: [
            WrongFile(
                "framing", "{Content-Length: 1}", "6:15: error: header \"Content-Length\" is set by the gateway itself"),
            WrongFile("no token", "{\"a b\": 1}", "6:15: error: header \"a b\" is no valid field name"),
            WrongFile("twice", "{a: 1, A: 2}", "6:21: error: header \"A\" is here twice in different case"),
            WrongFile("a list", "[a]", "6:14: error: headers must be a mapping of names to values, is a list"),
            WrongFile("empty value", "{a: \"\"}", "6:18: error: header a: the value is empty"),
        ]
    )
    func headers(_ row: WrongFile) {
        let loaded = load("\(minimal)providers:\n  - name: default\n    headers: \(row.text)\n")
        #expect(loaded.problems.map(\.description) == row.problems.map { "gateway.yaml:" + $0 })
    }

    @Test("a provider cannot both have a key and pass the client's")
    func contradictions() {
        let always = load(
            "\(minimal)providers:\n  - {name: default, apiKey: env:K, forwardClientCredentials: always}\n", ["K": "k"])
        #expect(
            always.problems.map(\.description) == [
                "gateway.yaml:5:62: error: forwardClientCredentials cannot be always beside an apiKey"
            ])
        let twice = load(
            "\(minimal)providers:\n  - {name: default, apiKey: env:K, headers: {Authorization: x}}\n", ["K": "k"])
        #expect(
            twice.problems.map(\.description) == [
                "gateway.yaml:5:45: error: headers hold authorization, which apiKey sets"
            ])
    }
}
