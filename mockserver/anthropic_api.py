"""Anthropic's endpoints: messages, plain and streamed, and the token count."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from mockserver import params, tokenizer
from mockserver.answering import MACHINE, answer, body_of, json_answer, named_event
from mockserver.chat import render
from mockserver.errors import ApiError
from mockserver.generation import Final, Machine, Piece, Progress, Task

_DEFAULT_MAX_TOKENS = 4096


class MessagesShape:
    """A `message` and its events. As in llama-server, the id is OpenAI's and stop words end a turn."""

    def __init__(self, machine: Machine) -> None:
        self._id, self._model = machine.ids.new("chatcmpl-"), machine.settings.model_name
        self._started = False

    def plain(self, finals: Sequence[Final]) -> Any:
        """The whole message."""
        final = finals[0]
        content = [{"type": "text", "text": final.text}] if final.text else []
        usage = _prompt_usage(final) | {"output_tokens": final.completion_tokens}
        return self._message(content, _stop_reason(final), final.stopping_word or None, usage)

    def progress(self, progress: Progress) -> bytes:
        """Nothing: Anthropic's protocol has no such event."""
        return b""

    def piece(self, piece: Piece) -> bytes:
        """A text delta, the first with the start of message and block."""
        delta = {"type": "text_delta", "text": piece.text}
        return self._start(piece) + named_event({"type": "content_block_delta", "index": 0, "delta": delta})

    def final(self, final: Final) -> bytes:
        """The end of the block, the reason, the end of the message, in one write."""
        stop = named_event({"type": "content_block_stop", "index": 0}) if self._started else b""
        delta = {"stop_reason": _stop_reason(final), "stop_sequence": final.stopping_word or None}
        usage = {"output_tokens": final.completion_tokens}
        return (
            stop
            + named_event({"type": "message_delta", "delta": delta, "usage": usage})
            + named_event({"type": "message_stop"})
        )

    def end(self) -> bytes:
        """Nothing: message_stop was the end."""
        return b""

    def _start(self, piece: Piece) -> bytes:
        if self._started:
            return b""
        self._started = True
        message = self._message([], None, None, _prompt_usage(piece) | {"output_tokens": 0})
        block = {"type": "text", "text": ""}
        return named_event({"type": "message_start", "message": message}) + named_event(
            {"type": "content_block_start", "index": 0, "content_block": block}
        )

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


def _prompt_usage(result: Piece | Final) -> dict[str, int]:
    cached = result.timings.cache_n
    return {"cache_read_input_tokens": cached, "input_tokens": len(result.task.prompt) - cached}


def _stop_reason(final: Final) -> str:
    return "max_tokens" if final.stop_type == "limit" else "end_turn"


def _block_text(block: Any) -> dict[str, Any]:
    """An Anthropic content block as an OpenAI content part."""
    if isinstance(block, dict) and block.get("type") == "image":
        return {"type": "image_url"}
    return {"type": "text", "text": str(block.get("text", "")) if isinstance(block, dict) else str(block)}


def _as_openai(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Anthropic's system text and messages as OpenAI messages; raises the 500 of a missing list."""
    if "messages" not in body:
        raise ApiError(500, "'messages' is required")
    if not isinstance(body["messages"], list):
        raise ApiError(500, "Expected 'messages' to be an array")
    system = body.get("system")
    turns = [*([{"role": "system", "content": system}] if system else []), *body["messages"]]
    return [
        {**turn, "content": [_block_text(block) for block in turn["content"]]}
        if isinstance(turn.get("content"), list)
        else turn
        for turn in turns
    ]


def _prompt(body: dict[str, Any]) -> list[int]:
    return tokenizer.encode(render(_as_openai(body)), add_bos=True)


async def messages(request: web.Request) -> web.StreamResponse:
    """`POST /v1/messages`."""
    machine, body = request.app[MACHINE], await body_of(request)
    prompt = _prompt(body)
    renamed = {"max_tokens": _DEFAULT_MAX_TOKENS, "stop": body.get("stop_sequences")} | body
    tasks = [Task(prompt, params.read(renamed, machine.settings))]
    return await answer(request, tasks, MessagesShape(machine), stream=params.flag(body, "stream"))


async def count_tokens(request: web.Request) -> web.Response:
    """`POST /v1/messages/count_tokens`."""
    return json_answer({"input_tokens": len(_prompt(await body_of(request)))})
