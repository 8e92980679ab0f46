import Glibc
import Synchronization

/// Something waited for did not happen in time.
struct TimedOut: Error {}

/// How long anything may take before a test fails. Sanitizers on a busy machine are slow.
let patienceSeconds = 20

/// Starts a thread. Blocking work must not take threads of Dispatch or of the concurrency runtime from the gateway.
func startThread(_ work: @escaping @Sendable () -> Void) {
    let body = Unmanaged.passRetained(ThreadBody(work))
    var thread = pthread_t()
    let result = pthread_create(
        &thread, nil,
        { pointer in
            Unmanaged<ThreadBody>.fromOpaque(pointer!).takeRetainedValue().work()
            return nil
        }, body.toOpaque())
    precondition(result == 0, "no thread")
    pthread_detach(thread)
}

private final class ThreadBody: Sendable {
    let work: @Sendable () -> Void

    init(_ work: @escaping @Sendable () -> Void) { self.work = work }
}

/// Runs blocking work on a thread of its own and suspends the caller meanwhile.
func onThread<Result: Sendable>(_ work: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        startThread { continuation.resume(with: Swift.Result { try work() }) }
    }
}

/// Something that happens once or more often, and can be waited for.
final class Signal: Sendable {
    // Sendable: a semaphore is made for many threads; it lives as long as this.
    private nonisolated(unsafe) let semaphore: UnsafeMutablePointer<sem_t>

    init() {
        semaphore = .allocate(capacity: 1)
        sem_init(semaphore, 0, 0)
    }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    /// It has happened.
    func raise() { sem_post(semaphore) }

    /// Blocks until it has happened once more.
    func wait(seconds: Int = patienceSeconds) throws {
        var deadline = timespec()
        clock_gettime(CLOCK_REALTIME, &deadline)
        deadline.tv_sec += seconds
        while sem_timedwait(semaphore, &deadline) != 0 {
            if errno != EINTR { throw TimedOut() }
        }
    }

    /// Suspends until it has happened once more.
    func happened() async throws { try await onThread { try self.wait() } }
}
