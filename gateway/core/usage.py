"""Token usage, read from the relayed response: its `usage` and `timings`. Pure bytes.

Only the first and the last bytes of an answer are looked at. A `"usage":` inside generated text cannot be mistaken
for the real one: within a JSON string its quotes are escaped.
"""

import re
from dataclasses import dataclass
from typing import Any

import orjson

_USAGE, _TIMINGS = b'"usage":', b'"timings":'
_TOO_MANY = 2**53  # no real count is as large, and a larger number would not fit where counts are written

# An object of numbers and objects of numbers, as both are: none of its braces is in a string.
_OBJECT = re.compile(rb"\s*(\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})").match


@dataclass(slots=True)
class Usage:
    """Tokens of one exchange. `tokens_in` counts the whole prompt, `cached` is the part of it found in the cache.

    `tokens_per_second` is the model server's own figure for the generation.
    """

    tokens_in: int
    tokens_out: int
    cached: int = 0
    tokens_per_second: float | None = None


def read_usage(first: bytes, last: bytes) -> Usage | None:
    """The usage an answer states, from its first and last bytes; None if it states none.

    >>> read_usage(b"", b'...,"usage":{"completion_tokens":4,"prompt_tokens":51},"timings":{"prompt_n":51}}')
    Usage(tokens_in=51, tokens_out=4, cached=0, tokens_per_second=None)
    """
    usage = _object_at(last.rfind(_USAGE), _USAGE, last)
    if "prompt_tokens" not in usage and "input_tokens" not in usage:  # an Anthropic stream, or embeddings
        usage = {**_object_at(first.find(_USAGE), _USAGE, first), **usage}
    timings = _object_at(last.rfind(_TIMINGS), _TIMINGS, last)
    if not usage and not timings:
        return None
    tokens_in, cached = _prompt(usage, timings)
    tokens_out = _whole(usage, "completion_tokens") or _whole(usage, "output_tokens") or _whole(timings, "predicted_n")
    return Usage(tokens_in, tokens_out, cached, _speed(timings))


def _prompt(usage: dict[str, Any], timings: dict[str, Any]) -> tuple[int, int]:
    """Tokens of the prompt, and how many of them were cached. Anthropic's `input_tokens` leaves those out."""
    if "prompt_tokens" in usage:
        return _whole(usage, "prompt_tokens"), _whole(usage.get("prompt_tokens_details"), "cached_tokens")
    if "cache_read_input_tokens" in usage:
        cached = _whole(usage, "cache_read_input_tokens")
        return _whole(usage, "input_tokens") + cached, cached
    if "input_tokens" in usage:
        return _whole(usage, "input_tokens"), _whole(usage.get("input_tokens_details"), "cached_tokens")
    cached = _whole(timings, "cache_n")
    return _whole(timings, "prompt_n") + cached, cached


def _whole(fields: Any, name: str) -> int:
    value = fields.get(name) if fields.__class__ is dict else None
    return value if value.__class__ is int and 0 < value < _TOO_MANY else 0


def _speed(timings: dict[str, Any]) -> float | None:
    value = timings.get("predicted_per_second")
    return float(value) if isinstance(value, int | float) and 0 < value < _TOO_MANY else None


def _object_at(at: int, name: bytes, data: bytes) -> dict[str, Any]:
    """The JSON object behind a `name` that is `at` a place in `data`; empty if it is nowhere (-1), or only begun."""
    if at < 0:
        return {}
    begin = at + len(name)
    end = data.find(b"}", begin) + 1
    text = data[begin:end]
    if text.count(b"{") > 1:  # it has objects in it
        found = _OBJECT(data, begin)
        text = b"" if found is None else found[1]
    if not text:
        return {}
    try:
        value: dict[str, Any] = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return value
