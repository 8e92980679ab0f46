package import Bytes

/// Why a request body cannot be served. Each becomes a 400 in OpenAI's words: `APIError.init(_: BodyError)`.
package enum BodyError: Error, Equatable, Sendable {
    /// Not JSON; what is wrong, and where.
    case notJSON(JSONError)
    /// JSON, but no object.
    case notAnObject
    /// A member that Penstock acts on stands twice: engines would take one, routing the other.
    case duplicateKey(StaticName)
    /// No model, or `null`.
    case missingModel
    /// The model is no string.
    case modelIsNoString
    /// The model is an empty string, is not text, or has control characters.
    case invalidModel
    /// The model is longer than `RequestFacts.modelLimit` bytes.
    case modelTooLong
    /// A member has the wrong type.
    case wrongType(StaticName, expected: StaticName)
    /// Not multipart, or multipart that could be read in two ways.
    case malformedMultipart(StaticName)

    /// A literal that can be compared.
    package struct StaticName: Equatable, Sendable, ExpressibleByStringLiteral {
        /// The literal.
        package let text: StaticString

        package init(stringLiteral text: StaticString) { self.text = text }

        package static func == (left: StaticName, right: StaticName) -> Bool {
            left.text.description == right.text.description
        }
    }

    /// The member at fault, as `error.param` names it.
    package var param: String? {
        switch self {
        case .notJSON, .notAnObject, .malformedMultipart: nil
        case .missingModel, .modelIsNoString, .invalidModel, .modelTooLong: "model"
        case .duplicateKey(let name), .wrongType(let name, _): name.text.description
        }
    }

    /// `error.code`.
    package var code: String? {
        switch self {
        case .notJSON, .notAnObject, .malformedMultipart: nil
        case .missingModel: "missing_required_parameter"
        case .modelIsNoString, .wrongType: "invalid_type"
        case .invalidModel, .modelTooLong: "invalid_value"
        case .duplicateKey: "duplicate_parameter"
        }
    }

    /// What the client reads.
    package var message: String {
        switch self {
        case .notJSON(let error): BodyError.message(error)
        case .notAnObject: "The body of your request must be a JSON object."
        case .duplicateKey(let name): "Duplicate parameter: '\(name.text)' is given more than once."
        case .missingModel: "Missing required parameter: 'model'."
        case .modelIsNoString: "Invalid type for 'model': expected a string."
        case .invalidModel: "Invalid value for 'model': expected a non-empty string of text."
        case .modelTooLong: "Invalid value for 'model': longer than \(RequestFacts.modelLimit) bytes."
        case .wrongType(let name, let expected): "Invalid type for '\(name.text)': expected \(expected.text)."
        case .malformedMultipart(let problem): "We could not parse the multipart body of your request: \(problem.text)."
        }
    }

    private static func message(_ error: JSONError) -> String {
        let problem =
            switch error.kind {
            case .unexpectedEnd: "it ends inside a value"
            case .unexpectedByte, .wrongKind: "unexpected character"
            case .trailingBytes: "something follows the JSON value"
            case .tooDeep: "more than \(JSONLimits.depth) levels of nesting"
            case .invalidUTF8: "invalid UTF-8"
            case .invalidEscape: "invalid escape in a string"
            case .controlCharacter: "unescaped control character in a string"
            case .invalidNumber: "invalid number"
            case .numberTooLarge: "number too large"
            }
        return "We could not parse the JSON body of your request: \(problem) at byte \(error.offset)."
    }
}
