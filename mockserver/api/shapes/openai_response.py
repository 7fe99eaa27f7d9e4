"""OpenAI's `response` and its events, as far as llama-server goes: no sequence numbers, one burst at the end.

Mirrors tools/server/server-task.cpp (`to_json_oaicompat_resp`).
"""

from collections.abc import Sequence
from typing import Any

from mockserver.api.shapes.sse import DataErrors, named_event
from mockserver.engine.results import AnswerPart, FinalResult, PartialResult, PromptProgress
from mockserver.engine.server_context import ServerContext

_DELTAS = {
    "content": "response.output_text.delta",
    "reasoning": "response.reasoning_text.delta",
    "tool": "response.function_call_arguments.delta",
}


def _usage(final: FinalResult) -> dict[str, Any]:
    prompt, completion = len(final.task.prompt), final.completion_tokens
    return {
        "input_tokens": prompt,
        "output_tokens": completion,
        "total_tokens": prompt + completion,
        "input_tokens_details": {"cached_tokens": final.timings.cache_n},
    }


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def _reasoning(text: str, item_id: str) -> dict[str, Any]:
    content = [{"text": text, "type": "reasoning_text"}]
    return {"id": item_id, "summary": [], "type": "reasoning", "content": content, "encrypted_content": ""}


def _call(part: AnswerPart) -> dict[str, Any]:
    call = {"id": f"fc_{part.call_id}", "type": "function_call", "status": "completed", "arguments": part.text}
    return call | {"call_id": f"call_{part.call_id}", "name": part.name}


class OpenAIResponseShape(DataErrors):
    """The answers of `/v1/responses`. Several to one request are several responses."""

    def __init__(self, server_context: ServerContext) -> None:
        self._server_context = server_context
        self._answers: dict[int, _Answer] = {}

    def _answer(self, index: int) -> "_Answer":
        if index not in self._answers:
            self._answers[index] = _Answer(self._server_context)
        return self._answers[index]

    def response(self, finals: Sequence[FinalResult]) -> Any:
        """The whole response, or an array of several."""
        responses = [self._answer(final.task.index).response(final) for final in finals]
        return responses[0] if len(responses) == 1 else responses

    def prompt_progress(self, progress: PromptProgress) -> bytes:
        """`response.in_progress`, which carries how far the prompt is."""
        return self._answer(progress.task.index).prompt_progress(progress)

    def partial(self, partial: PartialResult) -> bytes:
        """A delta, the first with the start of the response, the first of an item with its start."""
        return self._answer(partial.task.index).partial(partial)

    def final(self, final: FinalResult) -> bytes:
        """Everything done, in one burst."""
        return self._answer(final.task.index).final(final)

    def stream_end(self) -> bytes:
        """Nothing: response.completed was the end."""
        return b""


class _Answer:
    """One response as it comes: its ids, and what of it has been announced."""

    def __init__(self, server_context: ServerContext) -> None:
        ids = server_context.ids
        self._id = ids.new("resp_")
        self._item_ids = {"reasoning": ids.new("rs_"), "content": ids.new("msg_")}
        self._model, self._clock = server_context.options.model_name, server_context.clock
        self._is_created = False

    def response(self, final: FinalResult) -> dict[str, Any]:
        """The whole response; its status is `completed` even at the token limit."""
        now = self._clock.unix()
        return {
            "completed_at": now,
            "created_at": now,
            "id": self._id,
            "model": self._model,
            "object": "response",
            "output": [self._whole_item(part) for part in final.parts],
            "status": "completed",
            "usage": _usage(final),
        }

    def _whole_item(self, part: AnswerPart) -> dict[str, Any]:
        if part.channel == "tool":
            return _call(part)
        item_id = self._item_ids[part.channel]
        if part.channel == "reasoning":
            return _reasoning(part.text, item_id) | {"status": "completed"}
        item = {"content": [_text_part(part.text)], "id": item_id, "role": "assistant"}
        return item | {"status": "completed", "type": "message"}

    def prompt_progress(self, progress: PromptProgress) -> bytes:
        """The start of the response, or that it is still in progress."""
        events = self._created(is_noted=True) or [self._in_progress("response.in_progress")]
        if progress.task.params.timed:
            events[-1]["timings"] = progress.timings.as_json()
        events[-1]["prompt_progress"] = progress.as_json()
        return b"".join(map(named_event, events))

    def partial(self, partial: PartialResult) -> bytes:
        """A delta, and what has to be announced before it."""
        events = self._created(is_noted=partial.is_first) + (self._delta(partial) if partial.text else [])
        if events and partial.timed:
            events[-1]["timings"] = partial.timings.as_json()
        return b"".join(map(named_event, events))

    def _delta(self, partial: PartialResult) -> list[dict[str, Any]]:
        item_id = f"fc_{partial.call_id}" if partial.channel == "tool" else self._item_ids[partial.channel]
        about = {"item_id": item_id, "delta": partial.text}
        if partial.channel != "content":
            about = {"delta": partial.text, "item_id": item_id}
        return [*(self._added(partial) if partial.opens_part else ()), {"type": _DELTAS[partial.channel], **about}]

    def final(self, final: FinalResult) -> bytes:
        """The end of each item, then the response with all of them."""
        events, output = list[dict[str, Any]](), list[dict[str, Any]]()
        for part in final.parts:
            item = self._finished_item(part)
            if part.channel == "content":
                about = {"item_id": item["id"]}
                events.append({"type": "response.output_text.done", **about, "text": part.text})
                events.append({"type": "response.content_part.done", **about, "part": _text_part(part.text)})
            events.append({"type": "response.output_item.done", "item": item})
            output.append(item)
        response = {"id": self._id, "object": "response", "created_at": self._clock.unix()}
        response |= {"status": "completed", "model": self._model, "output": output, "usage": _usage(final)}
        events.append({"type": "response.completed", "response": response, "timings": final.timings.as_json()})
        return b"".join(map(named_event, events))

    def _finished_item(self, part: AnswerPart) -> dict[str, Any]:
        """An item at the end of a stream: a reasoning without a status, a message with its keys in another order."""
        if part.channel == "tool":
            return _call(part)
        item_id = self._item_ids[part.channel]
        if part.channel == "reasoning":
            return _reasoning(part.text, item_id)
        item = {"type": "message", "status": "completed", "id": item_id}
        return item | {"content": [_text_part(part.text)], "role": "assistant"}

    def _in_progress(self, kind: str) -> dict[str, Any]:
        return {"type": kind, "response": {"id": self._id, "object": "response", "status": "in_progress"}}

    def _created(self, *, is_noted: bool) -> list[dict[str, Any]]:
        """The events that start the response; again and again where its first token, which notes it, is never sent."""
        if self._is_created:
            return []
        self._is_created = is_noted
        return [self._in_progress("response.created"), self._in_progress("response.in_progress")]

    def _added(self, partial: PartialResult) -> list[dict[str, Any]]:
        """The events that start an item."""
        added: dict[str, Any] = {"type": "response.output_item.added"}
        if partial.channel == "reasoning":
            item = _reasoning("", self._item_ids["reasoning"])
            return [added | {"item": item | {"content": [], "status": "in_progress"}}]
        if partial.channel == "tool":
            call = {"id": f"fc_{partial.call_id}", "arguments": "", "call_id": f"call_{partial.call_id}"}
            return [added | {"item": call | {"name": partial.name, "type": "function_call", "status": "in_progress"}}]
        item_id = self._item_ids["content"]
        message = {"content": [], "id": item_id, "role": "assistant", "status": "in_progress", "type": "message"}
        part = {"type": "response.content_part.added", "item_id": item_id, "part": {"type": "output_text", "text": ""}}
        return [added | {"item": message}, part]
