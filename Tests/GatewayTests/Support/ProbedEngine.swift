import Health
import Reactor
import Synchronization
import Topology

@testable import Gateway

/// An engine that answers probes as a test says, and every POST with 200.
final class ProbedEngine: Sendable {
    struct Behaviour: Sendable {
        var health = 200
        var healthBody = ""
        /// So many probes are answered with 500, whatever `health` says.
        var failuresToCome = 0
        var listStatus = 200
        var models = #"{"object":"list","data":[{"id":"m"}]}"#
        var isSilent = false

        mutating func list(_ names: [String], owner: String) {
            let items = names.map { #"{"id":"\#($0)","object":"model","owned_by":"\#(owner)"}"# }
            models = #"{"object":"list","data":[\#(items.joined(separator: ","))]}"#
        }
    }

    let upstream: FakeUpstream
    private let state: SharedBehaviour

    private final class SharedBehaviour: Sendable {
        let value = Mutex(Behaviour())
    }

    init(port: UInt16 = 0, _ change: @Sendable (inout Behaviour) -> Void = { _ in }) throws {
        let state = SharedBehaviour()
        state.value.withLock { change(&$0) }
        self.state = state
        upstream = try FakeUpstream(port: port, answersProbes: false) { exchange in
            guard exchange.request.method == "GET" else { return try exchange.answer() }
            let now = state.value.withLock { behaviour in
                let now = behaviour
                if behaviour.failuresToCome > 0 { behaviour.failuresToCome -= 1 }
                return now
            }
            if now.isSilent { return try exchange.waitForClose() }
            if exchange.request.target.hasSuffix("/v1/models") {
                try exchange.answer(now.listStatus, ["content-type: application/json"], now.models)
            } else {
                try exchange.answer(now.failuresToCome > 0 ? 500 : now.health, [], now.healthBody)
            }
        }
    }

    var port: UInt16 { upstream.port }
    /// Requests that were no probes.
    var served: Int { upstream.requests.count { $0.method == "POST" } }

    func asked(_ target: String) -> Int { upstream.requests.count { $0.target == target } }

    func set(_ change: @Sendable (inout Behaviour) -> Void) { state.value.withLock { change(&$0) } }
}

extension RunningGateway {
    func member(ofPort port: UInt16) async -> EndpointMember? {
        let state = await gateway.state
        return state.snapshot.endpoints.firstIndex { $0.address.port == port }.map { state.members[$0] }
    }

    func standing(ofPort port: UInt16) async -> Standing? {
        await member(ofPort: port)?.record.standing(at: monotonicNanos())
    }

    func standing(of engine: ProbedEngine) async -> Standing? { await standing(ofPort: engine.port) }

    func probes(_ result: String) async throws -> Double {
        try await metrics().sum("penstock_probes_total", #"result="\#(result)""#)
    }
}

/// Looks again and again until it is so; the test's time limit ends what never comes.
func eventually(_ condition: () async throws -> Bool) async throws {
    while try await !condition() { try await Task.sleep(for: .milliseconds(5)) }
}
