"""Each SDK finds the id of its request in the header where it looks for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anthropic
import openai
import pytest

from mockserver.sandbox import Sandbox

if TYPE_CHECKING:
    from anthropic.types import MessageParam

MESSAGES: list[MessageParam] = [{"role": "user", "content": "Say hello."}]
NAMED = {"x-request-id": "mine-7"}


def test_the_anthropic_sdk_names_the_request_of_an_answer(gguf_sandbox: Sandbox) -> None:
    with anthropic.Anthropic(base_url=gguf_sandbox["demo"].base_url, api_key=gguf_sandbox.key) as client:
        message = client.messages.create(model="any", messages=MESSAGES, max_tokens=5, extra_headers=NAMED)
        assert message._request_id == "mine-7"
        with client.messages.stream(model="any", messages=MESSAGES, max_tokens=5, extra_headers=NAMED) as stream:
            stream.until_done()
        assert stream.request_id == "mine-7"
        assert client.messages.create(model="any", messages=MESSAGES, max_tokens=5)._request_id


@pytest.mark.parametrize("name", ["demo", "unknown"])
def test_the_anthropic_sdk_names_the_request_of_a_refusal(gguf_sandbox: Sandbox, name: str) -> None:
    key = "wrong" if name == "demo" else gguf_sandbox.key
    with (
        anthropic.Anthropic(base_url=f"{gguf_sandbox.url}/api/gguf/{name}", api_key=key) as client,
        pytest.raises(anthropic.APIStatusError) as caught,
    ):
        client.messages.count_tokens(model="any", messages=MESSAGES, extra_headers=NAMED)
    assert caught.value.request_id == "mine-7"


def test_the_openai_sdk_names_the_request_too(gguf_sandbox: Sandbox) -> None:
    with openai.OpenAI(base_url=gguf_sandbox["demo"].openai_base_url, api_key=gguf_sandbox.key) as client:
        answer = client.chat.completions.create(
            model="any", messages=[{"role": "user", "content": "Say hello."}], extra_headers=NAMED
        )
        assert answer._request_id == "mine-7"
        with pytest.raises(openai.AuthenticationError) as caught:
            client.with_options(api_key="wrong").models.list(extra_headers=NAMED)
    assert caught.value.request_id == "mine-7"
