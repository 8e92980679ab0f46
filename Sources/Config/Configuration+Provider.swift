extension Configuration {
    /// An upstream API with its credentials. An item of `providers` in the file.
    package struct Provider: Sendable, Equatable {
        package var name = "default"
        /// What its endpoints are. Default `auto`: found out from what they say of themselves.
        package var engine = Engine.auto
        /// Sent with every request; `nil`: none. Default `nil`.
        package var apiKey: Secret?
        /// The field the key is sent in. Default `authorization`, where `Bearer` stands before it.
        package var apiKeyHeader = APIKeyHeader.authorization
        /// Put before every request path, after the endpoint's own prefix: empty, or `/…` without slash at its end.
        package var pathPrefix = ""
        /// Set on every request in place of what the client sent. Names in lower case.
        package var headers: [Header] = []
        /// Whether the client's credential fields reach the endpoint. Default `auto`.
        package var forwardClientCredentials = CredentialForwarding.auto
        /// What is spoken to endpoints that do not say themselves. Default `auto`.
        package var httpProtocol = UpstreamProtocol.auto
        /// For https endpoints.
        package var tls = ClientTLS()
        package var timeouts = ProviderTimeouts()
        package var connections = ConnectionLimits()
        /// Whether engines are asked to report usage in streams. Default `auto`.
        package var includeUsage = UsageReporting.auto

        package init(name: String = "default") { self.name = name }

        /// What answers behind an endpoint: it decides which extensions of the API may be used.
        package enum Engine: String, Sendable, CaseIterable {
            case auto, vllm, sglang, llamacpp, tgi, ollama, openai, anthropic, other
        }
    }

    /// Which field carries a provider's key.
    package enum APIKeyHeader: String, Sendable, CaseIterable {
        case authorization
        case xAPIKey = "x-api-key"
        case apiKey = "api-key"
    }

    /// Whether clients' credentials pass. `auto`: only without a provider key, while the gateway knows no keys itself.
    package enum CredentialForwarding: String, Sendable, CaseIterable { case auto, always, never }

    /// Whether streams are asked for usage. `auto`: where the endpoint's API has it and has not refused it;
    /// what the client did not ask for is stripped again.
    package enum UsageReporting: String, Sendable, CaseIterable { case auto, always, never }

    /// A field set on upstream requests.
    package struct Header: Sendable, Equatable {
        /// In lower case.
        package var name: String
        package var value: Secret

        package init(name: String, value: Secret) {
            self.name = name
            self.value = value
        }
    }

    /// TLS towards endpoints. `providers[].tls` in the file.
    package struct ClientTLS: Sendable, Equatable {
        /// Who may have issued the endpoint's certificate, as PEM; `nil`: the system's authorities. Default `nil`.
        package var authorities: PEMFile?
        /// The name in SNI and certificate; `nil`: the endpoint's host. Default `nil`.
        package var serverName: String?
        /// Whether the certificate is verified. Default `true`.
        package var verifiesPeer = true
        /// Shown to endpoints that ask. Default none.
        package var certificate: Certificate?

        package init() {}
    }

    /// How long an endpoint may take. `providers[].timeouts` in the file. `nil` is `off`.
    package struct ProviderTimeouts: Sendable, Equatable {
        /// One TCP connection attempt. 10ms...10m, default 5s.
        package var connect = Duration.seconds(5)
        /// One TLS handshake. 10ms...10m, default 5s.
        package var tlsHandshake = Duration.seconds(5)
        /// From the request's last byte to the response's first. 10ms...24h or off, default 10m.
        ///
        /// A response that is not streamed has its first byte when all is generated; official SDKs wait 10 minutes.
        package var firstByte: Duration? = .seconds(600)
        /// Between two reads of a response. 10ms...24h or off, default 2m.
        package var idle: Duration? = .seconds(120)
        /// A whole attempt. 10ms...24h or off, default off.
        package var total: Duration?

        package init() {}
    }

    /// Connections to each endpoint. `providers[].connections` in the file.
    package struct ConnectionLimits: Sendable, Equatable {
        /// Connections to one endpoint, of the whole process. 1...65536, default 1024.
        package var maxPerEndpoint = 1024
        /// Requests that wait for a connection to one endpoint. 0...65536, default 1024. Beyond: 503.
        package var maxPending = 1024
        /// How long an unused connection is kept. 0 (not at all)...1h, default 4s.
        ///
        /// uvicorn (vLLM, SGLang) and llama.cpp close after 5 s: we must be the one who closes first.
        package var idleTimeout = Duration.seconds(4)
        /// Streams on one HTTP/2 connection, if the endpoint allows as many. 1...10000, default 100.
        package var maxStreams = 100

        package init() {}
    }
}
