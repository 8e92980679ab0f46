#!/usr/bin/env python3
"""HTTP/2 to HTTP/1.1: what h2 fields can carry that must not come out as h1 syntax at the backend.

    h2_downgrade.py 127.0.0.1:4000 --capture 18080 [--tls]

Expectations as in http1_corpus.py: `must` is refused (RST_STREAM, GOAWAY or a 4xx/5xx) and nothing is
forwarded; `should` is better refused, a clean forward is WARN; `may` is right either way; `serve` is answered
200 and forwarded once with the very body. Whatever is forwarded must be one well-formed request.
"""

import argparse
import sys
import time

from h2wire import (DATA, END_HEADERS, END_STREAM, FRAME, HEADERS, TIMEOUT, H2Connection, frame, literal_block)
from support import CaptureBackend, Report, parse_address

PATH = "/v1/chat/completions"
BODY = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
INJECTED = "\r\nx-injected: 1"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n"
TYPE = ("content-type", "application/json")

ROWS = []


def row(group, title, expect, *more, pseudo=None, drop=(), body=BODY, trailers=None, check=None, end=True, first=()):
    """`more`: further fields; `pseudo`: changed pseudo-fields; `drop`: omitted ones; `first`: fields put first."""
    ROWS.append(dict(group=group, title=title, expect=expect, more=more, pseudo=pseudo or {}, drop=drop, body=body,
                     trailers=trailers, check=check, end=end, first=first))


def absent(*names):
    return lambda seen: next((f"{name} forwarded: {seen.values(name)}" for name in names if seen.values(name)), None)


def without_value(name, value):
    return lambda seen: f"{name}: {value} forwarded" if value in " ".join(seen.values(name)) else None


# Pseudo-fields

for title, expect, value in [
    ("SP", "must", "PO ST"), ("CR LF", "must", "POST / HTTP/1.1" + INJECTED), ("LF", "must", "POST\nx"),
    ("NUL", "must", "POST\0"), ("TAB", "must", "POST\t"), ("empty", "must", ""), ("colon", "must", "PO:ST"),
    ("octet 0x80", "must", b"P\x80"), ("a whole request line", "must", "GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\nPOST"),
    ("lower case", "should", "post"), ("unknown", "should", "FROB"), ("10,000 octets", "should", "A" * 10000),
    ("TRACE", "should", "TRACE"), ("CONNECT with :path", "must", "CONNECT"),
]:
    row("method", title, expect, pseudo={":method": value})
row("method", "CONNECT", "must", pseudo={":method": "CONNECT"}, drop=(":path", ":scheme"))

for title, expect, value in [
    ("CR LF and a field", "must", PATH + " HTTP/1.1" + INJECTED), ("LF", "must", PATH + "\nx-injected: 1"),
    ("CR", "must", PATH + "\rx"), ("NUL", "must", PATH + "\0"), ("SP", "must", PATH + " HTTP/1.1"),
    ("TAB", "must", PATH + "\tx"), ("DEL", "must", PATH + "\x7f"), ("control octet", "must", PATH + "\x01"),
    ("empty", "must", ""), ("relative", "must", "v1/chat/completions"), ("*", "must", "*"),
    ("fragment", "should", PATH + "#x"), ("octet 0x80", "should", PATH.encode() + b"?\x80"),
    ("UTF-8", "should", PATH + "?\u00e9"), ("absolute URI", "must", "http://127.0.0.1" + PATH),
    ("two slashes first", "may", "/" + PATH), ("dot segments", "may", "/v1/x/.." + PATH[3:]),
    ("%2e%2e", "may", "/v1/x/%2e%2e" + PATH[3:]), ("%0d%0a", "may", PATH + "?%0d%0ax-injected:%201"),
    ("%00", "may", PATH + "?%00"), ("backslash", "may", PATH + "\\x"),
    ("100,000 octets", "must", PATH + "?" + "a" * 100000),
    ("a whole request", "must", PATH + " HTTP/1.1\r\nhost: x\r\n\r\nGET /smuggled"),
]:
    row("path", title, expect, pseudo={":path": value})
row("path", "query", "serve", pseudo={":path": PATH + "?a=b"})

for title, expect, value in [
    ("ftp", "should", "ftp"), ("javascript", "should", "javascript"), ("CR LF", "must", "http" + INJECTED),
    ("URI", "must", "http://127.0.0.1/smuggled?"), ("empty", "must", ""), ("SP", "must", "ht tp"),
    ("upper case", "may", "HTTP"), ("NUL", "must", "http\0"),
]:
    row("scheme", title, expect, pseudo={":scheme": value})

for title, expect, value in [
    ("user information", "should", "a@127.0.0.1"), ("comma", "should", "127.0.0.1,other"),
    ("SP", "must", "127.0.0.1 x"),
    ("CR LF and a field", "must", "127.0.0.1" + INJECTED), ("LF", "must", "127.0.0.1\nx"),
    ("NUL", "must", "127.0.0.1\0"),
    ("slash", "should", "127.0.0.1/x"), ("question mark", "should", "127.0.0.1?x"),
    ("fragment", "should", "127.0.0.1#x"),
    ("backslash", "should", "127.0.0.1\\x"), ("port of letters", "should", "127.0.0.1:x"),
    ("port 99999", "should", "127.0.0.1:99999"), ("open bracket", "should", "[::1"), ("octet 0x80", "should", b"a\x80"),
    ("empty", "should", ""), ("TAB", "must", "127.0.0.1\tx"),
]:
    row("authority", title, expect, pseudo={":authority": value})
row("authority", "none, host instead", "may", ("host", "127.0.0.1"), drop=(":authority",))
row("authority", "none at all", "should", drop=(":authority",))
row("authority", "with an equal host", "may", ("host", "127.0.0.1"), pseudo={":authority": "127.0.0.1"})
row("authority", "with another host", "may", ("host", "other"), check=without_value("host", "other"))
row("authority", "with two hosts", "must", ("host", "127.0.0.1"), ("host", "other"))
row("authority", "host with CR LF", "must", ("host", "127.0.0.1" + INJECTED), drop=(":authority",))
row("authority", "host with user information", "should", ("host", "a@127.0.0.1"), drop=(":authority",))
row("authority", "empty host", "should", ("host", ""), drop=(":authority",))
for name in (":method", ":scheme", ":path", ":authority"):
    row("pseudo", f"{name} twice", "must", (name, "/x" if name == ":path" else "GET"))
row("pseudo", "all behind a field", "must", first=[("x-a", "b")])
row("pseudo", ":status", "must", (":status", "200"))
row("pseudo", "unknown", "must", (":x", "y"))
row("pseudo", ":protocol", "must", (":protocol", "websocket"))
for name in (":method", ":scheme", ":path"):
    row("pseudo", f"no {name}", "must", drop=(name,))

# Names and values

for title, expect, name in [
    ("upper case", "must", "X-A"), ("upper case inside", "must", "x-aB"),
    ("upper-case Content-Length", "must", "Content-Length"),
    ("SP inside", "must", "x a"), ("SP behind", "must", "x-a "), ("SP before", "must", " x-a"),
    ("TAB inside", "must", "x\ta"),
    ("colon inside", "must", "x:a"), ("colon and a field", "must", "x: y\r\nx-injected"), ("CR", "must", "x\ra"),
    ("LF", "must", "x\na"), ("NUL", "must", "x\0a"), ("DEL", "must", "x\x7fa"), ("control octet", "must", "x\x01a"),
    ("octet 0x80", "must", b"x\x80a"), ("empty", "must", ""),
    ("transfer-encoding and SP", "must", "transfer-encoding "),
    ("100,000 octets", "must", "x" * 100000),
] + [(f"{char}", "should", f"x{char}a") for char in '"(),/;<=>?@[\\]{}']:
    row("names", title, expect, (name, "b"))

for title, expect, value in [
    ("CR LF and a field", "must", "b" + INJECTED), ("LF and a field", "must", "b\nx-injected: 1"),
    ("CR", "must", "b\rc"),
    ("CR LF at the end", "must", "b\r\n"),
    ("CR LF CR LF and a request", "must", "b\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n"),
    ("NUL", "must", "b\0c"), ("SP before", "should", " b"), ("SP behind", "should", "b "),
    ("TAB before", "should", "\tb"),
    ("TAB behind", "should", "b\t"), ("control octet", "should", "b\x01"), ("DEL", "should", "b\x7f"),
    ("octets above 0x7f", "may", b"\xe9\xff"), ("60,000 octets", "should", "b" * 60000),
]:
    row("values", title, expect, ("x-a", value))
row("values", "CR LF in content-type", "must", ("content-type", "application/json" + INJECTED))
row("values", "CR LF in authorization", "must", ("authorization", "Bearer x" + INJECTED))
row("values", "CR LF in a cookie", "must", ("cookie", "a=b" + INJECTED))
row("values", "200 fields", "should", *[(f"x-{number}", "b") for number in range(200)])

# Connection-specific fields

for name, value, expect in [
    ("connection", "close", "must"), ("connection", "x-a", "must"), ("keep-alive", "timeout=5", "must"),
    ("proxy-connection", "keep-alive", "must"), ("transfer-encoding", "chunked", "must"),
    ("transfer-encoding", "identity", "must"), ("upgrade", "h2c", "must"), ("te", "gzip", "must"),
    ("te", "trailers, chunked", "must"), ("te", "trailers", "may"), ("http2-settings", "AAMAAABkAAQAAP__", "may"),
    ("trailer", "x-t", "may"), ("proxy-authorization", "Basic eA==", "may"), ("expect", "100-continue", "may"),
    ("expect", "200-ok", "should"),
]:
    row("connection", f"{name}: {value}", expect, (name, value),
        check=absent("connection" if name == "connection" else name) if name not in ("trailer", "proxy-authorization",
            "expect")
        else None)
row("connection", "transfer-encoding and content-length", "must", ("transfer-encoding", "chunked"),
    ("content-length", str(len(BODY))))
row("connection", "smuggling by transfer-encoding", "must", ("transfer-encoding", "chunked"),
    body=b"0\r\n\r\n" + SMUGGLED)

# content-length

for title, expect, values in [
    ("too short", "must", ["5"]), ("too long", "must", ["500"]), ("0 with a body", "must", ["0"]),
    ("twice, different", "must", [str(len(BODY)), "5"]), ("twice, equal", "should", [str(len(BODY))] * 2),
    ("list", "must", [f"{len(BODY)}, {len(BODY)}"]), ("plus sign", "must", [f"+{len(BODY)}"]),
    ("minus sign", "must", ["-1"]), ("hexadecimal", "must", ["0x39"]), ("letters", "must", ["many"]),
    ("empty", "must", [""]),
    ("SP before", "must", [f" {len(BODY)}"]), ("2^64 + n", "must", [str(2**64 + len(BODY))]),
    ("30 digits", "must", ["9" * 30]),
    ("CR LF", "must", [f"{len(BODY)}{INJECTED}"]), ("NUL", "must", [f"{len(BODY)}\0"]),
]:
    row("content-length", title, expect, *[("content-length", value) for value in values])
row("content-length", "right", "serve", ("content-length", str(len(BODY))))
row("content-length", "leading zeros", "may", ("content-length", f"000{len(BODY)}"))
row("content-length", "5 without a body", "must", ("content-length", "5"), body=None)
row("content-length", "smuggled request behind", "must", ("content-length", str(len(BODY))), body=BODY + SMUGGLED)

# What is rebuilt, joined or dropped

row("rebuilt", "plain request", "serve")
row("rebuilt", "cookie crumbs are joined", "may", ("cookie", "a=b"), ("cookie", "c=d"),
    check=lambda seen: None if seen.values("cookie") in ([], ["a=b; c=d"]) else f"cookies {seen.values('cookie')}")
for name, value in [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-host", "evil"), ("x-forwarded-proto", "evil"),
                    ("forwarded", "for=6.6.6.6"), ("x-real-ip", "6.6.6.6"),
                    ("x-gateway-destination-endpoint", "6.6.6.6:1")]:
    row("rebuilt", f"{name} is not believed", "may", (name, value), check=without_value(name, value))
row("rebuilt", "a broken x-request-id is replaced", "may", ("x-request-id", "a b;c\u00e9"),
    check=without_value("x-request-id", "a b;c"))
row("rebuilt", "a long x-request-id is replaced", "may", ("x-request-id", "a" * 1000),
    check=without_value("x-request-id", "a" * 129))

for title, expect, trailers in [
    ("plain", "may", [("x-t", "y")]), ("content-length", "may", [("content-length", "5")]),
    ("transfer-encoding", "must", [("transfer-encoding", "chunked")]), ("host", "may", [("host", "evil")]),
    ("authorization", "may", [("authorization", "Bearer evil")]), ("connection", "must", [("connection", "close")]),
    ("pseudo-field", "must", [(":path", "/smuggled")]), ("upper case", "must", [("X-T", "y")]),
    ("CR LF", "must", [("x-t", "y" + INJECTED)]), ("NUL", "must", [("x-t", "\0")]),
    ("name with CR LF", "must", [("x\r\nt", "y")]),
]:
    row("trailers", title, expect, trailers=trailers, check=lambda seen: next(
        (f"trailer as a field: {name}" for name, value in seen.fields if "evil" in value or name == "x-t"), None))


def fields_of(case, scheme, authority):
    pseudo = {":method": "POST", ":scheme": scheme, ":path": PATH, ":authority": authority} | case["pseudo"]
    ordered = [(name, value) for name, value in pseudo.items() if name not in case["drop"]]
    names = [name for name, _ in case["more"]]
    return [*case["first"], *ordered, *([] if "content-type" in names else [TYPE]), *case["more"]]


def send_blocks(connection, block, end_stream):
    """A header block in one frame, or in HEADERS and CONTINUATION if it is larger."""
    parts = [block[at : at + 16000] for at in range(0, len(block), 16000)] or [b""]
    out = frame(HEADERS, (END_STREAM if end_stream else 0) | (END_HEADERS if len(parts) == 1 else 0), 1, parts[0])
    for number, part in enumerate(parts[1:], 2):
        out += frame(9, END_HEADERS if number == len(parts) else 0, 1, part)
    connection.send(out)


def run_row(options, backend, case):
    backend.take()
    with H2Connection(options.host, options.port, options.tls, timeout=2.0).handshake() as connection:
        block = literal_block(fields_of(case, connection.scheme, connection.authority))
        send_blocks(connection, block, case["body"] is None)
        if case["body"] is not None:
            connection.send(frame(DATA, 0 if case["trailers"] else END_STREAM, 1, case["body"]))
        if case["trailers"]:
            send_blocks(connection, literal_block(case["trailers"]), True)
        status, _, _, event = connection.response(1, options.patience)
    time.sleep(0.005)
    return judge(case, status, event, backend.take())


def judge(case, status, event, captured):
    told = f"{status or event}, {len(captured)} forwarded"
    for seen in captured:
        if seen.problem:
            return ("WARN" if seen.problem.startswith(("control",
                "incomplete")) else "FAIL"), f"forwarded: {seen.problem} ({told})"
        if "smuggled" in seen.target or seen.values("x-injected"):
            return "FAIL", f"injection reached the backend ({told})"
    if len(captured) > 1:
        return "FAIL", f"forwarded {len(captured)} requests"
    problem = captured and case["check"] and case["check"](captured[0])
    if problem:
        return "FAIL", problem
    served = status == "200" and len(captured) == 1 and captured[0].body == (case["body"] or b"")
    if case["expect"] == "serve":
        return ("PASS" if served else "FAIL"), told
    if not captured:
        if status and int(status) < 400 and case["expect"] != "may":
            return "FAIL", f"answered as if it were right ({told})"
        if not status and event.what == TIMEOUT:
            return "WARN", f"no answer ({told})"
        return "PASS", told
    if case["expect"] == "must":
        return "FAIL", f"forwarded ({told})"
    return ("PASS" if served and case["expect"] == "may" else "WARN"), told


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", help="HOST:PORT of the gateway")
    parser.add_argument("--capture", type=int, required=True, help="port for the capture backend")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--only", help="run the rows whose id starts with this, such as downgrade/path")
    parser.add_argument("--patience", type=float, default=1.0)
    parser.add_argument("--max-warn", type=int, help="fail if more rows than this are WARN")
    parser.add_argument("--quiet", action="store_true", help="print only what did not pass")
    options = parser.parse_args()
    options.host, options.port = parse_address(options.address)
    report, backend, numbers = Report("h2_downgrade", options.quiet), CaptureBackend(options.capture), {}
    for case in ROWS:
        numbers[case["group"]] = numbers.get(case["group"], 0) + 1
        name = f"downgrade/{case['group']}/{numbers[case['group']]}"
        if options.only and not name.startswith(options.only):
            continue
        try:
            verdict, reason = run_row(options, backend, case)
        except OSError as error:
            verdict, reason = "FAIL", f"no connection: {error}"
        report.add(name, verdict, f"{case['title']}: {reason}")
    status = report.finish()
    too_many = options.max_warn is not None and report.counts.get("WARN", 0) > options.max_warn
    return 1 if too_many else status


if __name__ == "__main__":
    sys.exit(main())
