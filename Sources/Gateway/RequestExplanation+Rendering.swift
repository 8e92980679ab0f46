internal import Bytes
internal import Limits
internal import Limits
internal import OpenAI
internal import Routing

extension RequestExplanation {
    /// As one JSON object and a line feed.
    var json: [UInt8] {
        var queue = ByteQueue()
        queue.append(json: routing)
        queue.truncate(to: queue.count - 1)
        queue.member("operation", operation.label)
        queue.member("stream", isStreaming)
        queue.member("session", session.rawValue)
        queue.member("tenant", tenant.rawValue)
        queue.member("tags", list: tags) { $0.append(jsonString: Array($1.utf8).span) }
        queue.member("client_timeout_seconds", seconds: clientTimeout)
        queue.member("draw", session == .none ? "random" as StaticString : "session")
        queue.member("seed", seed)
        queue.member("next") { $0.append(members: next) }
        queue.member("pools", list: pools) { $0.append(json: $1, withEndpoints: false) }
        queue.append("}\n")
        return [UInt8](copying: queue.span)
    }

    /// As tables for a terminal: the answer first, then why.
    var text: [UInt8] {
        var lines = [next.sentence]
        var about = "\(operation.label)\(isStreaming ? ", stream" : ""), tenant by \(tenant.rawValue)"
        about += session == .none ? ", no session: draws by seed \(seed)" : ", session by \(session.rawValue)"
        if !tags.isEmpty { about += ", tags \(tags.joined(separator: " "))" }
        if clientTimeout != .max { about += ", client waits \(durationText(clientTimeout))" }
        lines.append(about)
        let heading = [
            "  pool", "running", "limit", "waiting", "attempts", "retries saved", "first byte", "first token",
            "attempt",
            "request", "hedging", "continuation",
        ]
        var rest = ["pools"]
        rest += tableLines([heading] + pools.map(\.settingsCells))
        return Array((lines.joined(separator: "\n") + "\n" + routing.text + rest.joined(separator: "\n") + "\n").utf8)
    }
}

extension NextStep {
    /// What would be done, for a person.
    fileprivate var sentence: String {
        switch self {
        case .send(let pool, let endpoint, let model): "now: sent to \(endpoint) of pool \(pool) as model \(model)"
        case .queue(let pool, let waiting): "now: queued for pool \(pool), where \(waiting) wait"
        case .hold(let pool, let nanos):
            "now: held for pool \(pool), whose next endpoint may be asked in \(durationText(nanos))"
        case .lastResort(let pool, let endpoint, let model):
            "now: sent to \(endpoint) of pool \(pool) as model \(model), a last resort: nothing better is left"
        case .fallback(let model): "now: answered by the model \(model), for nothing of this one can be had"
        case .reject(let status, let code): "now: refused with \(status) \(code)"
        }
    }
}

extension ByteQueue {
    /// Appends what would be done as members of an object.
    fileprivate mutating func append(members step: NextStep) {
        switch step {
        case .send(let pool, let endpoint, let model): append("send", pool, endpoint, model)
        case .lastResort(let pool, let endpoint, let model): append("last_resort", pool, endpoint, model)
        case .queue(let pool, let waiting):
            member("action", "queue" as StaticString)
            member("pool", pool)
            member("waiting", waiting)
        case .hold(let pool, let nanos):
            member("action", "hold" as StaticString)
            member("pool", pool)
            member("for_seconds", seconds: nanos)
        case .fallback(let model):
            member("action", "fallback" as StaticString)
            member("model", model)
        case .reject(let status, let code):
            member("action", "reject" as StaticString)
            member("status", status)
            member("code", code)
        }
    }

    private mutating func append(_ action: StaticString, _ pool: String, _ endpoint: String, _ model: String) {
        member("action", action)
        member("pool", pool)
        member("endpoint", endpoint)
        member("upstream_model", model)
    }
}

extension PoolReport {
    fileprivate var settingsCells: [String] {
        [
            "  " + name, "\(running)", boundText(limit), "\(waiting)/\(policy.queue.maxRequests)",
            "\(policy.retries.attempts)", "\(budget)", durationText(firstByte), durationText(policy.firstToken),
            durationText(policy.attempt), durationText(policy.request), durationText(policy.hedgeAfter),
            "\(policy.continuation)",
        ]
    }
}
