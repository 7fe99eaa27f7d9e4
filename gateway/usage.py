"""What an answer cost, read from its own words once it has passed: `usage` and `timings`. Pure bytes.

Only the first and the last bytes of an answer are looked at. A `"usage":` inside generated text cannot be mistaken
for the real one: within a JSON string its quotes are escaped.
"""

import json
from dataclasses import dataclass
from typing import Any

# A stream's first event and its last ones, or both ends of a JSON body, in all the shapes recorded of llama-server.
FIRST_BYTES = 2048
LAST_BYTES = 4096

_decoder = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
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
    usage = _object_after(b'"usage":', last)
    if "input_tokens" not in usage and "prompt_tokens" not in usage:  # an Anthropic stream, or embeddings
        usage = {**_object_after(b'"usage":', first), **usage}
    timings = _object_after(b'"timings":', last)
    if not usage and not timings:
        return None
    speed = timings.get("predicted_per_second")
    tokens_in, cached = _prompt(usage, timings)
    tokens_out = _whole(usage, "completion_tokens") or _whole(usage, "output_tokens") or _whole(timings, "predicted_n")
    return Usage(tokens_in, tokens_out, cached, float(speed) if isinstance(speed, int | float) else None)


def _prompt(usage: dict[str, Any], timings: dict[str, Any]) -> tuple[int, int]:
    """Tokens of the prompt, and how many of them were cached. Anthropic's `input_tokens` leaves those out."""
    if "cache_read_input_tokens" in usage:
        cached = _whole(usage, "cache_read_input_tokens")
        return _whole(usage, "input_tokens") + cached, cached
    if "prompt_tokens" in usage:
        return _whole(usage, "prompt_tokens"), _whole(usage.get("prompt_tokens_details"), "cached_tokens")
    if "input_tokens" in usage:
        return _whole(usage, "input_tokens"), _whole(usage.get("input_tokens_details"), "cached_tokens")
    cached = _whole(timings, "cache_n")
    return _whole(timings, "prompt_n") + cached, cached


def _whole(fields: Any, name: str) -> int:
    value = fields.get(name) if isinstance(fields, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _object_after(name: bytes, data: bytes) -> dict[str, Any]:
    """The JSON object behind the last `name` in `data`; empty if there is none, or only a part of one."""
    at = data.rfind(name)
    if at < 0:
        return {}
    try:
        found, _ = _decoder.raw_decode(data[at + len(name) :].decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
