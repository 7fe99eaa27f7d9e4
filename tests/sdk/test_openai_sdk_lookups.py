"""What OpenAI's SDK asks besides answers: how long a request is, which model there is, what was said."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from mockserver.sandbox import Sandbox


@pytest.fixture
def client(gguf_sandbox: Sandbox) -> Iterator[openai.OpenAI]:
    demo = gguf_sandbox["demo"]
    with openai.OpenAI(base_url=demo.openai_base_url, api_key=gguf_sandbox.key, max_retries=0) as client:
        yield client


def test_a_request_is_counted_before_it_is_sent(client: openai.OpenAI) -> None:
    short = client.responses.input_tokens.count(model="any", input="Hello.")
    long = client.responses.input_tokens.count(model="any", input="Hello. " * 50)
    assert 0 < short.input_tokens < long.input_tokens


def test_a_listed_model_can_be_looked_up(client: openai.OpenAI) -> None:
    listed = client.models.list().data[0]
    found = client.models.retrieve(listed.id)
    assert (found.id, found.object, found.owned_by) == (listed.id, "model", listed.owned_by)


@pytest.mark.parametrize("name", ["gpt-4o", "org/name", "a b", "ü"])
def test_a_model_that_is_not_there_is_not_found(client: openai.OpenAI, name: str) -> None:
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve(name)


def test_a_model_that_hears_nothing_says_so_itself(client: openai.OpenAI) -> None:
    with pytest.raises(openai.InternalServerError, match="does not support audio input") as caught:
        client.audio.transcriptions.create(model="any", file=("speech.wav", b"RIFF"))
    assert caught.value.status_code == 501
