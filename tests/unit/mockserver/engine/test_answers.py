"""What answers say: the same again for the same seed, tools called, thoughts shown, constraints kept."""

import json
from typing import Any

import pytest

from mockserver import MockLlamaServer
from tests.harness.sockets.rawhttp import RawAnswer, ask

USER = [{"role": "user", "content": "What is the weather in Paris?"}]
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "get_weather", "description": "Weather of a city", "parameters": WEATHER}
CHAT_TOOL: dict[str, Any] = {"messages": USER, "tools": [{"type": "function", "function": FUNCTION}]}
CHAT_TOOL |= {"tool_choice": "required"}
CLAUDE_TOOL: dict[str, Any] = {"messages": USER, "tool_choice": {"type": "any"}}
CLAUDE_TOOL |= {"tools": [{"name": "get_weather", "input_schema": WEATHER}]}


def events(answer: RawAnswer) -> list[dict[str, Any]]:
    lines = answer.body.decode().splitlines()
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


async def chat(mock: MockLlamaServer, **body: Any) -> Any:
    return (await ask(mock.url, "POST", "/v1/chat/completions", {"messages": USER} | body)).json()


async def test_the_same_seed_gives_the_same_answer_and_another_seed_another() -> None:
    async def texts(seed: int) -> list[str]:
        async with MockLlamaServer(seed=seed) as mock:
            return [(await chat(mock))["choices"][0]["message"]["content"] for _ in range(2)]

    assert await texts(1) == await texts(1)
    assert len({*await texts(1), *await texts(2)}) == 2


@pytest.mark.parametrize(
    ("text", "shown"), [("Hello END of it", "Hello "), ("Hello ENDless END", "Hello ENDless END")], ids=["word", "none"]
)
async def test_no_beginning_of_a_stop_word_is_streamed(text: str, shown: str) -> None:
    async with MockLlamaServer() as mock:
        mock.answers.add(text)
        body = {"messages": USER, "stream": True, "stop": ["END of"]}
        streamed = events(await ask(mock.url, "POST", "/v1/chat/completions", body))
        deltas = [chunk["choices"][0]["delta"].get("content") for chunk in streamed]
        assert "".join(filter(None, deltas)) == shown


async def test_a_request_may_bring_its_own_seed() -> None:
    async with MockLlamaServer() as mock:
        answers = [(await chat(mock, seed=seed))["choices"][0]["message"]["content"] for seed in (1, 2, 1)]
        assert answers[0] == answers[2] != answers[1]


async def test_a_stream_says_what_the_plain_answer_says() -> None:
    async with MockLlamaServer() as mock:
        plain = (await chat(mock))["choices"][0]
        streamed = events(await ask(mock.url, "POST", "/v1/chat/completions", {"messages": USER, "stream": True}))
        text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in streamed)
        assert text == plain["message"]["content"]
        assert (plain["finish_reason"], streamed[-1]["choices"][0]["finish_reason"]) == ("stop", "stop")


async def test_counts_add_up_wherever_they_appear() -> None:
    async with MockLlamaServer(metrics_endpoint=True) as mock:
        answer = await chat(mock)
        usage, timings = answer["usage"], answer["timings"]
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
        assert timings["predicted_n"] == usage["completion_tokens"]
        assert timings["prompt_n"] + timings["cache_n"] == usage["prompt_tokens"]
        counted = await ask(mock.url, "POST", "/v1/chat/completions/input_tokens", {"messages": USER})
        assert counted.json()["input_tokens"] == usage["prompt_tokens"]
        metrics = (await ask(mock.url, "GET", "/metrics")).body.decode()
        assert f"\nllamacpp:tokens_predicted_total {usage['completion_tokens']}\n" in metrics
        again = await chat(mock)
        assert again["timings"]["cache_n"] == usage["prompt_tokens"] - 1


async def test_a_required_tool_is_called_with_arguments_that_fit_its_schema() -> None:
    async with MockLlamaServer() as mock:
        choice = (await ask(mock.url, "POST", "/v1/chat/completions", CHAT_TOOL)).json()["choices"][0]
        [call] = choice["message"]["tool_calls"]
        assert choice["finish_reason"] == "tool_calls"
        assert call["function"]["name"] == "get_weather"
        assert isinstance(json.loads(call["function"]["arguments"])["city"], str)
        deltas = [
            chunk["choices"][0]["delta"]["tool_calls"][0]
            for chunk in events(await ask(mock.url, "POST", "/v1/chat/completions", CHAT_TOOL | {"stream": True}))
            if chunk["choices"][0]["delta"].get("tool_calls")
        ]
        assert deltas[0]["function"]["name"] == "get_weather"
        assert all("id" not in delta for delta in deltas[1:])
        arguments = "".join(delta["function"]["arguments"] for delta in deltas)
        assert arguments == call["function"]["arguments"]


async def test_a_tool_of_anthropics_is_a_block_of_its_own() -> None:
    async with MockLlamaServer() as mock:
        message = (await ask(mock.url, "POST", "/v1/messages", CLAUDE_TOOL)).json()
        [block] = message["content"]
        assert (message["stop_reason"], block["type"], block["name"]) == ("tool_use", "tool_use", "get_weather")
        streamed = events(await ask(mock.url, "POST", "/v1/messages", CLAUDE_TOOL | {"stream": True}))
        text = "".join(event["delta"].get("partial_json", "") for event in streamed if "delta" in event)
        assert json.loads(text) == block["input"]


async def test_thoughts_come_before_the_text_in_every_protocol() -> None:
    async with MockLlamaServer(reasoning="on") as mock:
        message = (await chat(mock))["choices"][0]["message"]
        assert message["reasoning_content"]
        assert message["content"]
        claude = (await ask(mock.url, "POST", "/v1/messages", {"messages": USER})).json()
        assert [block["type"] for block in claude["content"]] == ["thinking", "text"]
        answer = await ask(mock.url, "POST", "/v1/messages", {"messages": USER, "stream": True})
        starts = [event["index"] for event in events(answer) if event["type"] == "content_block_start"]
        assert starts == [0, 1]
        response = (await ask(mock.url, "POST", "/v1/responses", {"input": "hi"})).json()
        assert [item["type"] for item in response["output"]] == ["reasoning", "message"]


async def test_json_mode_answers_json() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "w", "schema": WEATHER}}
    async with MockLlamaServer() as mock:
        message = (await chat(mock, response_format=schema))["choices"][0]["message"]
        assert set(json.loads(message["content"])) == {"city"}


async def test_an_empty_answer_is_a_whole_stream_in_every_protocol() -> None:
    async with MockLlamaServer() as mock:
        for path, body in (
            ("/v1/chat/completions", {"messages": USER}),
            ("/v1/messages", {"messages": USER}),
            ("/v1/responses", {"input": "x"}),
        ):
            nothing = body | {"grammar": 'root ::= ""', "stream": True}
            answer = await ask(mock.url, "POST", path, nothing)
            assert answer.complete
            assert answer.status == 200


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/completions", "/completion"])
async def test_bytes_that_are_no_json_object_are_an_error_not_a_crash(path: str) -> None:
    async with MockLlamaServer() as mock:
        for body in (b"[]", b"1", b'"x"', b"null", b"\xff", b"{", b""):
            answer = await ask(mock.url, "POST", path, body=body)
            assert answer.status in (400, 500)
            assert set(answer.json()) == {"error"}


async def test_an_idle_server_sleeps_and_wakes_for_a_request() -> None:
    async with MockLlamaServer(sleep_idle_seconds=0) as mock:
        assert (await ask(mock.url, "GET", "/props")).json()["is_sleeping"] is True
        assert (await ask(mock.url, "GET", "/health")).json() == {"status": "ok"}
        assert (await ask(mock.url, "POST", "/tokenize", {"content": "x"})).status == 200


async def test_a_silent_stream_is_pinged() -> None:
    async with MockLlamaServer(ttft=1.2) as mock:
        body = {"messages": USER, "stream": True, "sse_ping_interval": 1, "max_tokens": 1}
        answer = await ask(mock.url, "POST", "/v1/chat/completions", body)
        assert b":\n\n" in answer.chunks


async def test_a_slot_is_saved_and_restored(tmp_path: Any) -> None:
    async with MockLlamaServer(slot_save_path=str(tmp_path), slots=1) as mock:
        first = await chat(mock)
        saved = (await ask(mock.url, "POST", "/slots/0?action=save", {"filename": "a.bin"})).json()
        erased = (await ask(mock.url, "POST", "/slots/0?action=erase", {})).json()
        assert erased["n_erased"] == saved["n_saved"]
        assert (await chat(mock))["timings"]["cache_n"] == 0
        restored = (await ask(mock.url, "POST", "/slots/0?action=restore", {"filename": "a.bin"})).json()
        assert restored["n_restored"] == saved["n_saved"]
        assert (await chat(mock))["timings"]["cache_n"] == first["usage"]["prompt_tokens"] - 1
        assert (await ask(mock.url, "POST", "/slots/0?action=save", {"filename": "../x"})).status == 400


async def test_probabilities_end_with_that_of_the_end_of_sequence() -> None:
    """As b11434's do, whatever the model: the one token of no bytes, which `usage` counts."""
    async with MockLlamaServer() as mock:
        answer = await chat(mock, logprobs=True, top_logprobs=1)
    (choice,), entries = answer["choices"], answer["choices"][0]["logprobs"]["content"]
    assert choice["finish_reason"] == "stop"
    assert len(entries) == answer["usage"]["completion_tokens"]
    assert [place for place, entry in enumerate(entries) if not entry["bytes"]] == [len(entries) - 1]
