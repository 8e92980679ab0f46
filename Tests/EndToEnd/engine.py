"""A scripted engine: an HTTP/1.1 server that records what reaches it, byte by byte, and answers as a test says.

Without a script it answers the OpenAI and Anthropic paths with small, well-formed bodies. A test that wants more
installs a handler with `engine.on(path, handler)`; the handler gets an `Exchange` and writes the answer itself,
so faults (resets, broken framing, silence) are plain code in the test.
"""

import base64
import json
import re
import select
import socket
import struct
import sys
import threading
import time

sys.set_int_max_str_digits(0)  # tests send numbers that Python otherwise refuses to read


class Request:
    def __init__(self, method, target, headers, body, connection):
        self.method, self.target, self.headers, self.body = method, target, headers, body
        self.connection = connection
        self.path = target.split("?")[0]

    def header(self, name):
        """The value of the first header `name`, or None."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def json(self):
        return json.loads(self.body)


class Exchange:
    """One request and the means to answer it."""

    def __init__(self, sock, request, engine):
        self.sock, self.request, self.engine = sock, request, engine
        self.ended = False
        self.keep_alive = True
        self._chunked = False

    def head(self, status=200, headers=(), length=None):
        """Writes the head; without `length` the body is chunked."""
        self._chunked = length is None
        framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
        lines = [f"HTTP/1.1 {status} X", framing, *(f"{k}: {v}" for k, v in headers)]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())

    def answer(self, status, body, headers=(), content_type="application/json"):
        """A whole answer; `body` is bytes, or something to write as JSON."""
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        fields = ([("content-type", content_type)] if content_type else []) + list(headers)
        lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", *(f"{k}: {v}" for k, v in fields)]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
        self.ended = True

    def stream_head(self, headers=()):
        self.head(200, [("content-type", "text/event-stream; charset=utf-8"), *headers])

    def write(self, data):
        """Body bytes, as one chunk where the body is chunked."""
        self.sock.sendall(b"%x\r\n%s\r\n" % (len(data), data) if self._chunked else data)

    def event(self, value, name=None):
        """One server-sent event; `value` is text, or something to write as JSON."""
        text = value if isinstance(value, str) else json.dumps(value)
        self.write(((f"event: {name}\n" if name else "") + f"data: {text}\n\n").encode())

    def end(self):
        if self._chunked:
            self.sock.sendall(b"0\r\n\r\n")
        self.ended = True

    def reset(self):
        """Ends the connection with a TCP reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.keep_alive = False
        self.ended = True
        self.sock.close()

    def wait_gone(self, within=10.0):
        """Waits until the peer has closed; returns when that was seen, on the monotonic clock, or None."""
        deadline = time.monotonic() + within
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([self.sock], [], [], left)[0]:
                break
            try:
                if not self.sock.recv(4096):
                    return time.monotonic()
            except OSError:
                return time.monotonic()
        return None


class Engine:
    """Listens on loopback; one thread per connection."""

    def __init__(self, models=("m1",), port=0, name="engine"):
        self.models, self.name = list(models), name
        self.requests, self.handlers = [], {}
        self.faults = []  # what went wrong in handlers: shown when a test fails
        self.connections = 0
        self.open_connections = 0
        self._lock = threading.Lock()
        self._closing = False
        self._listener = socket.create_server(("127.0.0.1", port), backlog=256)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._sockets = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def on(self, path, handler):
        """Answers requests to `path` with `handler(exchange)` from now on."""
        self.handlers[path] = handler

    def inference(self):
        """The requests seen that are no probes and no model listings."""
        return [r for r in list(self.requests) if r.method == "POST"]

    def close(self):
        self._closing = True
        self._listener.close()
        for sock in list(self._sockets):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _accept(self):
        while not self._closing:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.connections += 1
                self.open_connections += 1
                self._sockets.add(sock)
                number = self.connections
            threading.Thread(target=self._serve, args=(sock, number), daemon=True).start()

    def _serve(self, sock, number):
        stream = sock.makefile("rb")
        try:
            while not self._closing:
                request = read_request(stream, number, sock)
                if request is None:
                    return
                with self._lock:
                    self.requests.append(request)
                exchange = Exchange(sock, request, self)
                handler = self.handlers.get(request.path) or default_handler
                handler(exchange)
                if not exchange.keep_alive:
                    return
        except (OSError, ValueError) as error:
            if not self._closing:
                self.faults.append(repr(error))
        finally:
            with self._lock:
                self.open_connections -= 1
                self._sockets.discard(sock)
            stream.close()
            sock.close()


def read_request(stream, number, sock):
    """Reads one request; None at the end of the connection."""
    line = stream.readline()
    if not line.strip():
        return None
    method, target, _ = line.decode("latin-1").rstrip("\r\n").split(" ")
    headers = []
    while (line := stream.readline().decode("latin-1").rstrip("\r\n")):
        key, value = line.split(":", 1)
        headers.append((key, value.strip()))
    lower = {k.lower(): v for k, v in headers}
    if lower.get("expect", "").lower() == "100-continue":
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = b""
    if "chunked" in lower.get("transfer-encoding", ""):
        while (size := int(stream.readline().split(b";")[0], 16)) > 0:
            body += stream.read(size)
            stream.readline()
        while stream.readline().strip():
            pass
    else:
        length = int(lower.get("content-length", 0))
        body = stream.read(length)
        if len(body) < length:
            return None
    return Request(method, target, headers, body, number)


# What an engine answers when the test says nothing ------------------------------------------------------------

WORDS = ["Pen", "stock", " lets", " wa", "ter", " through", "."]
USAGE = {"prompt_tokens": 7, "completion_tokens": len(WORDS), "total_tokens": 7 + len(WORDS)}


def chunk(model, delta, finish=None, **more):
    """One `chat.completion.chunk`."""
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": model,
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}], **more}


def usage_chunk(model):
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": model,
            "choices": [], "usage": USAGE}


def default_handler(exchange):
    request = exchange.request
    if request.method == "GET":
        return answer_get(exchange)
    if "multipart/form-data" in (request.header("content-type") or ""):
        model = re.search(rb'name="model"\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]*)', request.body).group(1).decode()
        return exchange.answer(200, {"text": f"heard by {model}"})
    body = request.json
    for suffix, handler in DEFAULTS.items():
        if request.path.endswith(suffix):
            return handler(exchange, body, body.get("model"))
    exchange.answer(404, {"error": {"message": "Not Found", "type": "NotFoundError", "code": 404}})


def answer_get(exchange):
    path, engine = exchange.request.path, exchange.engine
    if path == "/v1/models":
        data = [{"id": m, "object": "model", "created": 1700000000, "owned_by": "test"} for m in engine.models]
        return exchange.answer(200, {"object": "list", "data": data})
    if path in ("/health", "/ping"):
        return exchange.answer(200, b"", content_type=None)
    exchange.answer(404, {"detail": "Not Found"})


def chat(exchange, body, model):
    if body.get("tools"):
        return chat_tools(exchange, body, model)
    if not body.get("stream"):
        return exchange.answer(200, {
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": model,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "".join(WORDS)},
                         "logprobs": None, "finish_reason": "stop"}],
            "usage": USAGE})
    exchange.stream_head()
    exchange.event(chunk(model, {"role": "assistant", "content": ""}))
    for word in WORDS:
        exchange.event(chunk(model, {"content": word}))
    exchange.event(chunk(model, {}, finish="stop"))
    if (body.get("stream_options") or {}).get("include_usage"):
        exchange.event(usage_chunk(model))
    exchange.event("[DONE]")
    exchange.end()


def chat_tools(exchange, body, model):
    name = body["tools"][0]["function"]["name"]
    arguments = '{"city": "Delft"}'
    if not body.get("stream"):
        call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}
        return exchange.answer(200, {
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": model,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": [call]},
                         "finish_reason": "tool_calls"}], "usage": USAGE})
    exchange.stream_head()
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": ""}}
    exchange.event(chunk(model, {"role": "assistant", "tool_calls": [first]}))
    for part in (arguments[:6], arguments[6:]):
        exchange.event(chunk(model, {"tool_calls": [{"index": 0, "function": {"arguments": part}}]}))
    exchange.event(chunk(model, {}, finish="tool_calls"))
    exchange.event("[DONE]")
    exchange.end()


def completions(exchange, body, model):
    def piece(text, finish):
        return {"id": "cmpl-1", "object": "text_completion", "created": 1700000000, "model": model,
                "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": finish}]}
    if not body.get("stream"):
        return exchange.answer(200, {**piece("".join(WORDS), "stop"), "usage": USAGE})
    exchange.stream_head()
    for word in WORDS:
        exchange.event(piece(word, None))
    exchange.event(piece("", "stop"))
    if (body.get("stream_options") or {}).get("include_usage"):
        exchange.event({**piece("", None), "choices": [], "usage": USAGE})
    exchange.event("[DONE]")
    exchange.end()


def embeddings(exchange, body, model):
    count = len(body["input"]) if isinstance(body["input"], list) else 1
    vector = [0.5, -1.0, 2.0]
    coded = base64.b64encode(struct.pack("<3f", *vector)).decode()
    value = coded if body.get("encoding_format") == "base64" else vector
    exchange.answer(200, {"object": "list", "model": model, "usage": {"prompt_tokens": 3, "total_tokens": 3},
                          "data": [{"object": "embedding", "index": i, "embedding": value} for i in range(count)]})


def responses(exchange, body, model):
    text = "".join(WORDS)
    content = {"type": "output_text", "text": text, "annotations": []}
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [content]}
    usage = {"input_tokens": 7, "output_tokens": len(WORDS), "total_tokens": 7 + len(WORDS),
             "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    whole = {"id": "resp_1", "object": "response", "created_at": 1700000000, "model": model, "status": "completed",
             "output": [item], "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "usage": usage}
    if not body.get("stream"):
        return exchange.answer(200, whole)
    number = 0

    def send(kind, **fields):
        nonlocal number
        exchange.event({"type": kind, "sequence_number": number, **fields}, name=kind)
        number += 1

    exchange.stream_head()
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    send("response.created", response={**whole, "status": "in_progress", "output": [], "usage": None})
    send("response.output_item.added", output_index=0, item={**item, "status": "in_progress", "content": []})
    send("response.content_part.added", **place, part={**content, "text": ""})
    for word in WORDS:
        send("response.output_text.delta", **place, delta=word, logprobs=[])
    send("response.output_text.done", **place, text=text, logprobs=[])
    send("response.content_part.done", **place, part=content)
    send("response.output_item.done", output_index=0, item=item)
    send("response.completed", response=whole)
    exchange.end()


def messages(exchange, body, model):
    usage = {"input_tokens": 7, "output_tokens": len(WORDS)}
    whole = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "stop_reason": "end_turn",
             "stop_sequence": None, "content": [{"type": "text", "text": "".join(WORDS)}], "usage": usage}
    if not body.get("stream"):
        return exchange.answer(200, whole)
    events = [{"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}},
              {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
              {"type": "ping"}]
    events += [{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": w}} for w in WORDS]
    events += [{"type": "content_block_stop", "index": 0},
               {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage},
               {"type": "message_stop"}]
    exchange.stream_head()
    for event in events:
        exchange.event(event, name=event["type"])
    exchange.end()


def rerank(exchange, body, model):
    results = [{"index": i, "relevance_score": 1 / (1 + i)} for i in range(len(body["documents"]))]
    exchange.answer(200, {"id": "rerank-1", "model": model, "results": results})


def tokenize(exchange, body, model):
    exchange.answer(200, {"count": 3, "max_model_len": 4096, "tokens": [1, 2, 3]})


def detokenize(exchange, body, model):
    exchange.answer(200, {"prompt": "abc"})


def score(exchange, body, model):
    exchange.answer(200, {"object": "list", "model": model, "data": [{"index": 0, "object": "score", "score": 0.5}]})


def speech(exchange, body, model):
    exchange.answer(200, b"RIFF\x00\xff\x00", content_type="audio/wav")


def images(exchange, body, model):
    exchange.answer(200, {"created": 1700000000, "data": [{"b64_json": "AAAA"}]})


def moderations(exchange, body, model):
    exchange.answer(200, {"id": "modr-1", "model": model, "results": []})


def count_tokens(exchange, body, model):
    exchange.answer(200, {"input_tokens": 7})


DEFAULTS = {
    "/chat/completions": chat, "/completions": completions, "/embeddings": embeddings, "/responses": responses,
    "/messages": messages, "/count_tokens": count_tokens, "/rerank": rerank, "/detokenize": detokenize,
    "/tokenize": tokenize, "/score": score, "/speech": speech, "/images/generations": images,
    "/moderations": moderations, "/decisions": moderations,
}
