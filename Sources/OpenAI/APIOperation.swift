/// What the API can be asked to do.
package enum APIOperation: UInt8, Sendable, CaseIterable {
    case chatCompletions, completions, embeddings, responses, messages, countTokens, rerank, score
    case tokenize, detokenize, moderations, audioTranscriptions, audioTranslations, speech, images
    /// Any other JSON below `/v1/` that names its model.
    case generic
    case modelsList, modelGet
    case health, healthLive, healthReady

    /// The value of the label `operation`: a bounded set.
    package var label: StaticString {
        switch self {
        case .chatCompletions: "chat_completions"
        case .completions: "completions"
        case .embeddings: "embeddings"
        case .responses: "responses"
        case .messages: "messages"
        case .countTokens: "count_tokens"
        case .rerank: "rerank"
        case .score: "score"
        case .tokenize: "tokenize"
        case .detokenize: "detokenize"
        case .moderations: "moderations"
        case .audioTranscriptions: "audio_transcriptions"
        case .audioTranslations: "audio_translations"
        case .speech: "speech"
        case .images: "images"
        case .generic: "generic"
        case .modelsList: "models_list"
        case .modelGet: "model_get"
        case .health: "health"
        case .healthLive: "health_live"
        case .healthReady: "health_ready"
        }
    }

    /// Shape of errors.
    package var dialect: APIDialect {
        switch self {
        case .messages, .countTokens: .anthropic
        default: .openai
        }
    }

    /// Whether it is forwarded to an engine; Penstock answers the others.
    package var isForwarded: Bool {
        switch self {
        case .modelsList, .modelGet, .health, .healthLive, .healthReady: false
        default: true
        }
    }

    /// Whether the request must name a model. Where it need not, the only or the default model is meant.
    package var needsModel: Bool {
        switch self {
        case .moderations, .images, .tokenize, .detokenize: false
        default: isForwarded
        }
    }

    /// Bodies the operation takes.
    package var body: BodyKind {
        switch self {
        case .audioTranscriptions, .audioTranslations: .multipart
        case .images: .jsonOrMultipart
        default: isForwarded ? .json : .none
        }
    }

    /// Whether a good answer is JSON, or events of it, and nothing else.
    package var answersJSON: Bool {
        switch self {
        case .chatCompletions, .completions, .messages, .responses, .embeddings: true
        default: false
        }
    }

    /// What a request body may be.
    package enum BodyKind: Sendable { case none, json, multipart, jsonOrMultipart }

    /// The dialect of its event streams.
    package var events: EventDialect {
        switch self {
        case .chatCompletions, .completions: .completions
        case .messages: .messages
        case .responses: .responses
        default: .other
        }
    }
}
