"""A responses request put in the terms of a chat completion; what the mock sends comes back here.

Mirrors tools/server/server-chat.cpp (`server_chat_convert_responses_to_chatcmpl`).
"""

from collections.abc import Callable
from typing import Any

from mockserver.core.api_errors import ApiError
from mockserver.core.json_values import contains, text_of, value_of

Messages = list[dict[str, Any]]

_FILES = "'input_file' is not supported by llamacpp at this moment"
_INPUT_TYPES = "'type' must be one of 'input_text', 'input_image', or 'input_file'"
_OUTPUT_TYPES = "'type' must be one of 'output_text' or 'refusal'"
_RESULT_TYPES = "Output of tool call should be 'Input text' or 'Input image'"


def from_responses(body: Any) -> dict[str, Any]:
    """A responses request as a chat request; raises the 400 of what llama-server does not do."""
    if not contains(body, "input"):
        raise _refusal("'input' is required")
    if text_of(body, "previous_response_id"):
        raise _refusal("llama.cpp does not support 'previous_response_id'.")
    chat = {name: value for name, value in body.items() if name not in {"input", "instructions"}}
    chat["messages"] = _messages(body)
    if "tools" in body:
        _convert_tools(chat)
    if "max_output_tokens" in body:
        chat["max_tokens"] = chat.pop("max_output_tokens")
    if "reasoning" in body:
        reasoning = chat.pop("reasoning")
        if contains(reasoning, "effort"):
            chat["reasoning_effort"] = reasoning["effort"]
    return chat


def _refusal(message: str) -> ApiError:
    return ApiError(400, message)


def _messages(body: dict[str, Any]) -> Messages:
    given, messages = body["input"], Messages()
    if "instructions" in body:
        messages.append({"role": "system", "content": text_of(body, "instructions")})
    if isinstance(given, str):
        messages.append({"role": "user", "content": given})
    elif isinstance(given, list):
        for item in given:
            _add_item(messages, item)
    else:
        raise _refusal("'input' must be a string or array of objects")
    return messages


def _add_item(messages: Messages, item: Any) -> None:
    """Add one item: as a message, or to the assistant's last one. Raises the 400 of an item of no known kind."""
    if _has(item, "content", str):
        item = item | {"content": [{"text": item["content"], "type": "input_text"}]}
    for is_meant, add in _ITEM_KINDS:
        if is_meant(item):
            add(messages, item)
            return
    raise _refusal("Cannot determine type of 'item'")


def _has(item: Any, key: str, kinds: type | tuple[type, ...]) -> bool:
    return isinstance(value_of(item, key), kinds)


def _is_typed(item: Any, kind: str, *strings: str) -> bool:
    """Whether an item says that it is of this kind, and has these fields as strings."""
    return value_of(item, "type") == kind and all(_has(item, key, str) for key in strings)


def _is_input_message(item: Any) -> bool:
    role = value_of(item, "role")
    return _has(item, "content", list) and isinstance(role, str) and role in {"user", "system", "developer"}


def _is_output_message(item: Any) -> bool:
    return value_of(item, "role") == "assistant" and _is_typed(item, "message")


def _is_call(item: Any) -> bool:
    return _is_typed(item, "function_call", "arguments", "call_id", "name")


def _is_call_output(item: Any) -> bool:
    return _is_typed(item, "function_call_output", "call_id") and _has(item, "output", (str, list))


def _is_reasoning(item: Any) -> bool:
    return _is_typed(item, "reasoning") and _has(item, "summary", list)


def _begun(messages: Messages) -> dict[str, Any] | None:
    """The last message, if it is the assistant's: what it says next belongs to it."""
    return messages[-1] if messages and messages[-1]["role"] == "assistant" else None


def _list_in(message: dict[str, Any], key: str) -> list[Any]:
    """The list of a key, which is made one if it is none."""
    if not isinstance(message.get(key), list):
        message[key] = []
    listed: list[Any] = message[key]
    return listed


def _add_input_message(messages: Messages, item: dict[str, Any]) -> None:
    messages.append(_as_message(item, [_input_part(part) for part in item["content"]]))


def _as_message(item: dict[str, Any], content: list[Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key not in {"type", "status"}} | {"content": content}


def _input_part(part: Any) -> dict[str, Any]:
    kind = text_of(part, "type")
    if kind == "input_text":
        if "text" not in part:
            raise _refusal("'Input text' requires 'text'")
        return {"text": part["text"], "type": "text"}
    if kind == "input_image":
        return {"image_url": {"url": _image_url(part)}, "type": "image_url"}
    raise _refusal(_FILES if kind == "input_file" else _INPUT_TYPES)


def _image_url(part: dict[str, Any]) -> Any:
    if "image_url" not in part:
        raise _refusal("'image_url' is required")
    return part["image_url"]


def _add_output_message(messages: Messages, item: dict[str, Any]) -> None:
    parts = item["content"] if _has(item, "content", list) else []
    content = [_output_part(part) for part in parts]
    if (begun := _begun(messages)) is not None:
        _list_in(begun, "content").extend(content)
    else:
        messages.append(_as_message(item, content))


def _output_part(part: Any) -> dict[str, Any]:
    kind = text_of(part, "type")
    if kind in {"output_text", "input_text"}:
        if not _has(part, "text", str):
            raise _refusal("'Output text' requires 'text'")
        return {"text": part["text"], "type": "text"}
    if kind == "refusal":
        if not _has(part, "refusal", str):
            raise _refusal("'Refusal' requires 'refusal'")
        return {"refusal": part["refusal"], "type": "refusal"}
    raise _refusal(_OUTPUT_TYPES)


def _add_call(messages: Messages, item: dict[str, Any]) -> None:
    function = {"arguments": item["arguments"], "name": item["name"]}
    call = {"function": function, "id": item["call_id"], "type": "function"}
    if (begun := _begun(messages)) is not None:
        _list_in(begun, "tool_calls").append(call)
    else:
        messages.append({"role": "assistant", "tool_calls": [call]})


def _add_call_output(messages: Messages, item: dict[str, Any]) -> None:
    output = item["output"]
    content = output if isinstance(output, str) else [_result_part(part) for part in output]
    messages.append({"content": content, "role": "tool", "tool_call_id": item["call_id"]})


def _result_part(part: Any) -> dict[str, Any]:
    if not contains(part, "type"):
        raise _refusal("Output of tool call missing 'type' field")
    if part["type"] == "input_text":
        return {**part, "type": "text"}
    if part["type"] == "input_image":
        return {**part, "type": "image_url", "image_url": {"url": _image_url(part)}}
    raise _refusal(_RESULT_TYPES)


def _add_reasoning(messages: Messages, item: dict[str, Any]) -> None:
    if not _has(item, "content", list):
        raise _refusal("item['content'] is not an array")
    if not item["content"]:
        raise _refusal("item['content'] is empty")
    first = item["content"][0]
    if not _has(first, "text", str):
        raise _refusal("item['content']['text'] is not a string")
    if (begun := _begun(messages)) is not None:
        begun["reasoning_content"] = first["text"]
    else:
        messages.append({"role": "assistant", "content": [], "reasoning_content": first["text"]})


_ITEM_KINDS: tuple[tuple[Callable[[Any], bool], Callable[[Messages, Any], None]], ...] = (
    (_is_input_message, _add_input_message),
    (_is_output_message, _add_output_message),
    (_is_call, _add_call),
    (_is_call_output, _add_call_output),
    (_is_reasoning, _add_reasoning),
)
"""The kinds of items, in the order in which they are asked for."""


def _convert_tools(chat: dict[str, Any]) -> None:
    """Put the functions into chat's form, and leave out the tools that are none. Raises the 400 of no array."""
    given = chat.pop("tools")
    if not isinstance(given, list):
        raise _refusal("'tools' must be an array of objects")
    if functions := [_function(tool) for tool in given if text_of(tool, "type") == "function"]:
        chat["tools"] = functions


def _function(tool: dict[str, Any]) -> dict[str, Any]:
    function = {key: value for key, value in tool.items() if key != "type"}
    function.setdefault("strict", True)
    return {"type": "function", "function": function}
