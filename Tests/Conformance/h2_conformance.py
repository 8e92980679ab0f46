#!/usr/bin/env python3
"""HTTP/2 conformance: the 147 cases that h2spec checks with --strict, under h2spec's ids.

Each case states what RFC 9113 (numbered as RFC 7540) or RFC 7541 demands of a server. A connection
error may show as GOAWAY with the right code or as a closed connection, a stream error also as
RST_STREAM; that is how h2spec judges, too. Nothing is sent but to the address given.

    h2_conformance.py 127.0.0.1:4000 [--tls] [--path /v1/models] [--only http2/5.1/8]
"""

import argparse
import concurrent.futures
import sys

from h2wire import *  # noqa: F403 - the vocabulary of this file
from support import Report, parse_address

CASES = []
LONG_VALUE = "x" * 4000
ZEROS, MARK = bytes(8), b"h2spec\0\0"


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def case(name, title):
    def add(function):
        CASES.append((name, title, function))
        return function
    return add


class Client(H2Connection):
    """A connection with the expectations that the cases are written in."""

    def __init__(self, options):
        super().__init__(options.host, options.port, options.tls, options.timeout)
        self.options = options

    def get(self, *more):
        return self.request_fields("GET", self.options.path, *more)

    def post(self, *more):
        return self.request_fields("POST", self.options.post_path, ("content-type", "application/json"), *more)

    def dummy(self, count):
        return [(f"x-dummy{number}", LONG_VALUE) for number in range(count)]

    def until(self, accepted, wanted):
        last = None
        while True:
            event = self.next()
            if accepted(event):
                return event
            if event.what != FRAME:
                raise Failed(f"wanted {wanted}, last saw {last or event}" if event.what == TIMEOUT
                             else f"wanted {wanted}, saw {event}")
            last = event

    def expect_closed(self):
        return self.until(lambda event: event.what == CLOSED, "connection closed")

    def expect_connection_error(self, *codes):
        return self.until(lambda event: event.what == CLOSED or event.is_frame(GOAWAY) and event.error_code in codes,
                          f"GOAWAY {'/'.join(map(error_name, codes))} or close")

    def expect_stream_error(self, *codes):
        return self.until(lambda event: event.what == CLOSED or event.what == FRAME
                          and event.kind in (GOAWAY, RST_STREAM) and event.error_code in codes,
                          f"RST_STREAM or GOAWAY {'/'.join(map(error_name, codes))} or close")

    def expect_stream_end(self):
        return self.until(lambda event: event.ends_stream or event.is_frame(RST_STREAM)
                          and event.error_code == NO_ERROR, "end of the stream")

    def expect_frame(self, kind):
        return self.until(lambda event: event.is_frame(kind), TYPE_NAMES[kind])

    def expect_headers(self, stream=1):
        if self.expect_frame(HEADERS).stream != stream:
            raise Failed("HEADERS on another stream")

    def expect_pong(self, data):
        event = self.expect_frame(PING)
        if not event.flags & ACK or event.payload != data:
            raise Failed(f"PING answered by {event} {event.payload!r}")

    def expect_pong_or_close(self, data):
        self.until(lambda event: event.what == CLOSED or event.is_frame(PING) and event.flags & ACK
                   and event.payload == data, "PING ACK or close")

    def expect_settings_ack(self):
        if not self.expect_frame(SETTINGS).flags & ACK:
            raise Failed("SETTINGS without ACK")

    def expect_data_of(self, size):
        event = self.expect_frame(DATA)
        if len(event.payload) != size:
            raise Failed(f"wanted DATA of {size}, saw {event}")

    def ping(self, data=ZEROS, flags=0):
        self.send(frame(PING, flags, 0, data))

    def request(self, stream=1, fields=None, **flags):
        self.send(self.headers(stream, fields if fields is not None else self.get(), **flags))


def length_of_answer(options):
    with Client(options) as client:
        client.handshake()
        client.request()
        size = 0
        while True:
            event = client.until(lambda event: event.what == FRAME and event.kind in (DATA, HEADERS), "a response")
            size += len(event.payload) if event.kind == DATA else 0
            if event.ends_stream:
                return size


def need_body(client, minimum):
    if length_of_answer(client.options) < minimum:
        raise Skipped("the response has no body")


# generic/1, generic/2: starting, streams


@case("generic/1/1", "client connection preface is answered by SETTINGS")
@case("http2/3.5/1", "the first frame of the server is SETTINGS")
def starts_with_settings(client):
    client.send(PREFACE + settings_frame((INITIAL_WINDOW_SIZE, 65535)))
    event = client.next()
    if not event.is_frame(SETTINGS) or event.flags & ACK:
        raise Failed(f"first came {event}")


@case("generic/2/1", "PRIORITY on an idle stream is accepted")
def _(client):
    client.handshake()
    client.send(frame(PRIORITY, 0, 1, priority_payload(0)))
    client.ping()
    client.expect_pong(ZEROS)


def half_closed_then(client, between):
    client.handshake()
    client.send(settings_frame((INITIAL_WINDOW_SIZE, 0)))
    client.request()
    client.send(between + frame(WINDOW_UPDATE, 0, 1, u32(1)))
    client.expect_frame(DATA)


@case("generic/2/2", "WINDOW_UPDATE on a half-closed (remote) stream is accepted")
def _(client):
    half_closed_then(client, b"")


@case("generic/2/3", "PRIORITY on a half-closed (remote) stream is accepted")
def _(client):
    half_closed_then(client, frame(PRIORITY, 0, 1, priority_payload(0)))


@case("generic/2/4", "RST_STREAM on a half-closed (remote) stream is accepted")
def _(client):
    client.handshake()
    client.request()
    client.send(frame(RST_STREAM, 0, 1, u32(CANCEL)))
    client.ping()
    client.expect_pong_or_close(ZEROS)


@case("generic/2/5", "PRIORITY on a closed stream is accepted")
def _(client):
    client.handshake()
    client.request()
    client.expect_stream_end()
    client.send(frame(PRIORITY, 0, 1, priority_payload(0)))
    client.ping()
    client.expect_pong(ZEROS)


# generic/3: frames that must be accepted


def posted(client, *frames, fields=None):
    client.handshake()
    client.request(fields=fields or client.post(), end_stream=False)
    client.send(b"".join(frames))
    client.expect_headers()


@case("generic/3.1/1", "a DATA frame is accepted")
def _(client):
    posted(client, frame(DATA, END_STREAM, 1, b"test"))


@case("generic/3.1/2", "several DATA frames are accepted")
def _(client):
    posted(client, frame(DATA, 0, 1, b"test"), frame(DATA, END_STREAM, 1, b"test"))


@case("generic/3.1/3", "a padded DATA frame is accepted")
def _(client):
    posted(client, frame(DATA, END_STREAM | PADDED, 1, b"\x06test" + bytes(6)))


@case("generic/3.2/1", "a HEADERS frame is accepted")
@case("generic/4/1", "a GET request is answered")
def simple_get(client):
    client.handshake()
    client.request()
    client.expect_headers()


@case("generic/3.2/2", "a padded HEADERS frame is accepted")
def _(client):
    client.handshake()
    client.send(frame(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, b"\x08" + client.block(client.get()) + bytes(8)))
    client.expect_headers()


@case("generic/3.2/3", "a HEADERS frame with priority is accepted")
def _(client):
    client.handshake()
    client.send(frame(HEADERS, END_STREAM | END_HEADERS | HAS_PRIORITY, 1,
                      priority_payload(0) + client.block(client.get())))
    client.expect_headers()


def priority_then_request(stream, payload):
    def run(client):
        client.handshake()
        client.send(frame(PRIORITY, 0, stream, payload))
        client.request()
        client.expect_headers()
    return run


case("generic/3.3/1", "PRIORITY with priority 1 is accepted")(priority_then_request(1, priority_payload(0, 0)))
case("generic/3.3/2", "PRIORITY with priority 256 is accepted")(priority_then_request(1, priority_payload(0, 255)))
case("generic/3.3/3", "PRIORITY with a dependency is accepted")(priority_then_request(3, priority_payload(1, 0)))
case("generic/3.3/4", "exclusive PRIORITY is accepted")(priority_then_request(1, priority_payload(0, 0, True)))
case("generic/3.3/5", "PRIORITY for an idle stream does not close lower ids")(
    priority_then_request(3, priority_payload(0, 255)))


@case("generic/3.4/1", "RST_STREAM is accepted")
def _(client):
    client.handshake()
    client.request(end_stream=False)
    client.send(frame(RST_STREAM, 0, 1, u32(CANCEL)))
    client.ping()
    client.expect_pong_or_close(ZEROS)


@case("generic/3.5/1", "SETTINGS is acknowledged")
def _(client):
    client.handshake()
    client.send(settings_frame((HEADER_TABLE_SIZE, 4096), (ENABLE_PUSH, 1), (MAX_CONCURRENT_STREAMS, 100),
                               (INITIAL_WINDOW_SIZE, 65535), (MAX_FRAME_SIZE, 16384), (MAX_HEADER_LIST_SIZE, 100)))
    client.expect_settings_ack()


@case("generic/3.7/1", "PING is answered")
def _(client):
    client.handshake()
    client.ping(MARK)
    client.expect_pong(MARK)


def goaway_then_ping(code, text):
    def run(client):
        client.handshake()
        client.send(frame(GOAWAY, 0, 0, u32(0) + u32(code) + text))
        client.ping(MARK)
        client.expect_pong_or_close(MARK)
    return run


case("generic/3.8/1", "GOAWAY is accepted")(goaway_then_ping(NO_ERROR, b"h2spec"))


@case("generic/3.9/1", "WINDOW_UPDATE on stream 0 is accepted")
def _(client):
    client.handshake()
    client.send(frame(WINDOW_UPDATE, 0, 0, u32(1)))
    client.ping()
    client.expect_pong(ZEROS)


@case("generic/3.9/2", "WINDOW_UPDATE on stream 1 is accepted")
def _(client):
    client.handshake()
    client.request()
    client.send(frame(WINDOW_UPDATE, 0, 1, u32(1)))
    client.expect_headers()


def split_block(*cuts):
    def run(client):
        client.handshake()
        block = client.block(client.get())
        edges = [0, *cuts, len(block)]
        parts = [block[start:end] for start, end in zip(edges, edges[1:])]
        client.send(client.headers(1, parts[0], end_headers=False))
        for number, part in enumerate(parts[1:], 2):
            client.send(frame(CONTINUATION, END_HEADERS if number == len(parts) else 0, 1, part))
        client.expect_headers()
    return run


case("generic/3.10/1", "a CONTINUATION frame is accepted")(split_block(5))
case("generic/3.10/2", "several CONTINUATION frames are accepted")(split_block(5, 10))


# generic/4: requests


@case("generic/4/2", "a HEAD request is answered")
def _(client):
    client.handshake()
    client.request(fields=client.request_fields("HEAD", client.options.path))
    client.expect_headers()


@case("generic/4/3", "a POST request is answered")
def _(client):
    posted(client, frame(DATA, END_STREAM, 1, b"test"))


@case("generic/4/4", "a POST request with trailers is answered")
def _(client):
    client.handshake()
    client.request(fields=client.post(("trailer", "x-test")), end_stream=False)
    client.send(frame(DATA, 0, 1, b"test"))
    client.request(fields=[("x-test", "ok")])
    client.expect_headers()


# generic/5: representations of HPACK that must be accepted

HUFFMAN_AGENT, HUFFMAN_H2SPEC = bytes.fromhex("87b505b161cc5a93"), bytes.fromhex("849c48aca4")
HUFFMAN_XTEST = bytes.fromhex("85f2b24a84ff")
PLAIN_AGENT, PLAIN_XTEST, PLAIN_H2SPEC = b"\x0auser-agent", b"\x06x-test", b"\x06h2spec"


def block_with(before=b"", after=b""):
    def run(client):
        client.handshake()
        client.request(fields=before + client.block(client.get()) + after)
        client.expect_headers()
    return run


for number, (title, tail) in enumerate([
    ("indexed field", b"\xba"),
    ("incremental indexing, Huffman user-agent", b"\x40" + HUFFMAN_AGENT + HUFFMAN_H2SPEC),
    ("incremental indexing, plain user-agent", b"\x40" + PLAIN_AGENT + PLAIN_H2SPEC),
    ("incremental indexing, plain new name", b"\x40" + PLAIN_XTEST + PLAIN_H2SPEC),
    ("incremental indexing, Huffman new name", b"\x40" + HUFFMAN_XTEST + HUFFMAN_H2SPEC),
    ("without indexing, plain user-agent", b"\x00" + PLAIN_AGENT + PLAIN_H2SPEC),
    ("without indexing, Huffman user-agent", b"\x00" + HUFFMAN_AGENT + HUFFMAN_H2SPEC),
    ("without indexing, plain new name", b"\x00" + PLAIN_XTEST + PLAIN_H2SPEC),
    ("without indexing, Huffman new name", b"\x00" + HUFFMAN_XTEST + HUFFMAN_H2SPEC),
    ("never indexed, plain user-agent", b"\x10" + PLAIN_AGENT + PLAIN_H2SPEC),
    ("never indexed, Huffman user-agent", b"\x10" + HUFFMAN_AGENT + HUFFMAN_H2SPEC),
    ("never indexed, plain new name", b"\x10" + PLAIN_XTEST + PLAIN_H2SPEC),
    ("never indexed, Huffman new name", b"\x10" + HUFFMAN_XTEST + HUFFMAN_H2SPEC),
], 1):
    case(f"generic/5/{number}", title + " is accepted")(block_with(after=tail))
case("generic/5/14", "a table size update to 128 is accepted")(block_with(before=b"\x3f\x61"))
case("generic/5/15", "two table size updates are accepted")(block_with(before=b"\x3f\x61\x3f\xe1\x1f"))


# http2/3.5 and http2/4


@case("http2/3.5/2", "an invalid preface ends the connection")
def _(client):
    client.send(b"INVALID CONNECTION PREFACE\r\n\r\n")
    client.expect_connection_error(PROTOCOL_ERROR)


def answers_ping_after(raw):
    def run(client):
        client.handshake()
        client.send(raw)
        client.ping()
        client.expect_pong(ZEROS)
    return run


UNKNOWN = frame(0x16, 0, 0, ZEROS)
case("http2/4.1/1", "an unknown frame type is ignored")(answers_ping_after(UNKNOWN))
case("http2/4.1/2", "undefined flags are ignored")(answers_ping_after(frame(PING, 0x16, 0, ZEROS)))
case("http2/4.1/3", "the reserved bit is ignored")(answers_ping_after(frame(PING, 0x16, 0x80000000, ZEROS)))


def largest_frame(client):
    return client.settings.get(MAX_FRAME_SIZE, 16384)


@case("http2/4.2/1", "DATA of 2^14 octets is accepted")
def _(client):
    client.handshake()
    client.request(fields=client.post(), end_stream=False)
    client.send(frame(DATA, END_STREAM, 1, b"x" * largest_frame(client)))
    client.expect_headers()


@case("http2/4.2/2", "DATA above SETTINGS_MAX_FRAME_SIZE is FRAME_SIZE_ERROR")
def _(client):
    client.handshake()
    if largest_frame(client) >= (1 << 24) - 1:
        raise Failed("SETTINGS_MAX_FRAME_SIZE is the largest number, no frame can exceed it")
    client.request(fields=client.post(), end_stream=False)
    client.send(frame(DATA, END_STREAM, 1, b"x" * (largest_frame(client) + 1)))
    client.expect_stream_error(FRAME_SIZE_ERROR)


@case("http2/4.2/3", "HEADERS above SETTINGS_MAX_FRAME_SIZE is FRAME_SIZE_ERROR")
def _(client):
    client.handshake()
    client.request(fields=client.get(*client.dummy(5)))
    client.expect_connection_error(FRAME_SIZE_ERROR)


def connection_error(raw, *codes):
    def run(client):
        client.handshake()
        client.send(raw)
        client.expect_connection_error(*codes)
    return run


def stream_error(raw, *codes):
    """`raw` right behind a complete request on stream 1."""
    def run(client):
        client.handshake()
        client.request()
        client.send(raw)
        client.expect_stream_error(*codes)
    return run


case("http2/4.3/1", "an invalid header block is COMPRESSION_ERROR")(
    connection_error(frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x40"), COMPRESSION_ERROR))


def priority_in_block(client):
    client.handshake()
    client.request(end_stream=False, end_headers=False)
    client.send(frame(PRIORITY, 0, 1, priority_payload(0)))
    client.send(frame(CONTINUATION, END_HEADERS, 1, client.block(client.dummy(1))))
    client.expect_connection_error(PROTOCOL_ERROR)


def headers_in_block(client):
    client.handshake()
    client.request(end_stream=False, end_headers=False)
    client.request(stream=3)
    client.send(frame(CONTINUATION, END_HEADERS, 1, client.block(client.dummy(1))))
    client.expect_connection_error(PROTOCOL_ERROR)


case("http2/4.3/2", "PRIORITY inside a header block is PROTOCOL_ERROR")(priority_in_block)
case("http2/4.3/3", "HEADERS of another stream inside a header block is PROTOCOL_ERROR")(headers_in_block)


# http2/5: streams

case("http2/5.1/1", "idle: DATA is PROTOCOL_ERROR")(
    connection_error(frame(DATA, END_STREAM, 1, b"test"), PROTOCOL_ERROR))
case("http2/5.1/2", "idle: RST_STREAM is PROTOCOL_ERROR")(
    connection_error(frame(RST_STREAM, 0, 1, u32(CANCEL)), PROTOCOL_ERROR))
case("http2/5.1/3", "idle: WINDOW_UPDATE is PROTOCOL_ERROR")(
    connection_error(frame(WINDOW_UPDATE, 0, 1, u32(100)), PROTOCOL_ERROR))


@case("http2/5.1/4", "idle: CONTINUATION is PROTOCOL_ERROR")
def _(client):
    client.handshake()
    client.send(frame(CONTINUATION, END_HEADERS, 1, client.block(client.get())))
    client.expect_connection_error(PROTOCOL_ERROR)


case("http2/5.1/5", "half-closed (remote): DATA is STREAM_CLOSED")(
    stream_error(frame(DATA, END_STREAM, 1, b"test"), STREAM_CLOSED))


def second_headers(client):
    client.handshake()
    client.request()
    client.request()
    client.expect_stream_error(STREAM_CLOSED)


case("http2/5.1/6", "half-closed (remote): HEADERS is STREAM_CLOSED")(second_headers)


@case("http2/5.1/7", "half-closed (remote): CONTINUATION is an error")
def _(client):
    client.handshake()
    client.request()
    client.send(frame(CONTINUATION, END_HEADERS, 1, client.block(client.get())))
    client.expect_stream_error(STREAM_CLOSED, PROTOCOL_ERROR)


def after_reset(client, make, *codes):
    client.handshake()
    client.request(end_stream=False)
    client.send(frame(RST_STREAM, 0, 1, u32(CANCEL)))
    client.send(make(client))
    client.expect_stream_error(*codes)


@case("http2/5.1/8", "closed by RST_STREAM: DATA is STREAM_CLOSED")
def _(client):
    after_reset(client, lambda _: frame(DATA, END_STREAM, 1, b"test"), STREAM_CLOSED)


@case("http2/5.1/9", "closed by RST_STREAM: HEADERS is STREAM_CLOSED")
def _(client):
    after_reset(client, lambda client: client.headers(1, client.get()), STREAM_CLOSED)


@case("http2/5.1/10", "closed by RST_STREAM: CONTINUATION is an error")
def _(client):
    after_reset(client, lambda client: frame(CONTINUATION, END_HEADERS, 1, client.block(client.dummy(1))),
                STREAM_CLOSED, PROTOCOL_ERROR)


def after_end(client, make):
    client.handshake()
    client.request()
    client.expect_stream_end()
    client.send(make(client))


@case("http2/5.1/11", "closed by END_STREAM: DATA is STREAM_CLOSED")
def _(client):
    after_end(client, lambda _: frame(DATA, END_STREAM, 1, b"test"))
    client.expect_stream_error(STREAM_CLOSED)


@case("http2/5.1/12", "closed by END_STREAM: HEADERS is STREAM_CLOSED")
def _(client):
    after_end(client, lambda client: client.headers(1, client.get()))
    client.expect_connection_error(STREAM_CLOSED)


@case("http2/5.1/13", "closed by END_STREAM: CONTINUATION is an error")
def _(client):
    after_end(client, lambda client: frame(CONTINUATION, END_HEADERS, 1, client.block(client.dummy(1))))
    client.expect_connection_error(STREAM_CLOSED, PROTOCOL_ERROR)


@case("http2/5.1.1/1", "an even stream id is PROTOCOL_ERROR")
def _(client):
    client.handshake()
    client.request(stream=2)
    client.expect_connection_error(PROTOCOL_ERROR)


@case("http2/5.1.1/2", "a stream id below an earlier one is PROTOCOL_ERROR")
def _(client):
    client.handshake()
    client.request(stream=5)
    client.request(stream=3)
    client.expect_connection_error(PROTOCOL_ERROR)


@case("http2/5.1.2/1", "a stream above MAX_CONCURRENT_STREAMS is refused")
def _(client):
    client.handshake()
    limit = client.settings.get(MAX_CONCURRENT_STREAMS)
    if limit is None or limit > 5000:
        raise Skipped("no SETTINGS_MAX_CONCURRENT_STREAMS")
    client.send(settings_frame((INITIAL_WINDOW_SIZE, 0)))
    first = client.headers(1, client.get())
    client.send(first + b"".join(client.headers(1 + 2 * number, client.get()) for number in range(1, limit + 1)))
    client.expect_stream_error(PROTOCOL_ERROR, REFUSED_STREAM)


@case("http2/5.3.1/1", "HEADERS that depend on themselves are PROTOCOL_ERROR")
def _(client):
    client.handshake()
    client.send(frame(HEADERS, END_STREAM | END_HEADERS | HAS_PRIORITY, 1,
                      priority_payload(1) + client.block(client.get())))
    client.expect_stream_error(PROTOCOL_ERROR)


@case("http2/5.3.1/2", "PRIORITY that depends on itself is PROTOCOL_ERROR")
def _(client):
    client.handshake()
    client.send(frame(PRIORITY, 0, 1, priority_payload(1)))
    client.expect_stream_error(PROTOCOL_ERROR)


@case("http2/5.4.1/1", "after a connection error the connection is closed")
def _(client):
    client.handshake()
    client.send(frame(PING, 0, 3, ZEROS))
    client.expect_closed()


@case("http2/5.4.1/2", "a connection error is announced by GOAWAY (strict)")
def _(client):
    client.handshake()
    client.send(frame(PING, 0, 3, ZEROS))
    client.expect_frame(GOAWAY)


case("http2/5.5/1", "an unknown extension frame is ignored")(answers_ping_after(UNKNOWN))


@case("http2/5.5/2", "an unknown frame inside a header block is PROTOCOL_ERROR")
def _(client):
    client.handshake()
    client.request(end_headers=False)
    client.send(UNKNOWN)
    client.expect_connection_error(PROTOCOL_ERROR)


# http2/6: frames

case("http2/6.1/1", "DATA on stream 0 is PROTOCOL_ERROR")(
    connection_error(frame(DATA, END_STREAM, 0, b"test"), PROTOCOL_ERROR))


@case("http2/6.1/2", "DATA on a stream that is not open is STREAM_CLOSED")
def _(client):
    client.handshake()
    client.request(fields=client.post())
    client.send(frame(DATA, END_STREAM, 1, b"test"))
    client.expect_stream_error(STREAM_CLOSED)


@case("http2/6.1/3", "DATA with too much padding is PROTOCOL_ERROR")
def _(client):
    client.handshake()
    client.request(fields=client.post(("content-length", "4")), end_stream=False)
    client.send(frame(DATA, END_STREAM | PADDED, 1, b"\x06Test"))
    client.expect_connection_error(PROTOCOL_ERROR)


case("http2/6.2/1", "HEADERS without END_HEADERS, then PRIORITY, is PROTOCOL_ERROR")(priority_in_block)
case("http2/6.2/2", "HEADERS without END_HEADERS, then HEADERS elsewhere, is PROTOCOL_ERROR")(headers_in_block)


@case("http2/6.2/3", "HEADERS on stream 0 is PROTOCOL_ERROR")
def _(client):
    client.handshake()
    client.request(stream=0)
    client.expect_connection_error(PROTOCOL_ERROR)


@case("http2/6.2/4", "HEADERS with too much padding is PROTOCOL_ERROR")
def _(client):
    client.handshake()
    block = client.block(client.get())
    client.send(frame(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, bytes([len(block) + 2]) + block))
    client.expect_stream_error(PROTOCOL_ERROR)


case("http2/6.3/1", "PRIORITY on stream 0 is PROTOCOL_ERROR")(
    connection_error(frame(PRIORITY, 0, 0, priority_payload(0)), PROTOCOL_ERROR))
case("http2/6.3/2", "PRIORITY of 4 octets is FRAME_SIZE_ERROR")(
    stream_error(frame(PRIORITY, 0, 1, b"\x80\x00\x00\x01"), FRAME_SIZE_ERROR))

case("http2/6.4/1", "RST_STREAM on stream 0 is PROTOCOL_ERROR")(
    connection_error(frame(RST_STREAM, 0, 0, u32(CANCEL)), PROTOCOL_ERROR))
case("http2/6.4/2", "RST_STREAM on an idle stream is PROTOCOL_ERROR")(
    connection_error(frame(RST_STREAM, 0, 1, u32(CANCEL)), PROTOCOL_ERROR))
case("http2/6.4/3", "RST_STREAM of 3 octets is FRAME_SIZE_ERROR")(
    stream_error(frame(RST_STREAM, 0, 1, bytes(3)), FRAME_SIZE_ERROR))

case("http2/6.5/1", "SETTINGS ACK with a payload is FRAME_SIZE_ERROR")(
    connection_error(frame(SETTINGS, ACK, 0, b"\0"), FRAME_SIZE_ERROR))
case("http2/6.5/2", "SETTINGS on stream 1 is PROTOCOL_ERROR")(
    connection_error(frame(SETTINGS, 0, 1, b"\x00\x03\x00\x00\x00\x64"), PROTOCOL_ERROR))


@case("http2/6.5/3", "SETTINGS of no multiple of 6 octets is FRAME_SIZE_ERROR")
def _(client):
    client.handshake()
    client.send(frame(SETTINGS, 0, 0, b"\x00\x03\x00\x00\x00\x64\x00\x02", length=9) + b"\0")
    client.expect_stream_error(PROTOCOL_ERROR, FRAME_SIZE_ERROR)


case("http2/6.5.2/1", "ENABLE_PUSH 2 is PROTOCOL_ERROR")(
    connection_error(settings_frame((ENABLE_PUSH, 2)), PROTOCOL_ERROR))
case("http2/6.5.2/2", "INITIAL_WINDOW_SIZE 2^31 is FLOW_CONTROL_ERROR")(
    connection_error(settings_frame((INITIAL_WINDOW_SIZE, 1 << 31)), FLOW_CONTROL_ERROR))
case("http2/6.5.2/3", "MAX_FRAME_SIZE 16383 is PROTOCOL_ERROR")(
    connection_error(settings_frame((MAX_FRAME_SIZE, 16383)), PROTOCOL_ERROR))
case("http2/6.5.2/4", "MAX_FRAME_SIZE 2^24 is PROTOCOL_ERROR")(
    connection_error(settings_frame((MAX_FRAME_SIZE, 1 << 24)), PROTOCOL_ERROR))
case("http2/6.5.2/5", "an unknown setting is ignored")(answers_ping_after(settings_frame((0xFF, 1))))


@case("http2/6.5.3/1", "of two INITIAL_WINDOW_SIZE values in one frame the last counts")
def _(client):
    need_body(client, 1)
    client.handshake()
    client.send(settings_frame((INITIAL_WINDOW_SIZE, 100), (INITIAL_WINDOW_SIZE, 1)))
    client.expect_settings_ack()
    client.request()
    client.expect_data_of(1)


@case("http2/6.5.3/2", "SETTINGS is acknowledged at once")
def _(client):
    client.handshake()
    client.send(settings_frame((ENABLE_PUSH, 0)))
    client.expect_settings_ack()


@case("http2/6.7/1", "PING is answered with its payload")
def _(client):
    client.handshake()
    client.ping(MARK)
    client.until(lambda event: event.is_frame(PING) and event.flags & ACK and event.payload == MARK, "PING ACK")


@case("http2/6.7/2", "PING ACK is not answered")
def _(client):
    client.handshake()
    client.ping(b"invalid\0", ACK)
    client.ping(MARK)
    client.expect_pong(MARK)


case("http2/6.7/3", "PING on stream 1 is PROTOCOL_ERROR")(connection_error(frame(PING, 0, 1, ZEROS), PROTOCOL_ERROR))
case("http2/6.7/4", "PING of 6 octets is FRAME_SIZE_ERROR")(
    connection_error(frame(PING, 0, 0, bytes(6)), FRAME_SIZE_ERROR))
case("http2/6.8/1", "GOAWAY on stream 1 is PROTOCOL_ERROR")(connection_error(frame(GOAWAY, 0, 1, ZEROS),
    PROTOCOL_ERROR))
case("http2/6.9/1", "WINDOW_UPDATE by 0 on the connection is PROTOCOL_ERROR")(
    connection_error(frame(WINDOW_UPDATE, 0, 0, u32(0)), PROTOCOL_ERROR))


@case("http2/6.9/2", "WINDOW_UPDATE by 0 on a stream is PROTOCOL_ERROR")
def _(client):
    client.handshake()
    client.request(end_stream=False)
    client.send(frame(WINDOW_UPDATE, 0, 1, u32(0)))
    client.expect_stream_error(PROTOCOL_ERROR)


case("http2/6.9/3", "WINDOW_UPDATE of 3 octets is FRAME_SIZE_ERROR")(
    connection_error(frame(WINDOW_UPDATE, 0, 0, b"\0\0\1"), FRAME_SIZE_ERROR))


@case("http2/6.9.1/1", "a window of 1 lets 1 octet through")
def _(client):
    need_body(client, 1)
    client.handshake()
    client.send(settings_frame((INITIAL_WINDOW_SIZE, 1)))
    client.expect_settings_ack()
    client.request()
    client.expect_data_of(1)


@case("http2/6.9.1/2", "a connection window above 2^31-1 is FLOW_CONTROL_ERROR")
def _(client):
    client.handshake()
    client.send(frame(WINDOW_UPDATE, 0, 0, u32(0x7FFFFFFF)) * 2)
    if client.expect_frame(GOAWAY).error_code != FLOW_CONTROL_ERROR:
        raise Failed("GOAWAY with another code")


@case("http2/6.9.1/3", "a stream window above 2^31-1 is FLOW_CONTROL_ERROR")
def _(client):
    client.handshake()
    client.request(end_stream=False)
    client.send(frame(WINDOW_UPDATE, 0, 1, u32(0x7FFFFFFF)) * 2)
    event = client.expect_frame(RST_STREAM)
    if event.stream != 1 or event.error_code != FLOW_CONTROL_ERROR:
        raise Failed(f"saw {event}")


@case("http2/6.9.2/1", "a changed INITIAL_WINDOW_SIZE moves the windows of open streams")
def _(client):
    need_body(client, 1)
    client.handshake()
    client.send(settings_frame((INITIAL_WINDOW_SIZE, 0)))
    client.expect_settings_ack()
    client.request()
    client.send(settings_frame((INITIAL_WINDOW_SIZE, 1)))
    client.expect_data_of(1)


@case("http2/6.9.2/2", "a negative window is kept count of")
def _(client):
    need_body(client, 5)
    client.handshake()
    client.send(settings_frame((INITIAL_WINDOW_SIZE, 3)))
    client.expect_settings_ack()
    client.request()
    client.expect_frame(DATA)
    client.send(settings_frame((INITIAL_WINDOW_SIZE, 2)))
    client.expect_settings_ack()
    client.send(frame(WINDOW_UPDATE, 0, 1, u32(2)))
    client.expect_data_of(1)


case("http2/6.9.2/3", "INITIAL_WINDOW_SIZE above the maximum is FLOW_CONTROL_ERROR")(
    connection_error(settings_frame((INITIAL_WINDOW_SIZE, 1 << 31)), FLOW_CONTROL_ERROR))


def continuation(client, stream=1, end_headers=True):
    client.send(frame(CONTINUATION, END_HEADERS if end_headers else 0, stream, client.block(client.dummy(1))))


@case("http2/6.10/1", "several CONTINUATION frames behind HEADERS are accepted")
def _(client):
    client.handshake()
    client.request(end_headers=False)
    continuation(client, end_headers=False)
    continuation(client)
    client.expect_headers()


@case("http2/6.10/2", "CONTINUATION followed by another frame is PROTOCOL_ERROR")
def _(client):
    client.handshake()
    client.request(fields=client.post(), end_stream=False, end_headers=False)
    continuation(client, end_headers=False)
    client.send(frame(DATA, END_STREAM, 1, b"test"))
    client.expect_connection_error(PROTOCOL_ERROR)


@case("http2/6.10/3", "CONTINUATION on stream 0 is PROTOCOL_ERROR")
def _(client):
    client.handshake()
    client.request(end_headers=False)
    continuation(client, stream=0)
    client.expect_connection_error(PROTOCOL_ERROR)


@case("http2/6.10/4", "CONTINUATION behind HEADERS with END_HEADERS is PROTOCOL_ERROR")
def _(client):
    client.handshake()
    client.request()
    continuation(client)
    client.expect_connection_error(PROTOCOL_ERROR)


@case("http2/6.10/5", "CONTINUATION behind CONTINUATION with END_HEADERS is PROTOCOL_ERROR")
def _(client):
    client.handshake()
    client.request(end_headers=False)
    continuation(client)
    continuation(client)
    client.expect_connection_error(PROTOCOL_ERROR)


@case("http2/6.10/6", "CONTINUATION behind DATA is PROTOCOL_ERROR")
def _(client):
    client.handshake()
    client.request(fields=client.post(), end_stream=False, end_headers=False)
    client.send(frame(DATA, END_STREAM, 1, b"test"))
    continuation(client, end_headers=False)
    continuation(client, stream=0)
    client.expect_connection_error(PROTOCOL_ERROR)


# http2/7 and http2/8

case("http2/7/1", "GOAWAY with an unknown code has no special effect")(goaway_then_ping(0xFF, b""))


@case("http2/7/2", "RST_STREAM with an unknown code has no special effect")
def _(client):
    client.handshake()
    client.request(fields=client.post(), end_stream=False)
    client.send(frame(RST_STREAM, 0, 1, u32(0xFF)))
    client.ping()
    client.expect_pong(ZEROS)


def trailers(fields):
    def run(client):
        client.handshake()
        client.request(fields=client.post(), end_stream=False)
        client.send(frame(DATA, 0, 1, b"test"))
        client.request(fields=fields, end_stream=False)
        client.expect_stream_error(PROTOCOL_ERROR)
    return run


case("http2/8.1/1", "a second HEADERS without END_STREAM is PROTOCOL_ERROR")(trailers([("x-test", "ok")]))


def malformed(change):
    """A GET whose fields `change` makes malformed: a stream error."""
    def run(client):
        client.handshake()
        client.request(fields=change(client.get()))
        client.expect_stream_error(PROTOCOL_ERROR)
    return run


def without(name):
    return lambda fields: [field for field in fields if field[0] != name]


def doubled(name):
    return lambda fields: fields + [field for field in fields if field[0] == name]


case("http2/8.1.2/1", "an upper-case field name is PROTOCOL_ERROR")(malformed(lambda f: f + [("X-TEST", "ok")]))
case("http2/8.1.2.1/1", "an unknown pseudo-field is PROTOCOL_ERROR")(malformed(lambda f: f + [(":test", "ok")]))
case("http2/8.1.2.1/2", "a response pseudo-field is PROTOCOL_ERROR")(malformed(lambda f: f + [(":status", "200")]))
case("http2/8.1.2.1/3", "a pseudo-field in trailers is PROTOCOL_ERROR")(trailers([(":method", "POST")]))
case("http2/8.1.2.1/4", "a pseudo-field behind a field is PROTOCOL_ERROR")(malformed(lambda f: [("x-test", "ok")] + f))
case("http2/8.1.2.2/1", "a connection field is PROTOCOL_ERROR")(
    malformed(lambda f: f + [("connection", "keep-alive")]))
case("http2/8.1.2.2/2", "te other than trailers is PROTOCOL_ERROR")(
    malformed(lambda f: f + [("trailers", "test"), ("te", "trailers, deflate")]))
case("http2/8.1.2.3/1", "an empty :path is PROTOCOL_ERROR")(
    malformed(lambda f: [(name, "" if name == ":path" else value) for name, value in f]))
case("http2/8.1.2.3/2", "no :method is PROTOCOL_ERROR")(malformed(lambda f: f[2:]))
case("http2/8.1.2.3/3", "no :scheme is PROTOCOL_ERROR")(malformed(without(":scheme")))
case("http2/8.1.2.3/4", "no :path is PROTOCOL_ERROR")(malformed(without(":path")))
case("http2/8.1.2.3/5", "two :method are PROTOCOL_ERROR")(malformed(doubled(":method")))
case("http2/8.1.2.3/6", "two :scheme are PROTOCOL_ERROR")(malformed(doubled(":scheme")))
case("http2/8.1.2.3/7", "two :path are PROTOCOL_ERROR")(malformed(doubled(":path")))


def wrong_content_length(*frames):
    def run(client):
        client.handshake()
        client.request(fields=client.post(("content-length", "1")), end_stream=False)
        client.send(b"".join(frames))
        client.expect_stream_error(PROTOCOL_ERROR)
    return run


case("http2/8.1.2.6/1", "content-length against one DATA frame is checked")(
    wrong_content_length(frame(DATA, END_STREAM, 1, b"test")))
case("http2/8.1.2.6/2", "content-length against the sum of DATA frames is checked")(
    wrong_content_length(frame(DATA, 0, 1, b"test"), frame(DATA, END_STREAM, 1, b"test")))


@case("http2/8.2/1", "PUSH_PROMISE from a client is PROTOCOL_ERROR")
def _(client):
    client.handshake()
    client.send(frame(PUSH_PROMISE, END_HEADERS, 1, u32(3) + client.block(client.get())))
    client.expect_connection_error(PROTOCOL_ERROR)


# hpack: decoding errors


def undecodable(before=b"", after=b""):
    def run(client):
        client.handshake()
        client.request(fields=before + client.block(client.get()) + after)
        client.expect_connection_error(COMPRESSION_ERROR)
    return run


case("hpack/2.3.3/1", "an indexed field beyond the tables is refused")(undecodable(after=b"\xc6"))
case("hpack/2.3.3/2", "a literal whose name is beyond the tables is refused")(undecodable(after=b"\x7f\x07\x00"))
case("hpack/4.2/1", "a table size update at the end of a block is refused")(undecodable(after=b"\x21"))
case("hpack/5.2/1", "Huffman padding longer than 7 bits is refused")(
    undecodable(after=b"\x00" + HUFFMAN_XTEST + bytes.fromhex("8449509fff")))
case("hpack/5.2/2", "Huffman padding by zeros is refused")(
    undecodable(after=b"\x00" + HUFFMAN_XTEST + bytes.fromhex("83495090")))
case("hpack/5.2/3", "EOS inside a Huffman string is refused")(
    undecodable(after=b"\x00\x85\xf2\xb2\x4a\x87\xff\xff\xff\xfd\x25\x42\x7f"))
case("hpack/6.1/1", "index 0 is refused")(undecodable(after=b"\x80"))


@case("hpack/6.3/1", "a table size update above SETTINGS_HEADER_TABLE_SIZE is refused")
def _(client):
    client.handshake()
    rest = client.settings.get(HEADER_TABLE_SIZE, 4096) + 1 - 31
    update = bytearray(b"\x3f")
    while rest >= 128:
        update.append(0x80 | rest & 0x7F)
        rest >>= 7
    update.append(rest)
    client.request(fields=bytes(update) + client.block(client.get()))
    client.expect_connection_error(COMPRESSION_ERROR)


def run_case(options, name, title, function):
    try:
        with Client(options) as client:
            function(client)
        return name, "PASS", title
    except Skipped as reason:
        return name, "SKIP", f"{title}: {reason}"
    except (Failed, OSError) as reason:
        return name, "FAIL", f"{title}: {reason}"


def section(name):
    group, *numbers = name.replace(".", "/").split("/")
    return ["generic", "http2", "hpack"].index(group), [int(number) for number in numbers]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", help="HOST:PORT")
    parser.add_argument("--tls", action="store_true", help="TLS with ALPN h2, certificate not verified")
    parser.add_argument("--path", default="/v1/models", help="answers GET with 200 and a body")
    parser.add_argument("--post-path", default="/v1/chat/completions", help="reads a POST body to its end")
    parser.add_argument("--only", help="run the cases whose id starts with this")
    parser.add_argument("--timeout", type=float, default=2.0, help="seconds for each expectation")
    parser.add_argument("--threads", type=int, default=6)
    parser.add_argument("--quiet", action="store_true", help="print failures and the total only")
    options = parser.parse_args()
    options.host, options.port = parse_address(options.address)
    chosen = [entry for entry in sorted(CASES, key=lambda entry: section(entry[0]))
              if not options.only or entry[0] == options.only or entry[0].startswith(options.only + "/")]
    report = Report("h2_conformance", options.quiet)
    with concurrent.futures.ThreadPoolExecutor(options.threads) as pool:
        for name, verdict, reason in pool.map(lambda entry: run_case(options, *entry), chosen):
            report.add(name, verdict, reason)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
