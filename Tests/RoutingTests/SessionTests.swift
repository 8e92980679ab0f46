import Health
import Routing
import Testing

@Suite("Sessions stay with an endpoint")
struct SessionTests {
    private let policy = PickPolicy(hasAffinity: true)

    private func pool(_ count: Int, weight: Int = 1024) -> [Candidate] {
        (0..<count).map { .of(.ready, weight: weight, identity: UInt64($0) &* 0x1_0001) }
    }

    private func homes(_ pool: [Candidate], sessions: Int = 8000) -> [Int] {
        (0..<sessions).map { picked(pool, policy, session: UInt64($0) &* 7919, seed: UInt64($0)).position ?? -1 }
    }

    @Test("a session's endpoint depends on neither the seed nor the order of the pool")
    func stable() {
        let pool = pool(8)
        let reversed = Array(pool.reversed())
        for session in 0..<500 {
            let one = picked(pool, policy, session: UInt64(session), seed: 1).position ?? 0
            let other = picked(reversed, policy, session: UInt64(session), seed: 2).position ?? 0
            #expect(pool[one].identity == reversed[other].identity)
        }
    }

    @Test("sessions are spread evenly")
    func even() {
        let homes = homes(pool(8))
        for endpoint in 0..<8 {
            #expect((900...1100).contains(homes.count { $0 == endpoint }))
        }
    }

    @Test("sessions are spread by weight")
    func byWeight() {
        var pool = pool(4)
        pool[0].weight = 256
        let homes = homes(pool)
        #expect((550...680).contains(homes.count { $0 == 0 }))
    }

    @Test("an endpoint that leaves or comes back moves its own sessions only")
    func minimalMoves() {
        let before = homes(pool(8))
        var reduced = pool(8)
        reduced[3].standing = .suspect
        let after = homes(reduced)
        #expect(zip(before, after).allSatisfy { $0 == $1 || $0 == 3 })
        reduced[3].standing = .ready
        reduced[3].weight = 102
        let recovering = homes(reduced)
        // A tenth of the weight: sessions return a few at a time, to the endpoint they came from.
        #expect(zip(after, recovering).allSatisfy { $0 == $1 || $1 == 3 })
        #expect(zip(before, recovering).allSatisfy { $1 != 3 || $0 == 3 })
        #expect((60...150).contains(recovering.count { $0 == 3 }))
    }

    @Test("a tried endpoint's sessions go to the next in their own order, not all to one")
    func tried() {
        var pool = pool(8)
        pool[3].isTried = true
        let moved = zip(homes(self.pool(8)), homes(pool)).filter { $0.0 == 3 }.map(\.1)
        for endpoint in [0, 1, 2, 4, 5, 6, 7] {
            #expect((90...200).contains(moved.count { $0 == endpoint }))
        }
    }

    @Test("an overloaded endpoint gives its sessions to the next in order")
    func boundedLoad() {
        var pool = pool(4)
        let home = picked(pool, policy, session: 5).position ?? 0
        for index in pool.indices { pool[index].inFlight = 10 }
        // The mean is 11, so that the bound is 14.75.
        pool[home].inFlight = 14
        #expect(picked(pool, policy, session: 5).position == home)
        pool[home].inFlight = 16
        let next = picked(pool, policy, session: 5).position
        #expect(next != home)
        pool[home].isTried = true
        #expect(picked(pool, policy, session: 5).position == next)
    }

    @Test("fallbacks follow the session's order")
    func fallbacks() {
        var scratch = PickScratch(pool(5))
        var random = SplitMix64(seed: 1)
        _ = pick(policy, session: 77, random: &random, scratch: &scratch)
        let order = scratch.rankAll()
        var pool = pool(5)
        for home in order {
            #expect(picked(pool, policy, session: 77).position == home)
            pool[home].standing = .draining
        }
    }

    @Test("without affinity, or without a session, the balancing decides")
    func noAffinity() {
        var pool = pool(2)
        let home = picked(pool, policy, session: 5).position ?? 0
        pool[home].inFlight = 1
        #expect(picked(pool, policy, session: 5).position == home)
        #expect(picked(pool, policy).position == 1 - home)
        #expect(picked(pool, PickPolicy(), session: 5).position == 1 - home)
    }
}
