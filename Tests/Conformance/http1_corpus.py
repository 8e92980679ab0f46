#!/usr/bin/env python3
"""HTTP/1.1 framing and request smuggling: raw requests, and what a backend behind the gateway sees of them.

    http1_corpus.py 127.0.0.1:4000 --capture 18080 [--only GROUP] [--tls]

The gateway must route model `m` to the capture backend that this script runs on `--capture`.

Each row has one of these expectations:
  must    it is refused: 4xx/5xx or silence, the connection closed, nothing forwarded
  should  refusing is right; forwarding a clean request is WARN
  may     refusing and forwarding a clean request are both right
  serve   it is served: 200, and the backend got exactly this body once
FAIL is an unsafe outcome or a broken MUST: a request forwarded that is malformed, or twice, or in two
readings; a MUST not refused; a valid request refused. WARN is lenient but sanitised, or a refusal with an
unexpected status, or one that leaves the connection open.
"""

import argparse
import socket
import sys
import time

from h2wire import dial
from support import CaptureBackend, Report, cpu_seconds, exchange, parse_address, pid_listening_on

PATH = b"/v1/chat/completions"
BODY = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
SMUGGLED_POST = (b"POST /v1/chat/completions?smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\ncontent-type: application/json\r\n"
                 b"content-length: %d\r\n\r\n%s" % (len(BODY), BODY))
FOLLOWING = SMUGGLED.replace(b"smuggled", b"following")
HOST, TYPE = b"Host: 127.0.0.1", b"Content-Type: application/json"
LENGTH = b"Content-Length: %d" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
REFUSALS = set(range(400, 418)) | {421, 422, 426, 431, 500, 501, 505}

ROWS = []


def row(group, title, expect, *parts, status=None, responses=1, check=None, body=BODY, patience=None, head=False):
    """A case. `responses`: how many final answers a served request brings. `check`: looks at what was forwarded."""
    ROWS.append(dict(group=group, title=title, expect=expect, parts=parts, status=status, responses=responses,
                     check=check, body=body, patience=patience, head=head))


def request(*fields, line=b"POST " + PATH + b" HTTP/1.1", body=BODY, host=HOST, end=b"\r\n"):
    """A POST with `Host`, `Content-Type` and the given field lines; no framing field of its own."""
    lines = [line] + ([host] if host else []) + [TYPE, *fields]
    return end.join(lines) + end + end + body


def plain(*fields, **more):
    return request(LENGTH, *fields, **more)


def chunked(chunks, *fields, **more):
    return request(CHUNKED, *fields, body=chunks, **more)


# Line endings and stray octets

for title, expect, raw in [
    ("bare LF after the request line", "should", plain().replace(b"HTTP/1.1\r\n", b"HTTP/1.1\n", 1)),
    ("bare LF after Host", "should", plain().replace(b"127.0.0.1\r\n", b"127.0.0.1\n", 1)),
    ("bare LF after Content-Length", "should", plain().replace(LENGTH + b"\r\n", LENGTH + b"\n", 1)),
    ("bare LF as the empty line", "should", request(LENGTH, body=b"").rstrip(b"\r\n") + b"\r\n\n" + BODY),
    ("bare LF throughout", "should", plain(end=b"\n")),
    ("bare CR after the request line", "must", plain().replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r", 1)),
    ("bare CR between fields", "must", plain(b"X-A: b\rX-C: d")),
    ("bare CR in a field value", "must", plain(b"X-A: b\rd")),
    ("bare CR in a field name", "must", plain(b"X-\rA: b")),
    ("bare CR before the colon", "must", plain(b"X-A\r: b")),
    ("CR CR LF after a field", "must", plain(b"X-A: b\r")),
    ("CR CR LF as the empty line", "must", request(LENGTH, body=b"")[:-2] + b"\r\r\n" + BODY),
    ("bare CR throughout", "must", plain(end=b"\r")),
    ("bare CR hides Transfer-Encoding", "must", plain(b"X-A: b\rTransfer-Encoding: chunked")),
    ("bare LF hides Transfer-Encoding", "should", plain(b"X-A: b\nTransfer-Encoding: chunked")),
    ("NUL in the target", "must", plain(line=b"POST " + PATH + b"\0 HTTP/1.1")),
    ("NUL in the method", "must", plain(line=b"PO\0ST " + PATH + b" HTTP/1.1")),
    ("NUL in the version", "must", plain(line=b"POST " + PATH + b" HTTP/1.1\0")),
    ("NUL in a field name", "must", plain(b"X-\0A: b")),
    ("NUL in a field value", "must", plain(b"X-A: b\0d")),
    ("NUL at the end of a field value", "must", plain(b"X-A: b\0")),
    ("NUL between fields", "must", plain(b"\0")),
    ("NUL before the request line", "must", b"\0" + plain()),
    ("leading CRLF", "may", b"\r\n" + plain()),
    ("leading CRLF CRLF", "may", b"\r\n\r\n" + plain()),
    ("leading LF", "should", b"\n" + plain()),
    ("leading CR", "should", b"\r" + plain()),
    ("leading SP", "must", b" " + plain()),
    ("leading TAB", "must", b"\t" + plain()),
    ("UTF-8 BOM first", "must", b"\xef\xbb\xbf" + plain()),
    ("garbage", "must", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03garbage\r\n\r\n"),
    ("empty lines without end", "must", b"\r\n" * 20000),
]:
    row("line-ends", title, expect, raw)

row("line-ends", "LF LF inside a head of CRLFs", "should", plain(b"X-A: b\n\nGET /following HTTP/1.1\r\nHost: x"),
    responses=3)

# The request line

for title, expect, line, status in [
    ("two SP before the target", "should", b"POST  " + PATH + b" HTTP/1.1", None),
    ("two SP before the version", "should", b"POST " + PATH + b"  HTTP/1.1", None),
    ("TAB before the target", "should", b"POST\t" + PATH + b" HTTP/1.1", None),
    ("TAB before the version", "should", b"POST " + PATH + b"\tHTTP/1.1", None),
    ("VT before the version", "should", b"POST " + PATH + b"\x0bHTTP/1.1", None),
    ("SP at the end", "should", b"POST " + PATH + b" HTTP/1.1 ", None),
    ("TAB at the end", "should", b"POST " + PATH + b" HTTP/1.1\t", None),
    ("no version", "must", b"POST " + PATH, None),
    ("no target", "must", b"POST HTTP/1.1", None),
    ("empty target", "must", b"POST  HTTP/1.1", None),
    ("a fourth part", "must", b"POST " + PATH + b" HTTP/1.1 x", None),
    ("HTTP/0.9", "must", b"POST " + PATH + b" HTTP/0.9", {400, 505}),
    ("HTTP/1.2", "may", b"POST " + PATH + b" HTTP/1.2", None),
    ("HTTP/1.9", "may", b"POST " + PATH + b" HTTP/1.9", None),
    ("HTTP/2.0", "should", b"POST " + PATH + b" HTTP/2.0", {400, 505}),
    ("HTTP/3.0", "should", b"POST " + PATH + b" HTTP/3.0", {400, 505}),
    ("HTTP/0.1", "must", b"POST " + PATH + b" HTTP/0.1", {400, 505}),
    ("HTTP/1.10", "should", b"POST " + PATH + b" HTTP/1.10", {400, 505}),
    ("HTTP/01.1", "must", b"POST " + PATH + b" HTTP/01.1", {400, 505}),
    ("HTTP/1.1x", "must", b"POST " + PATH + b" HTTP/1.1x", {400, 505}),
    ("HTTP/1.", "must", b"POST " + PATH + b" HTTP/1.", {400, 505}),
    ("HTTP/1", "must", b"POST " + PATH + b" HTTP/1", {400, 505}),
    ("HTTP/1,1", "must", b"POST " + PATH + b" HTTP/1,1", {400, 505}),
    ("HTTP/+1.1", "must", b"POST " + PATH + b" HTTP/+1.1", {400, 505}),
    ("lower-case http/1.1", "must", b"POST " + PATH + b" http/1.1", {400, 505}),
    ("HTTPS/1.1", "must", b"POST " + PATH + b" HTTPS/1.1", {400, 505}),
    ("ICE/1.0", "must", b"POST " + PATH + b" ICE/1.0", {400, 505}),
    ("HTTP 1.1", "must", b"POST " + PATH + b" HTTP 1.1", None),
    ("unknown method", "should", b"FROB " + PATH + b" HTTP/1.1", {400, 405, 501}),
    ("lower-case post", "should", b"post " + PATH + b" HTTP/1.1", {400, 405, 501}),
    ("method with a comma", "must", b"PO,ST " + PATH + b" HTTP/1.1", None),
    ("method with a slash", "must", b"PO/ST " + PATH + b" HTTP/1.1", None),
    ("method with a colon", "must", b"POST: " + PATH + b" HTTP/1.1", None),
    ("method with quotes", "must", b'"POST" ' + PATH + b" HTTP/1.1", None),
    ("method with octet 0x80", "must", b"P\x80ST " + PATH + b" HTTP/1.1", None),
    ("method of 10,000 octets", "should", b"A" * 10000 + b" " + PATH + b" HTTP/1.1", None),
    ("PRI", "must", b"PRI * HTTP/1.1", None),
    ("CONNECT in authority form", "must", b"CONNECT 127.0.0.1:1 HTTP/1.1", {400, 403, 405, 501}),
    ("CONNECT in origin form", "must", b"CONNECT " + PATH + b" HTTP/1.1", {400, 403, 404, 405, 501}),
    ("TRACE", "should", b"TRACE " + PATH + b" HTTP/1.1", {400, 403, 404, 405, 501}),
    ("target *", "should", b"POST * HTTP/1.1", None),
    ("target without a slash", "must", b"POST v1/chat/completions HTTP/1.1", None),
    ("target is an authority", "must", b"POST 127.0.0.1:80 HTTP/1.1", None),
    ("absolute form, ftp", "should", b"POST ftp://127.0.0.1" + PATH + b" HTTP/1.1", None),
    ("absolute form, no authority", "should", b"POST http://" + PATH + b" HTTP/1.1", None),
    ("absolute form, user information", "should", b"POST http://u:p@127.0.0.1" + PATH + b" HTTP/1.1", None),
    ("absolute form, SP", "must", b"POST http:// 127.0.0.1" + PATH + b" HTTP/1.1", None),
    ("fragment in the target", "should", b"POST " + PATH + b"#f HTTP/1.1", None),
    ("SP in the target", "must", b"POST /v1/chat /completions HTTP/1.1", None),
    ("DEL in the target", "must", b"POST " + PATH + b"\x7f HTTP/1.1", None),
    ("control octet in the target", "must", b"POST " + PATH + b"\x01 HTTP/1.1", None),
    ("octet 0x80 in the target", "should", b"POST " + PATH + b"?\x80 HTTP/1.1", None),
    ("UTF-8 in the target", "should", b"POST " + PATH + b"?\xc3\xa9 HTTP/1.1", None),
    ("target of 100,000 octets", "must", b"POST " + PATH + b"?" + b"a" * 100000 + b" HTTP/1.1", {400, 414, 431}),
    ("request line injected by CR LF in an escape", "may", b"POST " + PATH + b"?a%0d%0aX-B:%20c HTTP/1.1", None),
    ("%00 in the target", "may", b"POST " + PATH + b"?%00 HTTP/1.1", None),
]:
    row("request-line", title, expect, plain(line=line), status=status)

row("request-line", "HTTP/0.9 simple request", "must", b"GET /v1/models\r\n\r\n", status={400, 505})
row("request-line", "query is kept", "serve", plain(line=b"POST " + PATH + b"?a=b HTTP/1.1"))
row("request-line", "absolute form replaces Host", "may", plain(
    line=b"POST http://127.0.0.1" + PATH + b" HTTP/1.1", host=b"Host: other"),
    check=lambda seen: None if seen.values("host") != ["other"] else "Host of the field won over the target's")
row("request-line", "absolute form", "may", plain(line=b"POST http://127.0.0.1" + PATH + b" HTTP/1.1"),
    check=lambda seen: None if seen.target.startswith("/") else f"forwarded as {seen.target!r}")

# Host

for title, expect, host in [
    ("no Host", "must", None), ("two Host", "must", HOST + b"\r\nHost: other"),
    ("two equal Host", "must", HOST + b"\r\n" + HOST), ("Host and host", "must", HOST + b"\r\nhost: other"),
    ("empty Host", "should", b"Host:"), ("Host of SP", "should", b"Host:   "),
    ("user information", "should", b"Host: a@127.0.0.1"), ("path", "should", b"Host: 127.0.0.1/x"),
    ("query", "should", b"Host: 127.0.0.1?x"), ("fragment", "should", b"Host: 127.0.0.1#x"),
    ("backslash", "should", b"Host: 127.0.0.1\\x"), ("comma", "should", b"Host: 127.0.0.1, other"),
    ("SP inside", "should", b"Host: 127.0.0.1 other"), ("TAB inside", "should", b"Host: 127.0.0.1\tother"),
    ("port that is no number", "should", b"Host: 127.0.0.1:x"), ("port 99999", "should", b"Host: 127.0.0.1:99999"),
    ("port +80", "should", b"Host: 127.0.0.1:+80"), ("two ports", "should", b"Host: 127.0.0.1:80:80"),
    ("open bracket", "should", b"Host: [::1"), ("octet 0x80", "should", b"Host: a\x80b"),
    ("NUL", "must", b"Host: a\0b"), ("control octet", "must", b"Host: a\x01b"),
    ("obs-fold", "should", b"Host: 127.0.0.1\r\n x"), ("SP before the colon", "must", b"Host : 127.0.0.1"),
    ("300 octets", "may", b"Host: " + b"a" * 300),
]:
    row("host", title, expect, plain(host=host))
row("host", "IPv6 with port", "serve", plain(host=b"Host: [::1]:8080"))
row("host", "name with port", "serve", plain(host=b"Host: example.com:8080"))
row("host", "empty port", "may", plain(host=b"Host: example.com:"))

# Field syntax

for title, expect, field in [
    ("SP before the colon", "must", b"X-A : b"), ("TAB before the colon", "must", b"X-A\t: b"),
    ("SP inside the name", "must", b"X A: b"), ("SP before the name (obs-fold)", "should", b" X-A: b"),
    ("obs-fold with SP", "should", b"X-A: b\r\n c"), ("obs-fold with TAB", "should", b"X-A: b\r\n\tc"),
    ("obs-fold of an empty value", "should", b"X-A:\r\n b"), ("line of SP only", "should", b" "),
    ("no colon", "should", b"X-A"), ("empty name", "should", b": b"), ("colon only", "should", b":"),
    ("octet 0x80 in the name", "should", b"X-\x80: b"), ("UTF-8 in the name", "should", b"X-\xc3\xa9: b"),
    ("control octet in the name", "must", b"X-\x01: b"), ("DEL in the name", "must", b"X-\x7f: b"),
    ("control octet 0x01 in the value", "should", b"X-A: \x01"), ("BS in the value", "should", b"X-A: \x08"),
    ("VT in the value", "should", b"X-A: a\x0bb"), ("FF in the value", "should", b"X-A: a\x0cb"),
    ("ESC in the value", "should", b"X-A: \x1b[31m"), ("DEL in the value", "should", b"X-A: \x7f"),
    ("octets above 0x7F in the value", "may", b"X-A: \xe9\xff"),
    ("field injected in a name", "must", b"X-A: b\r\nX-C\r: d"),
] + [(f"{chr(octet)} in the name", "should", b"X-" + bytes([octet]) + b"A: b") for octet in b'"(),/;<=>?@[\\]{}']:
    row("fields", title, expect, plain(field))

row("fields", "SP on the line behind the request line", "must",
    b"POST " + PATH + b" HTTP/1.1\r\n X-A: b\r\n" + b"\r\n".join([HOST, TYPE, LENGTH]) + b"\r\n\r\n" + BODY)
row("fields", "Host on a folded first line", "must",
    b"POST " + PATH + b" HTTP/1.1\r\n Host: 127.0.0.1\r\n" + b"\r\n".join([TYPE, LENGTH]) + b"\r\n\r\n" + BODY)
row("fields", "token characters in the name", "serve", plain(b"X-!#$%&'*+.^`|~9: b"))
row("fields", "empty value", "serve", plain(b"X-A:"))
row("fields", "no SP behind the colon", "serve", plain(b"X-A:b"))
row("fields", "SP and TAB around the value", "serve", plain(b"X-A: \t b \t "))
row("fields", "the same field 3 times", "serve", plain(b"X-A: 1", b"X-A: 2", b"X-A: 3"))
row("fields", "upper-case names", "serve", plain(b"X-A: b").replace(b"Content-Type", b"CONTENT-TYPE"))
row("fields", "field value of 4,000 octets", "serve", plain(b"X-A: " + b"b" * 4000))
row("fields", "field value of 100,000 octets", "must", plain(b"X-A: " + b"b" * 100000), status={400, 413, 431})
row("fields", "field name of 100,000 octets", "must", plain(b"X" * 100000 + b": b"), status={400, 413, 431})
row("fields", "5,000 fields", "must", plain(*[b"X-%d: b" % number for number in range(5000)]), status={400, 413, 431})
row("fields", "1 MiB of fields", "must", plain(*[b"X-%d: " % number + b"b" * 1000 for number in range(1000)]),
    status={400, 413, 431})
row("fields", "endless head in small pieces", "must", b"POST " + PATH + b" HTTP/1.1\r\n",
    *[b"X-%d: " % number + b"b" * 8000 + b"\r\n" for number in range(100)], status={400, 413, 431})
row("fields", "underscore for hyphen in Content_Length", "may", plain(b"Content_Length: 0"))
row("fields", "underscore for hyphen in Transfer_Encoding", "may", plain(b"Transfer_Encoding: chunked"))

# Content-Length

N = len(BODY)
for title, expect, fields in [
    ("twice the same", "should", [LENGTH, LENGTH]), ("twice, different", "must", [LENGTH, b"Content-Length: 5"]),
    ("twice, 0 first", "must", [b"Content-Length: 0", LENGTH]),
    ("twice, different case", "must", [LENGTH, b"content-length: 5"]),
    ("list of equals", "should", [b"Content-Length: %d, %d" % (N, N)]),
    ("list of different", "must", [b"Content-Length: %d, 5" % N]), ("list with empty member", "must", [LENGTH + b","]),
    ("list with leading comma", "must", [b"Content-Length: ,%d" % N]),
    ("plus sign", "must", [b"Content-Length: +%d" % N]), ("minus sign", "must", [b"Content-Length: -%d" % N]),
    ("minus 0", "must", [b"Content-Length: -0"]), ("hexadecimal", "must", [b"Content-Length: 0x%x" % N]),
    ("letter behind", "must", [LENGTH + b"a"]), ("letter before", "must", [b"Content-Length: a%d" % N]),
    ("SP inside", "must", [b"Content-Length: 5 7"]), ("decimal point", "must", [LENGTH + b".0"]),
    ("exponent", "must", [b"Content-Length: 5e1"]), ("quotes", "must", [b'Content-Length: "%d"' % N]),
    ("underscore", "must", [b"Content-Length: 5_7"]), ("semicolon", "must", [LENGTH + b";"]),
    ("empty", "must", [b"Content-Length:"]), ("SP only", "must", [b"Content-Length:   "]),
    ("NUL behind", "must", [LENGTH + b"\0"]), ("VT before", "must", [b"Content-Length: \x0b%d" % N]),
    ("FF behind", "must", [LENGTH + b"\x0c"]), ("SP before the colon", "must", [b"Content-Length : %d" % N]),
    ("obs-fold inside", "should", [b"Content-Length:\r\n %d" % N]),
    ("full-width digits", "must", [b"Content-Length: \xef\xbc\x95\xef\xbc\x97"]),
    ("superscript digit", "must", [b"Content-Length: 5\xc2\xb2"]),
    ("2^63", "should", [b"Content-Length: 9223372036854775808"]),
    ("2^64", "must", [b"Content-Length: 18446744073709551616"]),
    ("2^64 + the true length", "must", [b"Content-Length: %d" % (2**64 + N)]),
    ("2^32 + the true length", "should", [b"Content-Length: %d" % (2**32 + N)]),
    ("30 digits", "must", [b"Content-Length: " + b"9" * 30]),
    ("1,000 digits", "must", [b"Content-Length: " + b"1" * 1000]),
    ("bare CR in the value", "must", [b"Content-Length: 5\r7"]),
]:
    row("content-length", title, expect, request(*fields))
row("content-length", "leading zeros", "may", request(b"Content-Length: 000%d" % N))
row("content-length", "SP and TAB around", "serve", request(b"Content-Length: \t %d \t" % N))
row("content-length", "lower-case name", "serve", request(LENGTH.lower()))
row("content-length", "0 with a request behind", "may", request(b"Content-Length: 0", body=FOLLOWING), responses=2,
    body=[b"", b""])
row("content-length", "none, with a body", "may", request(), responses=2, body=b"")
row("content-length", "shorter than the body", "may", request(b"Content-Length: %d" % (N - 4)), responses=2,
    body=BODY[:-4])
row("content-length", "longer than the body, then FIN", "must", request(b"Content-Length: %d" % (N + 4)), "FIN")
row("content-length", "absent on GET with a body", "may",
    b"GET /v1/models HTTP/1.1\r\n" + HOST + b"\r\n\r\n" + FOLLOWING, responses=2, body=b"")

# Transfer-Encoding

for title, expect, fields in [
    ("with Content-Length behind", "should", [CHUNKED, LENGTH]),
    ("with Content-Length before", "should", [LENGTH, CHUNKED]),
    ("with Content-Length 0", "should", [b"Content-Length: 0", CHUNKED]),
    ("twice", "must", [CHUNKED, CHUNKED]), ("twice, identity first", "must", [b"Transfer-Encoding: identity", CHUNKED]),
    ("twice, cow behind", "must", [CHUNKED, b"Transfer-Encoding: cow"]),
    ("chunked, chunked", "must", [b"Transfer-Encoding: chunked, chunked"]),
    ("chunked, identity", "must", [b"Transfer-Encoding: chunked, identity"]),
    ("identity, chunked", "should", [b"Transfer-Encoding: identity, chunked"]),
    ("identity", "should", [b"Transfer-Encoding: identity"]), ("gzip", "must", [b"Transfer-Encoding: gzip"]),
    ("gzip, chunked", "must", [b"Transfer-Encoding: gzip, chunked"]),
    ("chunked, gzip", "must", [b"Transfer-Encoding: chunked, gzip"]),
    ("xchunked", "must", [b"Transfer-Encoding: xchunked"]), ("chunkedx", "must", [b"Transfer-Encoding: chunkedx"]),
    ("cow", "must", [b"Transfer-Encoding: cow"]), ("chunk", "must", [b"Transfer-Encoding: chunk"]),
    ("VT before", "must", [b"Transfer-Encoding: \x0bchunked"]), ("VT behind", "must", [CHUNKED + b"\x0b"]),
    ("FF before", "must", [b"Transfer-Encoding: \x0cchunked"]), ("NUL behind", "must", [CHUNKED + b"\0"]),
    ("quotes", "must", [b'Transfer-Encoding: "chunked"']), ("parameter", "must", [CHUNKED + b";q=1"]),
    ("leading comma", "should", [b"Transfer-Encoding: ,chunked"]), ("trailing comma", "should", [CHUNKED + b","]),
    ("empty", "must", [b"Transfer-Encoding:"]), ("empty, with Content-Length", "must", [b"Transfer-Encoding:", LENGTH]),
    ("Kelvin sign", "must", [b"Transfer-Encoding: chun\xe2\x84\xaaed"]),
    ("octet 0x80 behind", "must", [CHUNKED + b"\x80"]), ("NBSP before", "must", [b"Transfer-Encoding: \xa0chunked"]),
    ("SP before the colon", "must", [b"Transfer-Encoding : chunked"]),
    ("SP before the colon, with Content-Length", "must", [b"Transfer-Encoding : chunked", LENGTH]),
    ("TAB before the colon, with Content-Length", "must", [b"Transfer-Encoding\t: chunked", LENGTH]),
    ("NUL in the name, with Content-Length", "must", [b"Transfer-Encoding\0: chunked", LENGTH]),
    ("obs-fold of the value", "should", [b"Transfer-Encoding:\r\n chunked"]),
    ("obs-fold of the value, with Content-Length", "should", [b"Transfer-Encoding:\r\n chunked", LENGTH]),
    ("behind a folded field, with Content-Length", "should", [b"X-A: b\r\n Transfer-Encoding: chunked", LENGTH]),
    ("behind a bare LF, with Content-Length", "should", [b"X-A: b\nTransfer-Encoding: chunked", LENGTH]),
    ("SP before the name, with Content-Length", "should", [b" Transfer-Encoding: chunked", LENGTH]),
    ("xchunked, with Content-Length", "must", [b"Transfer-Encoding: xchunked", LENGTH]),
    ("identity, with Content-Length", "should", [b"Transfer-Encoding: identity", LENGTH]),
    ("bare CR in the value, with Content-Length", "must", [b"Transfer-Encoding: \rchunked", LENGTH]),
]:
    row("transfer-encoding", title, expect, request(*fields, body=CHUNKS), responses=2)
row("transfer-encoding", "chunked", "serve", chunked(CHUNKS))
row("transfer-encoding", "CHUNKED", "serve", request(b"Transfer-Encoding: CHUNKED", body=CHUNKS))
row("transfer-encoding", "Chunked in a mixed-case name", "serve",
    request(b"tRANSFER-eNCODING: Chunked", body=CHUNKS))
row("transfer-encoding", "SP and TAB around chunked", "serve",
    request(b"Transfer-Encoding: \t chunked \t", body=CHUNKS))
row("transfer-encoding", "CL.TE with a smuggled request", "should",
    request(b"Content-Length: %d" % (5 + len(SMUGGLED)), CHUNKED, body=b"0\r\n\r\n" + SMUGGLED), responses=2)
row("transfer-encoding", "TE.CL with a smuggled request", "should",
    request(b"Content-Length: 4", CHUNKED, body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)), responses=2)
row("transfer-encoding", "chunked in HTTP/1.0", "must", chunked(CHUNKS, line=b"POST " + PATH + b" HTTP/1.0"))
row("transfer-encoding", "chunked and Content-Length in HTTP/1.0", "must",
    request(LENGTH, CHUNKED, line=b"POST " + PATH + b" HTTP/1.0"))

# Chunks

REST = b"\r\n" + BODY[8:]
for title, expect, chunks in [
    ("bare LF behind the size", "should", b"%x\n%s\r\n0\r\n\r\n" % (N, BODY)),
    ("bare CR behind the size", "must", b"%x\r%s\r\n0\r\n\r\n" % (N, BODY)),
    ("CR CR LF behind the size", "must", b"%x\r\r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    ("bare LF behind the data", "should", b"%x\r\n%s\n0\r\n\r\n" % (N, BODY)),
    ("bare CR behind the data", "must", b"%x\r\n%s\r0\r\n\r\n" % (N, BODY)),
    ("nothing behind the data", "must", b"%x\r\n%s0\r\n\r\n" % (N, BODY)),
    ("other octets behind the data", "must", b"%x\r\n%sxx0\r\n\r\n" % (N, BODY)),
    ("data longer than the size", "must", b"%x\r\n%s\r\n0\r\n\r\n" % (N - 3, BODY)),
    ("bare LF behind the last chunk", "should", b"%x\r\n%s\r\n0\n\r\n" % (N, BODY)),
    ("bare LF as the last line", "should", b"%x\r\n%s\r\n0\r\n\n" % (N, BODY)),
    ("bare LF throughout", "should", b"%x\n%s\n0\n\n" % (N, BODY)),
    ("0x before the size", "must", b"0x%x\r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    ("plus sign", "must", b"+%x\r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    ("minus sign", "must", b"-%x\r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    ("SP before the size", "must", b" %x\r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    ("SP behind the size", "should", b"%x \r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    ("TAB behind the size", "should", b"%x\t\r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    ("NUL behind the size", "must", b"%x\0\r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    ("underscore in the size", "must", b"3_9\r\n%s\r\n0\r\n\r\n" % BODY),
    ("empty size", "must", b"\r\n%s\r\n0\r\n\r\n" % BODY),
    ("semicolon first", "must", b";\r\n%s\r\n0\r\n\r\n" % BODY),
    ("letter g", "must", b"g\r\n%s\r\n0\r\n\r\n" % BODY),
    ("letter behind the size", "must", b"%xz\r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    ("full-width digit", "must", b"\xef\xbc\x93\x39\r\n%s\r\n0\r\n\r\n" % BODY),
    ("16 digits f", "must", b"f" * 16 + b"\r\n%s\r\n0\r\n\r\n" % BODY),
    ("17 digits", "must", b"1" + b"0" * 16 + b"\r\n%s\r\n0\r\n\r\n" % BODY),
    ("2^64 + the true size", "must", b"1%016x\r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    ("2^32 + the true size", "should", b"1%08x\r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    ("2^63", "should", b"8000000000000000\r\n%s\r\n0\r\n\r\n" % BODY),
    ("20,000 leading zeros", "should", b"0" * 20000 + b"%x\r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    ("LF in an extension", "must", b"%x;a\n\r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    ("bare LF ends an extension", "must", b"%x;a\n%s\r\n0\r\n\r\n" % (N, BODY)),
    ("bare CR in an extension", "must", b"%x;a\rb\r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    ("CR CR LF behind an extension", "must", b"%x;a\r\r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    ("NUL in an extension", "should", b"%x;a=\0\r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    ("control octet in an extension", "should", b"%x;a=\x01\r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    ("extension hides a chunk behind LF", "must", b"2;\nxx\r\n%x\r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    ("extension of 100,000 octets", "should", b"%x;a=%s\r\n%s\r\n0\r\n\r\n" % (N, b"b" * 100000, BODY)),
    ("extensions of 64 KiB in all", "should", b"".join(b"1;%s\r\n%c\r\n" % (b"e" * 1100, octet) for octet in BODY)
     + b"0\r\n\r\n"),
    ("trailer without colon", "should", b"%x\r\n%s\r\n0\r\nX\r\n\r\n" % (N, BODY)),
    ("trailer with SP before the colon", "should", b"%x\r\n%s\r\n0\r\nX : y\r\n\r\n" % (N, BODY)),
    ("trailer with NUL", "should", b"%x\r\n%s\r\n0\r\nX: \0\r\n\r\n" % (N, BODY)),
    ("trailer with bare CR", "must", b"%x\r\n%s\r\n0\r\nX: a\rb\r\n\r\n" % (N, BODY)),
    ("trailer with bare LF", "should", b"%x\r\n%s\r\n0\r\nX: a\nY: b\r\n\r\n" % (N, BODY)),
    ("trailer of 200,000 octets", "should", b"%x\r\n%s\r\n0\r\nX: %s\r\n\r\n" % (N, BODY, b"b" * 200000)),
    ("trailers of 1 MiB", "should", b"%x\r\n%s\r\n0\r\n%s\r\n" % (N, BODY, b"X: bbbbbbbb\r\n" * 80000)),
]:
    row("chunks", title, expect, chunked(chunks), responses=2)


def no_trailers(*names):
    return lambda seen: next((f"trailer {name} forwarded as a field" for name in names
                              if "smuggled" in " ".join(seen.values(name))), None)


for title, chunks in [
    ("several chunks", b"8\r\n" + BODY[:8] + b"\r\n%x" % (N - 8) + REST + b"\r\n0\r\n\r\n"),
    ("one octet each", b"".join(b"1\r\n%c\r\n" % octet for octet in BODY) + b"0\r\n\r\n"),
    ("upper-case digits", b"%X\r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    ("leading zeros", b"000000%x\r\n%s\r\n0000\r\n\r\n" % (N, BODY)),
    ("extension", b"%x;a\r\n%s\r\n0\r\n\r\n" % (N, BODY)),
    ("extension with a value", b"%x;a=b\r\n%s\r\n0;c=d\r\n\r\n" % (N, BODY)),
    ("extension with a quoted value", b'%x;a="b;c"\r\n%s\r\n0\r\n\r\n' % (N, BODY)),
    ("trailer", b"%x\r\n%s\r\n0\r\nX-T: y\r\n\r\n" % (N, BODY)),
]:
    row("chunks", title, "serve", chunked(chunks))
for name in [b"Content-Length", b"Transfer-Encoding", b"Host", b"Authorization", b"Content-Type", b"Connection"]:
    row("chunks", f"{name.decode()} as a trailer", "may",
        chunked(b"%x\r\n%s\r\n0\r\n%s: smuggled\r\n\r\n" % (N, BODY, name)), check=no_trailers(name.decode().lower()))
row("chunks", "no last chunk, then FIN", "must", chunked(b"%x\r\n%s\r\n" % (N, BODY)), "FIN")
row("chunks", "FIN inside a chunk", "must", chunked(b"%x\r\n%s" % (N, BODY[:20])), "FIN")
row("chunks", "FIN behind the last size", "must", chunked(b"%x\r\n%s\r\n0\r\n" % (N, BODY)), "FIN")
row("chunks", "a request behind the last chunk", "may", chunked(CHUNKS + FOLLOWING), responses=2, body=[BODY, b""])

# Connection and hop-by-hop fields


def absent(*names):
    return lambda seen: next((f"{name} forwarded" for name in names if seen.values(name)), None)


def present(*names):
    return lambda seen: next((f"{name} missing" for name in names if not seen.values(name)), None)


for title, fields, check in [
    ("Connection names a field", [b"Connection: x-hop", b"X-Hop: 1"], absent("x-hop")),
    ("Connection names a field, in upper case", [b"Connection: close, X-HOP", b"X-Hop: 1"], absent("x-hop")),
    ("two Connection fields", [b"Connection: keep-alive", b"Connection: x-hop", b"X-Hop: 1"], absent("x-hop")),
    ("Keep-Alive", [b"Keep-Alive: timeout=5"], absent("keep-alive")),
    ("Proxy-Connection", [b"Proxy-Connection: keep-alive"], absent("proxy-connection")),
    ("TE", [b"Connection: te", b"TE: trailers"], absent("te")),
    ("Upgrade to h2c", [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c",
                        b"HTTP2-Settings: AAMAAABkAAQAAP__"], absent("upgrade", "http2-settings")),
    ("Upgrade to h2c without HTTP2-Settings", [b"Connection: Upgrade", b"Upgrade: h2c"], absent("upgrade")),
    ("Upgrade to websocket", [b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"],
     absent("upgrade")),
    ("Upgrade without Connection", [b"Upgrade: h2c"], absent("upgrade")),
    ("Connection names Content-Length", [b"Connection: content-length"], None),
    ("Connection names Host", [b"Connection: host"], present("host")),
    ("Connection names Content-Type", [b"Connection: content-type"], present("content-type")),
    ("Connection names Transfer-Encoding", [b"Connection: transfer-encoding"], None),
    ("Connection with empty members", [b"Connection: , ,x-hop,", b"X-Hop: 1"], absent("x-hop")),
    ("Connection with a bad member", [b"Connection: \"x\", (y)"], None),
]:
    row("hop-by-hop", title, "may", plain(*fields), check=check)
row("hop-by-hop", "Connection names Transfer-Encoding of a chunked body", "may",
    chunked(CHUNKS, b"Connection: transfer-encoding"))
row("hop-by-hop", "h2c upgrade must not be granted by the backend", "may",
    b"GET /v1/models HTTP/1.1\r\n" + HOST + b"\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")

# Expect

row("expect", "100-continue, body at once", "serve", plain(b"Expect: 100-continue"))
row("expect", "100-continue, body after a pause", "serve", request(LENGTH, b"Expect: 100-continue", body=b""), 0.1,
    BODY)
row("expect", "100-Continue in mixed case", "serve", plain(b"Expect: 100-Continue"))
row("expect", "100-continue, chunked", "serve", chunked(b"", b"Expect: 100-continue"), 0.1, CHUNKS)
row("expect", "another expectation", "should", plain(b"Expect: 200-ok"), status={400, 417})
row("expect", "100-continue and another", "should", plain(b"Expect: 100-continue, 200-ok"), status={400, 417})
row("expect", "100-continue with a wrong model", "may",
    request(b"Content-Length: 4", b"Expect: 100-continue", body=b"{}x}"))
row("expect", "leading octet", "should", plain(b"Expect: y100-continue"), status={400, 417})

# Pipelining and early answers


def bodies(*wanted):
    """The check for several forwarded requests; see `judge`."""
    return list(wanted)


SECOND = BODY.replace(b"hi", b"second")
TWO = plain() + request(b"Content-Length: %d" % len(SECOND), body=SECOND)
row("pipelining", "two requests", "serve", TWO, responses=2, body=bodies(BODY, SECOND))
row("pipelining", "eight requests", "serve", plain() * 8, responses=8, body=bodies(*[BODY] * 8))
row("pipelining", "chunked, then another", "serve", chunked(CHUNKS) + plain(), responses=2, body=bodies(BODY, BODY))
row("pipelining", "CRLF between two requests", "may", plain() + b"\r\n" + plain(), responses=2, body=bodies(BODY, BODY))
row("pipelining", "a broken second request", "serve", plain() + b"BROKEN\r\n\r\n" + SMUGGLED_POST, responses=2,
    body=bodies(BODY))
row("pipelining", "a second request behind Connection: close", "serve", plain(b"Connection: close") + SMUGGLED_POST)
row("pipelining", "404 with a smuggled body", "may",
    b"POST /nowhere HTTP/1.1\r\n" + HOST + b"\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED_POST) + SMUGGLED_POST)
row("pipelining", "404 with a smuggled chunked body", "may",
    b"POST /nowhere HTTP/1.1\r\n" + HOST + b"\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
    % (len(SMUGGLED_POST), SMUGGLED_POST))
row("pipelining", "GET with a smuggled body", "may",
    b"GET /v1/models HTTP/1.1\r\n" + HOST + b"\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED_POST) + SMUGGLED_POST)
row("pipelining", "GET with a smuggled chunked body", "may",
    b"GET /v1/models HTTP/1.1\r\n" + HOST + b"\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
    % (len(SMUGGLED_POST), SMUGGLED_POST))
row("pipelining", "HEAD with a smuggled body", "may",
    b"HEAD /v1/models HTTP/1.1\r\n" + HOST + b"\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED_POST) + SMUGGLED_POST,
    head=True)
row("pipelining", "OPTIONS * with a smuggled body", "may",
    b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED_POST) + SMUGGLED_POST)
row("pipelining", "early refusal, body of 8 GiB announced", "should",
    request(b"Content-Length: 8589934592", body=SMUGGLED_POST), status={400, 413})
row("pipelining", "broken JSON with a smuggled tail", "may",
    request(b"Content-Length: %d" % (3 + len(SMUGGLED_POST)), body=b"{]}" + SMUGGLED_POST))

# Arbitrary splits, HTTP/1.0



def pieces(whole, step):
    """`whole` in pieces, the first ones with pauses so that they arrive apart: a port that also speaks HTTP/2
    has to tell `P` of POST from `P` of the preface."""
    cut = [whole[at : at + step] for at in range(0, len(whole), step)]
    return [part for piece in cut[:20] for part in (piece, 0.002)] + cut[20:]


for step in (1, 2, 3, 7):
    row("splits", f"pieces of {step}", "serve", *pieces(plain(b"X-A: b"), step))
whole = chunked(b"8;e=f\r\n" + BODY[:8] + b"\r\n%x" % (N - 8) + REST + b"\r\n0\r\nX-T: y\r\n\r\n")
for step in (1, 3):
    row("splits", f"chunked in pieces of {step}", "serve", *pieces(whole, step))
row("splits", "pause inside CR LF", "serve", plain()[:-N - 1], 0.05, plain()[-N - 1 :])
row("splits", "pause before the body", "serve", plain()[:-N], 0.05, plain()[-N:])
row("splits", "pause inside a chunk size", "serve", chunked(CHUNKS)[: -len(CHUNKS) + 1], 0.05, CHUNKS[1:])
row("http10", "HTTP/1.0 with Content-Length", "serve", plain(line=b"POST " + PATH + b" HTTP/1.0"))
row("http10", "HTTP/1.0 without Host", "serve", plain(line=b"POST " + PATH + b" HTTP/1.0", host=None))
row("http10", "HTTP/1.0 keep-alive", "serve", plain(b"Connection: keep-alive", line=b"POST " + PATH + b" HTTP/1.0"))
row("http10", "HTTP/1.0 without Content-Length", "may", request(line=b"POST " + PATH + b" HTTP/1.0"), body=b"")


def judge(case, responses, closed, captured):
    """The verdict on one row and the reason for it."""
    statuses = [response.status for response in responses]
    told = f"{statuses or 'no answer'}{' closed' if closed else ''}, {len(captured)} forwarded"
    if any(seen.problem == "incomplete" for seen in captured):
        whole = [seen for seen in captured if seen.problem != "incomplete"]
        return ("FAIL" if whole else "WARN"), f"forwarded in part, then broken off ({told})"
    for seen in captured:
        if seen.problem and seen.problem.startswith("control octet"):
            return "WARN", f"forwarded: {seen.problem} ({told})"
        if seen.problem:
            return "FAIL", f"forwarded: {seen.problem} ({told})"
        if "smuggled" in seen.target:
            return "FAIL", f"smuggled request reached the backend ({told})"
        if seen.values("upgrade") or seen.values("http2-settings"):
            return "FAIL", "upgrade forwarded"
    if any(status in (0, 101) for status in statuses):
        return "FAIL", f"not an HTTP answer, or 101 ({told})"
    wanted = case["body"] if isinstance(case["body"], list) else [case["body"]]
    forwarded = [seen.body for seen in captured]
    # A gateway may answer the later of several requests by itself.
    clean = forwarded == wanted or case["expect"] == "may" and forwarded == wanted[: len(forwarded)] != []
    if clean and callable(case["check"]):
        problem = next(filter(None, (case["check"](seen) for seen in captured)), None)
        if problem:
            return "FAIL", problem
    served = clean and statuses[: len(forwarded)] == [200] * len(forwarded)
    if case["expect"] == "serve":
        if served and len(statuses) <= max(case["responses"], len(wanted)):
            return "PASS", told
        return "FAIL", f"not served as it should be: {told}"
    if len(statuses) > case["responses"]:
        return "FAIL", f"{len(statuses)} answers to one request ({told})"
    if not captured:
        return judge_refusal(case, statuses, closed, told)
    if case["expect"] == "must":
        return "FAIL", f"forwarded ({told})"
    return ("PASS" if served and case["expect"] == "may" else "WARN"), told


def judge_refusal(case, statuses, closed, told):
    if not statuses and not closed:
        return ("PASS" if case["expect"] == "may" else "WARN"), f"neither answered nor closed ({told})"
    if case["expect"] == "may":
        return "PASS", told
    if any(status < 400 for status in statuses):
        return "FAIL", f"answered as if it were right ({told})"
    if not closed:
        return "WARN", f"refused, but the connection stays open ({told})"
    if statuses and case["status"] and statuses[0] not in case["status"]:
        return "WARN", f"{told}; wanted {sorted(case['status'])}"
    if statuses and statuses[0] not in REFUSALS:
        return "WARN", told
    return "PASS", told


def run_row(options, backend, case):
    backend.take()
    parts = [part for part in case["parts"] if part != "FIN"]
    sock = dial(options.host, options.port, options.tls, ("http/1.1",))
    with sock:
        if "FIN" in case["parts"]:
            sock.sendall(b"".join(parts))
            time.sleep(0.02)
            if not options.tls:
                sock.shutdown(socket.SHUT_WR)
            parts = []
        count = len(case["body"]) if isinstance(case["body"], list) else 1
        patience = case["patience"] or options.patience
        responses, _, closed = exchange(sock, parts, max(count, 1), patience, linger_of(case), case["head"])
    time.sleep(0.01)
    return judge(case, responses, closed, backend.take())


def linger_of(case):
    """How long to wait for the connection to be closed, or for an answer too many."""
    return 0.05 if case["expect"] == "serve" else 0.3


def one_octet_flood(options, report):
    """10,000 chunks of one octet: what parsing costs the server."""
    pid = options.pid or pid_listening_on(options.port)
    padding = b" " * 10000
    with dial(options.host, options.port, options.tls, ("http/1.1",)) as sock:
        before = cpu_seconds(pid)
        chunks = b"".join(b"1\r\n%c\r\n" % octet for octet in BODY + padding) + b"0\r\n\r\n"
        responses, _, _ = exchange(sock, [chunked(chunks)], 1, 5.0)
    spent = (cpu_seconds(pid) or 0) - (before or 0)
    ok = spent <= 0.02 and responses
    report.add("http1/cost/1", "PASS" if ok else "WARN",
               f"10,000 chunks of one octet: {spent:.2f} s of CPU, goal 0.02, {[r.status for r in responses]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", help="HOST:PORT of the gateway")
    parser.add_argument("--capture", type=int, required=True, help="port for the capture backend")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--only", help="run the rows whose id starts with this, such as http1/chunks")
    parser.add_argument("--patience", type=float, default=1.0, help="seconds to wait for an answer")
    parser.add_argument("--pid", type=int, help="process of the gateway; found by its port unless given")
    parser.add_argument("--max-warn", type=int, help="fail if more rows than this are WARN")
    parser.add_argument("--quiet", action="store_true", help="print only what did not pass")
    options = parser.parse_args()
    options.host, options.port = parse_address(options.address)
    report, backend, numbers = Report("http1_corpus", options.quiet), CaptureBackend(options.capture), {}
    for case in ROWS:
        numbers[case["group"]] = numbers.get(case["group"], 0) + 1
        name = f"http1/{case['group']}/{numbers[case['group']]}"
        if options.only and not name.startswith(options.only):
            continue
        try:
            verdict, reason = run_row(options, backend, case)
        except OSError as error:
            verdict, reason = "FAIL", f"no connection: {error}"
        report.add(name, verdict, f"{case['title']}: {reason}")
    if not options.only:
        one_octet_flood(options, report)
    status = report.finish()
    too_many = options.max_warn is not None and report.counts.get("WARN", 0) > options.max_warn
    return 1 if too_many else status


if __name__ == "__main__":
    sys.exit(main())
