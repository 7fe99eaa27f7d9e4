"""An answer that begins with thoughts, over `/v1/responses` and `/v1/messages`: its keys and events, in their order.

Recorded from llama-server b11434 with a template that thinks and `--reasoning-budget 6`; of deltas that follow one
another the first is kept.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from mockserver import MockLlamaServer
from tests.harness.sockets.rawhttp import ask, connect, encode

RECORDED = json.loads((Path(__file__).parents[3] / "recordings/thoughts/streams.json").read_text(encoding="utf-8"))


def shape(value: Any) -> Any:
    """Keys in their order, and the types of values."""
    if isinstance(value, dict):
        return [(key, shape(item)) for key, item in value.items()]
    return [shape(item) for item in value] if isinstance(value, list) else type(value).__name__


def events(body: bytes) -> list[Any]:
    """The events, the first of each run of deltas of one kind."""
    told: list[Any] = []
    for event in body.decode().strip().split("\n\n"):
        name, data = event.split("\n")
        value = json.loads(data.removeprefix("data: "))
        assert name == f"event: {value['type']}"
        if not (told and "delta" in value and shape(told[-1]) == shape(value)):
            told.append(value)
    return told


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda one: str(one["path"]))
async def test_thoughts_are_told_as_the_real_one_tells_them(recorded: dict[str, Any]) -> None:
    body = recorded["request"] | {"max_tokens": 200, "max_output_tokens": 200}
    async with MockLlamaServer(reasoning="on") as mock:
        plain = await ask(mock.url, "POST", recorded["path"], body)
        streamed = events((await ask(mock.url, "POST", recorded["path"], body | {"stream": True})).body)
    assert shape(plain.json()) == shape(recorded["answer"])
    assert [event["type"] for event in streamed] == [event["type"] for event in recorded["events"]]
    assert [shape(event) for event in streamed] == [shape(event) for event in recorded["events"]]


@pytest.mark.parametrize("allowed", [True, False], ids=["allowed", "not allowed"])
async def test_thinking_ends_when_it_is_told_to(allowed: bool) -> None:
    """Only of an answer that is being generated, and whose request allows it."""
    body = {"messages": [{"role": "user", "content": "x"}], "stream": True, "reasoning_control": allowed}
    async with MockLlamaServer(clock="virtual", tokens_per_second=1) as mock:
        mock.answers.add(reasoning="one two three four five six", text="Done.")
        reader, writer = await connect(mock.url)
        data = json.dumps(body).encode()
        writer.write(encode("POST", "/v1/chat/completions", {"Content-Type": "application/json"}, data))
        await mock.advance(1.0)
        begun = await reader.readuntil(b"one")
        order = {"id": json.loads(begun.partition(b"data: ")[2].split(b"\n")[0])["id"], "action": "reasoning_end"}
        told = (await ask(mock.url, "POST", "/v1/chat/completions/control", order)).json()
        refused = {"success": False, "message": "reasoning control not enabled for this completion"}
        assert told == ({"success": True} if allowed else refused)
        await mock.advance(30.0)
        rest = await reader.readuntil(b"[DONE]")
        assert (b"six" in rest) is not allowed
        assert b"Done" in rest
        late = (await ask(mock.url, "POST", "/v1/chat/completions/control", order)).json()
        assert late == {"success": False, "message": "no active completion for this id"}
        writer.close()
