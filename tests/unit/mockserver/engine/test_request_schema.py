"""What llama-server b11434 answers to requests that are odd or wrong: which complaint comes first, in which words.

All expectations were taken from the real server, or follow from the code that writes its texts.
"""

from typing import Any

import pytest

from mockserver import MockLlamaServer
from tests.harness.sockets.rawhttp import ask

CHAT, TEXT, NATIVE = "/v1/chat/completions", "/v1/completions", "/completion"
USER = {"role": "user", "content": "x"}
TOOL = {"type": "function", "function": {"name": "f"}}
NOT_A_NUMBER = "[json.exception.type_error.302] type must be number, but is"
NOT_A_STRING = "[json.exception.type_error.302] type must be string, but is"
NOT_A_BOOLEAN = "[json.exception.type_error.302] type must be boolean, but is"
AT_MOST = "2147483647"
_SPACE = 'space ::= | " " | "\\n"{1,2} [ \\t]{0,20}\n'


def _turn(**fields: Any) -> dict[str, Any]:
    return {"messages": [USER, {"role": "assistant", "content": "a", **fields}, USER]}


def _calls(call: Any) -> dict[str, Any]:
    return {"messages": [USER, {"role": "assistant", "content": None, "tool_calls": [call]}, USER]}


def _parts(part: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [part]}]}


WRONG: list[tuple[str, dict[str, Any], int, str]] = [
    # messages
    (CHAT, {}, 400, "'messages' is required"),
    (CHAT, {"messages": "hi"}, 400, "Expected 'messages' to be an array"),
    (CHAT, {"messages": ["hi"]}, 400, "All non-assistant messages must contain 'content'"),
    (
        CHAT,
        {"messages": [{"role": "assistant"}]},
        400,
        "Assistant message must contain either 'content' or 'tool_calls'!",
    ),
    (CHAT, {"messages": [{"role": "user", "content": 5}]}, 400, "Expected 'content' to be a string or an array"),
    (CHAT, _parts({"type": 5}), 400, "unsupported content[].type"),
    (
        CHAT,
        _parts({"type": "video_url"}),
        500,
        "video input is not supported - hint: if this is unexpected, you may need to provide the mmproj",
    ),
    (
        CHAT,
        _parts({"type": "text"}),
        500,
        "Failed to parse messages: [json.exception.out_of_range.403] key 'text' not found",
    ),
    (CHAT, _parts({"type": "text", "text": 5}), 500, f"Failed to parse messages: {NOT_A_STRING} number"),
    (
        CHAT,
        {"messages": [{"content": "x"}]},
        500,
        "Failed to parse messages: Missing 'role' in message: {\"content\":\"x\"}",
    ),
    (CHAT, {"messages": [{"role": None, "content": "x"}]}, 500, f"Failed to parse messages: {NOT_A_STRING} null"),
    (CHAT, _turn(reasoning_content=None), 500, f"Failed to parse messages: {NOT_A_STRING} null"),
    (CHAT, _turn(name=5), 500, f"Failed to parse messages: {NOT_A_STRING} number"),
    (CHAT, _calls({}), 500, "Failed to parse messages: Missing tool call type: {}"),
    (CHAT, _calls("x"), 500, 'Failed to parse messages: Missing tool call type: "x"'),
    (
        CHAT,
        _calls({"type": "function", "function": {"name": "f"}}),
        500,
        "Failed to parse messages: [json.exception.out_of_range.403] key 'arguments' not found",
    ),
    (
        CHAT,
        {"messages": [USER, *[{"role": "assistant", "content": "a"}] * 2]},
        400,
        "Cannot have 2 or more assistant messages at the end of the list.",
    ),
    (
        CHAT,
        {"messages": [USER], "continue_final_message": True},
        400,
        "Cannot set both add_generation_prompt and continue_final_message to true.",
    ),
    # tools
    (
        CHAT,
        {"messages": [USER], "tools": [{"type": "function", "function": {}}]},
        500,
        "Failed to parse tools: [json.exception.out_of_range.403] key 'name' not found; tools = [\n  {\n"
        '    "type": "function",\n    "function": {}\n  }\n]',
    ),
    (
        CHAT,
        {"messages": [USER], "tools": {}},
        500,
        "Failed to parse tools: Expected 'tools' to be an array, got {}; tools = {}",
    ),
    (CHAT, {"messages": [USER], "tool_choice": "nope"}, 400, "Invalid tool_choice: nope"),
    (CHAT, {"messages": [USER], "tool_choice": "a\0b"}, 400, "Invalid tool_choice: a"),
    (
        CHAT,
        {"messages": [USER], "tools": [TOOL], "grammar": ""},
        400,
        "Cannot use custom grammar constraints with tools.",
    ),
    # formats
    (CHAT, {"messages": [USER], "reasoning_format": "nope"}, 500, "Unknown reasoning format: nope"),
    (CHAT, {"messages": [USER], "reasoning_format": None}, 400, f"{NOT_A_STRING} null"),
    (
        CHAT,
        {"messages": [USER], "response_format": {"type": "nope"}},
        400,
        'response_format type must be one of "text" or "json_object", but got: nope',
    ),
    (
        CHAT,
        {"messages": [USER], "json_schema": {"type": "object", "properties": 5}},
        400,
        "Unable to generate parser for this template. Automatic parser generation failed: JSON schema error at #: "
        "properties must be an object",
    ),
    (
        CHAT,
        {"messages": [USER], "json_schema": "x"},
        400,
        "Field 'json_schema': \"json_schema\": JSON schema conversion failed:\nJSON schema error at #: schema must be "
        "an object",
    ),
    (
        NATIVE,
        {"prompt": "x", "json_schema": {"type": "integer", "maximum": -(2**63)}},
        400,
        "Field 'json_schema': \"json_schema\": JSON schema conversion failed:\n"
        "At least one of min_value or max_value must be set",
    ),
    (CHAT, {"messages": [USER], "json_schema": {}, "grammar": "x"}, 500, "Cannot use both json_schema and grammar"),
    (
        CHAT,
        {"messages": [USER, {"role": "assistant", "content": "He"}], "json_schema": {}},
        400,
        "Failed to initialize samplers: std::exception",
    ),
    (CHAT, {"messages": [USER], "grammar": "x"}, 400, "Failed to initialize samplers: failed to parse grammar"),
    (
        CHAT,
        {"messages": [USER], "chat_template_kwargs": {"enable_thinking": "yes"}},
        400,
        'invalid type for "enable_thinking" (expected boolean, got string)',
    ),
    (CHAT, {"messages": [USER], "top_logprobs": 2}, 400, "top_logprobs requires logprobs to be set to true"),
    (
        CHAT,
        {"messages": [USER], "tools": [TOOL], "stream": True, "logprobs": True},
        400,
        "logprobs is not supported with tools + stream",
    ),
    # fields, by the name that was used
    (CHAT, {"messages": [USER], "stop": [1]}, 400, f"Field 'stop': {NOT_A_STRING} number"),
    (
        CHAT,
        {"messages": [USER], "max_tokens": 10**12},
        400,
        f"Field 'max_tokens': Value must be between -1 <= value <= {AT_MOST}, but got -727379968",
    ),
    (TEXT, {"prompt": "x", "n": 3}, 400, "Field 'n': Value must be between 1 <= value <= 2, but got 3"),
    (TEXT, {"prompt": "x", "echo": 1}, 400, f"Field 'echo': {NOT_A_BOOLEAN} number"),
    (
        TEXT,
        {"prompt": "x", "stream_options": {"include_usage": "x"}},
        400,
        f"Field 'include_usage': {NOT_A_BOOLEAN} string",
    ),
    (
        NATIVE,
        {"prompt": "x", "n_keep": 1e300},
        400,
        f"Field 'n_keep': Value must be between -1 <= value <= {AT_MOST}, but got -2147483648",
    ),
    (
        NATIVE,
        {"prompt": "x", "adaptive_decay": 1},
        400,
        "Field 'adaptive_decay': Value must be between 0.000000 <= value <= 0.990000, but got 1.000000",
    ),
    (NATIVE, {"prompt": "x", "samplers": [None]}, 400, f"Field 'samplers': {NOT_A_STRING} null"),
    (
        NATIVE,
        {"prompt": "x", "dry_sequence_breakers": "x"},
        400,
        "Field 'dry_sequence_breakers': Error: dry_sequence_breakers must be a non-empty array of strings",
    ),
    (
        NATIVE,
        {"prompt": "x", "lora": {}},
        400,
        "Field 'lora': Error: 'lora' must be an array of objects with 'id' and 'scale' fields",
    ),
    (NATIVE, {"prompt": "x", "t_max_predict_ms": True}, 400, f"Field 't_max_predict_ms': {NOT_A_NUMBER} boolean"),
    (
        NATIVE,
        {"prompt": "x", "repeat_penalty": 0},
        400,
        "Failed to initialize samplers: penalty_repeat must be finite and greater than 0",
    ),
    (NATIVE, {}, 400, "[json.exception.out_of_range.403] key 'prompt' not found"),
    (NATIVE, {"prompt": []}, 400, '"prompt" must not be empty'),
    # the order of checks
    (CHAT, {"messages": [{"role": "user"}], "tools": "x"}, 400, "All non-assistant messages must contain 'content'"),
    (CHAT, {"messages": "hi", "json_schema": {}, "grammar": "x"}, 500, "Cannot use both json_schema and grammar"),
    (CHAT, {"messages": [USER], "min_p": "x", "stream": 5}, 400, f"Field 'stream': {NOT_A_BOOLEAN} number"),
    (NATIVE, {"prompt": "x", "seed": "x", "n_predict": "x"}, 400, f"Field 'n_predict': {NOT_A_NUMBER} string"),
]  # fmt: skip

RIGHT: list[tuple[str, dict[str, Any]]] = [
    (CHAT, {"messages": [USER], "frequency_penalty": True, "n_probs": False, "add_generation_prompt": "x"}),
    (CHAT, {"messages": [USER], "grammar": 5, "response_format": {"type": 5}, "chat_template_kwargs": "x"}),
    (CHAT, {"messages": [USER], "tool_choice": {"a": 1}, "id_slot": "x"}),
    (CHAT, {"messages": [USER], "stop": {"a": 1}, "logprobs": 5, "stream_options": "x", "reasoning_effort": 5}),
    (CHAT, {"messages": [{"role": "user", "content": None}, {"role": "assistant", "tool_calls": None}, USER]}),
    (CHAT, {"messages": [USER], "grammar": "\0root", "json_schema": None}),
    (TEXT, {"prompt": "x", "best_of": 1, "suffix": "end", "echo": True, "response_fields": 5, "stop": [None]}),
    (NATIVE, {"prompt": "x", "grammar": 'root ::= "a"+', "samplers": "?", "logit_bias": 5}),
    (NATIVE, {"prompt": {"prompt_string": "x"}, "lora": [5], "json_schema": None, "grammar": None}),
]  # fmt: skip


def _mock() -> MockLlamaServer:
    return MockLlamaServer(slots=2, context=2048, chat_template="chatml", temperature=0, sampling_seed=42)


_ASKED, _OPENED = "<|im_start|>user\nx<|im_end|>\n", "<|im_start|>assistant\n"


async def test_what_is_wrong_is_refused_in_the_words_of_the_real_server() -> None:
    async with _mock() as mock:
        for path, body, status, message in WRONG:
            answer = await ask(mock.url, "POST", path, body)
            assert (answer.status, answer.json()["error"]["message"]) == (status, message), body


async def test_what_the_real_server_overlooks_is_no_error() -> None:
    async with _mock() as mock:
        for path, body in RIGHT:
            answer = await ask(mock.url, "POST", path, body | {"max_tokens": 2})
            assert answer.status == 200, (body, answer.body)


@pytest.mark.parametrize("schema", [123, "x", [1], True])
async def test_without_jinja_a_schema_that_is_no_object_is_refused(schema: Any) -> None:
    async with MockLlamaServer(jinja=False) as mock:
        body = {"messages": [], "response_format": {"type": "json_object", "schema": schema}}
        error = (await ask(mock.url, "POST", "/v1/chat/completions", body)).json()["error"]
        words = "JSON schema conversion failed:\nJSON schema error at #: schema must be an object"
        assert (error["code"], error["message"]) == (400, words)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"seed": -1}, {"seed": 4294967295}),
        ({"seed": 2**40 + 5}, {"seed": 5}),
        ({"top_k": 2**40}, {"top_k": 0}),
        ({"top_k": -5, "mirostat": 9}, {"top_k": 0, "mirostat": 2}),
        ({"dry_base": 0.5}, {"dry_base": 1.75}),
        ({"top_p": 7, "adaptive_target": 3}, {"top_p": 1.0, "adaptive_target": 1.0}),
        ({"temperature": 1e300}, {"temperature": None}),
        ({"top_n_sigma": -1e300}, {"top_n_sigma": -3.4028234663852886e38}),
        ({"samplers": "kp"}, {"samplers": ["top_k", "top_p"]}),
        ({"samplers": ["Top-K", "nucleus", "nope"]}, {"samplers": ["top_k", "top_p"]}),
        ({"dry_sequence_breakers": ["a"]}, {"dry_sequence_breakers": ["a"]}),
        ({"grammar": 'root ::= "a"'}, {"grammar": 'root ::= "a"'}),
        ({"json_schema": {"enum": ["a"]}}, {"grammar": f'root ::= ("\\"a\\"")\n{_SPACE}'}),
        ({"stop": ["", None]}, {"stop": [""]}),
        ({"reasoning_format": "deepseek-legacy", "stream": False}, {"reasoning_in_content": False}),
        ({"lora": [{"id": 2, "scale": 1}, {}]}, {"lora": [{"id": -1, "scale": 0.0}, {"id": 2, "scale": 1.0}]}),
        ({"max_tokens": 3, "n_predict": 1}, {"max_tokens": 1, "n_predict": 1}),
    ],
)
async def test_settings_are_shown_as_they_were_taken(given: dict[str, Any], shown: dict[str, Any]) -> None:
    async with _mock() as mock:
        answer = await ask(mock.url, "POST", NATIVE, {"prompt": "x", "n_predict": 2} | given)
        settings = answer.json()["generation_settings"]
        assert {name: settings[name] for name in shown} == shown


async def test_a_template_that_knows_no_tools_calls_none() -> None:
    body = {"messages": [USER], "tools": [TOOL], "tool_choice": "required"}
    async with _mock() as mock, MockLlamaServer() as with_a_template_of_its_own:
        called = [await ask(one.url, "POST", CHAT, body) for one in (mock, with_a_template_of_its_own)]
        assert ["tool_calls" in answer.json()["choices"][0]["message"] for answer in called] == [False, True]


async def test_a_stream_that_ends_at_once_still_begins() -> None:
    async with _mock() as mock:
        nothing = {"messages": [USER], "grammar": "root ::=", "stream": True}
        assert b'"delta":{"role":"assistant","content":null}' in (await ask(mock.url, "POST", CHAT, nothing)).chunks[0]
        stopped = (await ask(mock.url, "POST", TEXT, {"prompt": "x", "stop": "", "stream": True})).chunks[0]
        assert b'"text":""' in stopped
        assert b'"timings"' in stopped
        no_tokens = (await ask(mock.url, "POST", NATIVE, {"prompt": "x", "n_predict": 0})).json()
        assert (no_tokens["tokens_predicted"], no_tokens["stop_type"]) == (1, "limit")


async def test_an_answer_begins_with_what_the_client_has_written_of_it() -> None:
    begun = {"messages": [USER, {"role": "assistant", "content": "Hel"}], "max_tokens": 2}
    told = {"continue_final_message": True, "add_generation_prompt": False}
    async with _mock() as mock:
        for more in ({}, told):
            answer = (await ask(mock.url, "POST", CHAT, begun | more)).json()
            assert answer["choices"][0]["message"]["content"].startswith("Hel")
        streams = [(await ask(mock.url, "POST", CHAT, begun | more | {"stream": True})).body for more in ({}, told)]
        assert [b'"content":"Hel' in stream for stream in streams] == [True, False]


async def test_each_choice_after_the_first_shows_a_seed_of_its_own() -> None:
    async with _mock() as mock:
        answers = (await ask(mock.url, "POST", NATIVE, {"prompt": "x", "n": 2, "n_predict": 1})).json()
        assert [answer["generation_settings"]["seed"] for answer in answers] == [42, 43]


@pytest.mark.parametrize("path", [TEXT, NATIVE])
async def test_a_stream_of_several_prompts_begins_with_a_null(path: str) -> None:
    async with _mock() as mock:
        body = {"prompt": ["a", "b"], "stream": True, "n_predict": 1}
        assert (await ask(mock.url, "POST", path, body)).chunks[0] == b"data: null\n\n"
        several_choices = {"prompt": "a", "n": 2, "stream": True, "n_predict": 1}
        assert b"null\n\n" not in (await ask(mock.url, "POST", path, several_choices)).body


@pytest.mark.parametrize(
    ("messages", "prompt"),
    [
        ([{"role": "developer", "content": "d"}, USER], f"<|im_start|>system\nd<|im_end|>\n{_ASKED}{_OPENED}"),
        ([USER, {"role": "assistant", "content": "Hel"}], f"{_ASKED}{_OPENED}Hel"),
        ([USER, {"role": "assistant", "content": ""}], _ASKED),
        ([], _OPENED),
    ],
)
async def test_the_last_word_of_the_assistant_is_continued(messages: list[Any], prompt: str) -> None:
    async with _mock() as mock:
        answer = await ask(mock.url, "POST", "/apply-template", {"messages": messages})
        assert answer.json() == {"prompt": prompt}
