"""The `messages` of a chat request: checked with llama-server's own complaints, and made plain for a template.

Mirrors common/chat.cpp (`common_chat_msgs_parse_oaicompat`).
"""

from collections.abc import Sequence
from typing import Any

from mockserver.core.api_errors import ApiError
from mockserver.core.nlohmann_json import dump, type_error

_UNSUPPORTED = {
    "image_url": "image input is not supported",
    "input_audio": "audio input is not supported",
    "input_video": "video input is not supported",
}
_HINT = " - hint: if this is unexpected, you may need to provide the mmproj"


def checked(body: Any) -> list[dict[str, Any]]:
    """The messages of a chat body, contents as text; raises ApiError in the real server's order of checks."""
    messages = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(body, dict) or "messages" not in body:
        raise ApiError(400, "'messages' is required")
    if not isinstance(messages, list):
        raise ApiError(400, "Expected 'messages' to be an array")
    for message in messages:
        _check_presence(message)
    return [_plain(message) for message in messages]


def _check_presence(message: Any) -> None:
    fields = message if isinstance(message, dict) else {}
    if fields.get("role") != "assistant" and "content" not in fields:
        raise ApiError(400, "All non-assistant messages must contain 'content'")
    if "content" not in fields and "tool_calls" not in fields:
        raise ApiError(400, "Assistant message must contain either 'content' or 'tool_calls'!")
    content = fields.get("content")
    if isinstance(content, list):
        text_of(content)
    elif content is not None and not isinstance(content, str):
        raise ApiError(400, "Expected 'content' to be a string or an array")


def _check_media(part: Any) -> None:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in _UNSUPPORTED:
        raise ApiError(500, _UNSUPPORTED[kind] + _HINT)
    if kind != "text":
        raise ApiError(400, "unsupported content[].type")


def text_of(parts: Sequence[Any], separator: str = "\n") -> str:
    """The text of content parts; raises ApiError for what the model cannot see or hear."""
    for part in parts:
        _check_media(part)
    return separator.join(str(part.get("text", "")) for part in parts)


def _malformed(complaint: str) -> ApiError:
    return ApiError(500, f"Failed to parse messages: {complaint}")


def _plain(message: dict[str, Any]) -> dict[str, Any]:
    """One message with its content as a string and its tool calls checked."""
    if "role" not in message:
        raise _malformed(f"Missing 'role' in message: {dump(message)}")
    if not isinstance(message["role"], str):
        raise _malformed(type_error("string", message["role"]))
    content = message.get("content")
    if isinstance(content, list):
        content = text_of(content)
    plain = {**message, "content": content or ""}
    if message.get("tool_calls"):
        plain["tool_calls"] = [_tool_call(call) for call in message["tool_calls"]]
    return plain


def _tool_call(call: Any) -> dict[str, Any]:
    if not isinstance(call, dict) or "type" not in call:
        raise _malformed(f"Missing tool call type: {dump(call)}")
    if call["type"] != "function":
        raise _malformed(f"Unsupported tool call type: {dump(call)}")
    function = call.get("function")
    if not isinstance(function, dict):
        raise _malformed(f"Missing tool call function: {dump(call)}")
    if "name" not in function:
        raise _malformed(f"Missing tool call name: {dump(call)}")
    arguments = function.get("arguments", "")
    text = arguments if isinstance(arguments, str) else dump(arguments)
    return {"type": "function", "id": call.get("id", ""), "function": {"name": function["name"], "arguments": text}}


def check_tools(tools: Any) -> list[dict[str, Any]]:
    """The tools of a chat body; raises the 500 of a malformed one."""
    if not tools:
        return []
    if not isinstance(tools, list):
        raise ApiError(500, f"Failed to parse tools: Expected 'tools' to be an array, got {dump(tools)}")
    for tool in tools:
        if not isinstance(tool, dict) or "type" not in tool:
            raise ApiError(500, f"Failed to parse tools: Missing tool type: {dump(tool)}")
        if tool["type"] != "function":
            raise ApiError(500, f"Failed to parse tools: Unsupported tool type: {dump(tool)}")
        if not isinstance(tool.get("function"), dict):
            raise ApiError(500, f"Failed to parse tools: Missing tool function: {dump(tool)}")
    return tools
