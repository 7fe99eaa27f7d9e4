"""Anthropic's `message` and its events, as llama-server sends them: blocks end in one burst, ids are OpenAI's.

Mirrors tools/server/server-task.cpp (`to_json_anthropic`).
"""

from collections.abc import Sequence
from typing import Any

from mockserver.api.shapes.sse import data_event, named_event
from mockserver.core.api_errors import ApiError
from mockserver.core.nlohmann_json import loads_or_empty
from mockserver.engine.results import AnswerPart, FinalResult, PartialResult, PromptProgress
from mockserver.engine.server_context import ServerContext


def _stop_reason(final: FinalResult) -> str:
    if final.stop_type == "limit":
        return "max_tokens"
    return "tool_use" if final.calls else "end_turn"


def _prompt_usage(result: PartialResult | FinalResult) -> dict[str, int]:
    cached = result.timings.cache_n
    return {"cache_read_input_tokens": cached, "input_tokens": len(result.task.prompt) - cached}


def _block(part: AnswerPart) -> dict[str, Any]:
    if part.channel == "reasoning":
        return {"type": "thinking", "thinking": part.text, "signature": ""}
    if part.channel == "tool":
        return {
            "type": "tool_use",
            "id": part.call_id,
            "name": part.name,
            "input": loads_or_empty(part.text),
        }
    return {"type": "text", "text": part.text}


def _opening(partial: PartialResult) -> dict[str, Any]:
    if partial.channel == "reasoning":
        return {"type": "thinking", "thinking": ""}
    if partial.channel == "tool":
        return {"type": "tool_use", "id": partial.call_id, "name": partial.name}
    return {"type": "text", "text": ""}


def _delta(partial: PartialResult) -> dict[str, Any]:
    if partial.channel == "reasoning":
        return {"type": "thinking_delta", "thinking": partial.text}
    if partial.channel == "tool":
        return {"type": "input_json_delta", "partial_json": partial.text}
    return {"type": "text_delta", "text": partial.text}


class AnthropicMessageShape:
    """The answers of `/v1/messages`."""

    def __init__(self, server_context: ServerContext, completion_id: str) -> None:
        self._id, self._model = completion_id, server_context.options.model_name
        self._open: list[str] = []

    def response(self, finals: Sequence[FinalResult]) -> Any:
        """The whole message."""
        final = finals[0]
        usage = _prompt_usage(final) | {"output_tokens": final.completion_tokens}
        content = [_block(part) for part in final.parts]
        return self._message(content, _stop_reason(final), final.stopping_word or None, usage)

    def prompt_progress(self, progress: PromptProgress) -> bytes:
        """Nothing: Anthropic's protocol has no such event."""
        return b""

    def partial(self, partial: PartialResult) -> bytes:
        """A delta, the first token with the start of the message, the first of a block with the start of the block."""
        start = self._start(partial) if partial.is_first else b""
        if not partial.text:
            return start
        if partial.opens_part:
            block = {"type": "content_block_start", "index": len(self._open), "content_block": _opening(partial)}
            self._open.append(partial.channel)
            start += named_event(block)
        index = len(self._open) - 1
        return start + named_event({"type": "content_block_delta", "index": index, "delta": _delta(partial)})

    def final(self, final: FinalResult) -> bytes:
        """The end of all blocks, the reason, the end of the message, in one write."""
        events: list[dict[str, Any]] = []
        for index, channel in enumerate(self._open):
            if channel == "reasoning":
                delta = {"type": "signature_delta", "signature": ""}
                events.append({"type": "content_block_delta", "index": index, "delta": delta})
            events.append({"type": "content_block_stop", "index": index})
        reason = {"stop_reason": _stop_reason(final), "stop_sequence": final.stopping_word or None}
        usage = {"output_tokens": final.completion_tokens}
        events += [{"type": "message_delta", "delta": reason, "usage": usage}, {"type": "message_stop"}]
        return b"".join(map(named_event, events))

    def stream_end(self) -> bytes:
        """Nothing: message_stop was the end."""
        return b""

    def error_event(self, error: ApiError) -> bytes:
        """An event named `error`, its fields not wrapped as Anthropic would."""
        return b"event: error\n" + data_event(error.fields())

    def _start(self, first: PartialResult) -> bytes:
        message = self._message([], None, None, _prompt_usage(first) | {"output_tokens": 0})
        return named_event({"type": "message_start", "message": message})

    def _message(
        self, content: list[Any], reason: str | None, stop_word: str | None, usage: dict[str, int]
    ) -> dict[str, Any]:
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "content": content,
            "model": self._model,
            "stop_reason": reason,
            "stop_sequence": stop_word,
            "usage": usage,
        }
