import Bytes
import Health
import Routing
import Testing
import Topology

@Suite("Explanations")
struct ExplanationTests {
    private func example() -> Explanation {
        let asked = Asked(headers: [("x-job", "batch")])
        var scratch = PickScratch([
            .of(.ready, inFlight: 2, limit: 8, latencyNanos: 12_345_678), .of(.ready, weight: 512), .of(.suspect),
        ])
        let pick = explainPick(
            PickPolicy(), session: nil, turn: 0, random: SplitMix64(seed: 1), scratch: &scratch,
            name: { _ in "http://a \"b\"" })
        let tiers = [
            Tier(targets: [Target(pool: 0, weight: 1), Target(pool: 1, weight: 0)]),
            Tier(targets: [Target(pool: 2, upstreamModel: Array("gpt-4o".utf8))]),
        ]
        return Explanation(
            askedFor: "gpt-4", model: "llama", priority: -10,
            routes: explainRoutes(exampleRoutes, hasHeader: { asked.has($0) }, hasTag: { asked.has($0) }),
            tiers: explainTiers(
                tiers, session: nil, random: SplitMix64(seed: 1), poolName: { ["gpu", "spare", "cloud"][$0] },
                pick: { $0 == 0 ? pick : nil }),
            fallbacks: [FallbackExplanation(cause: .overload, models: ["small", "tiny"])])
    }

    @Test("as a table")
    func text() {
        #expect(
            example().text == """
                model llama, asked for as gpt-4, priority -10
                routes
                  -  batch  tag eu is missing
                  -  beta   header x-beta is missing
                  -  gold   tag gold is missing
                  -  exact  header x-team is not red
                  *  (own)  matches always
                tier 1
                  1. pool gpu, weight 1
                     by leastRequest: endpoint
                     #  endpoint      standing  verdict   score  in flight  weight  latency
                     2  http://a "b"  ready     eligible  2      2/8        100 %   12.346 ms
                     1  http://a "b"  ready     eligible  0      0          50 %    -
                     -  http://a "b"  suspect   suspect   -      0          100 %   -
                  2. pool spare, weight 0
                tier 2
                  3. pool cloud, weight 1, model gpt-4o
                fallbacks
                  overload  small, tiny

                """)
    }

    @Test("as JSON")
    func json() {
        var queue = ByteQueue()
        queue.append(json: example())
        let text = String(decoding: [UInt8](copying: queue.span), as: UTF8.self)
        #expect(
            text.hasPrefix(
                #"{"model":"llama","requested_model":"gpt-4","priority":-10,"routes":[{"name":"batch","chosen":false,"#
                    + #""reason":"tag eu is missing"},"#))
        #expect(
            text.contains(
                #"{"endpoint":"http://a \"b\"","standing":"ready","verdict":"eligible","score":2,"rank":2,"#
                    + #""in_flight":2,"limit":8,"weight":1,"latency_seconds":0.012345}"#))
        #expect(
            text.contains(#""score":null,"rank":null,"in_flight":0,"limit":null,"weight":1,"latency_seconds":null}]}"#))
        #expect(text.hasSuffix(#""upstream_model":"gpt-4o"}]}],"fallbacks":{"overload":["small","tiny"]}}"#))
    }

    @Test("an empty one is still an object")
    func empty() {
        var queue = ByteQueue()
        queue.append(json: Explanation(askedFor: "m", model: "m"))
        #expect(
            String(decoding: [UInt8](copying: queue.span), as: UTF8.self)
                == #"{"model":"m","requested_model":"m","priority":0,"routes":[],"tiers":[],"fallbacks":{}}"#)
        #expect(Explanation(askedFor: "m", model: "m").text == "model m, priority 0\nroutes\n")
    }

    @Test("says what the pick decides", arguments: Balancing.allCases)
    func agrees(_ balancing: Balancing) {
        let pool = (0..<6).map { Candidate.of(.ready, inFlight: $0 % 3, identity: UInt64($0)) }
        for seed in 0..<100 {
            for session in [nil, UInt64(seed)] {
                let policy = PickPolicy(balancing: balancing, hasAffinity: true)
                let random = SplitMix64(seed: UInt64(seed))
                var scratch = PickScratch(pool)
                let explained = explainPick(
                    policy, session: session, turn: 0, random: random, scratch: &scratch, name: { "\($0)" })
                let chosen = picked(pool, policy, session: session, seed: UInt64(seed)).position
                #expect(explained.endpoints.firstIndex { $0.rank == 1 } == chosen)
            }
        }
    }
}
