package import Bytes
internal import Health

extension ByteQueue {
    /// Appends an explanation as a JSON object.
    package mutating func append(json explanation: Explanation) {
        append("{")
        append(key: "model", explanation.model)
        append(",")
        append(key: "requested_model", explanation.askedFor)
        append(",\"priority\":")
        append(decimal: Int(explanation.priority))
        append(",\"routes\":")
        appendList(explanation.routes) { $0.append($1) }
        append(",\"tiers\":")
        appendList(explanation.tiers) { queue, tier in
            queue.append("{\"targets\":")
            queue.appendList(tier.targets) { $0.append($1) }
            queue.append("}")
        }
        append(",\"fallbacks\":{")
        for (index, fallback) in explanation.fallbacks.enumerated() {
            if index > 0 { append(",") }
            append(jsonString: fallback.cause.label)
            append(":")
            appendList(fallback.models) { $0.append(jsonString: $1) }
        }
        append("}}")
    }

    private mutating func append(_ route: RouteExplanation) {
        append("{")
        append(key: "name", route.name)
        append(route.isChosen ? ",\"chosen\":true," : ",\"chosen\":false,")
        append(key: "reason", route.reason)
        append("}")
    }

    private mutating func append(_ target: TargetExplanation) {
        append("{")
        append(key: "pool", target.pool)
        append(",\"weight\":")
        append(decimal: target.weight)
        append(",\"turn\":")
        append(decimal: target.turn)
        if let model = target.upstreamModel {
            append(",")
            append(key: "upstream_model", model)
        }
        if let pick = target.pick {
            append(",\"pick\":")
            append(pick)
        }
        append("}")
    }

    private mutating func append(_ pick: PickExplanation) {
        append("{\"balancing\":")
        append(jsonString: pick.balancing.label)
        append(pick.isBySession ? ",\"by_session\":true" : ",\"by_session\":false")
        append(pick.isPanic ? ",\"panic\":true," : ",\"panic\":false,")
        append(key: "result", pick.result)
        append(",\"endpoints\":")
        appendList(pick.endpoints) { $0.append($1) }
        append("}")
    }

    private mutating func append(_ endpoint: EndpointExplanation) {
        append("{")
        append(key: "endpoint", endpoint.name)
        append(",\"standing\":")
        append(jsonString: endpoint.standing.label)
        append(",\"verdict\":")
        append(jsonString: endpoint.verdict.label)
        append(",\"score\":")
        append(text: endpoint.score.map(decimal) ?? "null")
        append(",\"rank\":")
        append(text: endpoint.rank.map(String.init) ?? "null")
        append(",\"in_flight\":")
        append(decimal: endpoint.inFlight)
        append(",\"limit\":")
        append(text: endpoint.limit == .max ? "null" : String(endpoint.limit))
        append(",\"weight\":")
        append(text: decimal(Double(endpoint.weight) / 1024))
        append(",\"latency_seconds\":")
        append(text: endpoint.latencyNanos == 0 ? "null" : decimalSeconds(endpoint.latencyNanos))
        append("}")
    }

    private mutating func append(key: StaticString, _ value: String) {
        append(jsonString: key)
        append(":")
        append(jsonString: value)
    }

    private mutating func append(jsonString value: String) { append(jsonString: Array(value.utf8).span) }

    private mutating func appendList<Element>(_ items: [Element], _ each: (inout ByteQueue, Element) -> Void) {
        append("[")
        for (index, item) in items.enumerated() {
            if index > 0 { append(",") }
            each(&self, item)
        }
        append("]")
    }
}

/// Nanoseconds as seconds with six digits after the point.
private func decimalSeconds(_ nanos: Int) -> String {
    let (seconds, rest) = (nanos / 1000).quotientAndRemainder(dividingBy: 1_000_000)
    let digits = "\(rest)"
    return "\(seconds)." + String(repeating: "0", count: 6 - digits.utf8.count) + digits
}
