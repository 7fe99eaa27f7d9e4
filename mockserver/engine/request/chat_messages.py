"""The `messages` of a chat request, checked in the order of the real server, with its complaints.

Mirrors common/chat.cpp (`common_chat_msgs_parse_oaicompat`) and tools/server/server-common.cpp (the checks of
`oaicompat_chat_params_parse`, `oaicompat_content_load_media`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mockserver.core.api_errors import ApiError
from mockserver.core.json_values import as_text, at, contains, elements, value_or
from mockserver.core.nlohmann_json import JsonError, dump

_UNSUPPORTED = {
    "image_url": "image input is not supported",
    "input_audio": "audio input is not supported",
    "input_video": "video input is not supported",
    "video_url": "video input is not supported",
}
_HINT = " - hint: if this is unexpected, you may need to provide the mmproj"


@dataclass(slots=True)
class ChatMessage:
    """One message; its content is a text, or the texts of its parts."""

    role: str
    content: str = ""
    parts: list[str] = field(default_factory=list)
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    reasoning_content: str = ""
    name: str = ""
    tool_call_id: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in it."""
        given = (self.content, self.parts, self.tool_calls, self.reasoning_content, self.name, self.tool_call_id)
        return not any(given)

    def text(self, separator: str) -> str:
        """Its content in one piece; leading parts without text are not separated."""
        text = self.content
        for part in self.parts:
            text += separator + part if text else part
        return text

    def for_template(self) -> dict[str, Any]:
        """The message as a template is given it."""
        message: dict[str, Any] = {"role": self.role, "content": self.text("\n")}
        for name in ("reasoning_content", "name", "tool_call_id", "tool_calls"):
            if value := getattr(self, name):
                message[name] = value
        return message


def checked_messages(body: Any) -> list[ChatMessage]:
    """The messages of a chat body; raises ApiError."""
    if not contains(body, "messages"):
        raise ApiError(400, "'messages' is required")
    messages = body["messages"]
    if not isinstance(messages, list):
        raise ApiError(400, "Expected 'messages' to be an array")
    for message in messages:
        _check_content(message)
    try:
        return [_message(message) for message in messages]
    except ApiError as error:
        raise ApiError(500, f"Failed to parse messages: {error.message}") from error


def _check_content(message: Any) -> None:
    role = value_or(message, "role", as_text, "")
    if not contains(message, "content"):
        if role != "assistant":
            raise ApiError(400, "All non-assistant messages must contain 'content'")
        if not contains(message, "tool_calls"):
            raise ApiError(400, "Assistant message must contain either 'content' or 'tool_calls'!")
        return
    content = message["content"]
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list):
        raise ApiError(400, "Expected 'content' to be a string or an array")
    check_media(content)


def check_media(parts: Sequence[Any]) -> None:
    """Raises ApiError 500 for a part that the model cannot see or hear, and 400 for one of an unknown type."""
    for part in parts:
        kind = value_or(part, "type", as_text, "")
        if kind in _UNSUPPORTED:
            raise ApiError(500, _UNSUPPORTED[kind] + _HINT)
        if kind != "text":
            raise ApiError(400, "unsupported content[].type")


def _message(given: Any) -> ChatMessage:
    if not contains(given, "role"):
        raise JsonError(f"Missing 'role' in message: {dump(given)}")
    message = ChatMessage(as_text(given["role"]))
    content = given.get("content")
    if isinstance(content, str):
        message.content = content
    elif isinstance(content, list):
        message.parts = [as_text(at(part, "text")) for part in content]
    if "tool_calls" in given:
        message.tool_calls = [_tool_call(call) for call in elements(given["tool_calls"])]
    for name in ("reasoning_content", "name", "tool_call_id"):
        if name in given:
            setattr(message, name, as_text(given[name]))
    return message


def _tool_call(call: Any) -> dict[str, Any]:
    if not contains(call, "type"):
        raise JsonError(f"Missing tool call type: {dump(call)}")
    if call["type"] != "function":
        raise JsonError(f"Unsupported tool call type: {dump(call)}")
    if "function" not in call:
        raise JsonError(f"Missing tool call function: {dump(call)}")
    function = call["function"]
    if not contains(function, "name"):
        raise JsonError(f"Missing tool call name: {dump(call)}")
    name, arguments = as_text(function["name"]), at(function, "arguments")
    text = arguments if isinstance(arguments, str) else dump(arguments)
    parsed: dict[str, Any] = {"type": "function", "function": {"name": name, "arguments": text}}
    if identifier := as_text(call.get("id", "")):
        parsed["id"] = identifier
    return parsed
