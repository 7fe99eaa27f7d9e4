"""OpenAI's `response` and its events, as far as llama-server goes: no sequence numbers, one burst at the end."""

from collections.abc import Sequence
from typing import Any

from mockserver.api.shapes.sse import DataErrors, named_event
from mockserver.engine.results import AnswerPart, FinalResult, PartialResult, PromptProgress
from mockserver.engine.server_context import ServerContext

_PREFIXES = {"content": "msg_", "reasoning": "rs_", "tool": "fc_"}


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


def _other_item(part: AnswerPart, item_id: str) -> dict[str, Any]:
    """The output item of thoughts or of a tool call."""
    if part.channel == "reasoning":
        content = [{"text": part.text, "type": "reasoning_text"}]
        item = {"id": item_id, "summary": [], "type": "reasoning", "content": content}
        return item | {"encrypted_content": "", "status": "completed"}
    call = {"type": "function_call", "status": "completed", "arguments": part.text}
    return call | {"call_id": f"call_{part.call_id}", "name": part.name, "id": item_id}


class OpenAIResponseShape(DataErrors):
    """The answers of `/v1/responses`."""

    def __init__(self, server_context: ServerContext) -> None:
        self._id, self._ids, self._clock = server_context.ids.new("resp_"), server_context.ids, server_context.clock
        self._model = server_context.options.model_name
        self._created = False
        self._items: list[str] = []

    def response(self, finals: Sequence[FinalResult]) -> Any:
        """The whole response; its status is `completed` even at the token limit."""
        final, now = finals[0], self._clock.unix()
        return {
            "completed_at": now,
            "created_at": now,
            "id": self._id,
            "model": self._model,
            "object": "response",
            "output": [self._output_item(part) for part in final.parts],
            "status": "completed",
            "usage": _usage(final),
        }

    def _output_item(self, part: AnswerPart) -> dict[str, Any]:
        item_id = self._ids.new(_PREFIXES[part.channel])
        if part.channel != "content":
            return _other_item(part, item_id)
        item = {"content": [_text_part(part.text)], "id": item_id, "role": "assistant"}
        return item | {"status": "completed", "type": "message"}

    def prompt_progress(self, progress: PromptProgress) -> bytes:
        """`response.in_progress` again, with how far the prompt is."""
        event = self._in_progress() | {"prompt_progress": progress.as_json()}
        if progress.task.params.timed:
            event["timings"] = progress.timings.as_json()
        return self._create() + named_event(event)

    def partial(self, partial: PartialResult) -> bytes:
        """A delta, the first with the start of the response, the first of an item with its start."""
        start = self._create() + (self._add(partial) if partial.opens_part else b"")
        kinds = {
            "content": "response.output_text.delta",
            "reasoning": "response.reasoning_text.delta",
            "tool": "response.function_call_arguments.delta",
        }
        event: dict[str, Any] = {"type": kinds[partial.channel], "item_id": self._items[-1], "delta": partial.text}
        if partial.channel == "reasoning":
            event = {"type": event["type"], "delta": partial.text, "item_id": self._items[-1]}
        if partial.task.params.timed:
            event["timings"] = partial.timings.as_json()
        return start + named_event(event)

    def final(self, final: FinalResult) -> bytes:
        """Everything done, in one burst."""
        start, events, output = self._create(), list[dict[str, Any]](), list[dict[str, Any]]()
        for part, item_id in zip(final.parts, self._items, strict=True):
            item = _other_item(part, item_id)
            if part.channel == "content":
                item = {"type": "message", "status": "completed", "id": item_id}
                item |= {"content": [_text_part(part.text)], "role": "assistant"}
                done = {"type": "response.output_text.done", "item_id": item_id, "text": part.text}
                ended = {"type": "response.content_part.done", "item_id": item_id}
                events += [done, ended | {"part": _text_part(part.text)}]
            events.append({"type": "response.output_item.done", "item": item})
            output.append(item)
        response = {"id": self._id, "object": "response", "created_at": self._clock.unix()}
        response |= {"status": "completed", "model": self._model, "output": output, "usage": _usage(final)}
        completed = {"type": "response.completed", "response": response, "timings": final.timings.as_json()}
        return start + b"".join(map(named_event, [*events, completed]))

    def stream_end(self) -> bytes:
        """Nothing: response.completed was the end."""
        return b""

    def _in_progress(self) -> dict[str, Any]:
        response = {"id": self._id, "object": "response", "status": "in_progress"}
        return {"type": "response.in_progress", "response": response}

    def _create(self) -> bytes:
        if self._created:
            return b""
        self._created = True
        return named_event(self._in_progress() | {"type": "response.created"}) + named_event(self._in_progress())

    def _add(self, partial: PartialResult) -> bytes:
        item_id = self._ids.new(_PREFIXES[partial.channel])
        self._items.append(item_id)
        added: dict[str, Any] = {"type": "response.output_item.added"}
        if partial.channel == "content":
            item = {"content": [], "id": item_id, "role": "assistant"}
            added["item"] = item | {"status": "in_progress", "type": "message"}
            part = {"type": "response.content_part.added", "item_id": item_id}
            text = {"type": "output_text", "text": ""}
            return named_event(added) + named_event(part | {"part": text})
        item = _other_item(AnswerPart(partial.channel, "", partial.name, partial.call_id), item_id)
        added["item"] = item | {"status": "in_progress"}
        return named_event(added)
