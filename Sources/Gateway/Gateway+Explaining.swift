package import Config
internal import OpenAI
internal import Reactor
internal import TLS

/// Why there is no explanation: what a client would be told, or what is wrong with the configuration.
package struct ExplainError: Error, CustomStringConvertible {
    package let description: String
}

extension Gateway {
    /// Explains where a request would go with a configuration that does not run: no endpoint has been heard of.
    ///
    /// - Parameter asText: As tables for a terminal, else as JSON.
    package static func explain(
        _ question: ExplainQuestion, with configuration: Configuration, asText: Bool
    ) throws(ExplainError) -> String {
        let now = monotonicNanos()
        let state: GatewayState
        do throws(TLSConfigurationError) {
            state = try GatewayState.make(
                configuration, discovered: [:], previous: nil, generation: 1, created: 0, at: now)
        } catch {
            throw ExplainError(description: error.description)
        }
        state.takeForce()
        do throws(APIError) {
            let explanation = try RequestExplanation(question, in: state, seed: 0, at: now)
            return String(decoding: asText ? explanation.text : explanation.json, as: UTF8.self)
        } catch {
            var message = error.message
            if error.kind == .unknownModel, configuration.pools.contains(where: \.discoverModels) {
                message += " Models that are found at engines are known to a running gateway only: ask it by --admin."
            }
            throw ExplainError(description: message)
        }
    }
}
