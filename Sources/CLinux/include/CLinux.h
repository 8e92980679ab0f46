// System calls and macros that the Glibc module does not export.
#pragma once
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>

/// accept4(2) with SOCK_NONBLOCK | SOCK_CLOEXEC.
int penstock_accept(int listener, struct sockaddr_storage *peer, socklen_t *length);

/// Nanoseconds of CLOCK_MONOTONIC.
static inline int64_t penstock_monotonic_nanos(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
