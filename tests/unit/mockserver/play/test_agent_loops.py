"""Agents that think, call a tool, read its result and answer: what they really sent, asked again.

Each recording is what one client sent to a mock that says the recording's turns, question after question; long texts
are cut short. A client returns what it was sent as it likes: as items, as messages, smolagents as text.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from mockserver import MockLlamaServer
from tests.harness.sockets.rawhttp import RawAnswer, ask

RECORDINGS = sorted((Path(__file__).parents[3] / "recordings" / "agents").glob("*.json"))


def said(answer: RawAnswer) -> list[Any]:
    """What an answer says, of each protocol in the same words: thoughts, text, calls."""
    if answer.body.startswith(b"event:"):
        last = json.loads(answer.body.decode().rstrip().rpartition("data: ")[2])
        return [_item(item) for item in last["response"]["output"]]
    body = answer.json()
    if "output" in body:
        return [_item(item) for item in body["output"]]
    message = body["choices"][0]["message"]
    calls = [call["function"] for call in message.get("tool_calls", [])]
    spoken = [message.get("reasoning_content"), message["content"]]
    return [text for text in spoken if text] + [[call["name"], json.loads(call["arguments"])] for call in calls]


def _item(item: dict[str, Any]) -> Any:
    if item["type"] == "function_call":
        return [item["name"], json.loads(item["arguments"])]
    return item["content"][0]["text"]


def scripted(turn: dict[str, Any], stop_words: list[str]) -> list[Any]:
    """What a turn of the script says to a request with these stop words."""
    text = turn.get("text", "")
    for word in stop_words:
        text = text.partition(word)[0]
    spoken = [turn.get("reasoning"), text]
    return [one for one in spoken if one] + [[call["name"], call["arguments"]] for call in turn.get("calls", [])]


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: str(path.stem))
async def test_an_agents_loop_goes_through_thought_call_result_and_answer(recording: Path) -> None:
    loop = json.loads(recording.read_text(encoding="utf-8"))
    turns, requests = loop["turns"], loop["requests"]
    assert len(requests) % len(turns) == 0
    async with MockLlamaServer() as mock:
        mock.answers.add(turns=turns, when={"contains": "weather"})
        for number, request in enumerate(requests):
            answer = await ask(mock.url, "POST", loop["path"], request)
            assert answer.status == 200, answer.body
            assert said(answer) == scripted(turns[number % len(turns)], request.get("stop", [])), number
