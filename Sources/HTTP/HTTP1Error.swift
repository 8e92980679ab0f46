/// Why a message of HTTP/1 is refused. After any of these the connection cannot be trusted and is closed.
package enum HTTP1Error: Error, Equatable, Sendable {
    /// A control character, a line feed without carriage return, or a carriage return without line feed.
    case controlCharacter
    case malformedRequestLine
    case requestLineTooLong
    case unknownMethod
    case malformedTarget
    case unsupportedVersion
    case headTooLarge
    case tooManyFields
    case malformedFieldName
    case malformedFieldValue
    case foldedField
    case missingHost
    case repeatedHost
    case malformedHost
    case malformedContentLength
    case repeatedContentLength
    case malformedTransferEncoding
    case unsupportedTransferEncoding
    case ambiguousFraming
    case malformedConnection
    case unsupportedExpectation
    case malformedChunk
    case chunkTooLarge
    case chunkExtensionTooLong
    case malformedTrailer
    case trailersTooLarge
    /// The first line of a response.
    case malformedStatusLine
    /// A response with status 101: nothing here asks for another protocol.
    case switchingProtocols

    /// The status that answers a request with this fault. For a response the fault is the backend's: 502.
    package var status: Int {
        switch self {
        case .requestLineTooLong: 414
        case .unknownMethod, .unsupportedTransferEncoding: 501
        case .unsupportedVersion: 505
        case .headTooLarge, .tooManyFields, .trailersTooLarge: 431
        case .unsupportedExpectation: 417
        case .malformedStatusLine, .switchingProtocols: 502
        default: 400
        }
    }

    /// What is wrong, in words for the client; nothing of the message is quoted.
    package var reason: StaticString {
        switch self {
        case .controlCharacter: "the request head contains a control character or a line end other than CRLF"
        case .malformedRequestLine: "the request line is malformed"
        case .requestLineTooLong: "the request line is too long"
        case .unknownMethod: "the request method is not supported"
        case .malformedTarget: "the request target is malformed"
        case .unsupportedVersion: "the HTTP version is not supported"
        case .headTooLarge: "the header fields are too large"
        case .tooManyFields: "there are too many header fields"
        case .malformedFieldName: "a header field name is malformed"
        case .malformedFieldValue: "a header field value is malformed"
        case .foldedField: "a header field is folded over several lines"
        case .missingHost: "the Host header field is missing"
        case .repeatedHost: "the Host header field occurs more than once"
        case .malformedHost: "the host is malformed"
        case .malformedContentLength: "the Content-Length header field is malformed"
        case .repeatedContentLength: "the Content-Length header field occurs more than once"
        case .malformedTransferEncoding: "the Transfer-Encoding header field is malformed"
        case .unsupportedTransferEncoding: "the transfer encoding is not supported"
        case .ambiguousFraming: "the end of the body is ambiguous"
        case .malformedConnection: "the Connection header field is malformed"
        case .unsupportedExpectation: "the expectation is not supported"
        case .malformedChunk: "the chunked body is malformed"
        case .chunkTooLarge: "a chunk of the body is too large"
        case .chunkExtensionTooLong: "the chunk extensions are too long"
        case .malformedTrailer: "a trailer field is malformed"
        case .trailersTooLarge: "the trailer fields are too large"
        case .malformedStatusLine: "the status line is malformed"
        case .switchingProtocols: "the connection was switched to another protocol"
        }
    }
}
