"""The gateway's side of an upstream's connection, fed by hand where a socket would not deliver the same way twice."""

import asyncio

import pytest

from gateway.answer_head import Head, UpstreamError
from gateway.connection import MAX_HEAD_BYTES, Connection


class Collector:
    """A receiver that keeps what it is handed."""

    def __init__(self) -> None:
        self.body = b""
        self.end: str | None = None

    def head_received(self, head: Head) -> None:
        self.end = None

    def body_received(self, data: bytes, last: bool) -> None:
        self.body += data
        if last:
            self.end = "ended"

    def broken(self, error: UpstreamError) -> None:
        self.end = str(error)


class Wire(asyncio.Transport):
    """A transport that is open and takes everything."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = True

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def abort(self) -> None:
        pass


async def answered(*reads: bytes) -> Collector:
    connection, receiver = Connection(), Collector()
    connection.connection_made(Wire())
    connection.begin(receiver, b"GET / HTTP/1.1\r\n\r\n")
    for data in reads:
        connection.data_received(data)
    return receiver


async def test_a_long_body_in_the_same_read_as_its_head_is_no_long_head() -> None:
    body = b"x" * (MAX_HEAD_BYTES * 3)
    receiver = await answered(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    assert receiver.end == "ended"
    assert receiver.body == body


@pytest.mark.parametrize("step", [1 << 20, 5000])
@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\n" + b"A: %b\r\n" % (b"x" * 1000) * 70 + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000,
        b"HTTP/1.1 103 Early\r\nA: %b\r\n\r\n" % (b"x" * 5000) * 15 + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["many headers", "one header without end", "interim answers"],
)
async def test_a_head_that_is_too_long_is_an_error(head: bytes, step: int) -> None:
    receiver = await answered(*(head[at : at + step] for at in range(0, len(head), step)))
    assert receiver.end == "it does not speak valid HTTP: its headers exceed 65536 bytes"


async def test_a_connection_held_back_to_its_last_byte_reads_again_when_it_is_released() -> None:
    wire, connection, receiver = Wire(), Connection(), Collector()
    connection.connection_made(wire)
    connection.begin(receiver, b"GET / HTTP/1.1\r\n\r\n")
    connection.pause_reading()
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert receiver.end == "ended"
    assert connection.may_be_reused()
    connection.release()
    assert wire.reads


async def test_what_looks_like_a_chunk_in_a_body_of_stated_length_stays_as_it_is() -> None:
    """The answer before it, on the same connection, was in chunks."""
    connection, first, second = Connection(), Collector(), Collector()
    connection.connection_made(Wire())
    connection.begin(first, b"GET / HTTP/1.1\r\n\r\n")
    for data in (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"2\r\nhi\r\n", b"0\r\n\r\n"):
        connection.data_received(data)
    assert (first.body, first.end) == (b"hi", "ended")
    connection.release()
    connection.begin(second, b"GET / HTTP/1.1\r\n\r\n")
    for data in (b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n", b"\r\n", b"5\r\nhello\r\n"):
        connection.data_received(data)
    assert (second.body, second.end) == (b"\r\n5\r\nhello\r\n", "ended")


async def reading(*reads: bytes) -> tuple[Wire, Connection]:
    """A connection in the middle of an answer, which begins with these reads."""
    wire, connection = Wire(), Connection()
    connection.connection_made(wire)
    connection.begin(Collector(), b"GET / HTTP/1.1\r\n\r\n")
    for data in (b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n", *reads):
        connection.data_received(data)
    return wire, connection


async def test_after_a_large_read_others_have_their_turn() -> None:
    wire, _ = await reading(b"x" * 1000)
    assert wire.reads
    wire, _ = await reading(b"x" * 256_000)
    assert not wire.reads
    await asyncio.sleep(0)
    assert wire.reads


async def test_the_turn_of_others_does_not_end_the_back_pressure_of_a_client() -> None:
    wire, connection = await reading(b"x" * 256_000)
    connection.pause_reading()
    await asyncio.sleep(0)
    assert not wire.reads
    connection.resume_reading()
    assert wire.reads
