"""Whether two answers are alike: all that llama-server decides is compared, what its model decides is not."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scripts.drifting.choices import Parting, choice
from scripts.drifting.exchange import Answer, Request

# Values that follow from the model, from time or from chance: of these only the type is compared.
_TEXTS = {
    *("id", "item_id", "call_id", "content", "text", "token", "piece", "delta", "reasoning_content", "thinking"),
    *("arguments", "partial_json", "refusal", "generated", "stopping_word", "stop_sequence", "tok_str"),
    *("system_fingerprint", "build_info", "model_path", "model_ftype", "ftype", "media_marker", "chat_template"),
    *("bos_token", "eos_token", "encrypted_content", "embedding"),
}
_NUMBERS = {
    *("created", "created_at", "completed_at", "id", "id_slot", "id_task", "token", "logprob", "prob", "index"),
    *("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "input_tokens", "output_tokens"),
    *("cache_read_input_tokens", "n_prompt_tokens", "tokens_predicted", "tokens_evaluated", "tokens_cached"),
    *("prompt_n", "cache_n", "predicted_n", "prompt_ms", "predicted_ms", "prompt_per_token_ms", "time_ms"),
    *("predicted_per_token_ms", "prompt_per_second", "predicted_per_second", "total", "cache", "processed"),
    *("embedding", "relevance_score", "score", "tokens", "bytes", "n_decoded", "n_remain", "piece"),
    *("n_vocab", "n_params", "n_embd", "n_ctx_train", "size", "vocab_type", "n_prompt_tokens_processed"),
    *("n_prompt_tokens_cache", "started_at", "total_bytes"),
}
_FLAGS = {"truncated", "has_new_line", "has_next_token", "is_processing"}
_WORDS = {
    "finish_reason": {"stop", "length", "tool_calls"},
    "stop_type": {"eos", "limit", "word", "none"},
    "stop_reason": {"end_turn", "max_tokens", "tool_use", "stop_sequence"},
    "status": {"completed", "incomplete", "in_progress"},
}
# Lists whose length follows from the request. A list without a name is a whole body.
_COUNTED_LISTS = {"", "data", "results", "choices", "models"}
_LOOSE_HEADERS = {"content-length", "process-start-time-unix", "date"}
_COUNTED = re.compile(r"\d+(?= tokens)")  # what the model's vocabulary makes of a prompt
_LONG = 400
_LAST = 2**31


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two answers part, and what stands there. `choice` is what the model decided, if that explains it."""

    where: str
    real: str
    mock: str
    choice: str = ""


def difference(request: Request, real: Answer, mock: Answer) -> Difference | None:
    """The first thing in which the mock's answer is another; None if they are alike."""
    for where, one, other in (
        ("status", _status(real), _status(mock)),
        ("headers", _headers(real), _headers(mock)),
        ("end", real.end, mock.end),
    ):
        if one != other:
            return Difference(where, _short(one), _short(other))
    shapes = _comparable(request, real), _comparable(request, mock)
    found = _first("", *shapes)
    if found is None:
        return None
    place, one, other = found
    return Difference(place, _short(one), _short(other), choice(Parting(real, mock, *shapes, *found)))


def _status(answer: Answer) -> str:
    """The status, with the message of an error: it tells most."""
    try:
        error = json.loads(answer.body)["error"]
        message = _COUNTED.sub("N", str(error["message"]))
    except (ValueError, KeyError, TypeError):
        message = ""
    return f"{answer.status_line.removeprefix('HTTP/1.1 ') or answer.end} {message}".strip()


def _headers(answer: Answer) -> list[str]:
    return [f"{name}: {value}" for name, value in answer.headers if name.lower() not in _LOOSE_HEADERS]


def _comparable(request: Request, answer: Answer) -> Any:
    kind, text = answer.header("Content-Type"), answer.body.decode("utf-8", "backslashreplace")
    if "event-stream" in kind:
        return _events(text)
    if "json" in kind and text:
        try:
            return _shape(json.loads(text), "", request.path)
        except ValueError:
            return text
    if request.path.startswith("/metrics"):
        return re.findall(r"^# (?:HELP|TYPE) .+$|^[\w:]+", text, re.MULTILINE)
    return "a page" if kind.startswith("text/html") and text else text


def _events(text: str) -> list[Any]:
    """The events of a stream, those of one choice together. Of several alike in a row, as tokens are, the first."""
    events = [[_line(line) for line in event.split("\n")] for event in text.split("\n\n")]
    choices = [_choice(event) for event in text.split("\n\n")]
    sorted_events = [event for _, event in sorted(zip(choices, events, strict=True), key=lambda pair: pair[0])]
    return [event for place, event in enumerate(sorted_events) if not place or event != sorted_events[place - 1]]


def _choice(event: str) -> int:
    """The choice that an event is of: which of several comes first is chance. What ends a stream stays its end."""
    try:
        value = json.loads(event.removeprefix("data: "))
        found = value["choices"][0] if value.get("choices") else value
        return int(found.get("index", 0))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return _LAST if "[DONE]" in event or not event else 0


def _line(line: str) -> Any:
    name, _, data = line.partition(": ")
    try:
        return [name, _shape(json.loads(data), "", "")]
    except ValueError:
        return line


def _shape(value: Any, name: str, path: str) -> Any:
    """A value without what the model decides."""
    if isinstance(value, dict):
        return {key: _shape(item, key, path) for key, item in value.items()}
    if isinstance(value, list):
        return _list_shape([_shape(item, name, path) for item in value], name)
    slots = path.startswith("/slots")
    kind = type(value).__name__
    if isinstance(value, bool):
        return kind if name in _FLAGS or slots else value
    if isinstance(value, int | float):
        return kind if name in _NUMBERS or slots else value
    if not isinstance(value, str):
        return "float" if name == "embedding" and value is None else value  # what is no number is told as null
    if value in _WORDS.get(name, ()):
        return name
    templates = path.startswith("/apply-template")
    return kind if name in _TEXTS or slots or (name == "prompt" and not templates) else _COUNTED.sub("N", value)


def _list_shape(shapes: list[Any], name: str) -> list[Any]:
    if name in _COUNTED_LISTS:
        return shapes
    if name == "embedding" and len(shapes) > 1 and "float" in shapes:
        return ["float", "float"]  # how long a vector is depends on the model; one number alone is none
    return [one for place, one in enumerate(shapes) if not place or one != shapes[place - 1]]


def _first(place: str, one: Any, other: Any) -> tuple[str, Any, Any] | None:
    """The first place at which two shapes differ, and what is there."""
    if isinstance(one, dict) and isinstance(other, dict):
        if list(one) != list(other):
            return f"{place} keys", [key for key in one if key not in other], [key for key in other if key not in one]
        return _first_of([(f"{place}.{key}", one[key], other[key]) for key in one])
    if isinstance(one, list) and isinstance(other, list):
        found = _first_of([(f"{place}[]", *pair) for pair in zip(one, other, strict=False)])
        shorter = min(len(one), len(other))
        return found or (
            None if len(one) == len(other) else (f"{place} length", one[shorter:][:1], other[shorter:][:1])
        )
    return None if type(one) is type(other) and one == other else (place, one, other)


def _first_of(pairs: Sequence[tuple[str, Any, Any]]) -> tuple[str, Any, Any] | None:
    return next((found for found in (_first(*pair) for pair in pairs) if found is not None), None)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONG else f"{text[:_LONG]} ..."
