"""Texts as tokens and back: the vocabulary of SmolLM2, and byte-pair encoding over it.

Mirrors src/llama-vocab.cpp (`llm_tokenizer_bpe_session`). `smollm2.tokens` holds the bytes of each token in the order
of the ids, compressed, with 0xFF between them; HuggingFaceTB published them under the Apache License 2.0.
"""

import re
import zlib
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path

SIZE = 49152
FIRST_BYTE = 17
"""The first id after those of special tokens."""
FIRST_TEXT = 252
"""The first id of more than one byte: from here on, a lower id is a pair that is merged earlier."""

_LONGEST_KNOWN = 32
_NEVER = SIZE * 2
# Digits stand alone, and end a run of blanks as a text's end does.
_WORD = re.compile(r"\d|'(?:s|t|re|ve|m|ll|d)| ?[^\W\d_]+| ?(?:[^\s\w]|_)+|\s+(?![^\s\d])|\s+")


@cache
def pieces() -> list[bytes]:
    """The bytes of each id. They are read when they are first asked for: a mock that starts has no use for them."""
    return zlib.decompress(Path(__file__).with_name("smollm2.tokens").read_bytes()).split(b"\xff")


@cache
def _ids() -> dict[bytes, int]:
    return {piece: number for number, piece in enumerate(pieces()[FIRST_BYTE:], FIRST_BYTE)}


def encode(text: str) -> list[int]:
    """Ids of a text. A byte that the vocabulary lacks gets an id after its last, so that every text can be said."""
    return [token for word in _WORD.findall(text) for token in _word(word)]


def piece(token: int) -> bytes:
    """The bytes of an id, as `encode` gave it."""
    return pieces()[token] if token < SIZE else bytes([token - SIZE])


def _word(word: str) -> tuple[int, ...]:
    """Ids of a word with its leading space, or of a run of anything else; long ones are not remembered."""
    return _merge(word) if len(word) > _LONGEST_KNOWN else _known_word(word)


@lru_cache(maxsize=16384)
def _known_word(word: str) -> tuple[int, ...]:
    return _merge(word)


def _merge(word: str) -> tuple[int, ...]:
    """Begin with single bytes, and merge the pair with the lowest id, the first of its like, until none is known."""
    data, ids = word.encode("utf-8", "replace"), _ids()
    if (whole := ids.get(data)) is not None:
        return (whole,)
    parts = [data[place : place + 1] for place in range(len(data))]
    pairs = [ids.get(one + other, _NEVER) for one, other in pairwise(parts)]
    while pairs and (lowest := min(pairs)) != _NEVER:
        at = pairs.index(lowest)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
        del pairs[at]
        if at:
            pairs[at - 1] = ids.get(parts[at - 1] + parts[at], _NEVER)
        if at < len(pairs):
            pairs[at] = ids.get(parts[at] + parts[at + 1], _NEVER)
    return tuple(ids.get(part, SIZE + part[0]) for part in parts)
