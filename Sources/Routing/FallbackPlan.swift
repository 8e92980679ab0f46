package import Topology

/// What a model could not do, so that another one may.
package enum FallbackCause: UInt8, Sendable, CaseIterable {
    case contextLength, contentPolicy, overload

    /// For logs, metrics and the `x-penstock-fallback` field.
    package var label: StaticString {
        switch self {
        case .contextLength: "context_length"
        case .contentPolicy: "content_policy"
        case .overload: "overload"
        }
    }
}

/// The models a request has been through, in order; each once, and five fallbacks at most.
package struct FallbackTrail: Sendable, Equatable {
    /// How many fallbacks a request may take.
    package static let maxDepth = 5

    private var models = SIMD8<Int32>(repeating: -1)
    /// How many models it has been through, 1...6.
    package private(set) var count = 1

    /// - Parameter model: Index of the model the client asked for.
    package init(model: Int) { models[0] = Int32(truncatingIfNeeded: model) }

    /// Index of the model the request is at.
    package var current: Int { Int(models[count - 1]) }

    /// The model that takes over, which the request is at from now on.
    ///
    /// First of those named by the model that failed, then by those before it; none a second time.
    /// - Parameter fallbacks: Those of a model, by its index.
    package mutating func advance(for cause: FallbackCause, _ fallbacks: (Int) -> Fallbacks) -> FallbackVerdict {
        guard count <= FallbackTrail.maxDepth else { return .none(.tooDeep) }
        var isNamed = false
        for step in stride(from: count - 1, through: 0, by: -1) {
            for model in fallbacks(Int(models[step])).models(for: cause) {
                isNamed = true
                guard !hasVisited(model) else { continue }
                models[count] = Int32(truncatingIfNeeded: model)
                count += 1
                return .model(model)
            }
        }
        return .none(isNamed ? .allVisited : .notConfigured)
    }

    private func hasVisited(_ model: Int) -> Bool {
        (0..<count).contains { Int(models[$0]) == model }
    }
}

/// What follows when a model could not answer.
package enum FallbackVerdict: Sendable, Equatable {
    /// Index of the model that takes over.
    case model(Int)
    case none(FallbackEnd)
}

/// Why no model takes over.
package enum FallbackEnd: UInt8, Sendable, CaseIterable {
    case notConfigured, allVisited, tooDeep
}

extension Fallbacks {
    /// Indices of the models that take over, in order.
    package func models(for cause: FallbackCause) -> [Int] {
        switch cause {
        case .contextLength: contextLength
        case .contentPolicy: contentPolicy
        case .overload: overload
        }
    }
}
