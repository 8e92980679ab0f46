@testable import Config
import Testing
import Topology

@Suite struct LoadTests {
    @Test("three lines serve a model")
    func shortest() throws {
        let loaded = load(minimal)
        #expect(loaded.problems == [])
        let configuration = try #require(loaded.configuration)
        #expect(configuration.listeners == [Configuration.Listener()])
        #expect(configuration.models == [Configuration.Model(name: "llama", pool: "llama")])
        let endpoint = Configuration.Endpoint(address: try EndpointAddress(parsing: "http://10.0.0.1:8000"))
        #expect(configuration.pools == [Configuration.Pool(name: "llama", endpoints: [endpoint])])
    }

    @Test("a listener's limits override the file's key by key")
    func limits() throws {
        let loaded = load(
            minimal
                + "limits: {bodyBytes: 1MiB, timeouts: {idle: off, body: 0}}\nlisteners:\n  - {}\n  - address: :5000\n    limits: {headerCount: 10, timeouts: {idle: 5s}}\n"
        )
        #expect(loaded.problems == [])
        let listeners = try #require(loaded.configuration?.listeners)
        #expect(listeners.map(\.limits.bodyBytes) == [1 << 20, 1 << 20])
        #expect(listeners.map(\.limits.headerCount) == [100, 10])
        #expect(listeners.map(\.limits.timeouts.idle) == [nil, .seconds(5)])
        #expect(listeners.map(\.limits.timeouts.body) == [nil, nil])
        #expect(listeners.map(\.address.description) == ["127.0.0.1:4000", ":5000"])
    }

    @Test("endpoints take the protocol of their provider unless they say themselves")
    func protocols() throws {
        let loaded = load(
            """
            providers: [{name: p, protocol: http2, pathPrefix: /openai/}]
            pools: [{name: a, provider: p, endpoints: [http://h:1, {url: http://h:2, protocol: http1}]}]
            models: [{name: "*", pool: a}]
            """)
        #expect(loaded.problems == [])
        let pool = try #require(loaded.configuration?.pool(named: "a"))
        #expect(pool.endpoints.map(\.httpProtocol) == [.http2, .http1])
        #expect(pool.provider.pathPrefix == "/openai")
    }

    @Test("a prefix keeps a /v1 that stands in the configuration of a provider")
    func prefix() {
        let loaded = load(minimal + "providers: [{name: default, pathPrefix: /a/v1}]\n")
        #expect(loaded.configuration?.pools.first?.provider.pathPrefix == "/a/v1")
        let wrong = load(minimal + "providers: [{name: default, pathPrefix: a}]\n")
        #expect(
            wrong.problems.map(\.description) == ["gateway.yaml:4:41: error: pathPrefix must begin with /, is \"a\""])
    }

    @Test("pools without a provider use the one named default")
    func defaultProvider() {
        let loaded = load(
            minimal + "providers: [{name: default, timeouts: {connect: 1s, total: 1h}, tls: {verify: false}}]\n")
        let provider = loaded.configuration?.pools.first?.provider
        #expect(provider?.timeouts.connect == .seconds(1))
        #expect(provider?.timeouts.total == .seconds(3600))
        #expect(
            loaded.problems.map(\.description) == [
                "gateway.yaml:4:79: warning: certificates of endpoints are not verified"
            ])
    }

    @Test("a pool that discovers its models needs none")
    func discovery() {
        let loaded = load("pools: [{name: a, endpoints: [http://h:1], discoverModels: true}]\n")
        #expect(loaded.problems == [])
        #expect(loaded.configuration?.pools.first?.discoverModels == true)
    }

    @Test("certificates are read beside the file, which lists them to be watched")
    func certificates() {
        let text =
            "listeners:\n  - tls: {certificates: [{certificate: a.pem, key: /k/a.key}], minimumVersion: 1.3}\n"
            + minimal
        let first = load(text, files: ["/etc/a.pem": chainPEM, "/k/a.key": keyPEM], file: "/etc/gateway.yaml")
        #expect(first.problems == [])
        #expect(first.files == ["/etc/a.pem", "/k/a.key"])
        #expect(first.configuration?.listeners.first?.tls?.minimumVersion == .v13)
        #expect(first.configuration?.listeners.first?.tls?.certificates.first?.chain.path == "/etc/a.pem")
        let renewed = load(text, files: ["/etc/a.pem": chainPEM + "\n", "/k/a.key": keyPEM], file: "/etc/gateway.yaml")
        #expect(first.configuration != renewed.configuration)
    }

    @Test("admin and empty sections")
    func sections() {
        #expect(load(minimal + "admin: off\n").configuration?.adminAddress == nil)
        #expect(
            load(minimal + "admin: {address: \"0.0.0.0:9\"}\n").configuration?.adminAddress
                == ListenAddress(host: "0.0.0.0", port: 9))
        #expect(load(minimal + "admin:\nlimits:\nlisteners:\nproviders: ~\n").problems == [])
    }

    @Test("a file that is not there")
    func missing() {
        let loaded = Configuration.load(file: "gone.yaml", in: surroundings())
        #expect(loaded.configuration == nil)
        #expect(loaded.problems.map(\.description) == ["gone.yaml: error: cannot read it: No such file or directory"])
    }

    @Test("engines on the command line are a pool that discovers its models")
    func engines() throws {
        let engine = try EndpointAddress(parsing: "http://127.0.0.1:8000/v1")
        let configuration = Configuration.forEngines([engine, engine], listen: ListenAddress(host: "", port: 80))
        #expect(configuration.pools.map(\.endpoints) == [[Configuration.Endpoint(address: engine)]])
        #expect(configuration.pools.first?.discoverModels == true)
        #expect(configuration.listeners.map(\.address.description) == [":80"])
        #expect(configuration.adminAddress == ListenAddress(host: "127.0.0.1", port: 4001))
    }

    @Test(
        "durations",
        arguments: [
            ("0", Duration.zero), ("0s", .zero), ("250ms", .milliseconds(250)), ("30s", .seconds(30)),
            ("5m", .seconds(300)),
            ("1h", .seconds(3600)), ("10000h", .seconds(36_000_000)), ("10001h", nil), ("1", nil), ("", nil),
            ("s", nil),
            ("-1s", nil), ("+1s", nil), ("1.5s", nil), ("1 s", nil), ("1S", nil), ("1us", nil), ("1s ", nil),
            ("٣s", nil),
        ] as [(String, Duration?)])
    func durations(_ text: String, _ value: Duration?) {
        #expect(duration(text) == value)
        if let value { #expect(duration(durationText(value)) == value) }
    }

    @Test(
        "sizes",
        arguments: [
            ("0", 0), ("1", 1), ("16KiB", 16 << 10), ("32MiB", 32 << 20), ("1GiB", 1 << 30), ("4294967296GiB", 1 << 62),
            ("4294967297GiB", nil), ("1KB", nil), ("1K", nil), ("1kib", nil), ("", nil), ("KiB", nil), ("-1", nil),
            ("1 KiB", nil),
        ] as [(String, Int?)])
    func sizes(_ text: String, _ value: Int?) {
        #expect(byteSize(text) == value)
        if let value { #expect(byteSize(byteSizeText(value)) == value) }
    }
}
