"""The native answer of `/completion` and `/infill`, which is also the `__verbose` of the others.

Mirrors tools/server/server-task.cpp (`to_json_non_oaicompat`).
"""

from collections.abc import Sequence
from typing import Any

from mockserver.api.shapes.sse import DataErrors, data_event
from mockserver.core.json_values import contains
from mockserver.engine.results import FinalResult, PartialResult, PromptProgress
from mockserver.engine.server_context import ServerContext


def completion_json(model: str, final: FinalResult, *, streamed: bool = False) -> dict[str, Any]:
    """Everything about an answer; at the end of a stream without the text that was sent already."""
    params = final.task.params
    answer: dict[str, Any] = {
        "index": final.task.index,
        "content": "" if streamed else final.text().removeprefix(final.task.plan.prefill),
        "tokens": final.tokens if params.return_tokens and not streamed else [],
        "id_slot": final.slot,
        "stop": True,
        "model": model,
        "tokens_predicted": final.completion_tokens,
        "tokens_evaluated": len(final.task.prompt),
        "generation_settings": params.shown_for(final.task.choice),
        "prompt": final.prompt(),
        "has_new_line": "\n" in final.text(),
        "truncated": final.truncated,
        "stop_type": final.stop_type,
        "stopping_word": final.stopping_word,
        "tokens_cached": final.cached_after,
        "timings": final.timings.as_json(),
    }
    if not streamed and (probabilities := final.probabilities()):
        answer["completion_probabilities"] = probabilities
    return answer


def _selected(answer: dict[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    """Only the fields asked for; a name with slashes reaches inside and stays the key."""
    if not fields:
        return answer
    selected: dict[str, Any] = {}
    for name in fields:
        value: Any = answer
        for part in name.split("/"):
            if not contains(value, part):
                break
            value = value[part]
        else:
            selected[name] = value
    return selected


def partial_json(partial: PartialResult) -> dict[str, Any]:
    """Everything about a piece of an answer."""
    event = _event(partial, partial.text, [partial.output.token], partial.timings.predicted_n)
    if probabilities := partial.probabilities():
        event["completion_probabilities"] = probabilities
    return event


def progress_json(progress: PromptProgress) -> dict[str, Any]:
    """A piece without text; the token it shows is none that was generated."""
    return _event(progress, "", [0], 0)


def _event(result: PartialResult | PromptProgress, text: str, tokens: list[int], predicted: int) -> dict[str, Any]:
    event: dict[str, Any] = {
        "index": result.task.index,
        "content": text,
        "tokens": tokens,
        "stop": False,
        "id_slot": -1,
        "tokens_predicted": predicted,
        "tokens_evaluated": len(result.task.prompt),
    }
    return event | ({"timings": result.timings.as_json()} if result.timed else {})


class NativeCompletionShape(DataErrors):
    """The answers of `/completion`: no end mark, no role, everything in the last event."""

    def __init__(self, server_context: ServerContext) -> None:
        self._model = server_context.options.model_name

    def response(self, finals: Sequence[FinalResult]) -> Any:
        """One object, or a list of them for several prompts."""
        answers = [
            _selected(completion_json(self._model, final), final.task.params.response_fields) for final in finals
        ]
        return answers[0] if len(answers) == 1 else answers

    def prompt_progress(self, progress: PromptProgress) -> bytes:
        """A partial answer without text, and how far the prompt is."""
        return data_event(progress_json(progress) | {"prompt_progress": progress.as_json()})

    def partial(self, partial: PartialResult) -> bytes:
        """A partial answer."""
        return data_event(partial_json(partial))

    def final(self, final: FinalResult) -> bytes:
        """The whole answer without its text."""
        answer = completion_json(self._model, final, streamed=True)
        return data_event(_selected(answer, final.task.params.response_fields))

    def stream_end(self) -> bytes:
        """Nothing."""
        return b""
