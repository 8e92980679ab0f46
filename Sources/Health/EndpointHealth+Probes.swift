extension EndpointHealth {
    /// Takes in what an active probe found.
    ///
    /// A healthy probe brings an unreachable endpoint back at once. A suspect one was ejected for what it did to
    /// requests, which a probe does not show: it only gets its half-open request earlier. Failed probes count in a
    /// row, and an answered request refutes them.
    package mutating func probed(
        _ result: ProbeResult, at now: Int64, random: inout some RandomNumberGenerator
    ) -> HealthChange? {
        switch result {
        case .healthy: return probedHealthy(at: now)
        case .missingModel:
            probeFailures += 1
            // An answer, not a silence: asking again would say the same.
            return probeFailed(.modelMissing, isSure: true, at: now, random: &random)
        case .refused, .silent:
            probeFailures += 1
            // Nothing speaks yet for an endpoint that has never answered: most likely it is still starting.
            let isSure = phase == .warming || probeFailures >= policy.probeFailures
            return probeFailed(.probesFailed, isSure: isSure, at: now, random: &random)
        }
    }

    private mutating func probedHealthy(at now: Int64) -> HealthChange? {
        let hadFailed = probeFailures > 0
        probeFailures = 0
        switch phase {
        case .active: return nil
        case .warming: return firstAnswer(at: now)
        case .unreachable: return recover(.probeHealthy, isProven: false, at: now)
        case .suspect:
            if !isHalfOpenTaken { shortenWait(isNews: hadFailed, at: now) }
            return nil
        }
    }

    /// To nothing if the probes had failed: something has changed. Else to a quarter, but not below the first
    /// ejection, for an endpoint may answer its probes and fail every request.
    private mutating func shortenWait(isNews: Bool, at now: Int64) {
        let left = isNews ? 0 : max(policy.ejection, (until - now) / 4)
        until = HealthWord.coarse(min(until, now + left))
    }

    private mutating func probeFailed(
        _ reason: HealthReason, isSure: Bool, at now: Int64, random: inout some RandomNumberGenerator
    ) -> HealthChange? {
        guard isSure, policy.probeFailures > 0 else { return nil }
        if isInService { return eject(.unreachable, reason, at: now, random: &random) }
        let change = phase == .suspect ? cutOff(reason, at: now) : nil
        // No request is spent on an endpoint whose probes fail, but for one in a while: the probe may be wrong.
        let extended = min(now + 3 * policy.probeInterval, ejectedAt + policy.maxEjection)
        if !isHalfOpenTaken { until = HealthWord.coarse(max(until, extended)) }
        return change
    }
}
