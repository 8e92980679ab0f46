internal import Glibc

/// Nanoseconds since 1970, for logs and dates only: it may jump.
package func wallClockNanos() -> Int64 {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
}

/// Nanoseconds of CLOCK_MONOTONIC, on which reactors count. For the control plane; on a reactor ask `Reactor.now`.
package func monotonicNanos() -> Int64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
}
