internal import Health
internal import Limits
internal import Reactor
internal import Routing
internal import Synchronization
internal import Telemetry
internal import Topology

/// The state that new requests get, for those who look on from outside of the reactors.
final class PublishedState: Sendable {
    private let held: Mutex<GatewayState>

    init(_ state: GatewayState) { held = Mutex(state) }

    /// The state in force.
    var current: GatewayState { held.withLock { $0 } }

    /// Goes over to another state.
    func publish(_ next: GatewayState) { held.withLock { $0 = next } }

    /// Every pool as a scrape shows it. Reads atomics, and takes the lock of each queue for a moment.
    func samples() -> [PoolSample] {
        let state = current
        let now = monotonicNanos()
        var scratch = PickScratch()
        return state.snapshot.pools.indices.map { PoolSample($0, of: state, &scratch, at: now) }
    }
}

extension PoolSample {
    /// A pool, by its slot.
    fileprivate init(_ slot: Int, of state: GatewayState, _ scratch: inout PickScratch, at now: Int64) {
        self.init(name: state.snapshot.pools[slot].name)
        scratch.begin()
        for member in state.membersOfPool[slot] {
            let candidate = member.candidate(at: now, isTried: false)
            scratch.append(candidate)
            endpoints.append(
                EndpointSample(
                    name: state.snapshot.endpoints[member.slot].address.authority,
                    standing: EndpointStanding(candidate.standing), inFlight: candidate.inFlight,
                    limit: candidate.limit == .max ? nil : candidate.limit))
        }
        var random = SplitMix64(seed: 0)
        _ = pick(state.policies[slot].pick, random: &random, scratch: &scratch)
        isPanicking = scratch.isPanic
        let (bands, bytes) = state.loads[slot].bands(at: now)
        for band in bands {
            queued[band.priority > 0 ? .high : band.priority < 0 ? .batch : .normal, default: 0] += band.requests
        }
        queueBytes = bytes
    }
}

extension EndpointStanding {
    init(_ standing: Standing) {
        self =
            switch standing {
            case .ready: .ready
            case .warming: .warming
            case .halfOpen: .halfOpen
            case .suspect: .suspect
            case .unreachable: .unreachable
            case .full: .full
            case .draining: .draining
            case .gone: .gone
            }
    }
}
