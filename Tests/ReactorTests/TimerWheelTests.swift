import Testing

@testable import Reactor

/// What happens to the timers of a test, in the order of time.
private final class Clockwork {
    static let tick: Int64 = 4_000_000
    let wheel: TimerWheel
    var now: Int64
    var fired: [(id: Int, at: Int64)] = []
    /// What the wheel should do: deadlines of timers that are armed.
    var model: [Int: Int64] = [:]
    var tokens: [Int: TimerToken] = [:]
    var timers: [Int: Timer] = [:]
    var nextID = 0
    var onFire: ((Int) -> Void)?

    init(now: Int64) {
        self.now = now
        wheel = TimerWheel(now: now)
    }

    final class Timer: TimerHandler {
        let id: Int
        unowned let clockwork: Clockwork
        init(_ id: Int, _ clockwork: Clockwork) { (self.id, self.clockwork) = (id, clockwork) }

        func timerFired() {
            clockwork.fired.append((id, clockwork.now))
            #expect(clockwork.model[id] != nil, "timer \(id) fired twice or after it was cancelled")
            clockwork.model[id] = nil
            clockwork.onFire?(id)
        }
    }

    @discardableResult
    func arm(at deadline: Int64) -> Int {
        nextID += 1
        let timer = Timer(nextID, self)
        timers[nextID] = timer
        tokens[nextID] = wheel.schedule(timer, at: deadline)
        model[nextID] = deadline
        return nextID
    }

    func cancel(_ id: Int) {
        guard let token = tokens[id] else { return }
        wheel.cancel(token)
        model[id] = nil
    }

    /// Moves time and checks what fired against the model.
    func advance(to time: Int64) {
        let before = now
        let armed = model
        now = time
        let count = fired.count
        wheel.advance(to: time)
        for entry in fired[count...] {
            guard let deadline = armed[entry.id] else { continue }
            #expect(deadline <= time, "timer \(entry.id) fired \(deadline - time) ns early")
        }
        // What was due two ticks ago must be through.
        for (id, deadline) in model where max(deadline, before) < time - 2 * Clockwork.tick && armed[id] != nil {
            Issue.record("timer \(id) for \(deadline) has not fired at \(time)")
        }
    }
}

@Suite("Timer wheel")
struct TimerWheelTests {
    static let hour: Int64 = 3_600_000_000_000

    @Test("does what a sorted list would do, whatever is armed, cancelled and waited for", arguments: 0..<12)
    func random(_ seed: UInt64) {
        var random = Mix(state: seed &* 7919 &+ 1)
        let clockwork = Clockwork(now: Int64(random.below(1 << 50)))
        clockwork.onFire = { id in
            // Handlers arm and cancel.
            if id % 3 == 0, clockwork.nextID < 20_000 { clockwork.arm(at: clockwork.now + Int64(id % 7) * 3_000_000) }
            if id % 5 == 0 { clockwork.cancel(id + 1) }
        }
        let reaches: [Int64] = [0, 5_000_000, 300_000_000, 20_000_000_000, Self.hour, 30 * Self.hour]
        for _ in 0..<1000 {
            switch random.below(4) {
            case 0, 1:
                let reach = reaches[Int(random.below(UInt64(reaches.count)))]
                clockwork.arm(at: clockwork.now - 1_000_000 + Int64(random.below(UInt64(reach) + 2_000_000)))
            case 2:
                if clockwork.nextID > 0 { clockwork.cancel(1 + Int(random.below(UInt64(clockwork.nextID)))) }
            default:
                let reach = reaches[Int(random.below(4))]
                check(clockwork, within: Int64(random.below(UInt64(reach) + 1)))
            }
        }
        clockwork.onFire = nil
        check(clockwork, within: 31 * Self.hour)
        #expect(clockwork.model.isEmpty)
        #expect(clockwork.wheel.nextDeadline == nil)
    }

    /// Moves on by `step`, and checks that the wheel would have woken its owner in time.
    private func check(_ clockwork: Clockwork, within step: Int64) {
        let target = clockwork.now + step
        let due = clockwork.model.values.min()
        if let due {
            guard let next = clockwork.wheel.nextDeadline else {
                Issue.record("timers are armed and no deadline is told")
                return
            }
            // The end of the tick in which it is due.
            let latest = max(due, clockwork.now) + 2 * Clockwork.tick
            #expect(next <= latest, "wakes \(next - latest) ns late")
        } else {
            #expect(clockwork.wheel.nextDeadline == nil)
        }
        clockwork.advance(to: target)
    }

    @Test(
        "whoever sleeps until the next deadline meets every timer within two ticks",
        arguments: [
            1, 4_000_000, 63 * 4_000_000, 64 * 4_000_000, 65 * 4_000_000, 4096 * 4_000_000, 262_144 * 4_000_000,
            90 * hour,
        ]
            as [Int64])
    func sleeping(_ distance: Int64) {
        for offset in [0, 1, 3_999_999, 4_000_000, 252_000_000, 16_380_000_000] as [Int64] {
            let clockwork = Clockwork(now: 77 * Self.hour + offset)
            let deadline = clockwork.now + distance
            clockwork.arm(at: deadline)
            var wakeUps = 0
            while let next = clockwork.wheel.nextDeadline {
                clockwork.advance(to: max(next, clockwork.now + 1))
                wakeUps += 1
                if wakeUps > 1000 { break }
            }
            #expect(clockwork.fired.count == 1)
            #expect(clockwork.now >= deadline && clockwork.now <= deadline + 2 * Clockwork.tick)
            #expect(wakeUps <= 12)
        }
    }

    @Test("a deadline that never comes can be armed and cancelled")
    func never() {
        let clockwork = Clockwork(now: 5)
        let id = clockwork.arm(at: .max)
        clockwork.advance(to: 100 * Self.hour)
        #expect(clockwork.fired.isEmpty)
        clockwork.cancel(id)
        #expect(clockwork.wheel.nextDeadline == nil)
    }

    @Test("a handler may cancel the timer that is due with it, and arm one for now")
    func reentrant() {
        let clockwork = Clockwork(now: 0)
        let first = clockwork.arm(at: 40_000_000)
        let second = clockwork.arm(at: 40_000_000)
        clockwork.onFire = { id in
            if id == first { clockwork.cancel(second) }
            if id == second { clockwork.cancel(first) }
            if id <= second { clockwork.arm(at: clockwork.now) }
        }
        clockwork.advance(to: 60_000_000)
        clockwork.onFire = nil
        #expect(clockwork.fired.count == 2, "one of the two, and the one it armed")
    }

    @Test("a token that has fired cancels nothing else")
    func staleToken() {
        let clockwork = Clockwork(now: 0)
        let first = clockwork.arm(at: 4_000_000)
        clockwork.advance(to: 8_000_000)
        let second = clockwork.arm(at: 40_000_000)
        clockwork.wheel.cancel(clockwork.tokens[first]!)
        clockwork.advance(to: 60_000_000)
        #expect(clockwork.fired.map(\.id) == [first, second])
    }
}

/// Numbers that are the same each time (SplitMix64).
struct Mix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func below(_ bound: UInt64) -> UInt64 { next() % bound }
}
