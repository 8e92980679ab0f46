// swift-tools-version: 6.2
// Fuzz targets. A package of their own, so that the product is never built with instrumentation. The rooms are symbolic
// links to ../Sources: one package, so `package` access holds. A new target: a folder Sources/Fuzz<Name> with a
// file like the others', a line below, and seeds in corpus/<name>. Run with ./run <name> [seconds].
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableExperimentalFeature("Lifetimes"),
]

/// A room of ../Sources.
func room(_ name: String, uses: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: uses + (name == "Bytes" ? [] : ["Bytes"]), swiftSettings: settings)
}

/// A fuzz target over some rooms.
func fuzz(_ name: String, uses: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: uses + ["Bytes"], swiftSettings: settings)
}

let package = Package(
    name: "fuzz",
    targets: [
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1"),
        room("Bytes"),
        room("Topology"),
        room("HTTP"),
        room("OpenAI"),
        room("Config", uses: ["Topology", "CYAML"]),
        fuzz("FuzzBody", uses: ["OpenAI"]),
        fuzz("FuzzSSE", uses: ["OpenAI"]),
        fuzz("FuzzMultipart", uses: ["OpenAI"]),
        fuzz("FuzzConfig", uses: ["Config"]),
        fuzz("FuzzHTTP1", uses: ["HTTP"]),
    ]
)
