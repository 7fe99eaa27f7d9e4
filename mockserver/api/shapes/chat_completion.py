"""`chat.completion` and its chunks.

Mirrors tools/server/server-task.cpp (`to_json_oaicompat_chat`).
"""

from collections.abc import Sequence
from typing import Any

from mockserver.api.shapes.native_completion import completion_json
from mockserver.api.shapes.sse import DataErrors, data_event
from mockserver.core.options import BUILD_INFO
from mockserver.engine.results import FinalResult, PartialResult, PromptProgress
from mockserver.engine.server_context import ServerContext


def usage(final: FinalResult) -> dict[str, Any]:
    """The `usage` object of the OpenAI endpoints."""
    prompt, completion = len(final.task.prompt), final.completion_tokens
    return {
        "completion_tokens": completion,
        "prompt_tokens": prompt,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": final.timings.cache_n},
    }


def finish_reason(final: FinalResult) -> str:
    """OpenAI's word for the end."""
    if final.calls and final.stop_type != "limit":
        return "tool_calls"
    return "stop" if final.stop_type in ("eos", "word") else "length"


def _message(final: FinalResult) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": final.text()}
    if thoughts := final.text("reasoning"):
        message["reasoning_content"] = thoughts
    if final.calls:
        message["tool_calls"] = [
            {"type": "function", "function": {"name": call.name, "arguments": call.text}, "id": call.call_id}
            for call in final.calls
        ]
    return message


def _delta(partial: PartialResult) -> dict[str, Any]:
    if partial.channel == "content":
        return {"content": partial.text}
    if partial.channel == "reasoning":
        return {"reasoning_content": partial.text}
    call: dict[str, Any] = {"index": partial.number}
    if partial.opens_part:
        call |= {"id": partial.call_id, "type": "function"}
        call["function"] = {"name": partial.name, "arguments": partial.text}
    else:
        call["function"] = {"arguments": partial.text}
    return {"tool_calls": [call]}


class ChatCompletionShape(DataErrors):
    """The answers of `/v1/chat/completions`."""

    def __init__(self, server_context: ServerContext, completion_id: str) -> None:
        self._id, self._created = completion_id, server_context.clock.unix()
        self._model = server_context.options.model_name

    def response(self, finals: Sequence[FinalResult]) -> Any:
        """One object with a choice per task; usage and timings are those of the first."""
        first = finals[0]
        answer = {
            "choices": [self._message_choice(final) for final in finals],
            "created": self._created,
            "model": self._model,
            "system_fingerprint": BUILD_INFO,
            "object": "chat.completion",
            "usage": usage(first),
            "id": self._id,
        }
        if first.task.params.verbose:
            answer["__verbose"] = completion_json(self._model, first)
        return answer | {"timings": first.timings.as_json()}

    def _message_choice(self, final: FinalResult) -> dict[str, Any]:
        choice = {"finish_reason": finish_reason(final), "index": final.task.index, "message": _message(final)}
        probabilities = final.probabilities()
        return choice | ({"logprobs": {"content": probabilities}} if probabilities else {})

    def prompt_progress(self, progress: PromptProgress) -> bytes:
        """A chunk that carries the role again, and how far the prompt is."""
        chunk = self._role(progress.task.index)
        if progress.task.params.timed:
            chunk["timings"] = progress.timings.as_json()
        return data_event(chunk | {"prompt_progress": progress.as_json()})

    def partial(self, partial: PartialResult) -> bytes:
        """A delta; the first token of a choice comes with its role chunk, in one write."""
        index = partial.task.index
        chunks = [self._role(index)] if partial.is_first else []
        if partial.text:
            chunks.append(self._chunk([self._choice(index, _delta(partial))]))
        if chunks and (probabilities := partial.probabilities()):
            chunks[-1]["choices"][0]["logprobs"] = {"content": probabilities}
        if chunks and partial.timed:
            chunks[-1]["timings"] = partial.timings.as_json()
        return b"".join(map(data_event, chunks))

    def final(self, final: FinalResult) -> bytes:
        """The finish reason, then the usage if asked for; the timings go with the last of them."""
        chunks = [self._chunk([self._choice(final.task.index, {}, finish_reason(final))])]
        if final.task.params.include_usage:
            chunks.append(self._chunk([]) | {"usage": usage(final)})
        chunks[-1]["timings"] = final.timings.as_json()
        if final.task.params.verbose:
            chunks[0]["__verbose"] = completion_json(self._model, final, streamed=True)
        return b"".join(map(data_event, chunks))

    def stream_end(self) -> bytes:
        """OpenAI's end mark."""
        return b"data: [DONE]\n\n"

    def _role(self, index: int) -> dict[str, Any]:
        return self._chunk([self._choice(index, {"role": "assistant", "content": None})])

    def _choice(self, index: int, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {"finish_reason": finish, "index": index, "delta": delta}

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "choices": choices,
            "created": self._created,
            "id": self._id,
            "model": self._model,
            "system_fingerprint": BUILD_INFO,
            "object": "chat.completion.chunk",
        }
