@testable import Config
import Glibc
import Testing

/// The example file and the reference page say what the code does.
@Suite struct DocumentTests {
    private let example: String
    private let page: String
    private let loaded: ConfigurationLoad

    init() throws {
        let root = String(#filePath.dropLast("/Tests/ConfigTests/DocumentTests.swift".count))
        example = String(decoding: try readFile(root + "/gateway.yaml.example"), as: UTF8.self)
        page = String(decoding: try readFile(root + "/docs/configuration.md"), as: UTF8.self)
        var files: [String: String] = [:]
        for name in ["chain", "clients", "engines-ca", "client"] { files["tls/\(name).pem"] = chainPEM }
        for name in ["key", "client-key"] { files["tls/\(name).pem"] = keyPEM }
        loaded = load(example, ["ENGINE_KEY": "sk-test"], files: files)
    }

    @Test("the example loads without a problem")
    func exampleLoads() {
        #expect(loaded.problems.map(\.description) == [])
        #expect(loaded.configuration != nil)
    }

    @Test("the example shows the defaults of the code")
    func exampleShowsDefaults() throws {
        let configuration = try #require(loaded.configuration)
        let defaults = Configuration()
        #expect(configuration.listeners.first == defaults.listeners.first)
        #expect(configuration.listeners.last?.limits == Configuration.Limits())
        #expect(configuration.listeners.last?.tls?.minimumVersion == .v12)
        #expect(configuration.listeners.last?.tls?.clientCertificates?.isRequired == true)
        #expect(configuration.adminAddress == defaults.adminAddress)
        #expect(configuration.workers == defaults.workers)
        #expect(configuration.logging == defaults.logging)
        #expect(configuration.metrics == defaults.metrics)
        #expect(configuration.shutdown == defaults.shutdown)
        let pool = try #require(configuration.pool(named: "llama"))
        var defaultPool = Configuration.Pool(name: "llama", endpoints: pool.endpoints)
        defaultPool.upstreamModel = pool.upstreamModel
        defaultPool.provider = pool.provider
        #expect(pool == defaultPool)
        #expect(configuration.models.last?.priority == Configuration.Model(name: "m", pool: "p").priority)
        // What has no default is an example there.
        var provider = pool.provider
        #expect(provider.apiKey?.revealed == Array("sk-test".utf8))
        provider.apiKey = nil
        provider.pathPrefix = ""
        provider.headers = []
        provider.tls.authorities = nil
        provider.tls.serverName = nil
        provider.tls.certificate = nil
        #expect(provider == Configuration.Provider(name: "local"))
    }

    @Test("the example shows every key the code knows")
    func exampleIsComplete() throws {
        let shown = Set(scalars(of: try #require(YAMLReader.read(Array(example.utf8)).root)).keys)
        let missing = loaded.knownKeys.filter { !isInherited($0) && !shown.contains($0) }
        // They stand for any field name.
        #expect(missing == ["providers[].headers.*", "models[].routes[].match.headers.*"])
    }

    @Test("the page describes the keys the code knows, and no others")
    func pageIsComplete() {
        let known = loaded.knownKeys.filter { !isInherited($0) }
        #expect(Set(rows().keys).subtracting(known) == [])
        #expect(known.subtracting(rows().keys) == [])
    }

    @Test("the page gives the defaults that the example shows")
    func pageShowsDefaults() throws {
        let shown = scalars(of: try #require(YAMLReader.read(Array(example.utf8)).root))
        for (key, fallback) in rows() {
            if let fallback { #expect(shown[key]?.first == fallback, "\(key)") }
        }
        #expect(rows().values.filter { $0 != nil }.count > 30)
    }

    /// Whether a key is described where it comes from.
    private func isInherited(_ key: String) -> Bool {
        if key.hasPrefix("listeners[].limits.") || key.hasPrefix("models[].routes[].tiers[].") { return true }
        // A model with endpoints takes the keys of a pool.
        let described = ["endpoints", "provider", "upstreamModel"]
        guard key.hasPrefix("models[]."), let part = key.split(separator: ".").dropFirst().first else { return false }
        return Configuration.Pool.keys.contains { $0 == part && !described.contains($0) }
    }

    /// The keys in the tables of the page, with their defaults.
    private func rows() -> [String: String?] {
        var found: [String: String?] = [:]
        var section: String?
        for line in page.split(separator: "\n") {
            if line.hasPrefix("## ") {
                section =
                    line == "## Top level" ? "" : line.hasPrefix("## `") ? String(line.dropFirst(4).dropLast()) : nil
            }
            guard let section, line.hasPrefix("| `") else { continue }
            let cells = line.split(separator: "|", omittingEmptySubsequences: false).map {
                $0.filter { $0 != "`" && $0 != " " }
            }
            found[section.isEmpty ? cells[1] : "\(section).\(cells[1])"] = .some(cells[2].isEmpty ? nil : cells[2])
        }
        return found
    }

    /// Every key of a document, as `models[].name`, with the scalars it has.
    private func scalars(of node: YAMLNode, path: String = "") -> [String: [String]] {
        var found: [String: [String]] = [:]
        switch node.content {
        case .scalar(let text, _): found[path] = [text]
        case .sequence(let items):
            let texts = items.compactMap { item -> String? in
                guard case .scalar(let text, _) = item.content else { return nil }
                return text
            }
            found[path] = texts.count == items.count ? ["[" + texts.joined(separator: ",") + "]"] : []
            for item in items { found.merge(scalars(of: item, path: path + "[]")) { $0 + $1 } }
        case .mapping(let entries):
            if !path.isEmpty { found[path] = [] }
            for entry in entries {
                let key = path.isEmpty ? entry.key : "\(path).\(entry.key)"
                found.merge(scalars(of: entry.value, path: key)) { $0 + $1 }
            }
        }
        return found
    }
}
