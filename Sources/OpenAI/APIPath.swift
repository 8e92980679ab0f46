internal import Bytes

/// The methods the API distinguishes.
package enum APIMethod: UInt8, Sendable { case get, head, post, delete, other }

/// How errors are written on a path.
package enum APIDialect: UInt8, Sendable { case openai, anthropic }

/// What a request target asks for.
package enum APITarget: Sendable, Equatable {
    /// An operation.
    case operation(APIPath)
    /// Nothing that exists, or a path that could be read in two ways.
    case notFound(APIDialect)
    /// Something that exists, but not by that method.
    case methodNotAllowed(APIDialect, allow: Allow)

    /// The value of the `allow` field.
    package enum Allow: Sendable {
        case get, post

        /// As the field writes it.
        package var text: StaticString {
            switch self {
            case .get: "GET, HEAD"
            case .post: "POST"
            }
        }
    }
}

/// One operation of the API and where its parts stand in the request target.
package struct APIPath: Sendable, Equatable {
    /// What is to be done.
    package let operation: APIOperation
    /// Azure's `/openai/deployments/{model}/…`, and `/v1/models/{id}`: where the model stands, percent-encoded.
    package let model: Range<Int>?
    /// How the target is forwarded.
    internal let form: Form

    /// How the forwarded target follows from the client's.
    internal enum Form: Sendable, Equatable {
        /// As it is.
        case unchanged
        /// `/v1/` and what stands from `rest` on, without the query parameter `api-version`.
        case azure(rest: Int)
    }

    /// Shape of errors here.
    package var dialect: APIDialect { operation.dialect }

    /// Where the body names the model.
    package var modelSource: ModelSource {
        if model != nil { return .path }
        return operation.needsModel ? .body : .bodyIfAny
    }

    /// Appends path and query as an engine behind an OpenAI API knows them, beginning with `/`.
    ///
    /// - Parameter target: The target this path was read of.
    package func appendForwardTarget(_ target: Span<UInt8>, to forward: inout [UInt8]) {
        guard case .azure(let rest) = form else {
            forward.append(copying: target)
            return
        }
        let query = firstIndex(of: UInt8(ascii: "?"), in: target) ?? target.count
        forward.append("/v1/")
        forward.append(copying: target.extracting(rest..<query))
        var separator = UInt8(ascii: "?")
        var start = query + 1
        while start < target.count {
            let end = firstIndex(of: UInt8(ascii: "&"), in: target, from: start) ?? target.count
            let parameter = target.extracting(start..<end)
            if end > start, !bytesBegin(parameter, with: "api-version=") {
                forward.append(separator)
                forward.append(copying: parameter)
                separator = UInt8(ascii: "&")
            }
            start = end + 1
        }
    }

    /// The model the path names, percent-decoded; `nil` if it names none.
    package func decodedModel(_ target: Span<UInt8>) -> [UInt8]? {
        model.flatMap { percentDecoded(target.extracting($0)) }
    }
}

/// `bytes` with `%XX` resolved; `nil` if a `%` is not followed by two hexadecimal digits.
internal func percentDecoded(_ bytes: Span<UInt8>) -> [UInt8]? {
    var decoded: [UInt8] = []
    decoded.reserveCapacity(bytes.count)
    var index = 0
    while index < bytes.count {
        guard bytes[index] == UInt8(ascii: "%") else {
            decoded.append(bytes[index])
            index += 1
            continue
        }
        guard index + 2 < bytes.count, let high = hexDigit(bytes[index + 1]), let low = hexDigit(bytes[index + 2])
        else { return nil }
        decoded.append(high << 4 | low)
        index += 3
    }
    return decoded
}
