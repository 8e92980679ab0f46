internal import Health

extension Explanation {
    /// As a table for a terminal; ends in a line feed.
    package var text: String {
        var lines = [
            "model \(model)" + (askedFor == model ? "" : ", asked for as \(askedFor)") + ", priority \(priority)"
        ]
        lines.append("routes")
        lines += columns(
            routes.map { ["  " + ($0.isChosen ? "*" : "-"), $0.name.isEmpty ? "(own)" : $0.name, $0.reason] })
        for (index, tier) in tiers.enumerated() {
            lines.append("tier \(index + 1)")
            for target in tier.targets { lines += target.lines }
        }
        if !fallbacks.isEmpty { lines.append("fallbacks") }
        lines += columns(fallbacks.map { ["  \($0.cause.label)", $0.models.joined(separator: ", ")] })
        return lines.joined(separator: "\n") + "\n"
    }
}

extension TargetExplanation {
    fileprivate var lines: [String] {
        let name = upstreamModel.map { ", model \($0)" } ?? ""
        var lines = ["  \(turn). pool \(pool), weight \(weight)\(name)"]
        guard let pick else { return lines }
        let policy = pick.isBySession ? "session" : "\(pick.balancing.label)"
        lines.append("     by \(policy)\(pick.isPanic ? ", in panic" : ""): \(pick.result)")
        let heading = ["     #", "endpoint", "standing", "verdict", "score", "in flight", "weight", "latency"]
        lines += columns([heading] + pick.endpoints.map(\.cells))
        return lines
    }
}

extension EndpointExplanation {
    fileprivate var cells: [String] {
        [
            "     " + (rank.map(String.init) ?? "-"), name, "\(standing.label)", "\(verdict.label)",
            score.map(decimal) ?? "-", limit == .max ? "\(inFlight)" : "\(inFlight)/\(limit)",
            "\((weight * 100 + 512) / 1024) %",
            latencyNanos == 0 ? "-" : decimal(Double(latencyNanos) / 1_000_000) + " ms",
        ]
    }
}

/// `value` with three digits after the point, those at the end left out if zero; no exponent.
internal func decimal(_ value: Double) -> String {
    let limit = 9e15
    let thousandths = Int((min(max(value, -limit / 1000), limit / 1000) * 1000).rounded())
    let (whole, rest) = abs(thousandths).quotientAndRemainder(dividingBy: 1000)
    var text = (thousandths < 0 ? "-" : "") + "\(whole)"
    guard rest > 0 else { return text }
    var digits = "\(rest)"
    digits = String(repeating: "0", count: 3 - digits.utf8.count) + digits
    while digits.last == "0" { digits.removeLast() }
    text += "." + digits
    return text
}

/// Lines with their cells one below the other, two blanks between; every row has as many cells.
private func columns(_ rows: [[String]]) -> [String] {
    guard let first = rows.first else { return [] }
    let widths = first.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
        var line = ""
        for (column, cell) in row.enumerated() {
            line += cell
            if column + 1 < row.count {
                line += String(repeating: " ", count: widths[column] - cell.count + 2)
            }
        }
        return line
    }
}
