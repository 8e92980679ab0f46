/// Readers of what decides how a pool's requests are spread, bounded and tried again.
extension Configuration.Pool {
    /// Every key but `name`: those that a model with `endpoints` may have, too.
    static let keys = [
        "endpoints", "provider", "upstreamModel", "discoverModels", "balancing", "affinity", "health", "ejection",
        "slowStart", "concurrency", "queue", "retries", "timeouts", "hedging", "continuation",
    ]

    /// Reads the policies, when endpoints and provider are known.
    mutating func readPolicies(_ section: Section) {
        section.choice("balancing", into: &balancing)
        section.choice("affinity", into: &affinity)
        health.read(section.section("health"))
        ejection.read(section.section("ejection"))
        section.duration("slowStart", into: &slowStart, in: .milliseconds(100)...minutes(10))
        concurrency.read(section.section("concurrency"))
        queue.read(section.section("queue"))
        retries.read(section.section("retries"))
        timeouts.read(section.section("timeouts"))
        readHedging(section)
        section.choice("continuation", into: &continuation)
    }

    private mutating func readHedging(_ section: Section) {
        section.decoding.knownKeys.insert("\(section.path).hedging.after")
        guard let node = section.node("hedging") else { return }
        guard case .mapping = node.content else {
            guard let text = section.decoding.text(of: node, for: "hedging", expected: "off or {after: 2s}"),
                text != "off"
            else { return }
            section.decoding.report("hedging must be off or {after: 2s}, is \(quoted(text))", at: node.position)
            return
        }
        let hedging = section.section("hedging")
        var after = Duration.seconds(2)
        hedging.duration("after", into: &after, in: .milliseconds(10)...minutes(10))
        if !hedging.has("after") { hedging.report("hedging needs after, a duration such as 2s") }
        hedging.finish()
        hedgeAfter = after
        checkHedging(section, after: after, at: hedging.position(of: "after"))
    }

    /// Reports a second request that could never be sent, or only to where the first one is.
    private func checkHedging(_ section: Section, after: Duration, at position: Position?) {
        let decoding = section.decoding
        if retries.attempts == 1 {
            decoding.report("hedging is a second attempt, but retries.attempts is 1", at: position)
        }
        let ends = [
            ("timeouts.firstToken", timeouts.firstToken), ("timeouts.attempt", timeouts.attempt),
            ("timeouts.request", timeouts.request), ("the provider's timeouts.firstByte", provider.timeouts.firstByte),
            ("the provider's timeouts.total", provider.timeouts.total),
        ]
        for (name, end) in ends {
            guard let end, after >= end else { continue }
            let text = "after \(durationText(after)) no request is left to hedge: \(name) is \(durationText(end))"
            decoding.report(text, at: position)
            break
        }
        if endpoints.count == 1 {
            decoding.report(
                "hedging has no other endpoint to ask: \(section.title) has one", at: position, severity: .warning)
        }
    }
}

extension Configuration.Pool.Health {
    mutating func read(_ section: Section) {
        readPath(section)
        section.duration("interval", into: &interval, in: .milliseconds(100)...hours(1))
        section.duration("timeout", into: &timeout, in: .milliseconds(10)...minutes(10))
        section.integer("failures", into: &failures, in: 1...100)
        section.boolean("confirmModel", into: &confirmModel)
        if path == .off, section.has("confirmModel"), confirmModel {
            section.decoding.report(
                "confirmModel needs probes, but path is off", at: section.position(of: "confirmModel"),
                severity: .warning)
        }
        section.finish()
    }

    private mutating func readPath(_ section: Section) {
        guard let (text, position) = section.string("path") else { return }
        // A query may be part of it, a fragment never is: RFC 9112 section 3.2.1.
        let isTarget = text.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "#") }
        switch text {
        case "auto": path = .auto
        case "off": path = .off
        case _ where text.hasPrefix("/") && isTarget: path = .path(text)
        default:
            let hint = suggestion(for: text, among: ["auto", "off", "/\(text)"])
            section.decoding.report("path must be auto, off or begin with /, is \(quoted(text))\(hint)", at: position)
        }
    }
}

extension Configuration.Pool.Ejection {
    mutating func read(_ section: Section) {
        section.integer("consecutiveErrors", into: &consecutiveErrors, in: 1...1000)
        section.integer("connectFailures", into: &connectFailures, in: 1...1000)
        section.ratio("errorRatio", into: &errorRatio, in: 0.01...1)
        section.integer("minimumRequests", into: &minimumRequests, in: 1...1_000_000)
        section.duration("window", into: &window, in: .seconds(1)...minutes(10))
        section.duration("duration", into: &duration, in: .milliseconds(100)...hours(1))
        section.duration("maxDuration", into: &maxDuration, in: .milliseconds(100)...hours(24))
        section.ratio("panicThreshold", into: &panicThreshold, in: 0...1)
        section.checkOrder("duration", duration, "maxDuration", maxDuration)
        section.finish()
    }
}

extension Configuration.Pool.Concurrency {
    mutating func read(_ section: Section) {
        let range = 1...1_000_000
        let parse = { (text: String) -> Configuration.Pool.EndpointLimit? in
            switch text {
            case "off": .off
            case "adaptive": .adaptive
            default: wholeNumber(text).flatMap { range.contains($0) ? .fixed($0) : nil }
            }
        }
        let expected = "off, adaptive or a whole number \(range.lowerBound)...\(range.upperBound)"
        if let limit = section.value("perEndpoint", expected: expected, parse: parse) { perEndpoint = limit }
        section.integer("pool", into: &pool, in: range)
        section.finish()
    }
}

extension Configuration.Pool.Queue {
    mutating func read(_ section: Section) {
        section.integer("maxRequests", into: &maxRequests, in: 0...1_000_000)
        section.size("maxBytes", into: &maxBytes, in: 1 << 20...1 << 40)
        section.duration("timeout", into: &timeout, in: .milliseconds(10)...hours(24))
        section.finish()
    }
}

extension Configuration.Pool.Retries {
    mutating func read(_ section: Section) {
        section.integer("attempts", into: &attempts, in: 1...20)
        section.ratio("budget", into: &budget, in: 0...1)
        section.integer("minPerSecond", into: &minPerSecond, in: 0...10_000)
        section.duration("backoff", into: &backoff, in: .zero...minutes(1))
        section.duration("maxBackoff", into: &maxBackoff, in: .zero...minutes(10))
        section.checkOrder("backoff", backoff, "maxBackoff", maxBackoff)
        readStatuses(section)
        section.finish()
    }

    private mutating func readStatuses(_ section: Section) {
        guard let items = section.items("statuses") else { return }
        let decoding = section.decoding
        var positions: [Int: Position] = [:]
        for item in items {
            guard let text = decoding.text(of: item, for: "statuses", expected: "a list of numbers 400...599") else {
                continue
            }
            guard let status = wholeNumber(text), (400...599).contains(status) else {
                decoding.report("statuses may hold 400...599, holds \(quoted(text))", at: item.position)
                continue
            }
            if let first = positions[status] {
                decoding.reportDuplicate("status", text, at: item.position, first: first)
            } else {
                positions[status] = item.position
            }
        }
        statuses = positions.keys.sorted()
    }
}

extension Configuration.Pool.Timeouts {
    mutating func read(_ section: Section) {
        let range = Duration.milliseconds(10)...hours(24)
        section.duration("firstToken", into: &firstToken, in: range)
        section.duration("attempt", into: &attempt, in: range)
        section.duration("request", into: &request, in: range)
        if let firstToken, let end = attempt ?? request, firstToken >= end {
            let name = attempt == nil ? "request" : "attempt"
            section.decoding.report(
                "firstToken never passes: \(name) is \(durationText(end))", at: section.position(of: "firstToken"),
                severity: .warning)
        }
        if let attempt, let request, attempt > request {
            section.decoding.report(
                "attempt never passes: request is \(durationText(request))", at: section.position(of: "attempt"),
                severity: .warning)
        }
        section.finish()
    }
}

extension Section {
    /// Reports a lower bound above its upper one.
    fileprivate func checkOrder(_ lowerKey: String, _ lower: Duration, _ upperKey: String, _ upper: Duration) {
        guard lower > upper else { return }
        let text = "\(upperKey) \(durationText(upper)) must not be less than \(lowerKey) \(durationText(lower))"
        decoding.report(text, at: position(of: upperKey, lowerKey))
    }
}
