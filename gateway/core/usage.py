"""Token usage, read from the relayed response: its `usage` and `timings`. Pure bytes.

Only the first and the last bytes of an answer are looked at. A `"usage":` inside generated text cannot be mistaken
for the real one: within a JSON string its quotes are escaped.
"""

import re
from collections import deque
from typing import Any, NamedTuple

import orjson

# A stream's first event and its last ones, or both ends of a JSON body, in all the shapes recorded of llama-server.
_FIRST_BYTES = 2048
_EVENT_ENDS = b"}\n\n"  # a comment never ends like this
_LAST_BYTES = 4096
_LAST_CHUNKS = 8  # the usage is in one of the last three
_LAST_PIECES = 16  # kept apart: joining them for every event would cost more than all the rest done for it

_USAGE, _TIMINGS = b'"usage":', b'"timings":'
_TOO_MANY = 2**53  # no real count is as large, and a larger number would not fit where counts are written

# An object of numbers and objects of numbers, as both are: none of its braces is in a string.
_OBJECT = re.compile(rb"\s*(\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})").match


class Usage(NamedTuple):
    """Tokens of one exchange. `tokens_in` counts the whole prompt, `cached` is the part of it found in the cache.

    `tokens_per_second` is the model server's own figure for the generation.
    """

    tokens_in: int
    tokens_out: int
    cached: int = 0
    tokens_per_second: float | None = None


class Excerpt:
    """The `size`, the `first` and the last bytes of an answer, collected as it passes.

    `chunks` came after all that was added, in their frames. A `Pipe` puts them there, counts their content, and notes
    when the last of them was `last_chunk_at`, in the event loop's time.
    """

    __slots__ = ("_newest", "chunks", "first", "last_chunk_at", "size")

    def __init__(self) -> None:
        self.size = 0
        self.first = b""
        self._newest: list[bytes] = []
        self.chunks: deque[bytes] = deque(maxlen=_LAST_CHUNKS)
        self.last_chunk_at = 0.0

    @property
    def has_begun(self) -> bool:
        """Whether enough of the beginning is kept: of a stream its first event, of all else the first bytes."""
        return self.size >= _FIRST_BYTES or _EVENT_ENDS in self.first

    def add(self, data: bytes) -> None:
        """Note a piece that has passed."""
        if self.chunks:
            self._newest = [self.last()]
            self.chunks.clear()
        if not self.has_begun:
            self.first += data[: _FIRST_BYTES - self.size]
        self.size += len(data)
        self._newest.append(data if len(data) <= _LAST_BYTES else data[-_LAST_BYTES:])
        if len(self._newest) > _LAST_PIECES:
            self._newest = [self.last()]

    def last(self) -> bytes:
        """The last bytes that have passed: 4 KiB, or 8 events."""
        contents = [chunk[chunk.index(b"\n") + 1 : -2] for chunk in self.chunks]
        before = self._newest if len(contents) < _LAST_CHUNKS else []  # else some may be missing in between
        return b"".join((*before, *contents))[-_LAST_BYTES:]


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
    found = _OBJECT(data, at + len(name)) if at >= 0 else None
    if found is None:
        return {}
    try:
        value: dict[str, Any] = orjson.loads(found[1])
    except orjson.JSONDecodeError:
        return {}
    return value
