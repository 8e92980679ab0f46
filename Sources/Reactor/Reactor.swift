internal import Bytes
internal import CLinux
package import Dispatch
internal import Glibc
internal import Synchronization

/// What a socket is ready for.
package struct Readiness: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let readable = Readiness(rawValue: EPOLLIN.rawValue)
    package static let writable = Readiness(rawValue: EPOLLOUT.rawValue)
    /// The peer sends no more, or the connection is gone: read to the end at once.
    package static let hungUp = Readiness(rawValue: EPOLLRDHUP.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue)
}

/// Is told when its socket is ready. Edge-triggered: an edge is reported once.
package protocol SocketHandler: AnyObject {
    func socketReady(_ readiness: Readiness)
}

/// Is called once at the end of the round in which it asked for that: the place to write what a round has gathered.
package protocol RoundHandler: AnyObject {
    func roundEnded()
}

/// One event loop: a serial Dispatch queue that owns an epoll descriptor, and all that is confined to it.
///
/// Everything a reactor owns is touched on its queue only; other threads reach it through `submit`. One
/// `DispatchSource` watches the epoll descriptor; while there is work the handler stays in `epoll_wait` (a return to
/// Dispatch costs two thread wake-ups at the next event), and after `linger` of silence it returns to Dispatch.
/// The figures are in docs/decisions/0001-reactors-linger.md.
package final class Reactor {
    /// The number of this reactor, from 0; the shard it writes metrics to.
    package let index: Int
    package let queue: DispatchQueue
    /// Nanoseconds of CLOCK_MONOTONIC, read once a wake-up.
    package private(set) var now: Int64
    /// Memory that one read at a time uses; valid on the reactor until the next read.
    package let readBuffer: UnsafeMutableRawBufferPointer
    /// A second such memory, for what a read is turned into (plaintext of TLS).
    package let plainBuffer: UnsafeMutableRawBufferPointer
    /// Is told how late each round ran, in nanoseconds of work between two waits.
    package var onRound: ((_ nanos: Int64) -> Void)?

    private let epoll: Int32
    private let timerDescriptor: Int32
    private let mailbox: Mailbox
    private var source: (any DispatchSourceRead)?
    private var slots: [Slot] = []
    private var freeSlots: [Int32] = []
    private let wheel: TimerWheel
    private var dirty: [any RoundHandler] = []
    private var flushing: [any RoundHandler] = []
    private var again: [any SocketHandler] = []
    private let events: UnsafeMutablePointer<epoll_event>
    private var isStopped = false

    private static let eventsPerRound = 64
    private static let lingerNanos: Int64 = 200_000_000
    private static let mailboxToken = UInt64.max
    private static let timerToken = UInt64.max - 1

    private struct Slot {
        var handler: (any SocketHandler)?
        var generation: UInt32
    }

    /// Makes a reactor that is idle until something is registered or submitted.
    ///
    /// - Throws: `.system` if the kernel gives no descriptor.
    package init(index: Int) throws(ReactorError) {
        self.index = index
        queue = DispatchQueue(label: "penstock.reactor.\(index)", qos: .userInitiated)
        now = penstock_monotonic_nanos()
        wheel = TimerWheel(now: now)
        readBuffer = .allocate(byteCount: 64 * 1024, alignment: 64)
        plainBuffer = .allocate(byteCount: 64 * 1024, alignment: 64)
        events = .allocate(capacity: Reactor.eventsPerRound)
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard epoll >= 0 else { throw .system("epoll_create1", errno) }
        timerDescriptor = timerfd_create(CLOCK_MONOTONIC, Int32(TFD_NONBLOCK) | Int32(TFD_CLOEXEC))
        guard timerDescriptor >= 0 else { throw .system("timerfd_create", errno) }
        mailbox = try Mailbox()
        try watch(mailbox.descriptor, events: EPOLLIN.rawValue, token: Reactor.mailboxToken)
        try watch(timerDescriptor, events: EPOLLIN.rawValue, token: Reactor.timerToken)
    }

    deinit {
        readBuffer.deallocate()
        plainBuffer.deallocate()
        events.deallocate()
        close(epoll)
        close(timerDescriptor)
    }

    /// Begins to serve. Call once.
    package func start() {
        let source = DispatchSource.makeReadSource(fileDescriptor: epoll, queue: queue)
        source.setEventHandler { self.drain() }
        self.source = source
        source.activate()
    }

    /// Ends the loop: no handler is called any more.
    package func stop() {
        preconditionOnReactor()
        isStopped = true
        source?.cancel()
        source = nil
        slots.removeAll()
        freeSlots.removeAll()
        dirty.removeAll()
        again.removeAll()
        wheel.removeAll()
        // What is told of rounds may hold who holds the reactor.
        onRound = nil
    }

    /// Stops the process if the caller is not on this reactor.
    package func preconditionOnReactor() {
        dispatchPrecondition(condition: .onQueue(queue))
    }

    /// A way to reach this reactor from anywhere.
    package var remote: ReactorRemote { ReactorRemote(mailbox: mailbox) }

    // MARK: Sockets

    /// Watches a descriptor for everything, edge-triggered, until `unregister`.
    ///
    /// - Returns: The registration to give back to `unregister`.
    package func register(_ descriptor: Int32, _ handler: any SocketHandler) throws(ReactorError) -> Int32 {
        let slot: Int32
        if let free = freeSlots.popLast() {
            slot = free
            slots[Int(slot)].handler = handler
        } else {
            slot = Int32(slots.count)
            slots.append(Slot(handler: handler, generation: 0))
        }
        let token = UInt64(slots[Int(slot)].generation) << 32 | UInt64(UInt32(bitPattern: slot))
        let all = EPOLLIN.rawValue | EPOLLOUT.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue
        do throws(ReactorError) {
            try watch(descriptor, events: all, token: token)
        } catch {
            release(slot)
            throw error
        }
        return slot
    }

    /// Forgets a descriptor. The caller closes it; events already fetched for it are dropped.
    package func unregister(_ slot: Int32, descriptor: Int32) {
        epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, nil)
        release(slot)
    }

    /// Calls the handler again in the next round, as if its socket had become readable.
    package func callAgain(_ handler: any SocketHandler) {
        again.append(handler)
    }

    /// Calls `handler.roundEnded()` at the end of this round. Ask once a round.
    package func callAtRoundEnd(_ handler: any RoundHandler) {
        dirty.append(handler)
    }

    private func release(_ slot: Int32) {
        // After `stop` nothing is registered any more, but owners of sockets still close them.
        guard slot < slots.count else { return }
        slots[Int(slot)].handler = nil
        slots[Int(slot)].generation &+= 1
        freeSlots.append(slot)
    }

    private func watch(_ descriptor: Int32, events: UInt32, token: UInt64) throws(ReactorError) {
        var event = epoll_event()
        event.events = events
        event.data.u64 = token
        guard epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 else { throw .system("epoll_ctl", errno) }
    }

    // MARK: Timers

    /// Calls `handler.timerFired()` once at or shortly after `deadline` (the wheel turns every 4 ms).
    package func schedule(_ handler: any TimerHandler, at deadline: Int64) -> TimerToken {
        wheel.schedule(handler, at: deadline)
    }

    /// Takes a timer back; nothing happens if it has fired.
    package func cancel(_ token: TimerToken) {
        wheel.cancel(token)
    }

    // MARK: The loop

    /// Serves what is ready, and stays while there is work; then returns to Dispatch.
    private func drain() {
        var quietSince = penstock_monotonic_nanos()
        while !isStopped {
            let timeout = waitMillis(quietSince: quietSince)
            let ready = epoll_wait(epoll, events, Int32(Reactor.eventsPerRound), timeout)
            let began = penstock_monotonic_nanos()
            now = began
            if ready > 0 {
                quietSince = began
                for index in 0..<Int(ready) { dispatch(events[index]) }
            }
            runAgain()
            wheel.advance(to: now)
            flush()
            if ready > 0, let onRound { onRound(penstock_monotonic_nanos() - began) }
            if again.isEmpty, began - quietSince >= Reactor.lingerNanos {
                park()
                return
            }
        }
    }

    private func waitMillis(quietSince: Int64) -> Int32 {
        if !again.isEmpty { return 0 }
        var until = quietSince + Reactor.lingerNanos
        if let next = wheel.nextDeadline { until = min(until, next) }
        let nanos = until - penstock_monotonic_nanos()
        return nanos <= 0 ? 0 : Int32(min(nanos / 1_000_000 + 1, 60_000))
    }

    private func dispatch(_ event: epoll_event) {
        let token = event.data.u64
        if token == Reactor.mailboxToken {
            mailbox.takeAll()
            return
        }
        if token == Reactor.timerToken {
            var expirations: UInt64 = 0
            _ = read(timerDescriptor, &expirations, 8)
            return
        }
        let slot = Int(UInt32(truncatingIfNeeded: token))
        guard slot < slots.count, slots[slot].generation == UInt32(token >> 32), let handler = slots[slot].handler
        else { return }
        handler.socketReady(Readiness(rawValue: event.events))
    }

    private func runAgain() {
        guard !again.isEmpty else { return }
        let handlers = again
        again.removeAll(keepingCapacity: true)
        for handler in handlers { handler.socketReady(.readable) }
    }

    /// Ends the round; what it writes may wake more, which is served in the same round.
    private func flush() {
        while !dirty.isEmpty {
            swap(&dirty, &flushing)
            for handler in flushing { handler.roundEnded() }
            flushing.removeAll(keepingCapacity: true)
        }
    }

    /// Leaves the watch to Dispatch; a timer descriptor in the same epoll wakes us for the next timer.
    private func park() {
        var time = itimerspec()
        if let next = wheel.nextDeadline {
            let due = max(next, 1)
            time.it_value.tv_sec = Int(due / 1_000_000_000)
            time.it_value.tv_nsec = Int(due % 1_000_000_000)
        }
        timerfd_settime(timerDescriptor, Int32(TFD_TIMER_ABSTIME), &time, nil)
    }
}

/// Reaches a reactor from any thread.
package struct ReactorRemote: Sendable {
    fileprivate let mailbox: Mailbox

    /// Runs `job` on the reactor, soon.
    package func submit(_ job: @escaping @Sendable () -> Void) {
        mailbox.put(job)
    }
}

/// Jobs for a reactor from other threads; an eventfd in the reactor's epoll tells of the first.
private final class Mailbox: Sendable {
    let descriptor: Int32
    private let jobs = Mutex<[@Sendable () -> Void]>([])

    init() throws(ReactorError) {
        descriptor = eventfd(0, Int32(EFD_NONBLOCK) | Int32(EFD_CLOEXEC))
        guard descriptor >= 0 else { throw .system("eventfd", errno) }
    }

    deinit { close(descriptor) }

    func put(_ job: @escaping @Sendable () -> Void) {
        let isFirst = jobs.withLock { jobs in
            jobs.append(job)
            return jobs.count == 1
        }
        guard isFirst else { return }
        var one: UInt64 = 1
        _ = write(descriptor, &one, 8)
    }

    func takeAll() {
        var count: UInt64 = 0
        _ = read(descriptor, &count, 8)
        let taken = jobs.withLock { jobs in
            let all = jobs
            jobs.removeAll(keepingCapacity: true)
            return all
        }
        for job in taken { job() }
    }
}

/// What the kernel refused a reactor or a socket.
package enum ReactorError: Error, Equatable, CustomStringConvertible {
    /// A system call and its `errno`.
    case system(StaticString, Int32)

    package static func == (left: ReactorError, right: ReactorError) -> Bool {
        switch (left, right) {
        case (.system(_, let left), .system(_, let right)): left == right
        }
    }

    /// The `errno`.
    package var code: Int32 {
        switch self {
        case .system(_, let code): code
        }
    }

    /// Whether time ran out.
    package var isTimeout: Bool { code == ETIMEDOUT }

    package var description: String {
        switch self {
        case .system(let call, let code): "\(call): \(String(cString: strerror(code)))"
        }
    }
}
