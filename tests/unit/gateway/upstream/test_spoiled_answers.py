"""Answers spoiled at random, in reads of random sizes: whatever comes, a receiver hears of one end, and of it last."""

import asyncio
import random

import pytest

from gateway.core.answer.excerpt import Excerpt
from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.proxy.upstream.passthrough import passthrough_to
from gateway.proxy.upstream.response_head import ResponseHead, UpstreamError
from tests.harness.sockets.upstream_wire import UpstreamWire

ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\nTrailer: 1\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\nuntil the connection closes",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
]
TOKENS = [
    *(b"\r\n", b"\n", b"\r", b"\0", b": ", b"-1", b"0\r\n\r\n", b"ffffffffffffffff", b"HTTP/1.1 ", b"101"),
    *(b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Upgrade: x\r\nConnection: upgrade\r\n"),
]


class Witness:
    """A receiver that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.head: ResponseHead | None = None
        self.body = b""
        self.broke = False

    def whole_received(self, head: ResponseHead, body: bytes) -> None:
        self.head_received(head)
        self.body_received(body, True)

    def head_received(self, head: ResponseHead) -> None:
        self.told.append("head")
        self.head = head

    def body_received(self, data: bytes, last: bool) -> None:
        assert data or last or self.told == ["head"], "a piece of nothing says nothing"
        self.told.append("end" if last else "body")
        self.body += data

    def broken(self, error: UpstreamError) -> None:
        self.told.append("end")
        self.broke = True


def spoiled(chance: random.Random, data: bytes) -> bytes:
    """The data with up to three bytes changed, tokens put in, or pieces left out or doubled."""
    spoilt = bytearray(data)
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(spoilt) + 1)
        match chance.randrange(4):
            case 0:
                spoilt[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                spoilt[at:at] = chance.choice(TOKENS)
            case 2:
                del spoilt[at : at + chance.randrange(1, 8)]
            case _:
                spoilt[at:at] = spoilt[:at]
    return bytes(spoilt)


@pytest.mark.parametrize("part", range(4))
async def test_whatever_comes_an_answer_ends_once(part: int, is_thorough: bool) -> None:
    for seed in range(part * 1000, part * 1000 + (1000 if is_thorough else 250)):
        chance = random.Random(seed)
        data = spoiled(chance, chance.choice(ANSWERS))
        connection, witness = UpstreamConnection(), Witness()
        wire = UpstreamWire(connection)
        connection.send_request(witness, b"GET / HTTP/1.1\r\n\r\n")
        while data:
            size = chance.choice([1, 2, 7, 50, 1000])
            wire.deliver(data[:size])
            data = data[size:]
        reusable = connection.may_be_reused()
        connection.connection_lost(chance.choice([None, OSError("reset")]))
        assert witness.told.count("end") == 1, seed
        assert witness.told[-1] == "end", seed
        if reusable:
            assert witness.head is not None
            assert witness.head.length in {None, len(witness.body)}, seed


def chunked(chance: random.Random) -> list[bytes]:
    """The head of a chunked answer, and pieces that are whole chunks but for what is spoiled in some."""
    sizes = [chance.choice([1, 57, 58, 64, 255, 256, 4089, 4090, 5000]) for _ in range(chance.randrange(1, 8))]
    chunks = [b"%x\r\n%b\r\n" % (size, chance.randbytes(size)) for size in sizes]
    if chance.random() < 0.5:
        at = chance.randrange(len(chunks))
        chunks[at] = spoiled(chance, chunks[at])
    return [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *filter(None, chunks), b"0\r\n\r\n"]


class Client(asyncio.Transport):
    """Where a pipe leads: to the same witness."""

    def __init__(self, witness: Witness) -> None:
        super().__init__()
        self._witness = witness

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._witness.body += bytes(data).partition(b"\r\n")[2][:-2]


@pytest.mark.slow
@pytest.mark.parametrize("part", range(2))
async def test_chunks_that_come_whole_are_read_as_if_they_came_byte_by_byte(part: int, is_thorough: bool) -> None:
    for seed in range(part * 400, part * 400 + (400 if is_thorough else 50)):
        pieces = chunked(random.Random(seed))
        whole, bytewise = Witness(), Witness()
        for witness, reads in ((whole, pieces), (bytewise, [b"%c" % byte for byte in b"".join(pieces)])):
            connection = UpstreamConnection()
            wire = UpstreamWire(connection)
            connection.send_request(witness, b"GET / HTTP/1.1\r\n\r\n")
            connection.passthrough = passthrough_to(Client(witness), Excerpt(), connection.parse)
            for data in reads:
                wire.deliver(data)
            connection.connection_lost(OSError("reset"))
        assert whole.body == bytewise.body, seed
        assert (whole.head is None) == (bytewise.head is None), seed
        assert whole.broke == bytewise.broke, seed
