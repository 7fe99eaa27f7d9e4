"""Which token of an answer is sent with which text, as a real b11434 does it: `process_token` in server-context.cpp."""

import json
from typing import Any

import pytest

from mockserver import MockLlamaServer
from tests.harness.sockets.rawhttp import ask

USER = [{"role": "user", "content": "x"}]
PATHS: dict[str, dict[str, Any]] = {
    "/completion": {"prompt": "x"},
    "/v1/completions": {"prompt": "x"},
    "/v1/chat/completions": {"messages": USER},
    "/v1/messages": {"messages": USER},
    "/v1/responses": {"input": "x"},
}
HALF_FIRST = "日本"
"""Three tokens of SmolLM2, the first of which is half a character."""


async def stream(mock: MockLlamaServer, path: str, **body: Any) -> list[dict[str, Any]]:
    answer = await ask(mock.url, "POST", path, PATHS[path] | {"stream": True} | body)
    return [json.loads(line[6:]) for line in answer.body.decode().splitlines() if line.startswith("data: {")]


def entries(event: dict[str, Any]) -> list[dict[str, Any]]:
    found = event.get("completion_probabilities")
    logprobs = event["choices"][0].get("logprobs") if "choices" in event else None
    return found or (logprobs or {}).get("content") or []


@pytest.mark.parametrize(("path", "asked"), [("/completion", "n_probs"), ("/v1/completions", "logprobs")])
async def test_the_end_of_sequence_is_an_event_without_text(path: str, asked: str) -> None:
    async with MockLlamaServer() as mock:
        mock.answers.add("Hello")
        word, end, last = await stream(mock, path, **{asked: 1})
        texts = [event["content"] if "content" in event else event["choices"][0]["text"] for event in (word, end)]
        assert texts == ["Hello", ""]
        assert [entries(event)[0]["bytes"] for event in (word, end)] == [list(b"Hello"), []]
        assert not entries(last)


async def test_a_chat_lists_no_end_of_sequence_but_of_an_empty_answer() -> None:
    async with MockLlamaServer() as mock:
        asked = {"logprobs": True, "top_logprobs": 1}
        said = await stream(mock, "/v1/chat/completions", grammar='root ::= "Hello"', **asked)
        assert [[entry["token"] for entry in entries(event)] for event in said] == [[], ["Hello"], []]
        silent = await stream(mock, "/v1/chat/completions", grammar='root ::= ""', **asked)
        assert [[entry["bytes"] for entry in entries(event)] for event in silent] == [[[]], []]


async def test_what_may_begin_a_stop_word_is_held_back_and_lost_at_the_limit() -> None:
    async with MockLlamaServer() as mock:
        mock.answers.add("one two three")
        body = {"stop": [" two!"], "n_probs": 1}
        events = await stream(mock, "/completion", **body)
        assert [event["content"] for event in events] == ["one", "", " two three", "", ""]
        assert [entries(event)[0]["token"] for event in events[:-1]] == ["one", "", " two three", ""]
        cut = await stream(mock, "/completion", n_predict=2, **body)
        assert [event["content"] for event in cut] == ["one", "", ""]
        whole = (await ask(mock.url, "POST", "/completion", {"prompt": "x", "n_predict": 2} | body)).json()
        assert whole["content"] == "one two"


async def test_a_token_that_ends_within_a_character_is_no_event() -> None:
    async with MockLlamaServer() as mock:
        mock.answers.add(HALF_FIRST)
        events = await stream(mock, "/completion", n_probs=1)
        assert [event["content"] for event in events] == ["日", "本", "", ""]
        assert [event["tokens_predicted"] for event in events] == [2, 3, 4, 4]
        assert [len(event["tokens"]) for event in events] == [1, 1, 1, 0]


async def test_a_stream_that_begins_with_half_a_character_never_says_its_role() -> None:
    async with MockLlamaServer() as mock:
        mock.answers.add(HALF_FIRST)
        deltas = [chunk["choices"][0]["delta"] for chunk in await stream(mock, "/v1/chat/completions")]
        assert deltas == [{"content": "日"}, {"content": "本"}, {}]
        kinds = [event["type"] for event in await stream(mock, "/v1/messages")]
        assert kinds[0] == "content_block_start"
        assert "message_start" not in kinds


async def test_a_response_that_begins_with_half_a_character_begins_with_each() -> None:
    async with MockLlamaServer() as mock:
        mock.answers.add(HALF_FIRST)
        kinds = [event["type"].removeprefix("response.") for event in await stream(mock, "/v1/responses")]
        begun = ["created", "in_progress"]
        assert kinds == [
            *(*begun, "output_item.added", "content_part.added", "output_text.delta"),
            *(*begun, "output_text.delta", *begun),
            *("output_text.done", "content_part.done", "output_item.done", "completed"),
        ]


async def test_several_responses_come_by_turns() -> None:
    async with MockLlamaServer() as mock:
        mock.answers.add("one two")
        events = await stream(mock, "/v1/responses", n=2)
        deltas = [(event["item_id"], event["delta"]) for event in events if event["type"].endswith("text.delta")]
        assert [delta for _, delta in deltas] == ["one", "one", " two", " two"]
        assert len({item for item, _ in deltas}) == 2
