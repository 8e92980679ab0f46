package import Bytes

/// What changes between the body a client sent and the one an engine gets. All other bytes stay as they are.
package struct BodyRewrite: Sendable, Equatable {
    /// The name the engine knows the model by, as text; `nil` leaves the client's.
    package var model: [UInt8]?
    /// Asks the engine for usage at the end of a stream, whatever the client asked.
    package var forcesUsage: Bool

    /// A rewrite.
    package init(model: [UInt8]? = nil, forcesUsage: Bool = false) {
        self.model = model
        self.forcesUsage = forcesUsage
    }

    /// Whether a body with these facts is forwarded as it came.
    package func leavesUnchanged(_ facts: borrowing RequestFacts) -> Bool {
        model == nil && !(forcesUsage && facts.isStreaming && !facts.wantsUsage)
    }

    /// Appends the rewritten body.
    ///
    /// - Parameters:
    ///   - body: The body `facts` are of.
    ///   - queue: Gets the whole new body.
    package func append(_ body: Span<UInt8>, _ facts: borrowing RequestFacts, to queue: inout ByteQueue) {
        var splice = Splice(body: 0)
        let forcesUsage = forcesUsage && facts.isStreaming && !facts.wantsUsage
        insertMembers(body, facts, forcesUsage: forcesUsage, &splice, to: &queue)
        let usage: Range<Int>? = forcesUsage ? BodyRewrite.usagePlace(facts.streamOptions) : nil
        let model: Range<Int>? = self.model == nil ? nil : facts.modelValue
        if let usage, usage.lowerBound < model?.lowerBound ?? .max {
            replaceUsage(usage, facts, body, &splice, to: &queue)
        }
        if let model, let name = self.model {
            splice.copy(body, upTo: model, to: &queue)
            queue.append(jsonString: name.span)
        }
        if let usage, let model, usage.lowerBound > model.lowerBound {
            replaceUsage(usage, facts, body, &splice, to: &queue)
        }
        splice.copyRest(body, to: &queue)
    }

    /// Puts what is missing behind the `{` of the body.
    private func insertMembers(
        _ body: Span<UInt8>, _ facts: borrowing RequestFacts, forcesUsage: Bool, _ splice: inout Splice,
        to queue: inout ByteQueue
    ) {
        let insertsModel = model != nil && facts.modelValue == nil
        let insertsUsage = forcesUsage && facts.streamOptions == .absent
        guard insertsModel || insertsUsage else { return }
        splice.copy(body, upTo: facts.contentStart..<facts.contentStart, to: &queue)
        if insertsModel, let model {
            queue.append("\"model\":")
            queue.append(jsonString: model.span)
        }
        if insertsUsage {
            if insertsModel { queue.append(UInt8(ascii: ",")) }
            queue.append("\"stream_options\":{\"include_usage\":true}")
        }
        if !facts.isEmpty { queue.append(UInt8(ascii: ",")) }
    }

    /// What gives way to the request for usage; empty where something is inserted.
    private static func usagePlace(_ options: RequestFacts.StreamOptions) -> Range<Int>? {
        switch options {
        case .absent: nil
        case .null(let range): range
        case .object(let start, _, let value): value ?? start..<start
        }
    }

    private func replaceUsage(
        _ place: Range<Int>, _ facts: borrowing RequestFacts, _ body: Span<UInt8>, _ splice: inout Splice,
        to queue: inout ByteQueue
    ) {
        splice.copy(body, upTo: place, to: &queue)
        switch facts.streamOptions {
        case .absent: break
        case .null: queue.append("{\"include_usage\":true}")
        case .object(_, _, .some): queue.append("true")
        case .object(_, let isEmpty, .none):
            queue.append("\"include_usage\":true")
            if !isEmpty { queue.append(UInt8(ascii: ",")) }
        }
    }
}

/// Copies a body in pieces, leaving out what is replaced.
internal struct Splice {
    /// Index of the first byte not dealt with.
    private var position: Int

    internal init(body position: Int) { self.position = position }

    /// Copies what stands before `place`, and leaves `place` out.
    internal mutating func copy(_ body: Span<UInt8>, upTo place: Range<Int>, to queue: inout ByteQueue) {
        queue.append(body.extracting(position..<place.lowerBound))
        position = place.upperBound
    }

    /// Copies what is left.
    internal mutating func copyRest(_ body: Span<UInt8>, to queue: inout ByteQueue) {
        queue.append(body.extracting(position..<body.count))
        position = body.count
    }
}
