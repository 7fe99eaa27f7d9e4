"""What a client sends to `/v1/responses` and `/v1/messages`: what is taken, and what is refused with which words.

Statuses and messages are those of llama-server b11434.
"""

from typing import Any

import pytest

from mockserver import MockLlamaServer
from tests.harness.sockets.rawhttp import ask

USER = {"role": "user", "content": "x"}
THOUGHT = {"type": "reasoning", "id": "r", "summary": [], "content": [{"type": "reasoning_text", "text": "t"}]}
TOLD = {"type": "message", "role": "assistant", "status": "completed"}
SPOKEN = TOLD | {"content": [{"type": "output_text", "text": "o", "annotations": []}]}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "c"}
UNKNOWN = "Cannot determine type of 'item'"
INPUT_TYPES = "'type' must be one of 'input_text', 'input_image', or 'input_file'"
OUTPUT_TYPES = "'type' must be one of 'output_text' or 'refusal'"
RESULT_TYPES = "Output of tool call should be 'Input text' or 'Input image'"
NO_IMAGES = "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"

ITEMS: dict[str, tuple[Any, int, str]] = {
    "a thought, then a message": ([USER, THOUGHT, SPOKEN, USER], 200, ""),
    "a thought, then a call and its result": ([USER, THOUGHT, CALL, RESULT | {"output": "ok"}], 200, ""),
    "a message and two calls": ([USER, SPOKEN, CALL, CALL, RESULT | {"output": "ok"}], 200, ""),
    "a message whose content is text": ([USER, TOLD | {"content": "o"}, USER], 200, ""),
    "a message without content": ([USER, TOLD, USER], 200, ""),
    "an output that is a list": ([USER, CALL, RESULT | {"output": [{"type": "input_text", "text": "k"}]}], 200, ""),
    "an output that is an empty list": ([USER, CALL, RESULT | {"output": []}], 200, ""),
    "an output with an image": ([RESULT | {"output": [{"type": "input_image", "image_url": "u"}]}], 500, NO_IMAGES),
    "an output's image without url": ([RESULT | {"output": [{"type": "input_image"}]}], 400, "'image_url' is required"),
    "an output's part of no kind": (
        [RESULT | {"output": ["x"]}],
        400,
        "Output of tool call missing 'type' field",
    ),
    "an output's part of another kind": ([RESULT | {"output": [{"type": "text", "text": "x"}]}], 400, RESULT_TYPES),
    "an output that is a number": ([RESULT | {"output": 5}], 400, UNKNOWN),
    "a result without output": ([RESULT], 400, UNKNOWN),
    "the assistant without a type": ([USER, {"role": "assistant", "content": "o"}], 400, UNKNOWN),
    "a tool as a role": ([{"role": "tool", "content": "x"}], 400, UNKNOWN),
    "a role that is a number": ([{"role": 5, "content": "x"}], 400, UNKNOWN),
    "a user without content": ([{"role": "user"}], 400, UNKNOWN),
    "a reference": ([{"type": "item_reference", "id": "x"}], 400, UNKNOWN),
    "no object": (["x"], 400, UNKNOWN),
    "a thought without content": ([THOUGHT | {"content": None}], 400, "item['content'] is not an array"),
    "a thought with empty content": ([THOUGHT | {"content": []}], 400, "item['content'] is empty"),
    "a thought without text": ([THOUGHT | {"content": [{}]}], 400, "item['content']['text'] is not a string"),
    "a thought without summary": ([{"type": "reasoning", "content": [{"text": "t"}]}], 400, UNKNOWN),
    "a user's part of no kind": ([{"role": "user", "content": [5]}], 400, INPUT_TYPES),
    "a user's part of the assistant": (
        [{"role": "user", "content": [{"type": "output_text", "text": "x"}]}],
        400,
        INPUT_TYPES,
    ),
    "a user's text without text": (
        [{"role": "user", "content": [{"type": "input_text"}]}],
        400,
        "'Input text' requires 'text'",
    ),
    "a user's file": (
        [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}],
        400,
        "'input_file' is not supported by llamacpp at this moment",
    ),
    "a user's image": (
        [{"role": "user", "content": [{"type": "input_image", "image_url": "data:,"}]}],
        500,
        NO_IMAGES,
    ),
    "an assistant's part of no kind": ([TOLD | {"content": [{"type": "nope"}]}], 400, OUTPUT_TYPES),
    "an assistant's text without text": (
        [TOLD | {"content": [{"type": "output_text"}]}],
        400,
        "'Output text' requires 'text'",
    ),
    "a refusal without its words": (
        [TOLD | {"content": [{"type": "refusal"}]}],
        400,
        "'Refusal' requires 'refusal'",
    ),
    "a refusal": ([TOLD | {"content": [{"type": "refusal", "refusal": "no"}]}], 400, "unsupported content[].type"),
    "an object": ({}, 400, "'input' must be a string or array of objects"),
}


@pytest.mark.parametrize("name", ITEMS)
async def test_items_of_a_response_are_taken_or_refused(name: str) -> None:
    items, status, message = ITEMS[name]
    async with MockLlamaServer() as mock:
        answer = await ask(mock.url, "POST", "/v1/responses", {"input": items, "max_output_tokens": 2})
        counted = await ask(mock.url, "POST", "/v1/responses/input_tokens", {"input": items})
    assert (answer.status, answer.json().get("error", {}).get("message", "")) == (status, message)
    assert (counted.status, counted.json().get("error", {}).get("message", "")) == (status, message)


FIELDS: dict[str, tuple[dict[str, Any], int, str]] = {
    "an earlier response": (
        {"previous_response_id": "resp_1"},
        400,
        "llama.cpp does not support 'previous_response_id'.",
    ),
    "an earlier response that is a number": ({"previous_response_id": 5}, 200, ""),
    "instructions that are a number": ({"instructions": 5}, 200, ""),
    "tools that are null": ({"tools": None}, 400, "'tools' must be an array of objects"),
    "tools that are no functions": ({"tools": [5, {}, {"type": "web_search"}]}, 200, ""),
    "reasoning that is text": ({"reasoning": "x"}, 200, ""),
    "a choice that is an object": ({"tool_choice": {"type": "function", "name": "f"}}, 200, ""),
}


@pytest.mark.parametrize("name", FIELDS)
async def test_fields_of_a_response_are_taken_or_refused(name: str) -> None:
    fields, status, message = FIELDS[name]
    async with MockLlamaServer() as mock:
        body = {"input": "x", "max_output_tokens": 2, **fields}
        answer = await ask(mock.url, "POST", "/v1/responses", body)
    assert (answer.status, answer.json().get("error", {}).get("message", "")) == (status, message)


def claude(*blocks: Any, **fields: Any) -> dict[str, Any]:
    return {"max_tokens": 2, "messages": [{"role": "user", "content": list(blocks) or "x"}], **fields}


TOOL_RESULT = {"type": "tool_result", "tool_use_id": "t"}
PICTURE = {"type": "image", "source": {"type": "base64", "data": "iVBORw0KGgo="}}
MESSAGES: dict[str, tuple[dict[str, Any], int, str]] = {
    "no messages": ({"max_tokens": 2}, 500, "'messages' is required"),
    "a result that is a number": (claude(TOOL_RESULT | {"content": 5}), 200, ""),
    "a result that is missing": (claude(TOOL_RESULT), 200, ""),
    "a result with an image": (claude(TOOL_RESULT | {"content": [PICTURE]}), 500, NO_IMAGES),
    "an image": (claude(PICTURE), 500, NO_IMAGES),
    "an image of no source": (claude({"type": "text", "text": "x"}, {"type": "image", "source": 5}), 200, ""),
    "tools that are text": (claude(tools="x"), 200, ""),
    "a schema that is a number": (claude(tools=[{"name": "f", "input_schema": 5}]), 200, ""),
    "a system prompt that is a number": (claude(system=5), 200, ""),
    "thinking that is a number": (claude(thinking=5), 200, ""),
    "fields of llama-server's own": (claude(n=99, json_schema={"type": "nope"}, grammar="x", logprobs="x"), 200, ""),
    "an assistant without content": ({"messages": [USER, {"role": "assistant"}], "max_tokens": 2}, 200, ""),
}


@pytest.mark.parametrize("name", MESSAGES)
async def test_messages_are_taken_or_refused(name: str) -> None:
    body, status, message = MESSAGES[name]
    async with MockLlamaServer() as mock:
        answer = await ask(mock.url, "POST", "/v1/messages", body)
    assert (answer.status, answer.json().get("error", {}).get("message", "")) == (status, message)


async def test_no_token_at_all_cannot_be_asked_for() -> None:
    async with MockLlamaServer() as mock:
        response = await ask(mock.url, "POST", "/v1/responses", {"input": "x", "max_output_tokens": 0})
        message = await ask(mock.url, "POST", "/v1/messages", claude(max_tokens=0))
        native = await ask(mock.url, "POST", "/completion", {"prompt": "x", "n_predict": 0})
    assert response.json()["usage"]["output_tokens"] == 1
    assert message.json()["usage"]["output_tokens"] == 1
    assert native.json()["tokens_predicted"] == 1


async def test_a_template_without_tools_shows_no_calls() -> None:
    call = {"type": "function", "id": "a", "function": {"name": "f", "arguments": "{}"}}
    turns = [USER, {"role": "assistant", "content": "", "tool_calls": [call]}, USER]
    async with MockLlamaServer() as mock:
        answer = await ask(mock.url, "POST", "/apply-template", {"messages": turns})
    user = "<|im_start|>user\nx<|im_end|>\n"
    assert answer.json()["prompt"] == f"{user}<|im_start|>assistant\n<|im_end|>\n{user}<|im_start|>assistant\n"
