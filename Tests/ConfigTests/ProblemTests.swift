@testable import Config
import Testing

/// A wrong file and all that is reported of it.
struct WrongFile: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let text: String
    let problems: [String]

    init(_ testDescription: String, _ text: String, _ problems: String...) {
        self.testDescription = testDescription
        self.text = text
        self.problems = problems
    }

    /// Loads it, with a certificate and a key beside it, and expects these problems and no others.
    func check() {
        let loaded = load(text, files: ["chain.pem": chainPEM, "key.pem": keyPEM])
        #expect(loaded.problems.map(\.description) == problems)
        #expect((loaded.configuration == nil) == loaded.problems.hasErrors)
    }
}

private let keyCases = [
    WrongFile(
        "unknown key with a near one", minimal + "limits:\n  bodyByte: 1MiB\n",
        "gateway.yaml:5:3: error: unknown key \"bodyByte\" in limits; did you mean \"bodyBytes\"?"),
    WrongFile(
        "unknown key in another spelling", minimal + "providers:\n  - name: default\n    api_key: env:K\n",
        "gateway.yaml:6:5: error: unknown key \"api_key\" in provider \"default\"; did you mean \"apiKey\"?"),
    WrongFile(
        "unknown key like nothing", minimal + "frontend: 1\n", "gateway.yaml:4:1: error: unknown key \"frontend\""),
    WrongFile(
        "all at once, in the order of the file",
        "worker: 2\n" + minimal + "limits:\n  bodyBytes: lots\n  headerCount: 1\n",
        "gateway.yaml:1:1: error: unknown key \"worker\"; did you mean \"workers\"?",
        "gateway.yaml:6:14: error: bodyBytes must be a size of 1KiB...4GiB, such as 32MiB, is \"lots\"",
        "gateway.yaml:7:16: error: headerCount must be a whole number 8...1000, is \"1\""),
    WrongFile(
        "duplicate key", minimal + "workers: 1\nlimits: {}\nworkers: 2\n",
        "gateway.yaml:6:1: error: key \"workers\" is here twice, first at 4:1"),
    WrongFile(
        "duplicate key in a flow mapping", minimal + "admin: {address: \":1\", address: \":2\"}\n",
        "gateway.yaml:4:24: error: key \"address\" is here twice, first at 4:9"),
    WrongFile(
        "a list for a mapping", minimal + "limits: [1]\n",
        "gateway.yaml:4:9: error: limits must be a mapping, is a list"),
    WrongFile(
        "a mapping for a list", "models: {a: b}\n", "gateway.yaml:1:9: error: models must be a list, is a mapping"),
    WrongFile("a list for the file", "- a\n", "gateway.yaml:1:1: error: the file must be a mapping, is a list"),
    WrongFile(
        "an empty file", "",
        "gateway.yaml: error: nothing to serve: neither models nor a pool with discoverModels: true"),
    WrongFile(
        "only comments", "# nothing\n",
        "gateway.yaml: error: nothing to serve: neither models nor a pool with discoverModels: true"),
    WrongFile(
        "no models", "workers: 2\n",
        "gateway.yaml:1:1: error: nothing to serve: neither models nor a pool with discoverModels: true"),
]

private let valueCases = [
    WrongFile(
        "a word for a number", minimal + "workers: two\n",
        "gateway.yaml:4:10: error: workers must be a whole number 1...1024, or auto, is \"two\""),
    WrongFile(
        "a sign before a number", minimal + "workers: +2\n",
        "gateway.yaml:4:10: error: workers must be a whole number 1...1024, or auto, is \"+2\""),
    WrongFile(
        "an exponent", minimal + "workers: 1e3\n",
        "gateway.yaml:4:10: error: workers must be a whole number 1...1024, or auto, is \"1e3\""),
    WrongFile(
        "a number past all ranges", minimal + "workers: 99999999999999999999\n",
        "gateway.yaml:4:10: error: workers must be a whole number 1...1024, or auto, is \"99999999999999999999\""),
    WrongFile(
        "yes for true", minimal + "logging:\n  access: yes\n",
        "gateway.yaml:5:11: error: access must be true or false, is \"yes\""),
    WrongFile(
        "nothing for a value", minimal + "logging:\n  access:\n",
        "gateway.yaml:5:10: error: access must be true or false, is nothing"),
    WrongFile(
        "a list for a value", minimal + "logging:\n  access: [true]\n",
        "gateway.yaml:5:11: error: access must be true or false, is a list"),
    WrongFile(
        "a duration without unit", minimal + "shutdown:\n  timeout: 30\n",
        "gateway.yaml:5:12: error: timeout must be a duration of 0s...24h, such as 30s, is \"30\""),
    WrongFile(
        "a duration in a wrong unit", minimal + "limits:\n  timeouts: {idle: 5min}\n",
        "gateway.yaml:5:20: error: idle must be a duration of 1s...24h, such as 75s, or off, is \"5min\""),
    WrongFile(
        "a duration that overflows", minimal + "limits:\n  timeouts: {idle: 9223372036854775807h}\n",
        "gateway.yaml:5:20: error: idle must be a duration of 1s...24h, such as 75s, or off, is \"9223372036854775807h\""
    ),
    WrongFile(
        "off where it cannot be", minimal + "limits:\n  timeouts: {header: off}\n",
        "gateway.yaml:5:22: error: header must be a duration of 100ms...10m, such as 10s, is \"off\""),
    WrongFile(
        "a size in decimal units", minimal + "limits:\n  bodyBytes: 32MB\n",
        "gateway.yaml:5:14: error: bodyBytes must be a size of 1KiB...4GiB, such as 32MiB, is \"32MB\""),
    WrongFile(
        "a size that overflows", minimal + "limits:\n  bodyBytes: 9223372036854775807GiB\n",
        "gateway.yaml:5:14: error: bodyBytes must be a size of 1KiB...4GiB, such as 32MiB, is \"9223372036854775807GiB\""
    ),
    WrongFile(
        "a near word", minimal + "logging:\n  level: warn\n",
        "gateway.yaml:5:10: error: level must be debug, info, notice, warning or error, is \"warn\""),
    WrongFile(
        "a misspelt word", minimal + "logging:\n  level: wraning\n",
        "gateway.yaml:5:10: error: level must be debug, info, notice, warning or error, is \"wraning\"; did you mean \"warning\"?"
    ),
    WrongFile(
        "a misspelt output", minimal + "logging:\n  output: stdot\n",
        "gateway.yaml:5:11: error: output must be stdout, stderr or a path with a /, is \"stdot\"; did you mean \"stdout\"?"
    ),
    WrongFile(
        "a metrics path that is taken", minimal + "metrics:\n  path: /healthz\n",
        "gateway.yaml:5:9: error: path /healthz is taken by the health check"),
    WrongFile(
        "a metrics path without slash", minimal + "metrics:\n  path: metrics\n",
        "gateway.yaml:5:9: error: path must begin with / as /metrics does, is \"metrics\""),
]

private let listenerCases = [
    WrongFile(
        "two listeners on one address",
        "listeners:\n  - address: 127.0.0.1:5000\n  - address: :5000\n" + minimal,
        "gateway.yaml:3:14: error: address :5000 clashes with 127.0.0.1:5000 at 2:14"),
    WrongFile(
        "admin on a listener's address",
        "listeners:\n  - address: 127.0.0.1:5000\nadmin: {address: 127.0.0.1:5000}\n" + minimal,
        "gateway.yaml:3:18: error: address 127.0.0.1:5000 clashes with 127.0.0.1:5000 at 2:14"),
    WrongFile(
        "a listener on admin's default address", "listeners:\n  - address: 0.0.0.0:4001\n" + minimal,
        "gateway.yaml:2:14: error: address 0.0.0.0:4001 clashes with admin.address, by default 127.0.0.1:4001"),
    WrongFile(
        "admin on the default listener's address", "admin: {address: \":4000\"}\n" + minimal,
        "gateway.yaml:1:18: error: address :4000 clashes with 127.0.0.1:4000 that is taken by default"),
    WrongFile(
        "a Unix socket", "listeners:\n  - address: unix:/run/penstock\n" + minimal,
        "gateway.yaml:2:14: error: address \"unix:/run/penstock\" is a Unix socket, which listeners do not support, "
            + "expected an address such as 127.0.0.1:4000, [::1]:4000 or :4000"),
    WrongFile(
        "no port", "listeners:\n  - address: 127.0.0.1\n" + minimal,
        "gateway.yaml:2:14: error: address \"127.0.0.1\" has no port, "
            + "expected an address such as 127.0.0.1:4000, [::1]:4000 or :4000"),
    WrongFile(
        "a port past the last", "admin: {address: \"127.0.0.1:65536\"}\n" + minimal,
        "gateway.yaml:1:18: error: address \"127.0.0.1:65536\" has a malformed port, "
            + "expected an address such as 127.0.0.1:4000, [::1]:4000 or :4000"),
    WrongFile(
        "a host name", "listeners:\n  - address: example.com:4000\n" + minimal,
        "gateway.yaml:2:14: error: address \"example.com:4000\" has a host that is no IP address, "
            + "expected an address such as 127.0.0.1:4000, [::1]:4000 or :4000"),
    WrongFile(
        "no protocol", "listeners:\n  - protocols: []\n" + minimal,
        "gateway.yaml:2:16: error: protocols must name http1, http2 or both, is empty"),
    WrongFile(
        "an unknown protocol", "listeners:\n  - protocols: [http1, http3]\n" + minimal,
        "gateway.yaml:2:24: error: protocols may hold http1 and http2, holds \"http3\"; did you mean \"http1\"?"),
    WrongFile(
        "no listener", "listeners: []\n" + minimal,
        "gateway.yaml:1:12: error: listeners is empty; leave it out for the default 127.0.0.1:4000"),
    WrongFile(
        "TLS without certificates", "listeners:\n  - tls:\n      minimumVersion: 1.3\n" + minimal,
        "gateway.yaml:3:7: error: tls needs certificates, a list of {certificate: FILE, key: FILE}"),
    WrongFile(
        "a certificate without key", "listeners:\n  - tls:\n      certificates: [{certificate: chain.pem}]\n" + minimal,
        "gateway.yaml:3:22: error: certificate needs key beside it"),
    WrongFile(
        "files that are missing or something else",
        "listeners:\n  - tls:\n      certificates: [{certificate: gone.pem, key: chain.pem}]\n" + minimal,
        "gateway.yaml:3:36: error: certificate: cannot read \"gone.pem\": No such file or directory",
        "gateway.yaml:3:51: error: key: \"chain.pem\" holds no PEM private key (-----BEGIN …)"),
    WrongFile(
        "client certificates without issuer",
        "listeners:\n  - tls:\n      certificates: [{certificate: chain.pem, key: key.pem}]\n      clientCertificates: {required: false}\n"
            + minimal,
        "gateway.yaml:4:27: error: clientCertificates needs ca, a file with the certificates of who issues them"),
]

private let modelCases = [
    WrongFile(
        "a pool that is not there",
        "models: [{name: a, pool: lama}]\npools: [{name: llama, endpoints: [http://h:1]}]\n",
        "gateway.yaml:1:26: error: no pool is named \"lama\"; did you mean \"llama\"?",
        "gateway.yaml:2:16: warning: no model uses pool \"llama\""),
    WrongFile(
        "a provider that is not there",
        "models: [{name: a, provider: lokal, endpoints: [http://h:1]}]\nproviders: [{name: local}]\n",
        "gateway.yaml:1:30: error: no provider is named \"lokal\"; did you mean \"local\"?",
        "gateway.yaml:2:20: warning: no pool uses provider \"local\""),
    WrongFile(
        "two models of one name",
        "models:\n  - {name: a, endpoints: [http://h:1]}\n  - {name: b, aliases: [a], endpoints: [http://h:1]}\n",
        "gateway.yaml:3:25: error: model name \"a\" is here twice, first at 2:12"),
    WrongFile(
        "two pools of one name",
        "pools:\n  - {name: a, endpoints: [http://h:1]}\nmodels:\n  - {name: a, endpoints: [http://h:2]}\n  - {name: b, pool: a}\n",
        "gateway.yaml:4:12: error: pool \"a\" is here twice, first at 2:12"),
    WrongFile(
        "two providers of one name",
        "providers: [{name: default}, {name: default}]\n" + minimal,
        "gateway.yaml:1:37: error: provider \"default\" is here twice, first at 1:20"),
    WrongFile(
        "an endpoint twice in a pool", "models: [{name: a, endpoints: [http://h:80, http://H/v1]}]\n",
        "gateway.yaml:1:45: error: endpoint \"http://h\" is here twice, first at 1:32"),
    WrongFile(
        "neither pool nor endpoints", "models:\n  - name: a\n",
        "gateway.yaml:2:5: error: model \"a\" needs a pool, tiers, or endpoints of its own"),
    WrongFile(
        "pool and endpoints",
        "models:\n  - name: a\n    pool: p\n    endpoints: [http://h:1]\n    provider: x\npools: [{name: p, endpoints: [http://h:1]}]\n",
        "gateway.yaml:4:5: error: endpoints belongs to the pool, here \"p\"",
        "gateway.yaml:5:5: error: provider belongs to the pool, here \"p\""),
    WrongFile(
        "no name", "models:\n  - pool: p\npools: [{name: p, endpoints: [http://h:1]}]\n",
        "gateway.yaml:2:5: error: model needs a name"),
    WrongFile(
        "no endpoints", "pools: [{name: p}]\nmodels: [{name: a, pool: p}]\n",
        "gateway.yaml:1:9: error: pool \"p\" needs endpoints, a list of URLs"),
    WrongFile(
        "an empty list of endpoints", "models: [{name: a, endpoints: []}]\n",
        "gateway.yaml:1:31: error: endpoints of model \"a\" is empty"),
    WrongFile(
        "two wildcards in a name", "models: [{name: \"a*b*\", endpoints: [http://h:1]}]\n",
        "gateway.yaml:1:17: error: model name \"a*b*\" has more than one *"),
    WrongFile(
        "an alias of a wildcard", "models: [{name: \"a*\", aliases: [b], endpoints: [http://h:1]}]\n",
        "gateway.yaml:1:33: error: aliases need a model without *, for it is the name they stand for"),
    WrongFile(
        "a name with a line break", "models: [{name: \"a\\nb\", endpoints: [http://h:1]}]\n",
        "gateway.yaml:1:17: error: name holds a control character"),
    WrongFile(
        "a name that is too long", "models: [{name: \(String(repeating: "a", count: 129)), endpoints: [http://h:1]}]\n",
        "gateway.yaml:1:17: error: name must have 1...128 bytes, has 129"),
    WrongFile(
        "an upstream name for discovered models",
        "pools: [{name: p, endpoints: [http://h:1], discoverModels: true, upstreamModel: m}]\n",
        "gateway.yaml:1:81: error: upstreamModel cannot stand beside discoverModels: true"),
    WrongFile(
        "an endpoint without url", "models: [{name: a, endpoints: [{protocol: http2}]}]\n",
        "gateway.yaml:1:32: error: endpoint needs a url"),
    WrongFile(
        "an endpoint without scheme", "models: [{name: a, endpoints: [10.0.0.1:8000]}]\n",
        "gateway.yaml:1:32: error: endpoint \"10.0.0.1:8000\" has no scheme, expected http:// or https:// in front; "
            + "expected a URL such as http://10.0.0.1:8000"),
    WrongFile(
        "an endpoint with credentials", "models: [{name: a, endpoints: [\"http://u:geheim@h\"]}]\n",
        "gateway.yaml:1:32: error: endpoint holds a user name; credentials belong into the provider's apiKey; "
            + "expected a URL such as http://10.0.0.1:8000"),
]

@Suite struct ProblemTests {
    @Test("wrong keys", arguments: keyCases)
    func keys(_ file: WrongFile) { file.check() }

    @Test("wrong values", arguments: valueCases)
    func values(_ file: WrongFile) { file.check() }

    @Test("wrong listeners", arguments: listenerCases)
    func listeners(_ file: WrongFile) { file.check() }

    @Test("wrong models, pools and endpoints", arguments: modelCases)
    func models(_ file: WrongFile) { file.check() }
}
