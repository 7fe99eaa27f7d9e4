"""What the model decides, told apart from what its server does: each choice by the evidence in both answers."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from scripts.drifting.exchange import Answer

# Keys that are there or not as the model speaks, thinks or calls a tool.
_SPOKEN = {"content", "text", "reasoning_content", "thinking", "tool_calls", "tool_use", "signature", "arguments"}
_SAID = _SPOKEN | {"delta", "partial_json"}
_WRITTEN = {"predicted_n", "output_tokens"}
_REASONS = {"finish_reason", "stop_type", "stop_reason"}
_FULL = {"length", "limit", "max_tokens"}
_NO_TEXT = '"bytes": []'
_PART = "\N{REPLACEMENT CHARACTER}"
_IN_PROBABILITIES = re.compile(r"probs|probabilities")


@dataclass(frozen=True, slots=True)
class Parting:
    """Two answers, their comparable forms, and the first place at which these part."""

    real: Answer
    mock: Answer
    real_shape: Any
    mock_shape: Any
    place: str
    one: Any
    other: Any

    @property
    def shapes(self) -> tuple[Any, Any]:
        """Both comparable forms."""
        return self.real_shape, self.mock_shape

    @property
    def is_stream(self) -> bool:
        """Whether they are streams of events."""
        return "event-stream" in self.real.header("Content-Type")


def choice(parting: Parting) -> str:
    """The model's choice that explains it; empty if none does."""
    return next((what for what, is_it in _CHOICES.items() if is_it(parting)), "")


def _speaks(parting: Parting) -> bool:
    named = set(re.findall(r"\w+", json.dumps([parting.one, parting.other])))
    if parting.place.endswith(" keys"):
        return bool(named) and named <= _SPOKEN
    in_body = parting.place.endswith(" length") and not parting.is_stream
    return in_body and bool(named & _SPOKEN) and "error" not in named


def _has_no_text(parting: Parting) -> bool:
    if parting.is_stream:
        with_text = ([event for event in shape if _NO_TEXT not in json.dumps(event)] for shape in parting.shapes)
        return _NO_TEXT in json.dumps(parting.shapes) and next(with_text) == next(with_text)
    in_list = bool(_IN_PROBABILITIES.search(parting.place)) and parting.place.endswith(" length")
    return in_list and _NO_TEXT in json.dumps([parting.one, parting.other])


def _lists_no_part(parting: Parting) -> bool:
    """The real server names no probabilities, as it has written no whole character."""
    if parting.is_stream or (parting.one, parting.other) not in (
        ([], ["logprobs"]),
        ([], ["completion_probabilities"]),
    ):
        return False
    return not any(text and text.strip(_PART) for text in _values(json.loads(parting.real.body), "content"))


def _stops_at_a_word(parting: Parting) -> bool:
    return parting.place.endswith(".stop_sequence") and {parting.one, parting.other} == {None, "str"}


def _is_silent(parting: Parting) -> bool:
    """All that the real server sent are events that frame an answer, of those that the mock sent."""
    return _sent_fewer(parting) and not _said(parting.real) and bool(_said(parting.mock))


def _keeps_a_token(parting: Parting) -> bool:
    """The real server sent fewer events, none of another kind, and has counted more tokens than it sent."""
    if not _sent_fewer(parting):
        return False
    found = {name: [value for event in _events(parting.real) for value in _values(event, name)] for name in _COUNTED}
    is_full = any(found[name][-1:] and found[name][-1] in _FULL for name in _REASONS)
    written = max((value for name in _WRITTEN for value in found[name] if isinstance(value, int)), default=0)
    return written - (not is_full) > _said(parting.real)  # the token that ends an answer is never sent


_COUNTED = _WRITTEN | _REASONS
_CHOICES: dict[str, Callable[[Parting], bool]] = {
    "it speaks where the mock thinks or calls a tool, or the other way round": _speaks,
    "one of its tokens has no text, in a list of probabilities": _has_no_text,
    "its answer is a part of a character, which is in no list of probabilities": _lists_no_part,
    "it comes to a word at which to stop where the mock does not, or the other way round": _stops_at_a_word,
    "a stream says nothing of one of its tokens: a part of a character, or white space before JSON": _keeps_a_token,
    "its answer is empty": _is_silent,
}


def _sent_fewer(parting: Parting) -> bool:
    rest = iter(parting.mock_shape if parting.is_stream else ())
    return parting.is_stream and all(any(event == one for one in rest) for event in parting.real_shape)


def _said(answer: Answer) -> int:
    """How many of a stream's events have any of the answer in them."""
    spoken = ([value for name in _SAID for value in _values(event, name)] for event in _events(answer))
    return sum(any(value and isinstance(value, str) for value in values) for values in spoken)


def _events(answer: Answer) -> Iterator[Any]:
    for line in answer.body.decode("utf-8", "backslashreplace").split("\n"):
        name, _, data = line.partition(": ")
        if name == "data" and data != "[DONE]":
            yield json.loads(data)


def _values(value: Any, name: str) -> Iterator[Any]:
    """What has this name, anywhere in it."""
    if isinstance(value, dict):
        if name in value:
            yield value[name]
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        yield from _values(item, name)
