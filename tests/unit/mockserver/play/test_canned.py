"""Canned answers: the same words in every protocol, plain and streamed, over one turn or several."""

import json
from pathlib import Path
from typing import Any

import pytest

from mockserver import MockLlamaServer
from mockserver.core.rule_syntax import BadRule
from tests.harness.sockets.rawhttp import ask

CHAT = "/v1/chat/completions"
WEATHER = {"name": "get_weather", "arguments": {"city": "Kyiv", "days": 2}}
TOOL = {"type": "object", "properties": {"city": {"type": "string"}}}
SCRIPT: list[dict[str, Any]] = [
    {"reasoning": "I should look.", "text": "Let me look.", "calls": [WEATHER]},
    {"text": "It is sunny."},
]


def asking(text: str, **further: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **further}


async def said(mock: MockLlamaServer, text: str = "hi", **further: Any) -> str:
    answer = await ask(mock.url, "POST", CHAT, asking(text, **further))
    content: str = answer.json()["choices"][0]["message"]["content"]
    return content


def events(body: bytes) -> list[Any]:
    """The JSON of a stream's events."""
    lines = [line.removeprefix("data: ") for line in body.decode().splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


async def test_a_canned_answer_is_said_in_every_protocol() -> None:
    async with MockLlamaServer() as mock:
        mock.answers.add("Grüße, 世界.")
        chat = await ask(mock.url, "POST", CHAT, asking("hi"))
        assert chat.json()["choices"][0]["message"]["content"] == "Grüße, 世界."
        assert chat.json()["choices"][0]["finish_reason"] == "stop"
        message = await ask(mock.url, "POST", "/v1/messages", asking("hi", max_tokens=99))
        assert message.json()["content"] == [{"type": "text", "text": "Grüße, 世界."}]
        response = await ask(mock.url, "POST", "/v1/responses", {"input": "hi"})
        assert response.json()["output"][0]["content"][0]["text"] == "Grüße, 世界."
        completion = await ask(mock.url, "POST", "/v1/completions", {"prompt": "hi"})
        assert completion.json()["choices"][0]["text"] == "Grüße, 世界."
        native = await ask(mock.url, "POST", "/completion", {"prompt": "hi"})
        assert native.json()["content"] == "Grüße, 世界."


async def test_a_canned_answer_streams_token_by_token() -> None:
    async with MockLlamaServer() as mock:
        mock.answers.add("Hello there, friend.")
        chunks = events((await ask(mock.url, "POST", CHAT, asking("hi", stream=True))).body)
        texts = [choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]]
        assert "".join(texts) == "Hello there, friend."
        assert len([text for text in texts if text]) > 3
        assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


async def test_a_limit_cuts_a_canned_answer_short() -> None:
    async with MockLlamaServer() as mock:
        mock.answers.add("one two three four five")
        answer = (await ask(mock.url, "POST", CHAT, asking("hi", max_tokens=2))).json()
        assert answer["choices"][0]["finish_reason"] == "length"
        assert answer["usage"]["completion_tokens"] == 2


async def test_the_newest_answer_that_fits_is_given() -> None:
    async with MockLlamaServer() as mock:
        own = await said(mock)
        mock.answers.add("Anything.")
        mock.answers.add("Weather.", when={"contains": "weather"})
        mock.answers.add("Once.", when={"matches": "^once"}, times=1)
        mock.answers.add("Large.", when={"model": "large"})
        mock.answers.add("Tool.", when={"tool": "f"})
        assert await said(mock, "the weather?") == "Weather."
        assert [await said(mock, "once more") for _ in range(2)] == ["Once.", "Anything."]
        assert await said(mock, model="large") == "Large."
        assert await said(mock, tools=[{"type": "function", "function": {"name": "f"}}]) == "Tool."
        mock.answers.clear()
        assert await said(mock) == own


async def test_an_endpoint_has_its_own_answer_and_counting_tokens_uses_none_up() -> None:
    async with MockLlamaServer() as mock:
        mock.answers.add("Native.", when={"endpoint": "/completion"}, times=1)
        await ask(mock.url, "POST", "/tokenize", {"content": "hi"})
        assert await said(mock) != "Native."
        assert (await ask(mock.url, "POST", "/completion", {"prompt": "x"})).json()["content"] == "Native."


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_script_over_two_turns_of_chat(stream: bool) -> None:
    async with MockLlamaServer() as mock:
        mock.answers.add(turns=SCRIPT, when={"contains": "weather"})
        first = await ask(mock.url, "POST", CHAT, asking("the weather?", stream=stream))
        if stream:
            deltas = [choice["delta"] for chunk in events(first.body) for choice in chunk["choices"]]
            calls = [call for delta in deltas for call in delta.get("tool_calls", [])]
            arguments = "".join(call["function"]["arguments"] for call in calls)
            name, number = calls[0]["function"]["name"], calls[0]["id"]
            text = "".join(delta.get("content") or "" for delta in deltas)
        else:
            message = first.json()["choices"][0]["message"]
            assert first.json()["choices"][0]["finish_reason"] == "tool_calls"
            assert message["reasoning_content"] == "I should look."
            [call] = message["tool_calls"]
            arguments, name, number = call["function"]["arguments"], call["function"]["name"], call["id"]
            text = message["content"]
        assert (name, json.loads(arguments), text) == ("get_weather", WEATHER["arguments"], "Let me look.")
        made = {"id": number, "type": "function", "function": {"name": name, "arguments": arguments}}
        history = [
            {"role": "user", "content": "the weather?"},
            {"role": "assistant", "content": text, "tool_calls": [made]},
            {"role": "tool", "tool_call_id": number, "content": "sunny"},
        ]
        second = await ask(mock.url, "POST", CHAT, {"messages": history})
        assert second.json()["choices"][0]["message"]["content"] == "It is sunny."


async def test_a_tool_script_over_two_turns_of_messages() -> None:
    async with MockLlamaServer() as mock:
        mock.answers.add(turns=SCRIPT)
        first = (await ask(mock.url, "POST", "/v1/messages", asking("the weather?", max_tokens=99))).json()
        kinds = [block["type"] for block in first["content"]]
        assert (kinds, first["stop_reason"]) == (["thinking", "text", "tool_use"], "tool_use")
        call = first["content"][2]
        assert (call["name"], call["input"]) == ("get_weather", WEATHER["arguments"])
        result = {"type": "tool_result", "tool_use_id": call["id"], "content": "sunny"}
        history = [
            {"role": "user", "content": "the weather?"},
            {"role": "assistant", "content": first["content"][1:]},
            {"role": "user", "content": [result]},
        ]
        second = await ask(mock.url, "POST", "/v1/messages", {"messages": history, "max_tokens": 99})
        assert second.json()["content"] == [{"type": "text", "text": "It is sunny."}]


async def test_a_tool_script_over_two_turns_of_responses() -> None:
    async with MockLlamaServer() as mock:
        mock.answers.add(turns=[{"calls": [WEATHER, WEATHER]}, {"text": "It is sunny."}])
        first = (await ask(mock.url, "POST", "/v1/responses", {"input": "the weather?"})).json()
        made = [item for item in first["output"] if item["type"] == "function_call"]
        assert [item["name"] for item in made] == ["get_weather"] * 2
        results = [{"type": "function_call_output", "call_id": item["call_id"], "output": "sunny"} for item in made]
        history = [{"type": "message", "role": "user", "content": "the weather?"}, *made, *results]
        second = (await ask(mock.url, "POST", "/v1/responses", {"input": history})).json()
        assert second["output"][-1]["content"][0]["text"] == "It is sunny."


async def test_echo_and_lorem_and_a_file(tmp_path: Path) -> None:
    file = tmp_path / "answer.txt"
    file.write_text("From a file.\n", encoding="utf-8")
    async with MockLlamaServer() as mock:
        mock.answers.add(say="echo")
        assert await said(mock, "Say this.") == "Say this."
        mock.answers.add(say="lorem", words=3)
        assert await said(mock) == "Lorem ipsum dolor"
        mock.answers.add(file=str(file))
        assert await said(mock) == "From a file.\n"


async def test_answers_are_canned_listed_and_forgotten_over_the_control_port() -> None:
    async with MockLlamaServer() as mock:
        path = "/__mock__/answers"
        body = {"calls": [WEATHER], "when": {"contains": "weather"}}
        assert (await ask(mock.control_url, "POST", path, body)).status == 201
        assert (await ask(mock.control_url, "POST", path, body=b'"Just this."')).status == 201
        assert await said(mock) == "Just this."
        listed = (await ask(mock.control_url, "GET", path)).json()["answers"]
        assert listed == [{"id": 2, "text": "Just this.", "given": 1}, {"id": 1, **body, "given": 0}]
        assert (await ask(mock.control_url, "DELETE", f"{path}/2")).status == 204
        assert [answer.id for answer in mock.answers] == [1]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "an answer needs 'text', 'file', 'say', 'calls' or 'turns'."),
        ({"text": "x", "say": "echo"}, "give one of 'text', 'file' and 'say'."),
        ({"say": "nothing"}, "'say': Input should be 'echo' or 'lorem'; got 'nothing'."),
        ({"calls": [{}]}, "'calls.0.name' is missing."),
        ({"file": "/nowhere"}, "there is no file /nowhere."),
        ({"text": "x", "times": 0}, "'times' must be more than 0."),
    ],
)
def test_a_bad_answer_is_refused_with_a_sentence(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadRule) as caught:
        MockLlamaServer().answers.add(**fields)
    assert sentence in str(caught.value)


async def test_answers_come_from_a_file_of_which_the_first_that_fits_is_given(tmp_path: Path) -> None:
    one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
    one.write_text("- text: It is sunny.\n  when: {contains: weather}\n- {text: Once., times: 1}\n", encoding="utf-8")
    other.write_text('["Grüße.", "Never."]', encoding="utf-8")
    async with MockLlamaServer(answers=[str(one), str(other)]) as mock:
        assert [await said(mock, text) for text in ("the weather?", "hi", "hi")] == ["It is sunny.", "Once.", "Grüße."]
        mock.answers.add("Newer.")
        assert await said(mock, "the weather?") == "Newer."


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "answers.yaml: No such file or directory."),
        ("- text: x\n- texts: y\n", "answers.yaml:2: answer 2: Unknown field 'texts'; there are text, "),
        ("text: x", "answers.yaml: canned answers are a list, '- text: ...' and so on, or [] for none."),
        ("- [", "answers.yaml:2: not valid YAML:"),
        ("- 7", "answers.yaml:1: answer 1: "),
    ],
)
def test_a_bad_file_of_answers_is_one_sentence(tmp_path: Path, text: str | None, sentence: str) -> None:
    path = tmp_path / "answers.yaml"
    if text is not None:
        path.write_text(text + "\n", encoding="utf-8")
    with pytest.raises(BadRule) as caught:
        MockLlamaServer(answers=[str(path)])
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
