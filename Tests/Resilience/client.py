"""A load client that sees everything: asyncio, HTTP/1.1 on raw sockets, whole answers and event streams."""

import asyncio
import json
import time


class Answer:
    """What became of one request, and when. `error` is what the transport said; `None` if the framing was whole."""

    def __init__(self):
        self.status, self.fields, self.body, self.error = 0, {}, b"", None
        self.events = []
        self.began = time.monotonic()
        self.head = self.first = self.ended = None

    @property
    def seconds(self):
        return (self.ended or time.monotonic()) - self.began

    @property
    def to_first(self):
        """Seconds to the first content: of a stream its first piece of text, else the body."""
        return None if self.first is None else self.first - self.began

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            return {}

    @property
    def code(self):
        """The `code` of an error answer."""
        error = self.json().get("error")
        return error.get("code") if isinstance(error, dict) else None

    @property
    def is_done(self):
        return bool(self.events) and self.events[-1] == "[DONE]"

    def chunks(self):
        return [json.loads(event) for event in self.events if event != "[DONE]"]

    @property
    def text(self):
        if self.events:
            return "".join(piece_of(chunk) for chunk in self.chunks())
        choices = self.json().get("choices") or [{}]
        return (choices[0].get("message") or {}).get("content") or choices[0].get("text") or ""

    @property
    def usage(self):
        if self.events:
            return next((chunk["usage"] for chunk in reversed(self.chunks()) if chunk.get("usage")), None)
        return self.json().get("usage")

    def problem(self, text=None):
        """What is wrong with it for a client that wanted an answer; `None` if nothing is."""
        if self.error:
            last = f" after {len(self.events)} events, the last {self.events[-1][:300]}" if self.events else ""
            return f"{self.status or 'no answer'}: {self.error}{last}"
        if self.status != 200:
            return f"{self.status}: {self.body[:160].decode(errors='replace')}"
        kind = self.fields.get("content-type", "")
        try:
            if kind.startswith("text/event-stream"):
                if any("error" in chunk for chunk in self.chunks()):
                    return f"an error event: {next(c for c in self.chunks() if 'error' in c)}"
                if not self.is_done:
                    return f"no [DONE] after {len(self.events)} events"
            elif not isinstance(json.loads(self.body), dict):
                return "not an object"
            if text is not None and self.text != text:
                return f"text differs: {self.text!r} is not {text!r}"
        except ValueError as error:
            return f"not JSON: {error}"
        return None


def piece_of(chunk):
    choices = chunk.get("choices") or [{}]
    return (choices[0].get("delta") or {}).get("content") or choices[0].get("text") or ""


class Client:
    """Sends requests to one address; keeps connections alive like an application's connection pool."""

    def __init__(self, port, reuse=True):
        self.port, self.reuse, self.idle = port, reuse, []
        self.busy = set()

    async def connect(self):
        while self.idle:
            reader, writer = self.idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 22)

    def close(self):
        for _, writer in [*self.idle, *self.busy]:
            writer.transport.abort()
        self.idle, self.busy = [], set()

    async def send(self, path, body, headers=None, timeout=120.0):
        """Posts a body (a value, or bytes) and returns the `Answer`; never raises for what a server does."""
        answer = Answer()
        pair = None
        try:
            async with asyncio.timeout(timeout):
                pair = await self.connect()
                self.busy.add(pair)
                pair[1].write(request_bytes("POST", path, body, headers))
                await read_answer(pair[0], answer)
        except TimeoutError:
            answer.error = f"no end within {timeout} s"
        except (OSError, EOFError, ValueError) as error:
            answer.error = f"{type(error).__name__}: {error}"
        answer.ended = time.monotonic()
        if pair:
            self.busy.discard(pair)
            keeps = not answer.error and self.reuse and answer.fields.get("connection", "") != "close"
            if keeps:
                self.idle.append(pair)
            else:
                pair[1].transport.abort()
        return answer

    async def chat(self, content="hi", stream=False, headers=None, model="m", timeout=120.0, **members):
        body = {"model": model, "messages": [{"role": "user", "content": content}], **members}
        if stream:
            body["stream"] = True
        return await self.send("/v1/chat/completions", body, headers, timeout)


def request_bytes(method, path, body, headers=None):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "host: gateway", "content-type: application/json",
             f"content-length: {len(body)}", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def read_head(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = {}
    for line in head[1:-2]:
        name, _, value = line.partition(":")
        fields[name.strip().lower()] = value.strip()
    return head[0], fields


async def read_answer(reader, answer):
    first, answer.fields = await read_head(reader)
    answer.head = time.monotonic()
    answer.status = int(first.split(" ")[1])
    is_stream = answer.fields.get("content-type", "").startswith("text/event-stream")
    events = EventReader(answer) if is_stream else None
    body = bytearray()
    if answer.fields.get("transfer-encoding", "").lower() == "chunked":
        while True:
            size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
            chunk = await reader.readexactly(size + 2)
            if size == 0:
                break
            if events:
                events.take(chunk[:-2])
            else:
                body += chunk[:-2]
    elif length := int(answer.fields.get("content-length", "0")):
        body += await reader.readexactly(length)
        if events:
            events.take(bytes(body))
    answer.body = bytes(body)
    if answer.first is None:
        answer.first = time.monotonic()


class EventReader:
    """Cuts a stream into the data of its events."""

    def __init__(self, answer):
        self.answer, self.rest = answer, b""

    def take(self, data):
        *events, self.rest = (self.rest + data).split(b"\n\n")
        for event in events:
            data = b"\n".join(line[5:].lstrip(b" ") for line in event.split(b"\n") if line.startswith(b"data:"))
            if not data:
                continue
            text = data.decode(errors="replace")
            self.answer.events.append(text)
            if self.answer.first is None and ('"content":"' in text or '"content": "' in text or '"text":"' in text):
                # The opening event says a role and no text.
                if '"content":""' not in text and '"content": ""' not in text:
                    self.answer.first = time.monotonic()


async def in_parallel(count, width, one):
    """Runs `one(number)` for each of `count` numbers, `width` at a time; returns what they returned, in order."""
    results, numbers = [None] * count, iter(range(count))

    async def worker():
        for number in numbers:
            results[number] = await one(number)

    await asyncio.gather(*(worker() for _ in range(min(width, count))))
    return results


async def at_rate(rate, seconds, one):
    """Starts `one(number)` `rate` times a second whatever becomes of them; returns what all returned."""
    began, tasks = time.monotonic(), []
    while (now := time.monotonic() - began) < seconds:
        while len(tasks) <= now * rate:
            tasks.append(asyncio.ensure_future(one(len(tasks))))
        await asyncio.sleep(min(0.01, 1 / rate))
    return await asyncio.gather(*tasks)


def percentile(values, share):
    """The value below which that share of `values` lies; NaN of none."""
    ordered = sorted(value for value in values if value is not None)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def jain(values):
    """Jain's fairness index: 1 if all have the same, 1/n if one has all."""
    squares = sum(value * value for value in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else 0.0
