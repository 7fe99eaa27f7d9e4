"""`text_completion` and its chunks.

Mirrors tools/server/server-task.cpp (`to_json_oaicompat`).
"""

from collections.abc import Sequence
from typing import Any

from mockserver.api.shapes.chat_completion import finish_reason, usage
from mockserver.api.shapes.native_completion import completion_json, partial_json, progress_json
from mockserver.api.shapes.sse import DataErrors, data_event
from mockserver.core.options import BUILD_INFO
from mockserver.engine.results import FinalResult, PartialResult, PromptProgress
from mockserver.engine.server_context import ServerContext


class TextCompletionShape(DataErrors):
    """The answers of `/v1/completions`."""

    def __init__(self, server_context: ServerContext, completion_id: str) -> None:
        self._id, self._created = completion_id, server_context.clock.unix()
        self._model = server_context.options.model_name

    def response(self, finals: Sequence[FinalResult]) -> Any:
        """One object with a choice per prompt."""
        choices = [
            self._choice(final.task.index, final.text(), final.probabilities(), finish_reason(final))
            for final in finals
        ]
        return self._object(choices, finals[0])

    def prompt_progress(self, progress: PromptProgress) -> bytes:
        """An empty chunk that says how far the prompt is."""
        chunk = self._object([self._choice(progress.task.index, "", [])])
        if progress.task.params.verbose:
            chunk["__verbose"] = progress_json(progress) | {"prompt_progress": progress.as_json()}
        if progress.task.params.timed:
            chunk["timings"] = progress.timings.as_json()
        return data_event(chunk | {"prompt_progress": progress.as_json()})

    def partial(self, partial: PartialResult) -> bytes:
        """One chunk of text."""
        chunk = self._object([self._choice(partial.task.index, partial.text, partial.probabilities())])
        if partial.task.params.verbose:
            chunk["__verbose"] = partial_json(partial)
        if partial.timed:
            chunk["timings"] = partial.timings.as_json()
        return data_event(chunk)

    def final(self, final: FinalResult) -> bytes:
        """An empty chunk with the finish reason; the usage is always there."""
        choice = self._choice(final.task.index, "", [], finish_reason(final))
        return data_event(self._object([choice], final, streamed=True))

    def stream_end(self) -> bytes:
        """OpenAI's end mark."""
        return b"data: [DONE]\n\n"

    def _choice(
        self, index: int, text: str, probabilities: list[dict[str, Any]], finish: str | None = None
    ) -> dict[str, Any]:
        logprobs = {"content": probabilities} if probabilities else None
        return {"text": text, "index": index, "logprobs": logprobs, "finish_reason": finish}

    def _object(
        self, choices: list[dict[str, Any]], final: FinalResult | None = None, *, streamed: bool = False
    ) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "choices": choices,
            "created": self._created,
            "model": self._model,
            "system_fingerprint": BUILD_INFO,
            "object": "text_completion",
        }
        if final is None:
            return answer | {"id": self._id}
        answer |= {"usage": usage(final), "id": self._id}
        if final.task.params.verbose:
            answer["__verbose"] = completion_json(self._model, final, streamed=streamed)
        return answer | {"timings": final.timings.as_json()}
