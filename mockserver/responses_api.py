"""OpenAI's Responses endpoint, as far as llama-server goes: no sequence numbers, one burst at the end."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from mockserver import params, tokenizer
from mockserver.answering import MACHINE, answer, body_of, named_event
from mockserver.chat import render
from mockserver.errors import ApiError
from mockserver.generation import Final, Machine, Piece, Progress, Task


class ResponseShape:
    """A `response` and its events."""

    def __init__(self, machine: Machine, options: params.Params) -> None:
        self._id, self._message = machine.ids.new("resp_"), machine.ids.new("msg_")
        self._clock, self._model = machine.clock, machine.settings.model_name
        self._timed = bool(options.shown["timings_per_token"])
        self._created = self._begun = False

    def plain(self, finals: Sequence[Final]) -> Any:
        """The whole response; its status is `completed` even at the token limit."""
        final, now = finals[0], self._clock.unix()
        part = {"type": "output_text", "annotations": [], "logprobs": [], "text": final.text}
        item = {"content": [part], "id": self._message, "role": "assistant"}
        item |= {"status": "completed", "type": "message"}
        return {
            "completed_at": now,
            "created_at": now,
            "id": self._id,
            "model": self._model,
            "object": "response",
            "output": [item] if final.text else [],
            "status": "completed",
            "usage": _usage(final),
        }

    def progress(self, progress: Progress) -> bytes:
        """`response.in_progress` again, with how far the prompt is."""
        before = self._create()
        event = self._in_progress()
        event["prompt_progress"] = {
            "total": len(progress.task.prompt),
            "cache": progress.timings.cache_n,
            "processed": progress.processed,
            "time_ms": int(progress.timings.prompt_ms),
        }
        if self._timed:
            event["timings"] = progress.timings.as_json()
        return before + named_event(event)

    def piece(self, piece: Piece) -> bytes:
        """A text delta, the first with the start of response, item and part."""
        event = {
            "type": "response.output_text.delta",
            "item_id": self._message,
            "delta": piece.text,
            **({"timings": piece.timings.as_json()} if self._timed else {}),
        }
        return self._begin() + named_event(event)

    def final(self, final: Final) -> bytes:
        """Everything done, in one burst."""
        begun = self._begun
        start = b"" if begun else self._create()
        part = {"type": "output_text", "annotations": [], "logprobs": [], "text": final.text}
        item = {"type": "message", "status": "completed", "id": self._message, "content": [part]}
        item |= {"role": "assistant"}
        done: list[dict[str, Any]] = [
            {"type": "response.output_text.done", "item_id": self._message, "text": final.text},
            {"type": "response.content_part.done", "item_id": self._message, "part": part},
            {"type": "response.output_item.done", "item": item},
        ]
        completed = {
            "type": "response.completed",
            "response": {
                "id": self._id,
                "object": "response",
                "created_at": self._clock.unix(),
                "status": "completed",
                "model": self._model,
                "output": [item] if begun else [],
                "usage": _usage(final),
            },
            "timings": final.timings.as_json(),
        }
        return start + b"".join(map(named_event, [*(done if begun else []), completed]))

    def end(self) -> bytes:
        """Nothing: response.completed was the end."""
        return b""

    def _in_progress(self) -> dict[str, Any]:
        response = {"id": self._id, "object": "response", "status": "in_progress"}
        return {"type": "response.in_progress", "response": response}

    def _create(self) -> bytes:
        if self._created:
            return b""
        self._created = True
        started = self._in_progress() | {"type": "response.created"}
        return named_event(started) + named_event(self._in_progress())

    def _begin(self) -> bytes:
        if self._begun:
            return b""
        created, self._begun = self._create(), True
        item = {"content": [], "id": self._message, "role": "assistant", "status": "in_progress"}
        item |= {"type": "message"}
        added = {"type": "response.output_item.added", "item": item}
        part = {"type": "response.content_part.added", "item_id": self._message}
        return created + named_event(added) + named_event(part | {"part": {"type": "output_text", "text": ""}})


def _usage(final: Final) -> dict[str, Any]:
    prompt, completion = len(final.task.prompt), final.completion_tokens
    return {
        "input_tokens": prompt,
        "output_tokens": completion,
        "total_tokens": prompt + completion,
        "input_tokens_details": {"cached_tokens": final.timings.cache_n},
    }


def _as_messages(body: Any) -> list[dict[str, Any]]:
    """Instructions and input as OpenAI messages; raises the 400 of what llama-server refuses."""
    if not isinstance(body, dict) or "input" not in body:
        raise ApiError(400, "'input' is required")
    if body.get("previous_response_id"):
        raise ApiError(400, "llama.cpp does not support 'previous_response_id'.")
    given = body["input"]
    turns = [{"role": "user", "content": given}] if isinstance(given, str) else given
    if not isinstance(turns, list):
        raise ApiError(400, "'input' must be a string or array of objects")
    instructions = body.get("instructions")
    system = [{"role": "system", "content": instructions}] if isinstance(instructions, str) else []
    return [*system, *(_turn(turn) for turn in turns if isinstance(turn, dict))]


def _turn(turn: dict[str, Any]) -> dict[str, Any]:
    content = turn.get("content")
    if isinstance(content, list):
        content = [{"type": "text", "text": part.get("text", "")} for part in content]
    return {"role": turn.get("role", "user"), "content": content}


async def responses(request: web.Request) -> web.StreamResponse:
    """`POST /v1/responses`."""
    machine, body = request.app[MACHINE], await body_of(request)
    prompt = tokenizer.encode(render(_as_messages(body)), add_bos=True)
    renamed = {"max_tokens": body.get("max_output_tokens")} | body
    options = params.read(renamed, machine.settings)
    shape = ResponseShape(machine, options)
    return await answer(request, [Task(prompt, options)], shape, stream=params.flag(body, "stream"))
