import Config

/// Any bytes as `gateway.yaml`: never a crash, every problem with a place that can be shown, a secret never shown, and
/// a configuration exactly when no problem is an error.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzConfig(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let text = Array(UnsafeBufferPointer(start: bytes, count: count))
    let secret = Array("geheim-4711-----BEGIN CERTIFICATE----------BEGIN PRIVATE KEY-----\n".utf8)
    let surroundings = ConfigurationSurroundings(
        environment: { name in name.hasPrefix("E") ? "value" : nil },
        readFile: { path throws(FileReadError) in
            guard !path.hasSuffix("x") else { throw FileReadError(reason: "No such file or directory") }
            return path.hasSuffix("y") ? secret + secret : secret
        })
    let loaded = Configuration.load(text: text, file: "etc/gateway.yaml", in: surroundings)
    precondition((loaded.configuration == nil) == loaded.problems.hasErrors, "errors and a configuration, or neither")
    for problem in loaded.problems {
        let shown = problem.rendered()
        precondition(!shown.contains("geheim-4711"), "a secret in a message")
        if let position = problem.position {
            precondition(position.line > 0 && position.column > 0, "a place before the start")
        }
    }
    if let configuration = loaded.configuration {
        precondition(ConfigurationDifference(from: configuration, to: configuration).isEmpty, "different from itself")
    }
    return 0
}
