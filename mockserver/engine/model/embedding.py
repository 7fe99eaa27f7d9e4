"""Vectors that mean a little: each token has a direction, a text is their sum, so shared words bring texts near.

Mirrors common/common.cpp (`common_embd_normalize`).
"""

import hashlib
import math
import random
import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from mockserver.core.nlohmann_json import float32

DIMENSIONS = 64
_NOT_AT_ALL, _LARGEST, _EUCLIDEAN = -1, 0, 2
_INT16_MAX = 32760.0
_SHORT_FIRST, _APART = 1e-5, 1e-9


@lru_cache(maxsize=4096)
def _direction(token: int) -> tuple[float, ...]:
    material = hashlib.blake2b(str(token).encode(), digest_size=8).digest()
    rng = random.Random(material)  # noqa: S311  the same token has the same vector everywhere
    return tuple(rng.gauss(0, 1) for _ in range(DIMENSIONS))


def token_vectors(tokens: Sequence[int]) -> list[list[float]]:
    """One vector per token, not normalised (pooling `none`)."""
    return [[float32(value) for value in _direction(token)] for token in tokens]


def embed(tokens: Sequence[int], pooling: str = "mean") -> list[float]:
    """One vector for a text; of pooling `rank` it is a score, and behind it nothing that means anything."""
    columns = zip(*map(_direction, tokens), strict=True)
    vector = [sum(column) / len(tokens) for column in columns]
    return [vector[0], *[0.0] * (DIMENSIONS - 1)] if pooling == "rank" else vector


def normalised(vector: Sequence[float], norm: int = _EUCLIDEAN) -> list[float]:
    """A vector divided by its norm, as C++ floats. -1 leaves it as it is, 0 brings it into 16 bits, else the p-norm."""
    if norm == _NOT_AT_ALL:
        length = 1.0
    elif norm == _LARGEST:
        length = max(map(abs, vector)) / _INT16_MAX
    elif norm == _EUCLIDEAN:
        length = math.sqrt(sum(value * value for value in vector))
    else:
        length = _p_norm(vector, norm)
    return [float32(value / length if length else 0.0) for value in vector]


def _p_norm(vector: Sequence[float], norm: int) -> float:
    try:
        return float(sum(abs(value) ** norm for value in vector) ** (1 / norm))
    except ArithmeticError:
        return math.inf


def relevance(query: str, documents: Sequence[str]) -> list[float]:
    """How much of a query, words and pairs of words, each document has; between 0 and 1, short documents first, and
    of those that are alike in this the first.
    """
    wanted = _words_and_pairs(query)
    return [_share(wanted, _words_and_pairs(text)) - place * _APART for place, text in enumerate(documents)]


def _share(wanted: set[tuple[str, ...]], found: set[tuple[str, ...]]) -> float:
    return (len(wanted & found) / len(wanted) if wanted else 0.0) - len(found) * _SHORT_FIRST


def _words_and_pairs(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {(word,) for word in words} | set(pairwise(words))
