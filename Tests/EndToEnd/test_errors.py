"""What a client sees of mistakes: its own, and the engine's."""

import json
import threading

import httpx
import pytest

from configuration import configured, one_provider
from processes import free_port
from wire import Raw, events_of

CHAT = {"model": "m1", "messages": [{"role": "user", "content": "hi"}]}


def send(gateway, body, path="/v1/chat/completions", method="POST", **headers):
    content = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
    fields = {"content-type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
    return httpx.request(method, gateway.root + path, content=content, headers=fields, timeout=15)


def assert_openai_error(response, status, type=None, code=..., param=...):
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("application/json")
    assert response.headers["x-request-id"]
    assert set(response.json()) == {"error"}
    error = response.json()["error"]
    assert set(error) >= {"message", "type", "param", "code"}
    assert isinstance(error["message"], str) and error["message"]
    if type:
        assert error["type"] == type, error
    if code is not ...:
        assert error["code"] == code, error
    if param is not ...:
        assert error["param"] == param, error
    return error


def assert_anthropic_error(response, status, type):
    assert response.status_code == status, response.text
    body = response.json()
    assert body["type"] == "error" and body["error"]["type"] == type, body
    assert body["error"]["message"]
    assert response.headers["request-id"] and response.headers["x-request-id"]


BAD_BODIES = {
    "empty": (b"", ...),
    "not JSON": (b"hello", ...),
    "cut off": (b'{"model":"m1","messages":[', ...),
    "two values": (b'{"model":"m1"}{"model":"m1"}', ...),
    "text after the value": (b'{"model":"m1"} x', ...),
    "trailing comma": (b'{"model":"m1",}', ...),
    "an array": (b"[]", ...),
    "null": (b"null", ...),
    "a string": (b'"m1"', ...),
    "no model": (b'{"messages":[]}', "model"),
    "model null": (b'{"model":null}', "model"),
    "model a number": (b'{"model":5}', "model"),
    "model an object": (b'{"model":{"id":"m1"}}', "model"),
    "model empty": (b'{"model":""}', "model"),
    "model only nested": (b'{"metadata":{"model":"m1"}}', "model"),
    "model twice": (b'{"model":"m1","model":"m2","messages":[]}', "model"),
    "model twice, once escaped": (b'{"model":"m1","\\u006dodel":"m2","messages":[]}', "model"),
    "invalid UTF-8": (b'{"model":"m1","messages":"\xff\xfe"}', ...),
    "a lone control character": (b'{"model":"m1","x":"a\x01b"}', ...),
    "deep nesting": (b'{"model":"m1","messages":' + b"[" * 100000 + b"]" * 100000 + b"}", ...),
    "stream a string": (b'{"model":"m1","messages":[],"stream":"yes"}', "stream"),
}


@pytest.mark.parametrize("body,param", BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_a_bad_body_is_refused_and_not_forwarded(gateway, engine, body, param):
    error = assert_openai_error(send(gateway, body), 400, "invalid_request_error")
    if param is not ...:
        assert error["param"] == param, error
    assert engine.inference() == []


@pytest.mark.parametrize("body", [
    b'{"model":"m1","messages":[],"max_tokens":1e999}',
    b'{"model":"m1","messages":[],"max_tokens":-' + b"9" * 5000 + b"}",
    b'{"model":"m1","messages":[],"seed":123456789012345678901234567890}',
], ids=["infinite", "5,000 digits", "30 digits"])
def test_huge_numbers_do_no_harm(gateway, engine, body):
    response = send(gateway, body)
    assert response.status_code in (200, 400)
    if response.status_code == 200:
        assert engine.inference()[-1].body == body, "numbers are forwarded as they came"
    assert send(gateway, CHAT).status_code == 200


def test_escaped_model_name_is_understood(gateway, engine):
    assert send(gateway, b'{"model":"\\u006d1","messages":[]}').status_code == 200


def test_unknown_model_names_near_matches(start, engine, tmp_path):
    models = {"llama-3-8b": [engine.url], "llama-3-70b": [engine.url], "whisper": [engine.url]}
    gateway = start(configured(models), file=tmp_path / "gateway.yaml")
    error = assert_openai_error(
        send(gateway, {**CHAT, "model": "lama-3-8b"}), 404, "invalid_request_error", "model_not_found", "model")
    assert "llama-3-8b" in error["message"] and "whisper" not in error["message"]
    error = assert_openai_error(send(gateway, {**CHAT, "model": "zzzzzz"}), 404, code="model_not_found")
    assert "zzzzzz" in error["message"]


def test_unknown_model_on_messages_is_an_anthropic_error(gateway):
    assert_anthropic_error(send(gateway, {**CHAT, "model": "nope"}, "/v1/messages"), 404, "not_found_error")


def test_bad_body_on_messages_is_an_anthropic_error(gateway):
    assert_anthropic_error(send(gateway, b"nope", "/v1/messages"), 400, "invalid_request_error")


def test_wrong_content_type(gateway, engine):
    response = send(gateway, b"model=m1", content_type="application/x-www-form-urlencoded")
    assert_openai_error(response, 415, "invalid_request_error", "unsupported_content_type")
    assert engine.inference() == []


def test_content_type_with_charset_is_accepted(gateway):
    assert send(gateway, CHAT, content_type="application/json; charset=utf-8").status_code == 200


def test_coded_body_is_refused(gateway, engine):
    response = send(gateway, b"\x1f\x8b\x08", content_encoding="gzip")
    assert_openai_error(response, 415, "invalid_request_error")
    assert engine.inference() == []


def test_wrong_method(gateway):
    response = send(gateway, None, method="GET")
    assert_openai_error(response, 405, "invalid_request_error", "method_not_allowed")
    assert "POST" in response.headers["allow"]


@pytest.mark.parametrize("path", ["/", "/nothing", "/v2/chat/completions", "/metrics", "/readyz", "/healthz/x"])
def test_unknown_path(gateway, engine, path):
    for method in ("GET", "POST"):
        assert_openai_error(
            send(gateway, None if method == "GET" else CHAT, path, method), 404, "invalid_request_error",
            "unknown_url")
    assert engine.inference() == []


def test_body_too_large(start, engine, tmp_path):
    gateway = start(configured({"m1": [engine.url]}, listeners={"limits": {"bodyBytes": "64KiB"}}),
                    file=tmp_path / "gateway.yaml")
    big = {**CHAT, "x": "y" * 70000}
    assert_openai_error(send(gateway, big), 413, "invalid_request_error", "request_too_large")
    with Raw(gateway.data) as raw:  # the same, when the length is not told beforehand
        raw.send("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                 "transfer-encoding: chunked\r\n\r\n")
        try:
            for _ in range(80):
                raw.send(b"400\r\n" + b" " * 0x400 + b"\r\n")
        except OSError:
            pass  # the gateway may close before all is sent
        assert raw.head()[0] == 413
    assert engine.inference() == []
    assert send(gateway, CHAT).status_code == 200


def test_declared_body_too_large_is_refused_before_it_is_sent(start, engine, tmp_path):
    gateway = start(configured({"m1": [engine.url]}, listeners={"limits": {"bodyBytes": "64KiB"}}),
                    file=tmp_path / "gateway.yaml")
    with Raw(gateway.data) as raw:
        raw.send("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                 "content-length: 10000000\r\nexpect: 100-continue\r\n\r\n")
        assert raw.head()[0] == 413


# What engines answer -------------------------------------------------------------------------------------------

ENGINE_ERRORS = {
    "vLLM": (400, {"error": {"message": "max_tokens too large", "type": "BadRequestError", "param": None,
                             "code": 400}}, 400, "max_tokens too large"),
    "SGLang, flat": (400, {"object": "error", "message": "bad input", "type": "BadRequestError", "param": None,
                           "code": 400}, 400, "bad input"),
    "llama.cpp": (400, {"error": {"code": 400, "message": "no messages", "type": "invalid_request_error"}}, 400,
                  "no messages"),
    "FastAPI, text": (404, {"detail": "Not Found"}, 404, "Not Found"),
    "FastAPI, list": (422, {"detail": [{"loc": ["body", "messages"], "msg": "field required", "type": "missing"}]},
                      None, "field required"),
    "a string": (401, {"error": "Unauthorized"}, 401, "Unauthorized"),
    "TGI": (429, {"error": "Model is overloaded", "error_type": "overloaded"}, 429, "Model is overloaded"),
    "Anthropic's": (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "too few"}}, 400,
                    "too few"),
    "not JSON": (500, b"Traceback (most recent call last): secret.internal", None, None),
    "empty": (503, b"", 503, None),
}


@pytest.mark.parametrize("sent", ENGINE_ERRORS.values(), ids=ENGINE_ERRORS.keys())
def test_engine_error_gets_the_client_shape(gateway, engine, sent):
    status, body, expected, words = sent
    engine.on("/v1/chat/completions", lambda x: x.answer(
        status, body, content_type="text/plain" if isinstance(body, bytes) else "application/json"))
    for more in ({}, {"stream": True}):
        response = send(gateway, {**CHAT, **more})
        error = assert_openai_error(response, expected or response.status_code)
        assert response.status_code == status or response.status_code in (400, 500, 502)
        assert error["code"] is None or isinstance(error["code"], str)
        if words:
            assert words in error["message"]
        assert "secret.internal" not in response.text


def test_engine_error_on_messages_gets_the_anthropic_shape(gateway, engine):
    engine.on("/v1/messages", lambda x: x.answer(400, {"error": {"message": "odd", "code": 400}}))
    assert_anthropic_error(send(gateway, CHAT, "/v1/messages"), 400, "invalid_request_error")


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_passed_on(gateway, engine, status):
    engine.on("/v1/chat/completions", lambda x: x.answer(
        status, {"error": {"message": "later", "type": "x", "code": status}}, [("retry-after", "7")]))
    response = send(gateway, CHAT)
    assert response.status_code == status and response.headers["retry-after"] == "7"
    assert_openai_error(response, status)


def test_unauthorized_by_the_engine_is_passed_through(gateway, engine):
    engine.on("/v1/chat/completions", lambda x: x.answer(
        200 if x.request.header("authorization") == "Bearer right" else 401, {"error": "Unauthorized"}))
    assert_openai_error(send(gateway, CHAT, authorization="Bearer wrong"), 401)
    assert send(gateway, CHAT, authorization="Bearer right").status_code == 200


def test_refusal_of_our_key_is_no_fault_of_the_client(start, engine, tmp_path):
    engine.on("/v1/chat/completions", lambda x: x.answer(401, {"error": "Unauthorized"}))
    gateway = start(configured({"m1": [engine.url]}, providers=one_provider(apiKey="${UPSTREAM_KEY}")),
                    file=tmp_path / "gateway.yaml", environment={"UPSTREAM_KEY": "sk-ours"})
    assert_openai_error(send(gateway, CHAT), 502, code="upstream_error")


def test_context_length_has_its_code(gateway, engine):
    engine.on("/v1/chat/completions", lambda x: x.answer(400, {"error": {
        "message": "This model's maximum context length is 4096 tokens.", "type": "BadRequestError", "code": 400}}))
    assert_openai_error(send(gateway, CHAT), 400, "invalid_request_error", "context_length_exceeded")


def test_engine_that_is_gone(start, engine, tmp_path):
    gateway = start(configured({"m1": [f"http://127.0.0.1:{free_port()}"]}), file=tmp_path / "gateway.yaml")
    response = send(gateway, CHAT)
    assert response.status_code in (502, 503)
    assert_openai_error(response, response.status_code)
    assert "127.0.0.1" not in response.text, "addresses of engines are not shown"


def test_engine_that_resets_before_an_answer(gateway, engine):
    engine.on("/v1/chat/completions", lambda x: x.reset())
    assert_openai_error(send(gateway, CHAT), 502, code="upstream_error")


def test_engine_that_answers_no_http(gateway, engine):
    def garbage(exchange):
        exchange.sock.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        exchange.close()
    engine.on("/v1/chat/completions", garbage)
    assert_openai_error(send(gateway, CHAT), 502, code="upstream_error")


def test_engine_that_does_not_answer_in_time(start, engine, tmp_path):
    engine.on("/v1/chat/completions", lambda x: x.wait_gone())
    gateway = start(configured({"m1": [engine.url]}, providers=one_provider(timeouts={"firstByte": "300ms"})),
                    file=tmp_path / "gateway.yaml")
    assert_openai_error(send(gateway, CHAT), 504, code="upstream_timeout")


def test_unary_answer_cut_in_half_is_never_whole(gateway, engine):
    def half(exchange):
        exchange.head(200, [("content-type", "application/json")], length=1000)
        exchange.sock.sendall(b'{"id":"chatcmpl-1",')
        exchange.reset()
    engine.on("/v1/chat/completions", half)
    try:
        response = send(gateway, CHAT)
    except httpx.TransportError:
        return
    assert_openai_error(response, 502, code="upstream_error")


def test_request_id_is_echoed_made_and_refused(gateway, engine):
    assert send(gateway, CHAT, x_request_id="abc-1.2_3").headers["x-request-id"] == "abc-1.2_3"
    made = {send(gateway, CHAT).headers["x-request-id"] for _ in range(3)}
    assert len(made) == 3
    odd = "a" * 300
    assert send(gateway, CHAT, x_request_id=odd).headers["x-request-id"] != odd
    assert send(gateway, b"x", x_request_id="on-errors").headers["x-request-id"] == "on-errors"


FAILURES = {
    "unknown model": {"json": {**CHAT, "model": "nope"}},
    "unknown path": {"json": CHAT, "path": "/v1x"},
    "bad body": {"content": b'{"model":'},
    "wrong content type": {"content": b"model=m1", "headers": {"content-type": "text/plain"}},
    "refused by the engine": {"json": {"model": "m1", "messages": []}, "path": "/v1/embeddings"},
    "dead engine": {"json": {"model": "m1", "prompt": "x"}, "path": "/v1/completions"},
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
def test_connection_goes_on_after_an_error(gateway, engine, failure, version):
    """Nothing of the failed request is left for the next one on its connection."""
    engine.on("/v1/embeddings", lambda x: x.answer(400, {"error": {"message": "no"}}))
    engine.on("/v1/completions", lambda x: x.reset())
    settings = {"headers": {"content-type": "application/json"}, **failure}
    path = settings.pop("path", "/v1/chat/completions")
    with httpx.Client(http1=version == "HTTP/1.1", http2=version == "HTTP/2", timeout=10) as client:
        for _ in range(3):
            assert client.post(gateway.root + path, **settings).status_code >= 400
            content = json.dumps(CHAT).encode()
            response = client.post(gateway.base + "/chat/completions", content=content,
                                   headers={"content-type": "application/json"})
            assert response.status_code == 200, response.text
            assert engine.inference()[-1].body == content


# In streams ----------------------------------------------------------------------------------------------------

def read_broken(response):
    """All that comes of a body, and whether it ended as it should."""
    got = b""
    try:
        for part in response.iter_raw():
            got += part
    except httpx.TransportError:
        return got, False
    return got, True


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"])
@pytest.mark.parametrize("death", ["reset", "close", "bad framing", "silence", "early end"])
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
def test_stream_that_dies_ends_with_an_error_and_broken(start, engine, tmp_path, path, death, version):
    def die(exchange):
        exchange.stream_head()
        exchange.event({"id": "x", "choices": [{"index": 0, "delta": {"content": "half a"}, "text": "half a"}],
                        "type": "ping"}, name="ping" if path == "/v1/messages" else None)
        if death == "silence":
            exchange.wait_gone()
        elif death == "bad framing":
            exchange.sock.sendall(b"this is no chunk size\r\n")
            exchange.wait_gone()
        elif death == "reset":
            # A reset may overtake data the peer has not read yet; the event is read before the death.
            exchange.engine.dying.wait(10)
            exchange.reset()
        elif death == "early end":
            exchange.end()  # the body is whole for HTTP, and the answer is not
        else:
            exchange.close()
        exchange.keep_alive = False

    engine.dying = threading.Event()
    engine.on(path, die)
    gateway = start(configured({"m1": [engine.url]}, providers=one_provider(timeouts={"idle": "400ms"})),
                    file=tmp_path / "gateway.yaml")
    with httpx.Client(http1=version == "HTTP/1.1", http2=version == "HTTP/2", timeout=15) as client:
        with client.stream("POST", gateway.root + path, json={**CHAT, "stream": True}) as response:
            assert response.status_code == 200
            engine.dying.set()
            got, ended_well = read_broken(response)
    assert b"half a" in got
    assert not ended_well, f"the end looks whole: {got}"
    assert b"[DONE]" not in got and b"finish_reason\":\"stop" not in got and b"message_stop" not in got
    name, data = events_of(got)[-1]
    error = json.loads(data)
    if path == "/v1/messages":
        assert name == "error" and error["type"] == "error" and error["error"]["type"]
    else:
        assert set(error["error"] if "error" in error else error) >= {"message", "code"}, data


def test_error_event_of_the_engine_reaches_the_client(gateway, engine):
    def fail(exchange):
        exchange.stream_head()
        exchange.event({"error": {"message": "out of memory", "type": "x", "param": None, "code": 500}})
        exchange.event("[DONE]")
        exchange.end()
    engine.on("/v1/chat/completions", fail)
    response = send(gateway, {**CHAT, "stream": True})
    assert "out of memory" in response.text
