"""Server-sent events: passed on unchanged, at once, and stopped when the client goes."""

import json
import statistics
import threading
import time

import h2.events
import httpx
import pytest

from engine import chunk, usage_chunk
from waiting import wait_until
from wire import Http2, Raw, events_of

STREAM = {"model": "m1", "messages": [{"role": "user", "content": "hi"}], "stream": True}
ASKED = {**STREAM, "stream_options": {"include_usage": True}}


def body_of(gateway, request, path="/v1/chat/completions"):
    response = httpx.post(gateway.root + path, json=request, timeout=15)
    assert response.status_code == 200, response.text
    return response


def test_events_pass_unchanged(gateway, engine):
    sent = (b": a comment\n\n"
            b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"a \\u00e9 \xc3\xa9"},"x":1e5}],'
            b' "odd" : [1 ,2]}\n\n'
            b": another\n\n"
            b'data: {"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
            b"data: [DONE]\n\n")

    def answer(exchange):
        exchange.stream_head()
        for at in range(0, len(sent), 7):  # events fall apart over many reads
            exchange.write(sent[at:at + 7])
        exchange.end()
    engine.on("/v1/chat/completions", answer)
    response = body_of(gateway, ASKED)
    assert response.content == sent
    assert response.headers["content-type"].startswith("text/event-stream")
    assert "content-length" not in response.headers


def test_stream_without_usage_asked_is_as_if_nobody_had_asked(gateway, engine):
    response = body_of(gateway, STREAM)
    asked = engine.inference()[-1].json
    assert asked["stream_options"]["include_usage"] is True, "the gateway asks the engine for usage"
    assert {k: v for k, v in asked.items() if k != "stream_options"} == STREAM
    events = [data for _, data in events_of(response.content)]
    assert events[-1] == "[DONE]"
    assert all(json.loads(e)["choices"] for e in events[:-1]), "the usage event was not stripped"


def test_usage_asked_for_leaves_the_body_unchanged(gateway, engine):
    response = httpx.post(gateway.base + "/chat/completions", content=json.dumps(ASKED, indent=1),
                          headers={"content-type": "application/json"})
    assert engine.inference()[-1].body == json.dumps(ASKED, indent=1).encode()
    assert json.loads(events_of(response.content)[-2][1])["usage"]["total_tokens"] > 0


def test_other_stream_options_are_kept(gateway, engine):
    body_of(gateway, {**STREAM, "stream_options": {"include_obfuscation": False}})
    assert engine.inference()[-1].json["stream_options"] == {"include_obfuscation": False, "include_usage": True}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"])
def test_usage_is_counted(gateway, engine, path):
    body_of(gateway, STREAM, path)
    wait_until(lambda: gateway.total("penstock_tokens_total", direction="output") == 7, "7 output tokens counted")
    assert gateway.total("penstock_tokens_total", direction="input") == 7
    assert gateway.total("penstock_tokens_total", model="m1") == 14


def test_each_event_comes_at_once(gateway, engine):
    go = threading.Semaphore(0)

    def answer(exchange):
        exchange.stream_head()
        for number in range(5):
            go.acquire(timeout=10)
            exchange.event(chunk("m1", {"content": str(number)}))
        exchange.event("[DONE]")
        exchange.end()
    engine.on("/v1/chat/completions", answer)
    with Raw(gateway.data) as raw:
        raw.post("/v1/chat/completions", STREAM)
        assert raw.head()[0] == 200, "the head comes before the first event is due"
        pieces = raw.chunks()
        for number in range(5):
            go.release()  # nothing more is sent before this event has arrived
            assert json.loads(events_of(next(pieces))[0][1])["choices"][0]["delta"]["content"] == str(number)
        assert b"[DONE]" in b"".join(pieces)


def test_usage_event_held_back_does_not_hold_back_done(gateway, engine):
    def answer(exchange):
        exchange.stream_head()
        exchange.event(chunk("m1", {"content": "a"}))
        exchange.write(b"data: " + json.dumps(usage_chunk("m1")).encode() + b"\n\ndata: [DONE]\n\n")
        exchange.end()
    engine.on("/v1/chat/completions", answer)
    assert [d for _, d in events_of(body_of(gateway, STREAM).content)][1:] == ["[DONE]"]


# The client goes -----------------------------------------------------------------------------------------------

class Endless:
    """An answer that never ends, and when its client was seen to go."""

    def __init__(self, streaming):
        self.streaming, self.begun, self.gone_at = streaming, threading.Event(), None

    def __call__(self, exchange):
        if self.streaming:
            exchange.stream_head()
            exchange.event(chunk("m1", {"content": "a"}))
        self.begun.set()
        self.gone_at = exchange.wait_gone()
        exchange.keep_alive = False


def leave_http1(gateway, streaming, endless):
    raw = Raw(gateway.data)
    raw.post("/v1/chat/completions", {**STREAM, "stream": streaming})
    if streaming:
        raw.head()
        next(raw.chunks())
    assert endless.begun.wait(10)
    left = time.monotonic()
    raw.close()
    return left


def leave_http2(gateway, streaming, endless):
    connection = Http2(gateway.data)
    stream = connection.post("/v1/chat/completions", {**STREAM, "stream": streaming})
    if streaming:
        connection.until(h2.events.DataReceived, stream)
    assert endless.begun.wait(10)
    left = time.monotonic()
    connection.reset(stream)
    endless.connection = connection  # stays open: only the stream is reset
    return left


@pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "unary"])
@pytest.mark.parametrize("leave", [leave_http1, leave_http2], ids=["HTTP/1.1", "HTTP/2"])
def test_cancellation_reaches_the_engine(gateway, engine, leave, streaming):
    took = []
    for _ in range(7):
        endless = Endless(streaming)
        engine.on("/v1/chat/completions", endless)
        left = leave(gateway, streaming, endless)
        wait_until(lambda: endless.gone_at, "the engine sees that the client has gone")
        took.append(endless.gone_at - left)
    assert statistics.median(took) < 0.05, f"seconds until the engine knew: {took}"
    wait_until(lambda: gateway.total("penstock_requests_in_flight") == 0, "nothing is in flight")


def test_slow_client_stops_the_reading_from_the_engine(gateway, engine):
    sent = [0]

    def flood(exchange):
        exchange.stream_head()
        piece = b"data: " + b"x" * 65536 + b"\n\n"
        exchange.sock.settimeout(2)
        try:
            while sent[0] < 400 << 20:
                exchange.write(piece)
                sent[0] += len(piece)
        except TimeoutError:
            pass
        exchange.close()
    engine.on("/v1/chat/completions", flood)
    before = gateway.rss()
    with Raw(gateway.data) as raw:
        raw.post("/v1/chat/completions", STREAM)
        raw.head()
        wait_until(lambda: engine.open_connections == 0 or sent[0] >= 400 << 20 or stalled(sent),
                   "the engine cannot write on", 20)
        assert sent[0] < 100 << 20, "a client that does not read did not stop the engine"
        assert gateway.rss() - before < 32 << 20, "the stream piles up in memory"


def stalled(sent):
    before = sent[0]
    time.sleep(0.5)  # measures a rate: nothing is waited for here
    return sent[0] == before and before > 0


def test_http2_streams_share_a_connection(gateway, engine):
    with Http2(gateway.data) as connection:
        streams = [connection.post("/v1/chat/completions", STREAM if n % 2 else {**STREAM, "stream": False})
                   for n in range(20)]
        for stream in streams:
            status, _, body = connection.response(stream)
            assert status == 200 and b"Pen" in body


def test_pipelined_requests_are_answered_in_order(gateway, engine):
    with Raw(gateway.data) as raw:
        for number in range(5):
            raw.post("/v1/chat/completions", {**STREAM, "stream": number % 2 == 1}, [("x-request-id", f"r{number}")])
        for number in range(5):
            status, fields, body = raw.response()
            assert status == 200 and fields["x-request-id"] == f"r{number}"
            assert (b"[DONE]" in body) == (number % 2 == 1)
