internal import Bytes

/// Which software answers behind an endpoint, where that makes a difference.
package enum EngineKind: UInt8, Sendable, CaseIterable {
    case vllm, sglang, llamacpp, tgi, ollama, openai, anthropic, other

    /// The kind that `owned_by` in an answer to `GET /v1/models` tells of; `.other` if it tells of none.
    ///
    /// TGI writes the model's name there and cannot be told; Ollama writes `library` for the models of its own.
    package init(ownedBy owner: Span<UInt8>) {
        if bytesEqual(owner, "vllm") {
            self = .vllm
        } else if bytesEqual(owner, "sglang") {
            self = .sglang
        } else if bytesEqual(owner, "llamacpp") {
            self = .llamacpp
        } else if bytesEqual(owner, "library") {
            self = .ollama
        } else if bytesEqual(owner, "openai") || bytesBegin(owner, with: "openai-") || bytesEqual(owner, "system") {
            self = .openai
        } else if bytesEqual(owner, "anthropic") {
            self = .anthropic
        } else {
            self = .other
        }
    }

    /// The value of a label, and of `engine` in the configuration.
    package var label: StaticString {
        switch self {
        case .vllm: "vllm"
        case .sglang: "sglang"
        case .llamacpp: "llamacpp"
        case .tgi: "tgi"
        case .ollama: "ollama"
        case .openai: "openai"
        case .anthropic: "anthropic"
        case .other: "other"
        }
    }

    /// Whether it is known to go on with a text that another engine began.
    ///
    /// Any engine goes on with a prompt; with an assistant's message those do that open the last one again.
    package func supportsContinuation(of operation: APIOperation) -> Bool {
        switch self {
        case .vllm, .sglang, .llamacpp, .tgi, .ollama: operation == .chatCompletions || operation == .completions
        case .openai, .other: operation == .completions
        case .anthropic: false
        }
    }

    /// Whether it is told with `continue_final_message` that the last message is open.
    ///
    /// llama.cpp goes on without, too, but then sends the whole message again, what it was given included (measured).
    /// Builds that do not know the member go on and do not repeat. Ollama and TGI take any open last message.
    internal var takesContinuationFlags: Bool {
        switch self {
        case .vllm, .sglang, .llamacpp, .tgi: true
        case .ollama, .openai, .anthropic, .other: false
        }
    }

    /// Whether an assistant's message that comes last is opened again although nobody asked for it.
    internal var opensLastMessage: Bool {
        switch self {
        case .llamacpp, .tgi, .ollama: true
        case .vllm, .sglang, .openai, .anthropic, .other: false
        }
    }

    /// Tokens of a completion whose request has no limit; `nil` if there is none or it is not known.
    internal var defaultCompletionLimit: Int? {
        switch self {
        case .vllm, .sglang, .openai: 16
        case .llamacpp, .tgi, .ollama, .anthropic, .other: nil
        }
    }
}
