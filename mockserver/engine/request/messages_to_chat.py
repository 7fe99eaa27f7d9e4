"""A messages request, Anthropic's, put in the terms of a chat completion.

Mirrors tools/server/server-chat.cpp (`server_chat_convert_anthropic_to_oai`).
"""

from collections.abc import Iterable
from typing import Any

from mockserver.core.api_errors import ApiError
from mockserver.core.json_values import as_int, contains, text_of, value_of, value_or
from mockserver.core.nlohmann_json import dump

_MAX_TOKENS = 4096
_THINKING_BUDGET = 10000
_SAME = ("temperature", "top_p", "top_k", "stream", "chat_template_kwargs")
_CHOICES = {"auto": "auto", "any": "required", "tool": "required"}
_BILLING, _STAMP, _STAMP_LENGTH = "x-anthropic-billing-header:", "cch=", 5


def from_messages(body: Any) -> dict[str, Any]:
    """A messages request as a chat request. Fields that llama-server does not know are left out.

    Raises the 500 of missing messages, the only thing that is refused here.
    """
    turns: list[Any] = []
    if (system := value_of(body, "system")) is not None:
        turns.append({"role": "system", "content": _system_text(system)})
    if not contains(body, "messages"):
        raise ApiError(500, "'messages' is required")
    for message in body["messages"] if isinstance(body["messages"], list) else []:
        turns += _turns(message)
    chat = {"messages": turns, **_tools(body), "max_tokens": body.get("max_tokens", _MAX_TOKENS)}
    if "stop_sequences" in body:
        chat["stop"] = body["stop_sequences"]
    chat |= {name: body[name] for name in _SAME if name in body}
    thinking = value_of(body, "thinking")
    if text_of(thinking, "type") == "enabled":
        chat["thinking_budget_tokens"] = value_or(thinking, "budget_tokens", as_int, _THINKING_BUDGET)
    if user := text_of(value_of(body, "metadata"), "user_id"):
        chat["__metadata_user_id"] = user
    return chat


def _tools(body: dict[str, Any]) -> dict[str, Any]:
    """The tools, if they are an array, and the choice among them."""
    chat: dict[str, Any] = {}
    tools = body.get("tools")
    if isinstance(tools, list):
        chat["tools"] = [_tool(tool) for tool in tools]
    if choice := _CHOICES.get(text_of(body.get("tool_choice"), "type")):
        chat["tool_choice"] = choice
    return chat


def _tool(tool: Any) -> dict[str, Any]:
    function: dict[str, Any] = {"name": text_of(tool, "name"), "description": text_of(tool, "description")}
    function["parameters"] = tool["input_schema"] if contains(tool, "input_schema") else {}
    return {"type": "function", "function": function}


def _system_text(system: Any) -> str:
    if isinstance(system, str):
        return _without_stamp(system)
    blocks = system if isinstance(system, list) else []
    return "".join(_without_stamp(text_of(block, "text")) for block in blocks if text_of(block, "type") == "text")


def _without_stamp(text: str) -> str:
    """Claude Code's billing line with its stamp made the same, as it would keep a prompt from being cached."""
    start = text.find(_STAMP, len(_BILLING)) + len(_STAMP) if text.startswith(_BILLING) else 0
    end = start + _STAMP_LENGTH
    if start < len(_STAMP) or text[end : end + 1] != ";":
        return text
    return text[:start] + "f" * _STAMP_LENGTH + text[end:]


def _turns(message: Any) -> list[Any]:
    """What becomes of one message. Tool results become messages of their own, after what the message says itself."""
    content = value_of(message, "content")
    if not contains(message, "content") and text_of(message, "role") == "assistant":
        return []
    if not isinstance(content, list):
        return [message]
    parts = [part for block in content for part in _parts(block)]
    calls = [_call(block) for block in content if text_of(block, "type") == "tool_use"]
    thoughts = "".join(text_of(block, "thinking") for block in content if text_of(block, "type") == "thinking")
    results = [_result(block) for block in content if text_of(block, "type") == "tool_result"]
    turn: dict[str, Any] = {"role": text_of(message, "role"), "content": parts or ""}
    if calls:
        turn["tool_calls"] = calls
    if thoughts:
        turn["reasoning_content"] = thoughts
    return [turn, *results] if parts or calls or thoughts else results


def _parts(block: Any) -> Iterable[Any]:
    """A text as it is, an image as chat has it; nothing for all else."""
    kind = text_of(block, "type")
    if kind == "text":
        yield block
    elif kind == "image":
        yield from _image(block)


def _image(block: dict[str, Any]) -> Iterable[dict[str, Any]]:
    source = value_of(block, "source")
    kind = text_of(source, "type")
    if kind == "base64":
        url = f"data:{text_of(source, 'media_type', 'image/jpeg')};base64,{text_of(source, 'data')}"
        yield {"type": "image_url", "image_url": {"url": url}}
    elif kind == "url":
        yield {"type": "image_url", "image_url": {"url": text_of(source, "url")}}


def _call(block: dict[str, Any]) -> dict[str, Any]:
    given = value_of(block, "input")
    function = {"name": text_of(block, "name"), "arguments": dump({} if given is None else given)}
    return {"id": text_of(block, "id"), "type": "function", "function": function}


def _result(block: dict[str, Any]) -> dict[str, Any]:
    content = value_of(block, "content")
    if isinstance(content, list):
        content = _result_content(content)
    elif not isinstance(content, str):
        content = ""
    return {"role": "tool", "tool_call_id": text_of(block, "tool_use_id"), "content": content}


def _result_content(blocks: list[Any]) -> str | list[Any]:
    """The text of a result, or its parts if there are images among them."""
    parts: list[Any] = []
    for block in blocks:
        if text_of(block, "type") == "text":
            parts.append({"type": "text", "text": text_of(block, "text")})
        elif text_of(block, "type") == "image":
            parts += _image(block)
    has_images = any(text_of(block, "type") == "image" for block in blocks)
    return parts if has_images else "".join(part["text"] for part in parts)
