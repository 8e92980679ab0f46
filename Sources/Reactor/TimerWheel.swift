/// Is told that its time has come.
package protocol TimerHandler: AnyObject {
    func timerFired()
}

/// A scheduled timer; worthless once it has fired.
package struct TimerToken {
    fileprivate let node: Int32
    fileprivate let generation: UInt32
}

/// A hierarchical timing wheel: four levels of 64 slots, turning every 4 ms; arming and cancelling are O(1).
///
/// Reach: 64 slots of 4 ms, of 256 ms, of 16 s, of 17 min (18 h in all; later deadlines wait in the last slot and
/// are sorted in again). Times are nanoseconds of one monotonic clock. A class, for its handlers call back into it.
/// - SeeAlso: Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", 1987.
final class TimerWheel {
    private static let tickNanos: Int64 = 4_000_000
    private static let levels = 4
    private static let none: Int32 = -1

    private struct Node {
        var handler: (any TimerHandler)?
        var deadline: Int64 = 0
        var previous: Int32 = TimerWheel.none
        var next: Int32 = TimerWheel.none
        var slot: Int32 = TimerWheel.none
        var generation: UInt32 = 0
    }

    private var nodes: [Node] = []
    private var free: [Int32] = []
    private var heads = [Int32](repeating: TimerWheel.none, count: 64 * TimerWheel.levels)
    /// A bit for each slot of a level that holds a timer.
    private var occupied = [UInt64](repeating: 0, count: TimerWheel.levels)
    private var tick: Int64

    init(now: Int64) {
        tick = now / TimerWheel.tickNanos
    }

    /// The earliest time at which something may be due; `nil` without timers. Never late, at most a slot early.
    var nextDeadline: Int64? {
        var earliest: Int64?
        for level in 0..<TimerWheel.levels where occupied[level] != 0 {
            let shift = Int64(6 * level)
            let position = tick >> shift
            let start = UInt64((position + 1) & 63)
            let bits = occupied[level]
            let rotated = start == 0 ? bits : (bits >> start) | (bits << (64 - start))
            let slotTick = (position + 1 + Int64(rotated.trailingZeroBitCount)) << shift
            earliest = min(earliest ?? .max, slotTick * TimerWheel.tickNanos)
        }
        return earliest
    }

    func schedule(_ handler: any TimerHandler, at deadline: Int64) -> TimerToken {
        let index: Int32
        if let reused = free.popLast() {
            index = reused
        } else {
            index = Int32(nodes.count)
            nodes.append(Node())
        }
        nodes[Int(index)].handler = handler
        nodes[Int(index)].deadline = deadline
        insert(index)
        return TimerToken(node: index, generation: nodes[Int(index)].generation)
    }

    func cancel(_ token: TimerToken) {
        let index = Int(token.node)
        guard index < nodes.count, nodes[index].generation == token.generation, nodes[index].handler != nil
        else { return }
        unlink(token.node)
        retire(token.node)
    }

    func removeAll() {
        nodes.removeAll()
        free.removeAll()
        for index in heads.indices { heads[index] = TimerWheel.none }
        for level in occupied.indices { occupied[level] = 0 }
    }

    /// Turns the wheel to `now` and calls what is due. Handlers may schedule and cancel.
    func advance(to now: Int64) {
        let target = now / TimerWheel.tickNanos
        while tick < target {
            if occupied[0] | occupied[1] | occupied[2] | occupied[3] == 0 {
                tick = target
                return
            }
            // Jump over empty slots of the finest level, up to where a coarser level must be sorted in.
            if occupied[0] == 0 {
                tick = min(target, (tick | 63))
                if tick == target { return }
            }
            tick += 1
            cascade()
            fireSlot(Int(tick & 63))
        }
    }

    /// Sorts the timers of coarser slots in whose time has begun.
    private func cascade() {
        for level in 1..<TimerWheel.levels {
            let shift = Int64(6 * level)
            guard tick & ((1 << shift) - 1) == 0 else { return }
            let slot = 64 * level + Int((tick >> shift) & 63)
            while heads[slot] != TimerWheel.none {
                let index = heads[slot]
                unlink(index)
                insert(index)
            }
        }
    }

    private func fireSlot(_ slot: Int) {
        while heads[slot] != TimerWheel.none {
            let index = heads[slot]
            let handler = nodes[Int(index)].handler
            unlink(index)
            retire(index)
            handler?.timerFired()
        }
    }

    private func insert(_ index: Int32) {
        // Rounded up without the sum that overflows for a deadline that never comes.
        let deadline = nodes[Int(index)].deadline
        let ticks = deadline / TimerWheel.tickNanos + (deadline % TimerWheel.tickNanos > 0 ? 1 : 0)
        let due = max(ticks, tick + 1)
        let distance = due - tick
        let level = distance < 64 ? 0 : distance < 4096 ? 1 : distance < 262_144 ? 2 : 3
        let reach = min(due, tick + 16_777_215)
        let slot = Int32(64 * level + Int((reach >> Int64(6 * level)) & 63))
        let head = heads[Int(slot)]
        nodes[Int(index)].slot = slot
        nodes[Int(index)].previous = TimerWheel.none
        nodes[Int(index)].next = head
        if head != TimerWheel.none { nodes[Int(head)].previous = index }
        heads[Int(slot)] = index
        occupied[level] |= 1 << UInt64(slot & 63)
    }

    private func unlink(_ index: Int32) {
        let node = nodes[Int(index)]
        if node.previous != TimerWheel.none {
            nodes[Int(node.previous)].next = node.next
        } else {
            heads[Int(node.slot)] = node.next
            if node.next == TimerWheel.none { occupied[Int(node.slot) / 64] &= ~(1 << UInt64(node.slot & 63)) }
        }
        if node.next != TimerWheel.none { nodes[Int(node.next)].previous = node.previous }
    }

    private func retire(_ index: Int32) {
        nodes[Int(index)].handler = nil
        nodes[Int(index)].generation &+= 1
        free.append(index)
    }
}

/// A deadline that moves often: moving it later costs a store, the wheel is touched only when it moves earlier.
package struct MovingDeadline {
    private var deadline = Int64.max
    private var armed: (token: TimerToken, at: Int64)?

    /// No deadline.
    package init() {}

    /// Sets the deadline; `handler.timerFired()` then asks `isDue`.
    package mutating func set(_ deadline: Int64, on reactor: Reactor, _ handler: any TimerHandler) {
        self.deadline = deadline
        guard deadline != .max else { return }
        if let armed {
            if armed.at <= deadline { return }
            reactor.cancel(armed.token)
        }
        armed = (reactor.schedule(handler, at: deadline), deadline)
    }

    /// Takes the deadline back without touching the wheel; the timer finds nothing due when it fires.
    package mutating func clear() {
        deadline = .max
    }

    /// Takes the deadline and the timer back; call when the handler is closed.
    package mutating func cancel(on reactor: Reactor) {
        deadline = .max
        if let armed { reactor.cancel(armed.token) }
        armed = nil
    }

    /// To be asked first in `timerFired`: whether the deadline has passed. If it has moved, the timer is set anew.
    package mutating func isDue(on reactor: Reactor, _ handler: any TimerHandler) -> Bool {
        armed = nil
        if deadline <= reactor.now {
            deadline = .max
            return true
        }
        if deadline != .max { armed = (reactor.schedule(handler, at: deadline), deadline) }
        return false
    }
}
