"""What is kept of an answer while it passes."""

import random

import pytest

from gateway.chunk import whole_chunk
from gateway.usage import Excerpt, read_usage

SAID = b'{"choices":[],"usage":{"completion_tokens":4,"prompt_tokens":51}}'


def pieces(chance: random.Random) -> list[bytes]:
    """An answer in pieces of any size, some of which come as chunks."""
    return [chance.randbytes(chance.choice([1, 57, 200, 4000, 9000])) for _ in range(chance.randrange(60))]


@pytest.mark.parametrize("seed", range(200))
def test_an_excerpt_holds_both_ends_of_what_has_passed_however_it_came(seed: int) -> None:
    chance, excerpt, whole, chunks = random.Random(seed), Excerpt(), b"", 0
    for piece in pieces(chance):
        chunk = b"%x\r\n%b\r\n" % (len(piece), piece)
        start = whole_chunk(chunk) if chance.random() < 0.8 else 0
        if start:
            excerpt.add_chunk(chunk, start)
        else:
            excerpt.add(piece)
        whole += piece
        last = excerpt.last()
        assert excerpt.size == len(whole)
        assert excerpt.first == whole[:2048]
        assert whole.endswith(last)
        chunks = chunks + 1 if start else 0
        assert len(last) >= min(len(whole), 4096, 8 * 57 if chunks else 4096)
        assert len(last) <= 4096


def test_usage_is_found_behind_many_events() -> None:
    excerpt = Excerpt()
    for content in [b"x" * 300] * 500 + [SAID, b"data: [DONE]\n\n".rjust(64)]:
        chunk = b"%x\r\n%b\r\n" % (len(content), content)
        excerpt.add_chunk(chunk, whole_chunk(chunk))
    usage = read_usage(excerpt.first, excerpt.last())
    assert usage is not None
    assert (usage.tokens_in, usage.tokens_out) == (51, 4)
