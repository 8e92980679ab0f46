#!/usr/bin/env python3
"""Hostile backends: answers no engine should give, and what the gateway makes of them.

    hostile_backend.py 127.0.0.1:4000 --engine 18090 [--tls]
    hostile_backend.py --penstock .build/release/penstock

A broken head must become a 502 in OpenAI's error shape; what breaks behind the head must end the client's
message visibly broken. Nothing of the bad head may reach the client, the gateway must stay up, and the next
request must be served. Each answer is asked for over HTTP/1.1 and HTTP/2.
"""

import argparse
import json
import re
import socket
import struct
import sys
import time

from gateway import add_target_arguments, target
from h2wire import DATA, END_STREAM, FRAME, NO_ERROR, RST_STREAM, TIMEOUT, H2Connection, dial, frame
from support import COMPLETION, CaptureBackend, Report, exchange

PATH = "/v1/chat/completions"
OK = b"HTTP/1.1 200 OK\r\n"
JSON = b"content-type: application/json\r\n"
SSE = OK + b"content-type: text/event-stream\r\n"
LENGTH = b"content-length: %d\r\n" % len(COMPLETION)
GOOD = OK + JSON + LENGTH + b"\r\n" + COMPLETION
CHUNK = b"%x\r\n%s\r\n" % (len(COMPLETION), COMPLETION)
EVENT = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,' \
        b'"delta":{"content":"hi"},"finish_reason":null}]}\n\n'
EVENT_CHUNK = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)

REFUSED, BROKEN, CLEAN, EITHER = "502", "broken end", "clean", "502 or broken end"
CASES = []


def case(title, expect, *script, stream=False):
    """`script`: octets to send, a pause in seconds, or `RESET`. Afterwards the backend closes."""
    CASES.append((title, expect, script, stream))


RESET, CHUNKED = "reset", b"transfer-encoding: chunked"


def with_head(*lines):
    """A complete head of a JSON answer with these further field lines."""
    return OK + JSON + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


# Heads

case("no answer, closed", REFUSED)
case("no answer, reset", REFUSED, RESET)
case("empty line", REFUSED, b"\r\n\r\n")
case("garbage", REFUSED, b"\x16\x03\x01\x02\x00 what is this\r\n\r\n")
case("HTTP/0.9 body", REFUSED, b"<html>hello</html>")
case("HTTP/2.0 status line", REFUSED, GOOD.replace(b"HTTP/1.1", b"HTTP/2.0"))
case("HTTP/1.2 status line", EITHER + "/clean", GOOD.replace(b"HTTP/1.1", b"HTTP/1.2"))
case("ICY status line", REFUSED, GOOD.replace(b"HTTP/1.1", b"ICY"))
case("SMTP greeting", REFUSED, b"220 mail ESMTP\r\n")
case("status 1000", REFUSED, GOOD.replace(b"200", b"1000", 1))
case("status 99", REFUSED, GOOD.replace(b"200", b"99", 1))
case("status 000", REFUSED, GOOD.replace(b"200", b"000", 1))
case("status 600", EITHER + "/clean", GOOD.replace(b"200", b"600", 1))
case("status with a sign", REFUSED, GOOD.replace(b"200", b"+20", 1))
case("status of letters", REFUSED, GOOD.replace(b"200", b"abc", 1))
case("no status", REFUSED, GOOD.replace(b" 200 OK", b"", 1))
case("NUL in the status line", REFUSED, GOOD.replace(b"OK", b"O\0K", 1))
case("bare CR in the status line", REFUSED, GOOD.replace(b"OK", b"O\rK", 1))
case("NUL in a field value", REFUSED, with_head(b"x-a: b\0c", LENGTH[:-2]) + COMPLETION)
case("NUL in a field name", REFUSED, with_head(b"x-\0a: b", LENGTH[:-2]) + COMPLETION)
case("bare CR in a field value", REFUSED, with_head(b"x-a: b\rset-cookie: injected=1", LENGTH[:-2]) + COMPLETION)
case("bare LF in the head", EITHER + "/clean", GOOD.replace(b"\r\n", b"\n", 2))
case("obs-fold", EITHER + "/clean", with_head(b"x-a: b\r\n folded: 1", LENGTH[:-2]) + COMPLETION)
case("SP before the colon", EITHER + "/clean", with_head(b"x-a : b", LENGTH[:-2]) + COMPLETION)
case("no colon", REFUSED, with_head(b"xa", LENGTH[:-2]) + COMPLETION)
case("empty field name", REFUSED, with_head(b": b", LENGTH[:-2]) + COMPLETION)
case("control octet in a field value", EITHER + "/clean", with_head(b"x-a: \x01", LENGTH[:-2]) + COMPLETION)
case("head of 1 MiB in one field", REFUSED, with_head(b"x-a: " + b"b" * (1 << 20), LENGTH[:-2]) + COMPLETION)
case("head of 20,000 fields", REFUSED, with_head(*[b"x-%d: b" % n for n in range(20000)]))
case("endless head", REFUSED, OK, *[b"x-a: " + b"b" * 8000 + b"\r\n"] * 200)
case("status line of 100,000 octets", REFUSED,
    b"HTTP/1.1 200 " + b"a" * 100000 + b"\r\n" + LENGTH + b"\r\n" + COMPLETION)
case("closed inside the status line", REFUSED, b"HTTP/1.1 20")
case("closed inside the head", REFUSED, OK + JSON)
case("reset inside the head", REFUSED, OK + JSON, 0.02, RESET)

# Framing

case("Transfer-Encoding and Content-Length", REFUSED, with_head(CHUNKED, LENGTH[:-2])
     + CHUNK + b"0\r\n\r\n")
case("two different Content-Length", REFUSED, with_head(LENGTH[:-2], b"content-length: 5") + COMPLETION)
case("two equal Content-Length", EITHER + "/clean", with_head(LENGTH[:-2], LENGTH[:-2]) + COMPLETION)
case("Content-Length +5", REFUSED, with_head(b"content-length: +%d" % len(COMPLETION)) + COMPLETION)
case("Content-Length -1", REFUSED, with_head(b"content-length: -1") + COMPLETION)
case("Content-Length 2^64+n", REFUSED, with_head(b"content-length: %d" % (2**64 + len(COMPLETION))) + COMPLETION)
case("Content-Length of letters", REFUSED, with_head(b"content-length: many") + COMPLETION)
case("Content-Length too long", EITHER, with_head(b"content-length: %d" % (len(COMPLETION) + 10)) + COMPLETION)
case("Content-Length too short", CLEAN, with_head(b"content-length: %d" % len(COMPLETION)) + COMPLETION
     + b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\ninjected")
case("unknown transfer coding", REFUSED, with_head(b"transfer-encoding: gzip, chunked") + CHUNK + b"0\r\n\r\n")
case("Transfer-Encoding: cow", REFUSED, with_head(b"transfer-encoding: cow") + COMPLETION)
case("chunked twice", REFUSED, with_head(b"transfer-encoding: chunked, chunked") + CHUNK + b"0\r\n\r\n")
for title, chunks in [
    ("chunk size of letters", b"zz\r\n" + COMPLETION + b"\r\n0\r\n\r\n"),
    ("negative chunk size", b"-5\r\n" + COMPLETION + b"\r\n0\r\n\r\n"),
    ("chunk size 2^64", b"10000000000000000\r\n" + COMPLETION + b"\r\n0\r\n\r\n"),
    ("chunk size ffffffffffffffff", b"ffffffffffffffff\r\n" + COMPLETION + b"\r\n0\r\n\r\n"),
    ("no CRLF behind the chunk", CHUNK[:-2] + b"0\r\n\r\n"),
    ("chunk longer than its size", b"5\r\n" + COMPLETION + b"\r\n0\r\n\r\n"),
    ("closed inside a chunk", CHUNK[:20]),
    ("no last chunk", CHUNK),
    ("trailer with NUL", CHUNK + b"0\r\nx-t: \0\r\n\r\n"),
    ("endless chunk extension", b"5;" + b"a" * 200000),
]:
    case(title, EITHER + ("/clean" if "trailer" in title else ""), with_head(CHUNKED) + chunks)
case("closed inside a body of known length", EITHER, OK + JSON + LENGTH + b"\r\n" + COMPLETION[:20])
case("reset inside a body of known length", EITHER, OK + JSON + LENGTH + b"\r\n" + COMPLETION[:20], 0.02, RESET)
case("empty 200", EITHER + "/clean", OK + JSON + b"content-length: 0\r\n\r\n")
case("204 to a completion", EITHER + "/clean", b"HTTP/1.1 204 No Content\r\n\r\n")
case("304 to a completion", EITHER + "/clean", b"HTTP/1.1 304 Not Modified\r\n\r\n")
case("204 with a body", EITHER + "/clean", b"HTTP/1.1 204 No Content\r\ncontent-length: 8\r\n\r\ninjected")

# Informational answers, upgrades, redirects, contents

case("101", REFUSED, b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\ninjected")
case("101 to h2c", REFUSED, b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
     + bytes(9))
case("100, then 200", CLEAN, b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD)
case("103, then 200", CLEAN, b"HTTP/1.1 103 Early Hints\r\nlink: </injected>\r\n\r\n" + GOOD)
case("100,000 times 100", EITHER, *[b"HTTP/1.1 100 Continue\r\n\r\n" * 1000] * 100)
case("100, then closed", REFUSED, b"HTTP/1.1 100 Continue\r\n\r\n")
case("redirect", EITHER + "/clean", b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/injected\r\n"
     b"content-length: 0\r\n\r\n")
case("gzip that was not asked for", EITHER + "/clean", with_head(b"content-encoding: gzip", b"content-length: 20")
     + b"\x1f\x8b\x08" + bytes(17))
case("hop-by-hop fields", CLEAN, with_head(
    b"connection: x-hop", b"x-hop: injected", b"keep-alive: timeout=1", b"proxy-authenticate: injected",
    b"upgrade: injected", LENGTH[:-2]) + COMPLETION)
case("HTML error page", "json error", b"HTTP/1.1 500 Internal Server Error\r\ncontent-type: text/html\r\n"
     b"content-length: 23\r\n\r\n<h1>oops, big oops</h1>")
case("500 without a body", "json error", b"HTTP/1.1 500 \r\ncontent-length: 0\r\n\r\n")
case("broken JSON in an error", "json error", b"HTTP/1.1 503 x\r\n" + JSON
     + b'content-length: 9\r\n\r\n{"error":')
case("HTTP/1.0, end by closing", CLEAN, b"HTTP/1.0 200 OK\r\n" + JSON + b"\r\n" + COMPLETION)
case("a body with Connection: close", CLEAN, with_head(b"connection: close", LENGTH[:-2]) + COMPLETION)

# Streams

STREAM = SSE + b"transfer-encoding: chunked\r\n\r\n"
case("stream, head only", EITHER, STREAM, stream=True)
case("stream, reset behind the head", EITHER, STREAM, 0.02, RESET, stream=True)
case("stream closed between events", BROKEN, STREAM + EVENT_CHUNK, 0.05, stream=True)
case("stream reset between events", BROKEN, STREAM + EVENT_CHUNK, 0.05, RESET, stream=True)
case("stream closed inside an event", BROKEN, STREAM + EVENT_CHUNK + b"20\r\ndata: {\"id\"", 0.05, stream=True)
case("stream with a broken chunk", BROKEN, STREAM + EVENT_CHUNK, 0.05, b"zz\r\nxx\r\n", stream=True)
case("stream ended without [DONE]", BROKEN + " or error event", STREAM + EVENT_CHUNK, 0.02, b"0\r\n\r\n", stream=True)
case("stream with a second status line", BROKEN, STREAM + EVENT_CHUNK, 0.02, b"HTTP/1.1 200 OK\r\n\r\n", stream=True)
case("stream of known length cut short", BROKEN, SSE + b"content-length: 10000\r\n\r\n" + EVENT, 0.05, stream=True)


class Engine(CaptureBackend):
    """Plays the case whose number stands in the request's `user` field; others get a good answer."""

    def answer(self, sock, captured):
        if captured.method == "GET":
            return super().answer(sock, captured)
        user = json.loads(captured.body).get("user", "good")
        if user == "good":
            sock.sendall(GOOD)
            return True
        try:
            for step in CASES[int(user)][2]:
                if step == RESET:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    sock.close()
                    return False
                time.sleep(step) if isinstance(step, float) else sock.sendall(step)
            # Closing with unread octets would reset; the answer must arrive first.
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return False


class Answer:
    """What the client got, over either protocol. `ended` is whether the message ended as if it were complete."""

    def __init__(self, status, fields, body, ended):
        self.status, self.fields, self.body, self.ended = status, fields, body, ended


def body_of(user, stream):
    body = {"model": "m", "user": user, "messages": [{"role": "user", "content": "hi"}]}
    return json.dumps(body | ({"stream": True} if stream else {})).encode()


def ask_h1(options, goal, user, stream):
    body = body_of(user, stream)
    head = (f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n")
    with dial(goal.host, goal.port, options.tls, ("http/1.1",)) as sock:
        responses, informational, closed = exchange(sock, [head.encode() + body], 1, 4.0, 0.02)
    if not responses:
        return Answer(None, [], b"closed" if closed else b"silence", False)
    first = responses[0]
    if 101 in informational:
        return Answer(101, first.fields, first.body, False)
    return Answer(first.status, first.fields, first.body, first.complete and len(responses) == 1)


def ask_h2(options, goal, user, stream):
    with H2Connection(goal.host, goal.port, options.tls, timeout=4.0).handshake() as connection:
        fields = connection.request_fields("POST", PATH, ("content-type", "application/json"))
        connection.send(connection.headers(1, fields, end_stream=False)
                        + frame(DATA, END_STREAM, 1, body_of(user, stream)))
        status, fields, body, event = connection.response(1, 4.0)
    whole = event.ends_stream or event.is_frame(RST_STREAM) and event.error_code == NO_ERROR
    note = (b"closed" if event.is_frame(RST_STREAM) else b"") if event.what == FRAME else (
        b"silence" if event.what == TIMEOUT else b"closed")
    return Answer(int(status) if status else None, fields, body or note, whole)


def is_error_shape(body):
    try:
        error = json.loads(body)["error"]
        return isinstance(error["message"], str) and "type" in error and "code" in error and "param" in error
    except (ValueError, KeyError, TypeError):
        return False


LEAKS = re.compile(rb"127\.0\.0\.1|Connection refused|injected|errno|<h1>", re.IGNORECASE)


def judge(expect, answer):
    """`None` if the answer is right, else what is wrong with it."""
    told = f"{answer.status} {answer.body[:60]!r}{'' if answer.ended else ', broken'}"
    if answer.status is None:
        return None if BROKEN in expect and answer.body == b"closed" else f"no answer: {told}"
    head = b"\n".join(f"{name}: {value}".encode("latin-1", "replace") for name, value in answer.fields)
    shown = head + b"\n" + answer.body
    if LEAKS.search(shown):
        return f"leaks {LEAKS.search(shown).group()!r}: {told}"
    if any(octet < 0x20 and octet not in b"\t\n" for octet in head) or head.count(b"\n") >= max(1, len(answer.fields)):
        return f"control octet in a field: {told}"
    if not 200 <= answer.status <= 599:
        return f"status {answer.status}"
    refused = answer.status in (502, 504) and is_error_shape(answer.body) and answer.ended
    clean = answer.status == 200 and answer.ended and answer.body == COMPLETION
    broken = answer.status == 200 and not answer.ended and b"[DONE]" not in answer.body
    if expect == "json error":
        return None if answer.status >= 500 and is_error_shape(answer.body) and answer.ended else told
    allowed = [refused and "502" in expect, clean and CLEAN in expect, broken and BROKEN in expect,
               "error event" in expect and b'"error"' in answer.body and b"[DONE]" not in answer.body,
               # What is legal but odd may pass through as it is, whole.
               "/clean" in expect and answer.ended and answer.status < 600]
    return None if any(allowed) else told


def run_suite(options, goal, engine, report):
    ways = [("h1", ask_h1), ("h2", ask_h2)]
    for number, (title, expect, _, stream) in enumerate(CASES):
        problems = []
        for way, ask in ways:
            try:
                problem = judge(expect, ask(options, goal, str(number), stream))
                after = ask(options, goal, "good", False)
                if not problem and (after.status, after.body) != (200, COMPLETION):
                    problem = f"the next request: {after.status} {after.body[:60]!r}"
            except OSError as error:
                problem = f"no connection: {error}"
            if problem:
                problems.append(f"{way}: {problem}")
        if not goal.is_alive():
            problems.append("THE GATEWAY DIED")
        text = f"{title}: wanted {expect}; " + "; ".join(problems) if problems else f"{title}: {expect}"
        report.add(f"hostile/{number + 1}", "FAIL" if problems else "PASS", text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_target_arguments(parser)
    parser.add_argument("--engine", type=int, default=0, help="port of the scripted backend")
    options = parser.parse_args()
    report, engine = Report("hostile_backend", options.quiet), Engine(options.engine)
    with target(options, [engine.port]) as goal:
        run_suite(options, goal, engine, report)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
