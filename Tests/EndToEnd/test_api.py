"""Which paths there are, where each finds its model, and what of a request reaches the engine."""

import json

import httpx
import openai
import pytest

from configuration import configured, one_provider
from waiting import wait_until
from wire import Raw

CHAT = {"model": "m1", "messages": [{"role": "user", "content": "hi"}]}

PATHS = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": {"model": "m1", "prompt": "x"},
    "/v1/embeddings": {"model": "m1", "input": "x"},
    "/v1/responses": {"model": "m1", "input": "x"},
    "/v1/messages": {**CHAT, "max_tokens": 5},
    "/v1/messages/count_tokens": CHAT,
    "/v1/rerank": {"model": "m1", "query": "x", "documents": ["a", "b"]},
    "/rerank": {"model": "m1", "query": "x", "documents": ["a", "b"]},
    "/score": {"model": "m1", "text_1": "x", "text_2": "y"},
    "/tokenize": {"model": "m1", "prompt": "x"},
    "/detokenize": {"model": "m1", "tokens": [1]},
    "/v1/moderations": {"model": "m1", "input": "x"},
    "/v1/audio/speech": {"model": "m1", "input": "x", "voice": "a"},
    "/v1/images/generations": {"model": "m1", "prompt": "x"},
    "/v1/decisions": {"model": "m1", "input": "x"},
}


@pytest.mark.parametrize("path,body", PATHS.items(), ids=PATHS.keys())
def test_path_reaches_the_engine(gateway, engine, path, body):
    content = json.dumps(body, indent=2).encode()
    response = httpx.post(gateway.root + path, content=content, headers={"content-type": "application/json"})
    assert response.status_code == 200, response.text
    seen = engine.inference()[-1]
    assert seen.path == path and seen.body == content, "the body is forwarded as it came"


@pytest.mark.parametrize("operation", ["chat/completions", "completions", "embeddings"])
def test_azure_path_names_the_model(gateway, engine, operation):
    body = {k: v for k, v in PATHS["/v1/" + operation].items() if k != "model"}
    response = httpx.post(f"{gateway.root}/openai/deployments/m1/{operation}?api-version=2024-10-21", json=body)
    assert response.status_code == 200, response.text
    assert engine.inference()[-1].path == "/v1/" + operation
    missing = httpx.post(f"{gateway.root}/openai/deployments/m9/{operation}?api-version=2024-10-21", json=body)
    assert missing.status_code == 404 and missing.json()["error"]["code"] == "model_not_found"


@pytest.fixture
def listening(start, engine, tmp_path):
    """A gateway that knows `m1` as `ear`, so that the form's model must be replaced."""
    models = [{"name": "m1", "aliases": ["ear"], "pool": "p"}]
    return start(configured(models, pools=[{"name": "p", "endpoints": [engine.url]}]), file=tmp_path / "gateway.yaml")


def test_transcription_by_the_sdk(listening, engine):
    client = openai.OpenAI(base_url=listening.base, api_key="k", max_retries=0)
    sound = bytes(range(256)) * 2000
    for model in ("m1", "ear"):
        heard = client.audio.transcriptions.create(model=model, file=("a.wav", sound))
        assert heard.text == "heard by m1"
        assert sound in engine.inference()[-1].body
    assert client.audio.translations.create(model="ear", file=("a.wav", sound)).text == "heard by m1"


@pytest.mark.parametrize("order", ["model first", "file first"])
def test_transcription_form(listening, engine, order):
    sound = b"\r\n--X, which is not the boundary\r\n" + bytes(range(256)) * 4000
    model = b'--XX\r\nContent-Disposition: form-data; name="model"\r\n\r\near\r\n'
    file = (b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n'
            b"Content-Type: audio/wav\r\n\r\n" + sound + b"\r\n")
    body = (model + file if order == "model first" else file + model) + b"--XX--\r\n"
    response = httpx.post(listening.base + "/audio/transcriptions", content=body,
                          headers={"content-type": "multipart/form-data; boundary=XX"})
    assert response.status_code == 200, response.text
    assert response.json()["text"] == "heard by m1"
    assert engine.inference()[-1].body == body.replace(b"\r\n\r\near\r\n", b"\r\n\r\nm1\r\n")


def test_form_without_model(gateway, engine):
    body = b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n--XX--\r\n'
    response = httpx.post(gateway.base + "/audio/transcriptions", content=body,
                          headers={"content-type": "multipart/form-data; boundary=XX"})
    assert response.status_code == 400 and response.json()["error"]["param"] == "model"
    assert engine.inference() == []


def test_image_edit_form(gateway, engine):
    engine.on("/v1/images/edits", lambda x: x.answer(200, {"created": 1, "data": []}))
    response = httpx.post(gateway.base + "/images/edits", data={"model": "m1", "prompt": "x"},
                          files={"image": ("a.png", b"\x89PNG\r\n")})
    assert response.status_code == 200, response.text


def test_query_is_kept(gateway, engine):
    httpx.post(gateway.base + "/responses?beta=true", json=PATHS["/v1/responses"])
    assert engine.inference()[-1].target == "/v1/responses?beta=true"


def test_bytes_of_a_binary_answer_are_kept(gateway):
    response = httpx.post(gateway.base + "/audio/speech", json=PATHS["/v1/audio/speech"])
    assert response.content == b"RIFF\x00\xff\x00" and response.headers["content-type"] == "audio/wav"


@pytest.mark.parametrize("size", [60 << 10, 100 << 10, 1 << 20, 5 << 20])
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("streaming", [False, True], ids=["unary", "stream"])
def test_large_answer_is_whole(gateway, engine, size, version, streaming):
    big = json.dumps({"id": "x", "object": "chat.completion", "choices": [], "pad": "y" * size}).encode()
    events = b"".join(b'data: {"choices":[],"pad":"%d%s"}\n\n' % (n, b"y" * 1000) for n in range(size // 1000))
    events += b"data: [DONE]\n\n"

    def stream(exchange):
        exchange.stream_head()
        for at in range(0, len(events), 20000):
            exchange.write(events[at:at + 20000])
        exchange.end()
    engine.on("/v1/chat/completions", stream if streaming else lambda x: x.answer(200, big))
    body = {**CHAT, "stream": True, "stream_options": {"include_usage": True}} if streaming else CHAT
    with httpx.Client(http1=version == "HTTP/1.1", http2=version == "HTTP/2", timeout=10) as client:
        assert client.post(gateway.base + "/chat/completions", json=body).content == (events if streaming else big)


def test_large_prompt_is_whole(gateway, engine):
    big = {"messages": [{"role": "user", "content": "z" * (3 << 20)}], "model": "m1"}
    assert httpx.post(gateway.base + "/chat/completions", json=big, timeout=20).status_code == 200
    assert engine.inference()[-1].json == big


def test_chunked_request_body(gateway, engine):
    content = json.dumps(CHAT).encode()
    with Raw(gateway.data) as raw:
        raw.send("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                 "transfer-encoding: chunked\r\n\r\n")
        for at in range(0, len(content), 11):
            part = content[at:at + 11]
            raw.send(b"%x\r\n%s\r\n" % (len(part), part))
        raw.send(b"0\r\n\r\n")
        assert raw.response()[0] == 200
    assert engine.inference()[-1].body == content


# Tools -----------------------------------------------------------------------------------------------------------

TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}}}}]


def test_tools_are_called(gateway):
    client = openai.OpenAI(base_url=gateway.base, api_key="k", max_retries=0)
    answer = client.chat.completions.create(model="m1", messages=CHAT["messages"], tools=TOOLS)
    call = answer.choices[0].message.tool_calls[0]
    assert answer.choices[0].finish_reason == "tool_calls"
    assert call.function.name == "weather" and json.loads(call.function.arguments) == {"city": "Delft"}


def test_tools_are_called_in_a_stream(gateway):
    client = openai.OpenAI(base_url=gateway.base, api_key="k", max_retries=0)
    with client.chat.completions.stream(model="m1", messages=CHAT["messages"], tools=TOOLS) as stream:
        for _ in stream:
            pass
        call = stream.get_final_completion().choices[0].message.tool_calls[0]
    assert call.function.name == "weather" and json.loads(call.function.arguments) == {"city": "Delft"}


# Credentials and headers -----------------------------------------------------------------------------------------

CREDENTIALS = {"authorization": "Bearer sk-secret", "x-api-key": "sk-secret", "api-key": "sk-secret"}


def test_credentials_pass_while_no_key_is_configured(gateway, engine):
    httpx.post(gateway.base + "/chat/completions", json=CHAT, headers=CREDENTIALS)
    for name, value in CREDENTIALS.items():
        assert engine.inference()[-1].header(name) == value


def test_credentials_stay_when_a_key_is_configured(start, engine, tmp_path):
    secret = tmp_path / "key"
    secret.write_text("sk-ours\n")
    gateway = start(configured({"m1": [engine.url]}, providers=one_provider(apiKey=f"file:{secret}")),
                    file=tmp_path / "gateway.yaml")
    httpx.post(gateway.base + "/chat/completions", json=CHAT, headers=CREDENTIALS)
    seen = engine.inference()[-1]
    assert seen.header("authorization") == "Bearer sk-ours"
    assert "sk-secret" not in str(seen.headers)
    assert "sk-ours" not in gateway.log() and "sk-secret" not in gateway.log()


def test_key_from_the_environment_prefix_and_headers(start, engine, tmp_path):
    provider = one_provider(apiKey="env:UPSTREAM_KEY", apiKeyHeader="x-api-key", pathPrefix="/api",
                            headers={"x-extra": "yes"})
    gateway = start(configured({"m1": [engine.url]}, providers=provider), file=tmp_path / "gateway.yaml",
                    environment={"UPSTREAM_KEY": "sk-env"})
    engine.on("/api/v1/chat/completions", lambda x: x.answer(200, {"ok": True}))
    assert httpx.post(gateway.base + "/chat/completions", json=CHAT).json() == {"ok": True}
    seen = engine.inference()[-1]
    assert seen.header("x-api-key") == "sk-env" and seen.header("x-extra") == "yes"


def test_hop_by_hop_fields_stay(gateway, engine):
    with Raw(gateway.data) as raw:
        raw.post("/v1/chat/completions", CHAT, [("connection", "keep-alive, x-private"), ("x-private", "1"),
                                                ("te", "gzip"), ("x-public", "2")])
        assert raw.response()[0] == 200
    seen = engine.inference()[-1]
    assert seen.header("x-private") is None and seen.header("te") is None and seen.header("x-public") == "2"
    assert seen.header("host") != "localhost" or str(engine.port) in seen.header("host")


# Model names -----------------------------------------------------------------------------------------------------

def test_alias_is_replaced_in_the_body_and_nothing_else(start, engine, tmp_path):
    models = [{"name": "m1", "aliases": ["gpt-4o", "gpt-3*"], "pool": "p"}]
    gateway = start(configured(models, pools=[{"name": "p", "endpoints": [engine.url]}]),
                    file=tmp_path / "gateway.yaml")
    for name in ("gpt-4o", "gpt-3.5-turbo", "m1"):
        sent = b'{ "x" : {"model":"inner"},\n "model" :  "%s" , "messages":[] , "n": 1.0e0 }' % name.encode()
        response = httpx.post(gateway.base + "/chat/completions", content=sent,
                              headers={"content-type": "application/json"})
        assert response.status_code == 200, response.text
        assert engine.inference()[-1].body == sent.replace(name.encode(), b"m1")


def test_upstream_model_differs_by_pool(start, engine, tmp_path):
    models = [{"name": "fast", "pool": "p"}]
    pools = [{"name": "p", "upstreamModel": "org/Model-7B", "endpoints": [engine.url]}]
    gateway = start(configured(models, pools=pools), file=tmp_path / "gateway.yaml")
    assert httpx.post(gateway.base + "/chat/completions", json={**CHAT, "model": "fast"}).status_code == 200
    assert engine.inference()[-1].json["model"] == "org/Model-7B"


def test_wildcard_names(start, engines, tmp_path):
    a, b = engines(["x"]), engines(["y"])
    models = [{"name": "llama-*", "pool": "a"}, {"name": "*", "pool": "b"}]
    pools = [{"name": "a", "endpoints": [a.url]}, {"name": "b", "endpoints": [b.url]}]
    gateway = start(configured(models, pools=pools), file=tmp_path / "gateway.yaml")
    for name in ("llama-3", "other"):
        assert httpx.post(gateway.base + "/chat/completions", json={**CHAT, "model": name}).status_code == 200
    assert [r.json["model"] for r in a.inference()] == ["llama-3"]
    assert [r.json["model"] for r in b.inference()] == ["other"]


def test_two_models_behind_one_endpoint(start, engines):
    a, b = engines(["m1"]), engines(["m2"])
    gateway = start(arguments=["--engine", a.url, "--engine", b.url]).wait_for_models("m1", "m2")
    for name in ("m1", "m2", "m2"):
        assert httpx.post(gateway.base + "/chat/completions", json={**CHAT, "model": name}).status_code == 200
    assert len(a.inference()) == 1 and len(b.inference()) == 2


def test_engines_of_one_model_take_turns(start, engines):
    a, b = engines(["m1"]), engines(["m1"])
    gateway = start(arguments=["--engine", a.url, "--engine", b.url]).wait_for_models("m1")
    def both():
        httpx.post(gateway.base + "/chat/completions", json=CHAT)
        return a.inference() and b.inference()
    wait_until(both, "both engines are known")
    first_a, first_b = len(a.inference()), len(b.inference())
    with httpx.Client() as client:
        for _ in range(20):
            assert client.post(gateway.base + "/chat/completions", json=CHAT).status_code == 200
    # Both are idle each time, so that chance decides: 1 in 500,000 that one of them gets none.
    taken = len(a.inference()) - first_a, len(b.inference()) - first_b
    assert sum(taken) == 20 and min(taken) > 0, taken


def test_model_ids_with_slashes(start, engines):
    one = engines(["org/model:7b"])
    gateway = start(arguments=["--engine", one.url]).wait_for_models("org/model:7b")
    for path in ("/models/org%2Fmodel%3A7b", "/models/org/model:7b"):
        response = httpx.get(gateway.base + path)
        assert response.status_code == 200 and response.json()["id"] == "org/model:7b", path
    client = openai.OpenAI(base_url=gateway.base, api_key="k", max_retries=0)
    assert client.models.retrieve("org/model:7b").id == "org/model:7b"


def test_model_list_serves_both_sdk_families(gateway):
    body = httpx.get(gateway.base + "/models").json()
    assert body["object"] == "list" and body["data"][0]["object"] == "model"
    assert isinstance(body["data"][0]["created"], int)
