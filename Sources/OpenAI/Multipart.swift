package import Bytes

/// What Penstock reads of a `multipart/form-data` body. Ranges are places in the body that was inspected.
package struct MultipartFacts: Sendable, Equatable {
    /// The value of the field `model`.
    package internal(set) var model: Range<Int>?
    /// The field `stream`.
    package internal(set) var isStreaming = false
    /// How many parts there are.
    package internal(set) var parts = 0

    /// No facts yet.
    package init() {}

    /// The name of the model; empty if there is none.
    @_lifetime(copy body)
    package func model(in body: Span<UInt8>) -> Span<UInt8> {
        guard let model else { return Span() }
        return body.extracting(model)
    }

    /// Appends the body with another model in place of the client's, all other bytes unchanged.
    ///
    /// - Parameters:
    ///   - body: The body these facts are of.
    ///   - boundary: Its boundary.
    ///   - name: The model. Without a field for it in the body, one is put first.
    ///   - queue: Gets the whole new body.
    package func append(
        _ body: Span<UInt8>, boundary: Span<UInt8>, model name: Span<UInt8>, to queue: inout ByteQueue
    ) {
        var splice = Splice(body: 0)
        if let model {
            splice.copy(body, upTo: model, to: &queue)
            queue.append(name)
        } else {
            queue.append("--")
            queue.append(boundary)
            queue.append("\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n")
            queue.append(name)
            queue.append("\r\n")
        }
        splice.copyRest(body, to: &queue)
    }
}

/// Limits of multipart bodies.
package enum MultipartLimits {
    /// Parts of one body.
    package static let parts = 256
    /// Bytes of the header lines of one part.
    package static let header = 8192
    /// Bytes of the value of a field that is read.
    package static let value = RequestFacts.modelLimit
}

/// Where the boundary stands in the value of a `content-type` field.
///
/// - Returns: `nil` if the type is not `multipart/form-data`, or the boundary is missing, double or malformed.
/// - SeeAlso: RFC 2046 section 5.1.1: 1...70 octets of a small set, the last no space.
package func multipartBoundary(_ contentType: Span<UInt8>) -> Range<Int>? {
    var parameters = ParameterReader(contentType)
    guard parameters.takeType(contentType, "multipart/form-data") else { return nil }
    var found: Range<Int>?
    while let parameter = parameters.next(contentType) {
        guard bytesEqualIgnoringCase(contentType.extracting(parameter.name), "boundary") else { continue }
        guard found == nil, (1...70).contains(parameter.value.count) else { return nil }
        for index in parameter.value where !isBoundaryOctet(contentType[index]) { return nil }
        guard contentType[parameter.value.upperBound - 1] != 0x20 else { return nil }
        found = parameter.value
    }
    return parameters.isAtEnd(contentType) ? found : nil
}

private func isBoundaryOctet(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "a")...UInt8(ascii: "z"):
        true
    case UInt8(ascii: "'"), UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "+"), UInt8(ascii: "_"),
        UInt8(ascii: ","), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "/"), UInt8(ascii: ":"),
        UInt8(ascii: "="), UInt8(ascii: "?"), UInt8(ascii: " "):
        true
    default: false
    }
}

/// Reads the facts of a complete multipart body.
///
/// Strict: what two readers could take for different fields is refused, because the one routes and the other serves.
/// - Parameters:
///   - body: The whole body.
///   - boundary: From its content type.
///   - facts: What was found; unspecified after an error.
///   - source: Whether the body must name the model.
/// - SeeAlso: RFC 7578, RFC 2046 section 5.1.
package func inspectMultipart(
    _ body: Span<UInt8>, boundary: Span<UInt8>, into facts: inout MultipartFacts, model source: ModelSource = .body
) throws(BodyError) {
    facts = MultipartFacts()
    var reader = PartReader()
    try reader.open(body, boundary)
    var hasStream = false
    while let part = try reader.next(body, boundary) {
        facts.parts += 1
        guard facts.parts <= MultipartLimits.parts else { throw .malformedMultipart("too many parts") }
        let name = body.extracting(part.name)
        if bytesEqual(name, "model") {
            guard facts.model == nil else { throw .duplicateKey("model") }
            guard part.isField else { throw .modelIsNoString }
            try checkModelName(body.extracting(part.value))
            facts.model = part.value
        } else if bytesEqual(name, "stream") {
            guard !hasStream else { throw .duplicateKey("stream") }
            hasStream = true
            guard part.isField else { throw .wrongType("stream", expected: "a boolean") }
            facts.isStreaming = try boolean(body.extracting(part.value))
        }
    }
    if source == .body, facts.model == nil { throw .missingModel }
}

/// A form's boolean, in the spellings that engines take for one.
private func boolean(_ value: Span<UInt8>) throws(BodyError) -> Bool {
    for word: StaticString in ["true", "1", "on", "yes"] where bytesEqualIgnoringCase(value, word) { return true }
    for word: StaticString in ["false", "0", "off", "no", ""] where bytesEqualIgnoringCase(value, word) { return false }
    throw .wrongType("stream", expected: "a boolean")
}
