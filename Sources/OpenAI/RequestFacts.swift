internal import Bytes

/// Where the model of a request is named.
package enum ModelSource: Sendable, Equatable {
    /// In the body, and it must be there.
    case body
    /// In the body, if at all.
    case bodyIfAny
    /// In the path; the body may name one too, and it is replaced.
    case path
}

/// What Penstock reads of a JSON request body: where some top-level members lie, and what a few of them say.
///
/// Ranges are places in the body that was inspected. Made to be reused; allocates only for a model name with escapes.
package struct RequestFacts: Sendable, Equatable {
    /// Bytes of the longest model name.
    package static let modelLimit = 256

    /// `stream_options`.
    package enum StreamOptions: Sendable, Equatable {
        case absent
        /// `null`, and where it stands.
        case null(Range<Int>)
        /// An object: index behind its `{`, whether it has no members, and where the value of `include_usage` stands.
        case object(contentStart: Int, isEmpty: Bool, includeUsage: Range<Int>?)
    }

    /// Index behind the `{` of the body: members can be inserted here.
    package internal(set) var contentStart = 0
    /// Whether the object has no members.
    package internal(set) var isEmpty = true
    /// Where the value of `model` stands, quotes included; also if it is `null` where that is allowed.
    package internal(set) var modelValue: Range<Int>?
    /// The bytes of `model` without quotes; `nil` if it is absent or `null`.
    package internal(set) var modelContent: Range<Int>?
    /// The model with its escapes resolved, if it has any; else empty.
    package internal(set) var decodedModel: [UInt8] = []
    /// `stream`.
    package internal(set) var isStreaming = false
    /// `stream_options`.
    package internal(set) var streamOptions = StreamOptions.absent
    /// Whether the client asked for `stream_options.include_usage`.
    package internal(set) var wantsUsage = false
    /// `max_completion_tokens`, `max_output_tokens` or `max_tokens`, whichever of them comes first in this list.
    package internal(set) var maxTokens: Int?
    /// `n`: how many answers are asked for.
    package internal(set) var choices: Int?
    /// The bytes of `user` as they stand between the quotes.
    package internal(set) var user: Range<Int>?
    /// The bytes of `safety_identifier` as they stand between the quotes.
    package internal(set) var safetyIdentifier: Range<Int>?

    /// The bytes of `prompt_cache_key` as they stand between the quotes.
    package internal(set) var promptCacheKey: Range<Int>?

    /// No facts yet.
    package init() {}

    /// Whether a model is named.
    package var hasModel: Bool { modelContent != nil }

    /// The name of the model, escapes resolved; empty if there is none.
    ///
    /// - Parameter body: The body these facts are of.
    @_lifetime(borrow self, copy body)
    package func model(in body: Span<UInt8>) -> Span<UInt8> {
        if !decodedModel.isEmpty { return decodedModel.span }
        guard let modelContent else { return Span() }
        return body.extracting(modelContent)
    }
}
