extension Configuration {
    /// An address we accept on, and what holds for its connections. An item of `listeners` in the file.
    package struct Listener: Sendable, Equatable {
        /// Default `127.0.0.1:4000`.
        package var address = ListenAddress(host: "127.0.0.1", port: 4000)
        /// Whether HTTP/1.1 is spoken. Default `true`.
        package var http1 = true
        /// Whether HTTP/2 is spoken: by ALPN on TLS, by its preface on plain connections. Default `true`.
        package var http2 = true
        /// `nil`: plain. Default `nil`.
        package var tls: ServerTLS?
        /// The file's `limits`, overridden by the listener's own.
        package var limits = Limits()

        package init(address: ListenAddress = ListenAddress(host: "127.0.0.1", port: 4000)) {
            self.address = address
        }
    }

    /// TLS towards clients. `listeners[].tls` in the file.
    package struct ServerTLS: Sendable, Equatable {
        /// At least one. Chosen by the names in the certificates; the first serves unknown names.
        package var certificates: [Certificate]
        /// Default 1.2.
        package var minimumVersion = Version.v12
        /// Whether clients show certificates, too. Default no.
        package var clientCertificates: ClientCertificates?

        package init(certificates: [Certificate]) { self.certificates = certificates }

        /// The oldest TLS spoken.
        package enum Version: String, Sendable, CaseIterable {
            case v12 = "1.2"
            case v13 = "1.3"
        }
    }

    /// A certificate chain with its key.
    package struct Certificate: Sendable, Equatable {
        /// The chain as PEM, leaf first.
        package var chain: PEMFile
        /// The private key as PEM.
        package var key: PEMFile

        package init(chain: PEMFile, key: PEMFile) {
            self.chain = chain
            self.key = key
        }
    }

    /// Which certificates clients may show.
    package struct ClientCertificates: Sendable, Equatable {
        /// Who may have issued them, as PEM.
        package var authorities: PEMFile
        /// Whether a client without one is refused. Default `true`.
        package var isRequired = true

        package init(authorities: PEMFile) { self.authorities = authorities }
    }

    /// A PEM file as it was when the configuration was loaded, so that a renewed file makes a different configuration.
    package struct PEMFile: Sendable, Equatable {
        /// Absolute, or relative to the working directory.
        package var path: String
        /// What it holds.
        package var contents: Secret

        package init(path: String, contents: Secret) {
            self.path = path
            self.contents = contents
        }
    }

    /// Bounds on what a client may ask for or hold. `limits` and `listeners[].limits` in the file.
    package struct Limits: Sendable, Equatable {
        /// All fields of one head together, names and values. 1KiB...1MiB, default 32KiB. Beyond: 431.
        package var headerBytes = 32 << 10
        /// Fields of one head. 8...1000, default 100. Beyond: 431.
        package var headerCount = 100
        /// Method, target and version together. 256...64KiB, default 8KiB. Beyond: 414.
        package var requestLineBytes = 8 << 10
        /// One request body. 1KiB...4GiB, default 32MiB. Beyond: 413.
        package var bodyBytes = 32 << 20
        /// Open streams of one HTTP/2 connection. 1...10000, default 100.
        package var concurrentStreams = 100
        /// Open connections of one listener. 1...1000000, default 10000. Beyond: accepting pauses.
        package var connections = 10_000
        package var timeouts = Timeouts()

        package init() {}
    }

    /// How long a client may take. `limits.timeouts` in the file. `nil` is `off`.
    package struct Timeouts: Sendable, Equatable {
        /// A connection without an exchange. 1s...24h or off, default 75s.
        package var idle: Duration? = .seconds(75)
        /// From accept to the end of the TLS handshake. 100ms...10m, default 10s.
        package var tlsHandshake = Duration.seconds(10)
        /// From the first byte of a head, or from accept, to its last. 100ms...10m, default 10s.
        package var header = Duration.seconds(10)
        /// Between two reads of a body. 100ms...1h or off, default 15s.
        package var bodyIdle: Duration? = .seconds(15)
        /// A whole body. 1s...24h or off, default 60s.
        package var body: Duration? = .seconds(60)
        /// A response that cannot be written because the client does not read. 100ms...24h or off, default 30s.
        package var write: Duration? = .seconds(30)

        package init() {}
    }
}
