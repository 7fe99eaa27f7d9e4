"""What is kept of an answer while it passes, by whichever way."""

import asyncio
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.answer.excerpt import Excerpt, stream_of
from gateway.core.answer.usage import read_usage
from gateway.proxy.upstream.passthrough import passthrough_to

SAID = b'{"choices":[],"usage":{"completion_tokens":4,"prompt_tokens":51}}'

START = (  # as recorded of llama-server: what a prompt cost is said here, and nowhere else in the stream
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"chatcmpl-1","type":"message","role":'
    b'"assistant","content":[],"model":"local","stop_reason":null,"stop_sequence":null,"usage":'
    b'{"cache_read_input_tokens":30,"input_tokens":1,"output_tokens":0}}}\n\n'
)


class Client(asyncio.Transport):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent.append(bytes(data))


def unframed(take: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """Hand on what is in a chunk."""
    return lambda chunk: take(chunk[chunk.index(b"\n") + 1 : -2])


def pieces(chance: random.Random) -> list[bytes]:
    """An answer in pieces of any size."""
    return [chance.randbytes(chance.choice([1, 57, 200, 4000, 9000])) for _ in range(chance.randrange(60))]


@pytest.mark.parametrize("part", range(2))
async def test_an_excerpt_holds_both_ends_of_what_has_passed_however_it_came(part: int) -> None:
    piped_ever = False
    for seed in range(part * 100, part * 100 + 100):
        chance, excerpt, whole, piped = random.Random(seed), Excerpt(), b"", False
        pipe = passthrough_to(Client(), excerpt, unframed(excerpt.add))
        for piece in pieces(chance):
            if excerpt.has_begun and chance.random() > 0.2:
                pipe(b"%x\r\n%b\r\n" % (len(piece), piece))
                piped = piped or len(excerpt.chunks) > 0
            else:
                excerpt.add(piece)
            whole += piece
            last = excerpt.last()
            assert excerpt.size == len(whole), seed
            assert excerpt.first == whole[:2048], seed
            assert whole.endswith(last), seed
            assert (8 * 57 if piped else min(len(whole), 4096)) <= len(last) <= 4096, seed
        piped_ever = piped_ever or piped
    assert piped_ever


async def test_usage_is_found_behind_many_events() -> None:
    excerpt = Excerpt()
    excerpt.add(b"x" * 3000)
    rejected = list[bytes]()
    pipe = passthrough_to(Client(), excerpt, rejected.append)
    for content in [b"x" * 300] * 500 + [SAID, b"data: [DONE]\n\n".rjust(64)]:
        pipe(b"%x\r\n%b\r\n" % (len(content), content))
    assert rejected == []
    usage = read_usage(excerpt.first, excerpt.last())
    assert usage is not None
    assert (usage.tokens_in, usage.tokens_out) == (51, 4)


def test_the_beginning_of_a_stream_is_over_with_its_first_event() -> None:
    excerpt = Excerpt()
    for data, has_begun in ((b":\n\n", False), (START[:200], False), (START[200:], True), (b"x" * 500, True)):
        excerpt.add(data)
        assert excerpt.has_begun == has_begun, data
    assert excerpt.first == b":\n\n" + START
    usage = read_usage(excerpt.first, excerpt.last())
    assert usage is not None
    assert (usage.tokens_in, usage.cached) == (31, 30)


async def test_only_a_whole_chunk_is_passed_and_nothing_of_anything_else() -> None:
    rejected = list[bytes]()
    client = Client()
    pipe = passthrough_to(client, Excerpt(), rejected.append)
    for size in (*range(300), 4000, 4089, 4090, 70_000):
        chunk = b"%x\r\n%b\r\n" % (size, b"x" * size)
        client.sent.clear()
        pipe(chunk)
        assert client.sent == ([chunk] if 58 <= size <= 4089 else []), size
        client.sent.clear()
        rejected.clear()
        spoilt = [chunk[:-1], chunk[:-1] + b"x", chunk + b"\r\n", chunk * 2, b"0" + chunk, chunk[1:], b"X" + chunk[1:]]
        for data in spoilt:
            pipe(data)
        assert (client.sent, rejected) == ([], spoilt), size


@pytest.mark.parametrize("details", [b'"prompt_tokens_details":', b'"input_tokens_details":'])
def test_no_more_of_a_prompt_is_cached_than_it_has(details: bytes) -> None:
    name = details.partition(b"_")[0].strip(b'"')
    last = b'{"usage":{"%b_tokens":5,%b{"cached_tokens":9}}}' % (name, details)
    usage = read_usage(b"", last)
    assert usage is not None
    assert (usage.tokens_in, usage.cached) == (5, 5)


PIECES = [b"data: a\n\n", b"data: b\n\n", b"event: x\ndata: c\n\n", b": ping\n\n", b":\n\n", b"\n", b"\n\n", b"data: d"]
PIECES += [
    b"\n\ndata: e\n\ndata: f\n\n",
    b"data: g\r\n\r\n",
    b"data: h\n\n:\n\n",
    b"x" * 700,
    b"data: " + b"y" * 700 + b"\n\n",
    b"",
]


@given(st.lists(st.tuples(st.sampled_from(PIECES), st.booleans())))
def test_an_event_that_comes_alone_is_noted_as_if_it_came_with_others(pieces: list[tuple[bytes, bool]]) -> None:
    """Between two events most is known already; where it is not said to be so, all is looked at."""
    usual, thorough = Excerpt(), Excerpt()
    for excerpt in (usual, thorough):
        excerpt.has_events = True
    for piece, passes in pieces:
        thorough._is_between_events = False
        for excerpt in (usual, thorough):
            if passes and piece:
                excerpt.keep_chunks().append(b"%x\r\n%b\r\n" % (len(piece), piece))
                excerpt.passed += len(piece)
            else:
                excerpt.add(piece)
        assert (usual.opening, usual.events) == (thorough.opening, thorough.events)
        assert (usual.first, usual.last()) == (thorough.first, thorough.last())


@pytest.mark.parametrize("nothing", [b":\n\n", b"\n"])
def test_the_opening_before_very_many_comments_is_not_looked_for(nothing: bytes) -> None:
    assert stream_of(b": a\n", b"\ndata: b\n\n" + nothing * 200).opening.startswith(b"data: b")
    assert stream_of(b": a\n", b"\ndata: b\n\n" + nothing * 600).opening == b""
