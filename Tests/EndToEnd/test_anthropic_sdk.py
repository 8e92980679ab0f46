"""The official `anthropic` package on /v1/messages."""

import anthropic
import pytest

ASK = [{"role": "user", "content": "Say something about water."}]


@pytest.fixture(scope="module")
def client(target):
    with anthropic.Anthropic(base_url=target.root, api_key=target.key, max_retries=0, timeout=30) as made:
        yield made


def test_message_answers(client, target):
    message = client.messages.create(model=target.model, max_tokens=24, messages=ASK)
    assert message.role == "assistant" and message.content[0].text
    assert message.usage.output_tokens > 0


def test_message_streams(client, target):
    with client.messages.stream(model=target.model, max_tokens=24, messages=ASK) as stream:
        assert "".join(stream.text_stream)
        assert stream.get_final_message().stop_reason in ("end_turn", "max_tokens")


def test_tokens_are_counted(client, target):
    assert client.messages.count_tokens(model=target.model, messages=ASK).input_tokens > 0


def test_unknown_model_has_the_shape_of_the_dialect(client, target):
    with pytest.raises(anthropic.NotFoundError) as caught:
        client.messages.create(model=target.model + "x", max_tokens=4, messages=ASK)
    assert caught.value.body["type"] == "error"
    assert caught.value.body["error"]["type"] == "not_found_error"
    assert target.model in caught.value.body["error"]["message"]
    assert caught.value.request_id


def test_models_are_listed(client, target):
    assert target.model in [m.id for m in client.models.list()]
