@testable import Config

/// A world with these variables and files and no others.
func surroundings(
    _ variables: [String: String] = [:], files: [String: String] = [:]
) -> ConfigurationSurroundings {
    ConfigurationSurroundings(
        environment: { variables[$0] },
        readFile: { path throws(FileReadError) in
            guard let text = files[path] else { throw FileReadError(reason: "No such file or directory") }
            return Array(text.utf8)
        })
}

/// What loading `text` as `gateway.yaml` gives.
func load(
    _ text: String, _ variables: [String: String] = [:], files: [String: String] = [:], file: String = "gateway.yaml"
) -> ConfigurationLoad {
    Configuration.load(text: Array(text.utf8), file: file, in: surroundings(variables, files: files))
}

/// The shortest useful file.
let minimal = """
    models:
      - name: llama
        endpoints: [http://10.0.0.1:8000]

    """

let chainPEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
let keyPEM = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"
