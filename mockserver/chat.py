"""A conversation becomes a prompt: messages are checked, flattened, and put through the chat template."""

from collections.abc import Sequence
from typing import Any

from mockserver.errors import ApiError
from mockserver.jsontext import type_error

CHATML = (
    "{%- for message in messages -%}\n"
    "  {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' -}}\n"
    "{%- endfor -%}\n"
    "{%- if add_generation_prompt -%}\n"
    "  {{- '<|im_start|>assistant\n' -}}\n"
    "{%- endif -%}"
)
_NO_IMAGE = "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"
_NO_AUDIO = "audio input is not supported - hint: if this is unexpected, you may need to provide the mmproj"


def messages_of(body: Any) -> list[dict[str, Any]]:
    """The `messages` of a chat request; raises the 400 of the OpenAI endpoints."""
    messages = body.get("messages") if isinstance(body, dict) else None
    if messages is None:
        raise ApiError(400, "'messages' is required")
    if not isinstance(messages, list):
        raise ApiError(400, "Expected 'messages' to be an array")
    return messages


def _part_text(part: Any) -> str:
    """The text of one content part; raises ApiError for what the model cannot see or hear."""
    if not isinstance(part, dict) or "type" not in part:
        raise ApiError(400, "Missing content part type: " + str(part))
    if part["type"] == "image_url":
        raise ApiError(500, _NO_IMAGE)
    if part["type"] == "input_audio":
        raise ApiError(500, _NO_AUDIO)
    if part["type"] != "text":
        raise ApiError(400, "unsupported content[].type")
    return str(part.get("text", ""))


def text_of(content: Any) -> str:
    """The text of a message's content, given as a string, as parts, or not at all."""
    if isinstance(content, list):
        return "\n".join(_part_text(part) for part in content)
    if content is None or isinstance(content, str):
        return content or ""
    raise ApiError(500, "Failed to parse messages: Invalid 'content' type: expected string or array")


def render(messages: Sequence[dict[str, Any]], add_generation_prompt: bool = True) -> str:
    """The prompt of a conversation, by the ChatML template."""
    turns: list[str] = []
    for message in messages:
        role = message.get("role")
        if not isinstance(role, str):
            raise ApiError(500, f"Failed to parse messages: {type_error('string', role)}")
        turns.append(f"<|im_start|>{role}\n{text_of(message.get('content'))}<|im_end|>\n")
    return "".join(turns) + ("<|im_start|>assistant\n" if add_generation_prompt else "")
