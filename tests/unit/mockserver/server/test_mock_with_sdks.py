"""The official SDKs before the mock: what they make of its answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest

from mockserver import MockLlamaServer

pytestmark = pytest.mark.slow  # loads both SDKs

WEATHER: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
USER: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]


@pytest.fixture
async def mock() -> AsyncIterator[MockLlamaServer]:
    async with MockLlamaServer(alias="sdk", api_keys=("k",)) as server:
        yield server


@pytest.fixture
async def chatgpt(mock: MockLlamaServer) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{mock.url}/v1", api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture
async def claude(mock: MockLlamaServer) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=mock.url, api_key="k", max_retries=0) as client:
        yield client


async def test_openai_chat_plain_and_streamed(chatgpt: openai.AsyncOpenAI) -> None:
    plain = await chatgpt.chat.completions.create(model="sdk", messages=USER)
    stream = await chatgpt.chat.completions.create(model="sdk", messages=USER, stream=True)
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
    assert text == plain.choices[0].message.content


async def test_openai_tools(chatgpt: openai.AsyncOpenAI) -> None:
    tool: Any = {"type": "function", "function": {"name": "weather", "parameters": WEATHER}}
    plain = await chatgpt.chat.completions.create(model="sdk", messages=USER, tools=[tool], tool_choice="required")
    calls: Any = plain.choices[0].message.tool_calls
    assert calls[0].function.name == "weather"


async def test_openai_responses_streamed(chatgpt: openai.AsyncOpenAI) -> None:
    stream = await chatgpt.responses.create(model="sdk", input="hi", stream=True)
    kinds = [event.type async for event in stream]
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"


async def test_openai_models(chatgpt: openai.AsyncOpenAI) -> None:
    assert [model.id async for model in chatgpt.models.list()] == ["sdk"]


async def test_openai_errors_have_their_classes(mock: MockLlamaServer, chatgpt: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="exceeds the available context size"):
        await chatgpt.completions.create(model="sdk", prompt="word " * 5000)
    with pytest.raises(openai.AuthenticationError, match="Invalid API Key"):
        await chatgpt.with_options(api_key="wrong").models.list()
    await mock.set_state("deploying", load_seconds=None)
    with pytest.raises(openai.InternalServerError, match="Loading model"):
        await chatgpt.models.list()
    await mock.set_state("paused")
    with pytest.raises(openai.APIConnectionError):
        await chatgpt.models.list()


async def test_anthropic_messages_plain_streamed_and_counted(claude: anthropic.AsyncAnthropic) -> None:
    plain = await claude.messages.create(model="sdk", max_tokens=100, messages=USER)
    async with claude.messages.stream(model="sdk", max_tokens=100, messages=USER) as stream:
        final = await stream.get_final_message()
    assert final.content[0].type == plain.content[0].type == "text"
    assert final.stop_reason == plain.stop_reason == "end_turn"
    count = await claude.messages.count_tokens(model="sdk", messages=USER)
    assert count.input_tokens == plain.usage.input_tokens + (plain.usage.cache_read_input_tokens or 0)
