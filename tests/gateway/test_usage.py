"""What is kept of an answer while it passes, by whichever way."""

import asyncio
import random

import pytest

from gateway.pipe import pipe_to
from gateway.usage import Excerpt, read_usage

SAID = b'{"choices":[],"usage":{"completion_tokens":4,"prompt_tokens":51}}'


class Client(asyncio.Transport):
    """Takes everything."""

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes | bytearray | memoryview) -> None: ...


def pieces(chance: random.Random) -> list[bytes]:
    """An answer in pieces of any size."""
    return [chance.randbytes(chance.choice([1, 57, 200, 4000, 9000])) for _ in range(chance.randrange(60))]


@pytest.mark.parametrize("part", range(2))
async def test_an_excerpt_holds_both_ends_of_what_has_passed_however_it_came(part: int) -> None:
    piped_ever = False
    for seed in range(part * 100, part * 100 + 100):
        chance, excerpt, whole, piped = random.Random(seed), Excerpt(), b"", False
        pipe = pipe_to(Client(), excerpt)
        for piece in pieces(chance):
            chunk = b"%x\r\n%b\r\n" % (len(piece), piece)
            if not excerpt.has_begun or chance.random() < 0.2 or not pipe(chunk):
                excerpt.add(piece)
            else:
                piped = piped_ever = True
            whole += piece
            last = excerpt.last()
            assert excerpt.size == len(whole), seed
            assert excerpt.first == whole[:2048], seed
            assert whole.endswith(last), seed
            assert (8 * 57 if piped else min(len(whole), 4096)) <= len(last) <= 4096, seed
    assert piped_ever


async def test_usage_is_found_behind_many_events() -> None:
    excerpt = Excerpt()
    excerpt.add(b"x" * 3000)
    pipe = pipe_to(Client(), excerpt)
    for content in [b"x" * 300] * 500 + [SAID, b"data: [DONE]\n\n".rjust(64)]:
        assert pipe(b"%x\r\n%b\r\n" % (len(content), content))
    usage = read_usage(excerpt.first, excerpt.last())
    assert usage is not None
    assert (usage.tokens_in, usage.tokens_out) == (51, 4)


async def test_only_a_whole_chunk_is_passed_and_nothing_of_anything_else() -> None:
    pipe = pipe_to(Client(), Excerpt())
    for size in (*range(300), 4000, 4089, 4090, 70_000):
        chunk = b"%x\r\n%b\r\n" % (size, b"x" * size)
        assert pipe(chunk) == (58 <= size <= 4089), size
        spoilt = (chunk[:-1], chunk[:-1] + b"x", chunk + b"\r\n", chunk * 2, b"0" + chunk, chunk[1:], b"X" + chunk[1:])
        assert not any(map(pipe, spoilt))
