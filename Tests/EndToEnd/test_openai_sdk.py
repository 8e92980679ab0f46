"""The official `openai` package, as applications use it."""

import asyncio
import json

import httpx
import openai
import pytest

ASK = [{"role": "user", "content": "Say something about water."}]
LIMIT = 24


@pytest.fixture(scope="module")
def client(target):
    with openai.OpenAI(base_url=target.base, api_key=target.key, max_retries=0, timeout=30) as made:
        yield made


@pytest.fixture(scope="module", params=["HTTP/1.1", "HTTP/2"])
def any_client(request, target):
    """The SDK over its own HTTP/1.1, and over prior-knowledge h2c."""
    http = httpx.Client(http1=False, http2=True) if request.param == "HTTP/2" else None
    with openai.OpenAI(base_url=target.base, api_key=target.key, max_retries=0, timeout=30, http_client=http) as made:
        yield made


def text_of(chunks):
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def test_chat_answers(any_client, target):
    answer = any_client.chat.completions.create(model=target.model, messages=ASK, max_tokens=LIMIT)
    assert answer.object == "chat.completion"
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.usage.prompt_tokens > 0 and answer.usage.completion_tokens > 0
    assert answer._request_id


def test_chat_streams(any_client, target):
    chunks = list(any_client.chat.completions.create(model=target.model, messages=ASK, max_tokens=LIMIT, stream=True))
    assert text_of(chunks)
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] in ("stop", "length")


def test_usage_not_asked_for_is_not_shown(client, target):
    chunks = list(client.chat.completions.create(model=target.model, messages=ASK, max_tokens=LIMIT, stream=True))
    assert all(c.choices for c in chunks), "a usage chunk reached a client that did not ask"
    assert all(c.usage is None for c in chunks)


def test_usage_asked_for_comes_last(client, target):
    chunks = list(client.chat.completions.create(
        model=target.model, messages=ASK, max_tokens=LIMIT, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0
    assert all(c.choices for c in chunks[:-1])


def test_usage_refused_is_not_shown(client, target):
    chunks = list(client.chat.completions.create(
        model=target.model, messages=ASK, max_tokens=LIMIT, stream=True, stream_options={"include_usage": False}))
    assert all(c.choices for c in chunks) and text_of(chunks)


def test_stream_helper_accumulates(client, target):
    kinds = set()
    with client.chat.completions.stream(model=target.model, messages=ASK) as stream:
        try:
            for event in stream:
                kinds.add(event.type)
            final = stream.get_final_completion()
        except openai.LengthFinishReasonError as error:  # a random model may talk until its context is full
            final = error.completion
    assert "content.delta" in kinds
    assert final.choices[0].message.content


def test_completion_answers_and_streams(client, target):
    answer = client.completions.create(model=target.model, prompt="Once", max_tokens=LIMIT)
    assert answer.choices[0].text and answer.usage.completion_tokens > 0
    pieces = list(client.completions.create(model=target.model, prompt="Once", max_tokens=LIMIT, stream=True))
    assert "".join(p.choices[0].text for p in pieces if p.choices)
    assert all(p.choices for p in pieces)


@pytest.mark.parametrize("coding", [None, "float", "base64"], ids=["default", "float", "base64"])
def test_embeddings(client, target, coding):
    more = {"encoding_format": coding} if coding else {}
    answer = client.embeddings.create(model=target.model, input=["water", "gate"], **more)
    assert [d.index for d in answer.data] == [0, 1]
    assert answer.data[0].embedding
    assert answer.usage.prompt_tokens > 0


def test_responses_answer(client, target):
    answer = client.responses.create(model=target.model, input="Say something.", max_output_tokens=LIMIT)
    assert answer.object == "response" and answer.output_text
    assert answer.usage.output_tokens > 0


def test_responses_stream(client, target):
    events = list(client.responses.create(
        model=target.model, input="Say something.", max_output_tokens=LIMIT, stream=True))
    kinds = [e.type for e in events]
    assert kinds[0] == "response.created"
    assert "response.output_text.delta" in kinds
    assert kinds[-1] in ("response.completed", "response.incomplete")


TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}}}}]


@pytest.mark.parametrize("streaming", [False, True], ids=["unary", "streaming"])
def test_tools(client, target, streaming):
    if target.kind == "real":
        pytest.skip("a random model calls no tools; test_api.py covers them")
    more = {"model": target.model, "messages": [{"role": "user", "content": "How is the weather?"}], "tools": TOOLS}
    if streaming:
        with client.chat.completions.stream(**more) as stream:
            for _ in stream:
                pass
            choice = stream.get_final_completion().choices[0]
    else:
        choice = client.chat.completions.create(**more).choices[0]
    call = choice.message.tool_calls[0]
    assert choice.finish_reason == "tool_calls" and call.function.name == "weather"
    assert "city" in json.loads(call.function.arguments)


def test_models_are_listed_and_found(client, target):
    assert target.model in [m.id for m in client.models.list()]
    found = client.models.retrieve(target.model)
    assert found.id == target.model and found.object == "model" and isinstance(found.created, int)


def test_unknown_model_is_not_found(client, target):
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model=target.model + "x", messages=ASK)
    error = caught.value
    assert error.code == "model_not_found" and error.param == "model" and error.type == "invalid_request_error"
    assert target.model in error.message, "the near match is named"
    assert error.request_id


def test_unknown_model_is_not_found_in_a_stream_either(client, target):
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="no such", messages=ASK, stream=True)


def test_unknown_model_cannot_be_retrieved(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("no/such")
    assert caught.value.code == "model_not_found"


def test_raw_response_shows_the_request_id(client, target):
    raw = client.chat.completions.with_raw_response.create(
        model=target.model, messages=ASK, max_tokens=4, extra_headers={"x-request-id": "mine-1.a"})
    assert raw.headers["x-request-id"] == "mine-1.a"
    assert raw.parse().choices[0].message.content is not None


def test_azure_client(target):
    with openai.AzureOpenAI(azure_endpoint=target.root, api_key=target.key, api_version="2024-10-21",
                            azure_deployment=target.model, max_retries=0, timeout=30,
                            default_headers={"authorization": f"Bearer {target.key}"}) as azure:
        answer = azure.chat.completions.create(model=target.model, messages=ASK, max_tokens=LIMIT)
        assert answer.choices[0].message.content
        assert text_of(azure.chat.completions.create(
            model=target.model, messages=ASK, max_tokens=LIMIT, stream=True))
        assert azure.embeddings.create(model=target.model, input="water").data[0].embedding


def test_async_client(target):
    async def run():
        async with openai.AsyncOpenAI(base_url=target.base, api_key=target.key, max_retries=0, timeout=60) as client:
            answer = await client.chat.completions.create(model=target.model, messages=ASK, max_tokens=LIMIT)
            assert answer.choices[0].message.content
            stream = await client.chat.completions.create(
                model=target.model, messages=ASK, max_tokens=LIMIT, stream=True)
            assert text_of([c async for c in stream])
            with pytest.raises(openai.NotFoundError):
                await client.chat.completions.create(model="no such", messages=ASK)
    asyncio.run(run())


def test_many_async_streams_at_once_stay_apart(target):
    async def one(client, number):
        stream = await client.chat.completions.create(
            model=target.model, messages=ASK, max_tokens=LIMIT, stream=True)
        chunks = [c async for c in stream]
        assert len({c.id for c in chunks}) == 1, "chunks of two streams were mixed"
        assert text_of(chunks), number
        return chunks[0].id

    async def run():
        async with openai.AsyncOpenAI(base_url=target.base, api_key=target.key, max_retries=0, timeout=60) as client:
            await asyncio.gather(*(one(client, n) for n in range(40)))
    asyncio.run(run())


def test_a_stream_left_early_does_not_disturb_the_next(client, target):
    for _ in range(5):
        stream = client.chat.completions.create(model=target.model, messages=ASK, max_tokens=LIMIT, stream=True)
        next(iter(stream))
        stream.close()
        assert client.chat.completions.create(
            model=target.model, messages=ASK, max_tokens=4).choices[0].message.content is not None


def test_a_stream_over_http2_is_read_in_pieces(target):
    body = {"model": target.model, "messages": ASK, "max_tokens": LIMIT, "stream": True}
    with httpx.Client(http1=False, http2=True, timeout=30) as http:
        with http.stream("POST", target.base + "/chat/completions", json=body,
                         headers={"authorization": f"Bearer {target.key}"}) as response:
            assert response.http_version == "HTTP/2" and response.status_code == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            lines = [line for line in response.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
