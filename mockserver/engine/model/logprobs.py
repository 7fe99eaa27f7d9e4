"""The log probabilities of an answer: made up, but ordered, below zero, and the same for the same token.

Mirrors tools/server/server-task.cpp (`probs_vector_to_json`).
"""

import math
import random
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from mockserver.core.nlohmann_json import float32
from mockserver.engine.model import tokenizer

_FIRST_SHARE = 0.55
_FALL = 0.6
_LEAST = 1e-12
_MOST = 1000


@lru_cache(maxsize=4096)
def _candidates(token: int, count: int) -> tuple[tuple[int, float], ...]:
    """The chosen token and `count - 1` others that have a text, each less likely than the one before."""
    rng = random.Random(token)  # noqa: S311  the same token has the same rivals everywhere
    chosen = {token: None}
    while len(chosen) < min(count, _MOST):
        chosen[rng.randrange(tokenizer.FIRST_TEXT, tokenizer.VOCABULARY_SIZE)] = None
    return tuple((rival, max(_FIRST_SHARE * _FALL**place, _LEAST)) for place, rival in enumerate(chosen))


def _entry(token: int, data: bytes, share: float, name: str) -> dict[str, Any]:
    value = share if name == "prob" else math.log(share)
    return {"id": token, "token": data.decode("utf-8", "replace"), "bytes": list(data), name: float32(value)}


def of_tokens(outputs: Sequence[tuple[int, str]], count: int, *, after_sampling: bool = False) -> list[dict[str, Any]]:
    """One entry per token, with the text that left with it, and its `count` most likely rivals, itself the first."""
    name, top = ("prob", "top_probs") if after_sampling else ("logprob", "top_logprobs")
    entries = []
    for token, text in outputs:
        candidates = _candidates(token, max(count, 1))
        rivals = [_entry(rival, tokenizer.piece(rival), share, name) for rival, share in candidates[:count]]
        entries.append(_entry(token, text.encode(), candidates[0][1], name) | {top: rivals})
    return entries
