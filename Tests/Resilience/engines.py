"""Engines behind the gateway: simulated ones in processes of their own, and scripted ones in this process."""

import asyncio
import json
import signal
import time
import urllib.error
import urllib.request

from client import read_head
from processes import Process, fetch, free_port
from waiting import wait_until


class Engine:
    """`penstock simulate-engine` on a port that stays its own over deaths and returns."""

    def __init__(self, binary, **options):
        self.binary, self.port, self.options = binary, free_port(), {"owned_by": "vllm", "model": "m", **options}
        self.process = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        arguments = [self.binary, "simulate-engine", "--listen", f"127.0.0.1:{self.port}"]
        for name, value in self.options.items():
            for item in value if isinstance(value, list) else [value]:
                arguments += [f"--{name.replace('_', '-')}", str(item)]
        self.process = Process(arguments)
        wait_until(lambda: not self.process.alive() or self.answers(), "the simulated engine answers")
        assert self.process.alive(), f"the simulated engine ended:\n{self.process.log()}"
        return self

    def answers(self):
        try:
            return fetch(f"{self.url}/simulator/stats", timeout=2)[0] == 200
        except OSError:
            return False

    def kill(self):
        """Ends it as a crash does: connections are reset, the port refuses."""
        self.process.signal(signal.SIGKILL)
        self.process.wait(5)

    def freeze(self):
        self.process.signal(signal.SIGSTOP)

    def thaw(self):
        self.process.signal(signal.SIGCONT)

    def stop(self):
        if self.process and self.process.alive():
            self.process.signal(signal.SIGCONT)
            self.kill()

    def configure(self, **settings):
        """Changes the running engine: `error_rate=1`, `status=503`, `first_token_ms=50`."""
        request = urllib.request.Request(f"{self.url}/simulator/config", json.dumps(settings).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=5) as response:
            assert response.status == 200

    def stats(self):
        return json.loads(fetch(f"{self.url}/simulator/stats")[2])

    def last(self):
        return json.loads(fetch(f"{self.url}/simulator/last")[2])


class Received:
    """A request as it reached a scripted engine."""

    def __init__(self, path, fields, body, began):
        self.path, self.fields, self.body, self.began, self.ended = path, fields, body, began, None

    @property
    def id(self):
        return self.fields.get("x-case-id")


class Fake:
    """A scripted engine: `answer` is called for each request to the API and may do anything to the connection.

    Counts what reaches it. Health and the list of models work unless `health` says another status.
    """

    def __init__(self, answer=None, models=("m",), owned_by="vllm"):
        self.answer, self.models, self.owned_by, self.health = answer or ok, list(models), owned_by, 200
        self.port, self.server = free_port(), None
        self.received, self.in_flight, self.most_in_flight, self.left = [], 0, 0, 0
        self.connections = set()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    async def start(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", self.port, backlog=1024)
        return self

    def stop(self):
        if self.server:
            self.server.close()
            self.server = None
        for writer in list(self.connections):
            writer.transport.abort()

    def forget(self):
        self.received, self.most_in_flight, self.left = [], self.in_flight, 0

    async def serve(self, reader, writer):
        self.connections.add(writer)
        served = 0
        try:
            while True:
                first, fields = await read_head(reader)
                began = time.monotonic()
                method, path, _ = first.split(" ")
                if method == "GET":
                    await self.read(path, writer)
                    continue
                body = await read_body(reader, fields)
                request = Received(path, fields, json.loads(body or b"{}"), began)
                request.number_on_connection, served = served, served + 1
                self.received.append(request)
                await self.count(request, reader, writer)
                if writer.is_closing():
                    return
        except (OSError, EOFError, asyncio.LimitOverrunError, ValueError, asyncio.CancelledError):
            pass
        finally:
            self.connections.discard(writer)
            writer.close()

    async def count(self, request, reader, writer):
        """Answers, while watching whether the client stays."""
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        task = asyncio.ensure_future(self.answer(Exchange(self, request, reader, writer)))
        try:
            while not task.done():
                await asyncio.wait([task], timeout=0.02)
                if not task.done() and (reader.at_eof() or reader.exception()):
                    self.left += 1
                    task.cancel()
                    writer.transport.abort()
                    return
            task.result()
        finally:
            request.ended = time.monotonic()
            self.in_flight -= 1

    async def read(self, path, writer):
        if path.endswith("/models"):
            data = [{"id": name, "object": "model", "created": 1, "owned_by": self.owned_by} for name in self.models]
            send_json(writer, 200, {"object": "list", "data": data})
        elif path.endswith("/health"):
            send_json(writer, self.health, {})
        else:
            send_json(writer, 404, {"error": {"message": "no such path"}})
        await writer.drain()


async def read_body(reader, fields):
    if fields.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
        return body
    return await reader.readexactly(int(fields.get("content-length", "0")))


def send_json(writer, status, value, headers=None):
    body = json.dumps(value).encode()
    lines = [f"HTTP/1.1 {status} Status", "content-type: application/json", f"content-length: {len(body)}",
             *(f"{name}: {content}" for name, content in (headers or {}).items())]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


class Exchange:
    """One request and the means to answer it."""

    def __init__(self, fake, request, reader, writer):
        self.fake, self.request, self.reader, self.writer = fake, request, reader, writer

    @property
    def streams(self):
        return self.request.body.get("stream") is True

    @property
    def model(self):
        return self.request.body.get("model")

    def json(self, status, value, headers=None):
        send_json(self.writer, status, value, headers)

    def error(self, status, code=None, message="scripted", headers=None, kind="server_error"):
        self.json(status, {"error": {"message": message, "type": kind, "param": None, "code": code}}, headers)

    def whole(self, text):
        tokens = len(text.split())
        self.json(200, {
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": self.model,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": 5 + tokens},
        })

    def begin_events(self):
        self.writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")

    def event(self, value):
        data = b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n"
        self.writer.write(b"%x\r\n%s\r\n" % (len(data), data))

    def piece(self, delta, finish=None, **members):
        self.event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": self.model,
                    "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **members})

    def end_events(self):
        self.event(b"[DONE]")
        self.writer.write(b"0\r\n\r\n")

    def reset(self):
        self.writer.transport.abort()

    def close(self):
        self.writer.close()


async def ok(exchange):
    """Says which engine it is: the text is its port."""
    if not exchange.streams:
        return exchange.whole(f"port {exchange.fake.port}")
    exchange.begin_events()
    exchange.piece({"role": "assistant", "content": ""})
    exchange.piece({"content": f"port {exchange.fake.port}"})
    exchange.piece({}, "stop")
    exchange.end_events()


def failing(status, headers=None, code="scripted_fault", kind="server_error", message="scripted"):
    """An engine that always answers with that error."""
    async def answer(exchange):
        exchange.error(status, code, message, headers, kind)
    return answer


async def resetting(exchange):
    exchange.reset()


async def silent(exchange):
    await asyncio.sleep(3600)


def slow(seconds, then=ok):
    async def answer(exchange):
        await asyncio.sleep(seconds)
        await then(exchange)
    return answer
