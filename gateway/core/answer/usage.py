"""Token usage, read from the relayed response: its `usage` and `timings`. Pure bytes.

Only the first and the last bytes of an answer are looked at. A `"usage":` inside generated text cannot be mistaken
for the real one: within a JSON string its quotes are escaped.
"""

import re
from dataclasses import dataclass
from typing import Any

import orjson

_USAGE, _TIMINGS, _SPEED = b'"usage":', b'"timings":', b'"predicted_per_second":'
_TOO_MANY = 2**53  # no real count is as large, and a larger number would not fit where counts are written
_BRACE = ord("{")  # to look for a number in bytes takes a tenth of what other bytes take
_NUMBER = re.compile(rb"\s*(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*[,}]").match


@dataclass(slots=True)
class Usage:
    """Tokens of one exchange. `tokens_in` counts the whole prompt, `cached` is the part of it found in the cache.

    `tokens_per_second` is the model server's own figure for the generation. `counted` are those of the tokens that were
    not stated, but counted from what passed.
    """

    tokens_in: int
    tokens_out: int
    cached: int = 0
    tokens_per_second: float | None = None
    counted: int = 0

    @property
    def knows_prompt(self) -> bool:
        """Whether it is known what was read: whoever has written something has read something."""
        return self.tokens_in > 0 or not self.tokens_out


def read_usage(first: bytes, last: bytes) -> Usage | None:
    """The usage an answer states, from its first and last bytes; None if it states none.

    >>> read_usage(b"", b'...,"usage":{"completion_tokens":4,"prompt_tokens":51},"timings":{"prompt_n":51}}')
    Usage(tokens_in=51, tokens_out=4, cached=0, tokens_per_second=None, counted=0)
    """
    usage = _last_object(_USAGE, last)
    if "prompt_tokens" not in usage and "input_tokens" not in usage:  # an Anthropic stream, or embeddings
        usage = {**_first_object(_USAGE, first), **usage}
    if "prompt_tokens" in usage:
        tokens_in = _whole(usage["prompt_tokens"])
        details = usage.get("prompt_tokens_details")
        cached = 0 if details is None else _cached(details, tokens_in)
        return Usage(tokens_in, _whole(usage.get("completion_tokens")), cached, _speed(last))
    return _read_others(usage, last)


def _read_others(usage: dict[str, Any], last: bytes) -> Usage | None:
    """As Anthropic and `/v1/responses` say it; and as llama-server's own endpoints, which state timings only."""
    timings = _last_object(_TIMINGS, last)
    if not usage and not timings:
        return None
    tokens_in, cached = _prompt(usage, timings)
    tokens_out = _whole(usage.get("output_tokens")) or _whole(timings.get("predicted_n"))
    return Usage(tokens_in, tokens_out, cached, _speed(last))


def _prompt(usage: dict[str, Any], timings: dict[str, Any]) -> tuple[int, int]:
    """Tokens of the prompt, and how many of them were cached. Anthropic's `input_tokens` leaves those out."""
    if "cache_read_input_tokens" in usage:
        cached = _whole(usage["cache_read_input_tokens"])
        return _whole(usage.get("input_tokens")) + cached, cached
    if "input_tokens" in usage:
        tokens_in = _whole(usage["input_tokens"])
        return tokens_in, _cached(usage.get("input_tokens_details"), tokens_in)
    cached = _whole(timings.get("cache_n"))
    return _whole(timings.get("prompt_n")) + cached, cached


def _cached(details: Any, most: int) -> int:
    """A part of the prompt, whatever is stated."""
    return min(_whole(details.get("cached_tokens")), most) if details.__class__ is dict else 0


def _whole(value: Any) -> int:
    return value if value.__class__ is int and 0 < value < _TOO_MANY else 0


def _speed(last: bytes) -> float | None:
    """The last speed that is stated. All of the timings would take five times as long to read."""
    _, found, rest = last.rpartition(_SPEED)
    number = _NUMBER(rest) if found else None
    value = float(number[1]) if number is not None else 0.0
    return value if 0 < value < _TOO_MANY else None


def _first_object(name: bytes, data: bytes) -> dict[str, Any]:
    """The JSON object behind the first `name` in `data`; empty if there is none, or only its beginning."""
    return _object(data.partition(name)[2])


def _last_object(name: bytes, data: bytes) -> dict[str, Any]:
    """That behind the last."""
    _, found, rest = data.rpartition(name)
    return _object(rest) if found else {}


def _object(data: bytes) -> dict[str, Any]:
    """What `data` begins with. It holds numbers and objects of numbers: no brace of it is in a string."""
    text, brace, rest = data.partition(b"}")
    if not brace:
        return {}
    unclosed = text.count(b"{") - 1 if _BRACE in text[1:] else 0
    while unclosed > 0 and brace:
        more, brace, rest = rest.partition(b"}")
        text = b"%b}%b" % (text, more)
        unclosed += more.count(b"{") - 1
    try:
        value: dict[str, Any] = orjson.loads(text + brace)
    except orjson.JSONDecodeError:
        return {}
    return value
