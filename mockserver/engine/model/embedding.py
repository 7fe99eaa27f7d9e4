"""Vectors that mean a little: each token has a direction, a text is their sum, so shared words bring texts near."""

import hashlib
import math
import random
import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from mockserver.core.nlohmann_json import float32

DIMENSIONS = 64


@lru_cache(maxsize=4096)
def _direction(token: int) -> tuple[float, ...]:
    material = hashlib.blake2b(str(token).encode(), digest_size=8).digest()
    rng = random.Random(material)  # noqa: S311  the same token has the same vector everywhere
    return tuple(rng.gauss(0, 1) for _ in range(DIMENSIONS))


def normalised(vector: Sequence[float]) -> list[float]:
    """The vector at length 1, as C++ floats."""
    length = math.sqrt(sum(value * value for value in vector)) or 1.0
    return [float32(value / length) for value in vector]


def token_vectors(tokens: Sequence[int]) -> list[list[float]]:
    """One vector per token, not normalised (pooling `none`)."""
    return [[float32(value) for value in _direction(token)] for token in tokens]


def embed(tokens: Sequence[int]) -> list[float]:
    """One vector of length 1 for a text."""
    return normalised([sum(column) for column in zip(*map(_direction, tokens), strict=True)])


def relevance(query: str, document: str) -> float:
    """How much of a query, words and pairs of words, a document has; between 0 and 1, short documents first."""
    wanted, found = _words_and_pairs(query), _words_and_pairs(document)
    share = len(wanted & found) / len(wanted) if wanted else 0.0
    return float32(share - len(found) * 1e-5)


def _words_and_pairs(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {(word,) for word in words} | set(pairwise(words))
