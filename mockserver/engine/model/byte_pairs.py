"""Texts as tokens and back: the vocabulary of SmolLM2, and byte-pair encoding over it.

Mirrors src/llama-vocab.cpp (`llm_tokenizer_bpe_session`). `smollm2.tokens` holds the bytes of each token in the order
of the ids, compressed, with 0xFF between them; HuggingFaceTB published them under the Apache License 2.0.
"""

import re
import zlib
from bisect import bisect_left
from functools import cache, lru_cache
from heapq import heapify, heappop, heappush
from itertools import accumulate
from pathlib import Path

SIZE = 49152
FIRST_BYTE = 17
"""The first id after those of special tokens."""
FIRST_TEXT = 252
"""The first id of more than one byte: from here on, a lower id is a pair that is merged earlier."""

_LONGEST_KNOWN = 32
_RUN = re.compile(r"(.)\1+", re.DOTALL)
_PERIOD = 1024  # so many of one character have the same ids each time, but where their run begins and ends
# Digits stand alone, and end a run of blanks as a text's end does.
_WORD = re.compile(r"\d|'(?:s|t|re|ve|m|ll|d)| ?[^\W\d_]+| ?(?:[^\s\w]|_)+|\s+(?![^\s\d])|\s+")


@cache
def pieces() -> list[bytes]:
    """The bytes of each id. They are read when they are first asked for: a mock that starts has no use for them."""
    return zlib.decompress(Path(__file__).with_name("smollm2.tokens").read_bytes()).split(b"\xff")


@cache
def _ids() -> dict[bytes, int]:
    return {piece: number for number, piece in enumerate(pieces()[FIRST_BYTE:], FIRST_BYTE)}


def encode(text: str, size: int = SIZE) -> list[int]:
    """Ids of a text, as a vocabulary of the first `size` tokens has them. A byte that the vocabulary lacks gets an id
    after its last, so that every text can be said.
    """
    return [token for word in _WORD.findall(text) for token in _word(word, size)]


def piece(token: int) -> bytes:
    """The bytes of an id, as `encode` gave it."""
    return pieces()[token] if token < SIZE else bytes([token - SIZE])


def _word(word: str, size: int) -> tuple[int, ...]:
    """Ids of a word with its leading space, or of a run of anything else; long ones are not remembered."""
    return _long_word(word, size) if len(word) > _LONGEST_KNOWN else _known_word(word, size)


def _long_word(word: str, size: int) -> tuple[int, ...]:
    """As `_merge`, which would take half a minute for megabytes of blanks: the middle of a long run repeats itself."""
    run = next((run for run in _RUN.finditer(word) if len(run[0]) >= 3 * _PERIOD), None)
    if run is None:
        return _merge(word, size)
    times = len(run[0]) // _PERIOD - 2
    ids = _long_word(word[: run.start()] + word[run.start() + times * _PERIOD :], size)
    before = [0, *accumulate(len(piece(one)) for one in ids)]  # bytes, of each id and of the end
    period = _PERIOD * len(run[1].encode("utf-8", "replace"))
    first = bisect_left(before, len(word[: run.start()].encode("utf-8", "replace")) + period // 2)
    last = bisect_left(before, before[first] + period)
    return ids[:last] + ids[first:last] * times + ids[last:]


@lru_cache(maxsize=16384)
def _known_word(word: str, size: int) -> tuple[int, ...]:
    return _merge(word, size)


def _merge(word: str, size: int) -> tuple[int, ...]:
    """Begin with single bytes, and merge the pair with the lowest id, the first of its like, until none is known."""
    data, ids = word.encode("utf-8", "replace"), _ids()
    if (whole := ids.get(data, SIZE)) < size:
        return (whole,)
    end = len(data)
    parts = [data[place : place + 1] for place in range(end)]
    before, after = list(range(-1, end - 1)), list(range(1, end + 1))
    pairs = [(ids.get(data[place : place + 2], SIZE), place) for place in range(end - 1)]
    heapify(pairs)
    while pairs and pairs[0][0] < size:
        merged, left = heappop(pairs)
        right = after[left]
        if right == end or ids.get(parts[left] + parts[right]) != merged:
            continue  # one of the two is part of another pair by now
        parts[left], parts[right] = parts[left] + parts[right], b""
        after[left], after[right] = after[right], end
        if after[left] < end:
            before[after[left]] = left
        for first, second in ((before[left], left), (left, after[left])):
            if first >= 0 and second < end:
                heappush(pairs, (ids.get(parts[first] + parts[second], SIZE), first))
    return tuple(ids.get(part, SIZE + part[0]) for part in parts if part)
