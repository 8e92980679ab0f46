// swift-tools-version: 6.2
// The architecture: each line is a room and what it may import. The table with the reasons is docs/architecture.md.
import PackageDescription

/// What every room is compiled with.
let houseSettings: [SwiftSetting] = [
    // Saves a third of the data path's user time; debug builds, and so the tests, still check (docs/decisions/0004).
    .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release)),
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    // Lets `Bytes` hand out spans of its own storage; the consumers stay ordinary Swift.
    .enableExperimentalFeature("Lifetimes"),
]

/// A room that touches C or raw memory: small, reviewed line by line.
func unsafeRoom(_ name: String, uses: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: uses + (name == "Bytes" ? [] : ["Bytes"]), swiftSettings: houseSettings)
}

/// A room in which unsafe Swift is an error.
func room(_ name: String, uses: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: uses + ["Bytes"], swiftSettings: houseSettings + [.strictMemorySafety()])
}

/// The tests of a room.
func tests(_ name: String, uses: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: uses + ["Bytes"], swiftSettings: houseSettings)
}

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "penstock",
    products: [.executable(name: "penstock", targets: ["penstock"])],
    dependencies: [.package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")],
    targets: [
        .systemLibrary(name: "CNghttp2", pkgConfig: "libnghttp2", providers: [.apt(["libnghttp2-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        .target(name: "CLinux"),

        unsafeRoom("Bytes"),
        room("Telemetry"),
        room("Topology"),
        unsafeRoom("Reactor", uses: ["CLinux"]),
        unsafeRoom("TLS", uses: ["COpenSSL"]),
        room("HTTP"),
        unsafeRoom("HTTP2", uses: ["HTTP", "CNghttp2"]),
        room("OpenAI"),
        unsafeRoom("Config", uses: ["Topology", "CYAML"]),
        room("Limits"),
        room("Health"),
        room("Routing", uses: ["Topology", "Health"]),
        unsafeRoom("Transport", uses: ["Reactor", "TLS", "HTTP", "HTTP2", "Telemetry"]),
        room("EngineSimulator", uses: ["Transport", "Reactor", "HTTP", "OpenAI", "Telemetry"]),
        room(
            "Gateway",
            uses: [
                "Transport", "Reactor", "TLS", "HTTP", "HTTP2", "OpenAI", "Config", "Topology", "Limits", "Health",
                "Routing", "Telemetry",
            ]),
        .executableTarget(
            name: "penstock",
            dependencies: ["Gateway", "EngineSimulator", "Config", "Topology", "Telemetry", "Reactor", argumentParser],
            swiftSettings: houseSettings),

        tests("BytesTests", uses: []),
        tests("TelemetryTests", uses: ["Telemetry"]),
        tests("TopologyTests", uses: ["Topology"]),
        tests("ReactorTests", uses: ["Reactor", "CLinux"]),
        tests("TLSTests", uses: ["TLS", "COpenSSL"]),
        tests("HTTPTests", uses: ["HTTP"]),
        tests("HTTP2Tests", uses: ["HTTP2", "HTTP", "CNghttp2"]),
        tests("OpenAITests", uses: ["OpenAI"]),
        tests("ConfigTests", uses: ["Config", "Topology"]),
        tests("LimitsTests", uses: ["Limits"]),
        tests("HealthTests", uses: ["Health"]),
        tests("RoutingTests", uses: ["Routing", "Topology", "Health"]),
        tests(
            "TransportTests", uses: ["CLinux", "COpenSSL", "Transport", "Reactor", "TLS", "HTTP", "HTTP2", "Telemetry"]),
        tests(
            "EngineSimulatorTests",
            uses: ["EngineSimulator", "Transport", "Reactor", "HTTP", "HTTP2", "OpenAI", "Telemetry"]),
        tests(
            "GatewayTests",
            uses: [
                "CLinux", "Gateway", "Config", "Telemetry", "Topology", "Transport", "Reactor", "HTTP", "HTTP2",
                "OpenAI", "TLS", "COpenSSL", "Limits", "Health", "Routing",
            ]),
    ]
)
