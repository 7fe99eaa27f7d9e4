"""The snippets of docs/guide/sdks.md, run with the environment that page asks for."""

import anthropic
import openai
import pytest

from mockserver.sandbox import Sandbox


@pytest.fixture(autouse=True)
def environment(gguf_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    demo = gguf_sandbox.deployment()
    monkeypatch.setenv("OPENAI_BASE_URL", demo.openai_base_url)
    monkeypatch.setenv("OPENAI_API_KEY", gguf_sandbox.key)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", demo.base_url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", gguf_sandbox.key)


def test_openai_reads_its_environment() -> None:
    with openai.OpenAI(max_retries=4) as client:
        stream = client.chat.completions.create(
            model="any", messages=[{"role": "user", "content": "Tell me a story."}], stream=True
        )
        story = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert story


def test_anthropic_reads_its_environment() -> None:
    with anthropic.Anthropic(max_retries=4) as client:
        message = client.messages.create(
            model="any", max_tokens=100, messages=[{"role": "user", "content": "Tell me a story."}]
        )
    assert message.content
