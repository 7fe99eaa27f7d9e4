"""The gateway's side of an upstream's connection, fed by hand where a socket would not deliver the same way twice."""

import asyncio
import gc
import weakref

import pytest

from gateway.core.answer.excerpt import Excerpt
from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.proxy.upstream.passthrough import passthrough_to
from gateway.proxy.upstream.response_head import ResponseHead, UpstreamError
from gateway.proxy.upstream.response_parser import MAX_HEAD_BYTES, ResponseParser
from tests.harness.sockets.upstream_wire import UpstreamWire


class Collector:
    """A receiver that keeps what it is handed."""

    def __init__(self) -> None:
        self.body = b""
        self.end: str | None = None

    def whole_received(self, head: ResponseHead, body: bytes) -> None:
        self.head_received(head)
        self.body_received(body, True)

    def head_received(self, head: ResponseHead) -> None:
        self.end = None

    def body_received(self, data: bytes, last: bool) -> None:
        self.body += data
        if last:
            self.end = "ended"

    def broken(self, error: UpstreamError) -> None:
        self.end = str(error)


async def answered(*reads: bytes) -> Collector:
    connection, receiver = UpstreamConnection(), Collector()
    wire = UpstreamWire(connection)
    connection.send_request(receiver, b"GET / HTTP/1.1\r\n\r\n")
    for data in reads:
        wire.deliver(data)
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


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_the_framing_of_many_chunks_may_be_long_in_all() -> None:
    size = b"1;%b\r\n" % (b"a" * (MAX_HEAD_BYTES // 10))
    receiver = await answered(CHUNKED, *[size, b"x", b"\r\n"] * 30, b"0\r\n", b"A: %b\r\n" % (b"a" * 60_000), b"\r\n")
    assert receiver.end == "ended"
    assert receiver.body == b"x" * 30


async def test_a_long_head_leaves_what_frames_the_first_chunk_its_own_length() -> None:
    head = CHUNKED.replace(b"\r\n\r\n", b"\r\nA: %b\r\n\r\n" % (b"a" * (MAX_HEAD_BYTES - 200)))
    receiver = await answered(head, b"1;%b\r\n" % (b"a" * 1000), b"x\r\n0\r\n\r\n")
    assert receiver.end == "ended"


@pytest.mark.parametrize("step", [1 << 20, 5000])
@pytest.mark.parametrize("framing", [b"0\r\nA: ", b"0;", b"1;", b"0"], ids=["trailer", "last", "extension", "zeros"])
async def test_what_frames_a_chunk_and_is_too_long_is_an_error(framing: bytes, step: int) -> None:
    endless = framing + b"0" * 70_000
    receiver = await answered(CHUNKED, b"1\r\nx\r\n", *(endless[at : at + step] for at in range(0, len(endless), step)))
    assert receiver.body == b"x"
    assert receiver.end == "it does not speak valid HTTP: the framing of its answer exceeds 65536 bytes"


async def test_a_connection_held_back_to_its_end_reads_again_once_released() -> None:
    connection, receiver = UpstreamConnection(), Collector()
    wire = UpstreamWire(connection)
    connection.send_request(receiver, b"GET / HTTP/1.1\r\n\r\n")
    connection.pause_reading()
    wire.deliver(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert receiver.end == "ended"
    assert connection.may_be_reused()
    connection.release()
    assert wire.reads


@pytest.mark.parametrize("framing", [b"Content-Length: 72\r\n", b""], ids=["of stated length", "until the close"])
async def test_what_looks_like_a_chunk_in_a_body_without_chunks_stays_as_it_is(framing: bytes) -> None:
    """The answer before it, on the same connection, was in chunks."""
    connection, first, second, piped = UpstreamConnection(), Collector(), Collector(), list[bytes]()
    wire = UpstreamWire(connection)
    connection.send_request(first, b"GET / HTTP/1.1\r\n\r\n")
    for data in (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"2\r\nhi\r\n", b"0\r\n\r\n"):
        wire.deliver(data)
    assert (first.body, first.end) == (b"hi", "ended")
    connection.release()
    connection.send_request(second, b"GET / HTTP/1.1\r\n\r\n")
    connection.passthrough = passthrough_to(Client(piped), Excerpt(), connection.parse)
    for data in (b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n", b"\r\n", CHUNK):
        wire.deliver(data)
    connection.connection_lost(None)
    assert (second.body, second.end) == (b"\r\n" + CHUNK, "ended")
    assert piped == []


async def reading(*reads: bytes) -> tuple[UpstreamWire, UpstreamConnection]:
    """A connection in the middle of an answer, which begins with these reads."""
    connection = UpstreamConnection()
    wire = UpstreamWire(connection)
    connection.send_request(Collector(), b"GET / HTTP/1.1\r\n\r\n")
    for data in (b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n", *reads):
        wire.deliver(data)
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


CHUNK = b"40\r\n" + b"x" * 64 + b"\r\n"


async def test_only_chunks_that_begin_and_end_with_a_read_take_the_pipe() -> None:
    connection, receiver, piped = UpstreamConnection(), Collector(), list[bytes]()
    wire = UpstreamWire(connection)
    connection.send_request(receiver, b"GET / HTTP/1.1\r\n\r\n")
    connection.passthrough = passthrough_to(Client(piped), Excerpt(), connection.parse)
    wire.deliver(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    reads = {"first": CHUNK, "alone": CHUNK, "begun": CHUNK[:9], "ended": CHUNK[9:], "again": CHUNK, "two": CHUNK * 2}
    took = [name for name, data in reads.items() if _is_piped(wire, data, piped)]
    assert took == ["alone", "again"]
    wire.deliver(b"0\r\n\r\n")
    assert (len(receiver.body), receiver.end) == (4 * 64, "ended")


async def test_a_pipe_is_open_to_the_read_after_the_one_for_which_it_was_set() -> None:
    connection, piped = UpstreamConnection(), list[bytes]()
    wire = UpstreamWire(connection)

    class Opener(Collector):
        def body_received(self, data: bytes, last: bool) -> None:
            super().body_received(data, last)
            connection.passthrough = connection.passthrough or passthrough_to(
                Client(piped), Excerpt(), connection.parse
            )

    receiver = Opener()
    connection.send_request(receiver, b"GET / HTTP/1.1\r\n\r\n")
    for data in (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNK, CHUNK, CHUNK):
        wire.deliver(data)
    assert (receiver.body, piped) == (b"x" * 64, [CHUNK, CHUNK])


async def test_a_read_that_ends_within_a_chunks_size_closes_the_pipe() -> None:
    """The next read looks like a chunk of 0x40 bytes, and is the beginning of one of 0x140."""
    connection, receiver, piped = UpstreamConnection(), Collector(), list[bytes]()
    wire = UpstreamWire(connection)
    connection.send_request(receiver, b"GET / HTTP/1.1\r\n\r\n")
    connection.passthrough = passthrough_to(Client(piped), Excerpt(), connection.parse)
    rest = b"y" * (0x140 - 66)
    for data in (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        CHUNK + b"1",
        CHUNK,
        rest + b"\r\n0\r\n\r\n",
    ):
        wire.deliver(data)
    assert piped == []
    assert (receiver.body, receiver.end) == (b"x" * 128 + b"\r\n" + rest, "ended")


async def test_a_pipe_ends_with_its_exchange() -> None:
    """What it led to is another client's connection."""
    connection, first, second, piped = UpstreamConnection(), Collector(), Collector(), list[bytes]()
    wire = UpstreamWire(connection)
    connection.send_request(first, b"GET / HTTP/1.1\r\n\r\n")
    connection.passthrough = passthrough_to(Client(piped), Excerpt(), connection.parse)
    for data in (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", CHUNK, CHUNK):
        wire.deliver(data)
    assert piped == [CHUNK]
    connection.release()
    connection.send_request(second, b"GET / HTTP/1.1\r\n\r\n")
    for data in (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", CHUNK, CHUNK):
        wire.deliver(data)
    assert piped == [CHUNK]


async def test_a_connection_that_is_free_has_no_pipe_left() -> None:
    connection, piped = UpstreamConnection(), list[bytes]()
    wire = UpstreamWire(connection)
    connection.send_request(Collector(), b"GET / HTTP/1.1\r\n\r\n")
    connection.passthrough = passthrough_to(Client(piped), Excerpt(), connection.parse)
    for data in (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", CHUNK):
        wire.deliver(data)
    connection.release()
    wire.deliver(CHUNK)
    assert piped == []


class Client(asyncio.Transport):
    """Keeps what it is sent."""

    def __init__(self, sent: list[bytes]) -> None:
        super().__init__()
        self._sent = sent

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._sent.append(bytes(data))


def _is_piped(wire: UpstreamWire, data: bytes, piped: list[bytes]) -> bool:
    before = len(piped)
    wire.deliver(data)
    return len(piped) > before


class Resting:
    """What is watched, and never silent for too long."""

    def check_idle(self) -> float | None:
        return None


async def test_no_timer_outlives_a_connection_that_is_gone() -> None:
    connection = UpstreamConnection()
    connection.idle_timer.start(Resting(), 600)
    remembered = weakref.ref(connection.idle_timer)
    connection.abort()
    del connection
    gc.collect()
    assert remembered() is None


async def test_what_a_closed_connection_has_read_waits_for_no_collector() -> None:
    def parsers() -> int:
        return sum(isinstance(one, ResponseParser) for one in gc.get_objects())

    gc.collect()
    before = parsers()
    gc.disable()
    try:
        connection = UpstreamConnection()
        wire = UpstreamWire(connection)
        connection.send_request(Collector(), b"GET / HTTP/1.1\r\n\r\n")
        wire.deliver(b"HTTP/1.1 200 OK\r\nA: " + b"x" * 60_000)
        assert parsers() == before + 1
        connection.connection_lost(None)
        del connection, wire.deliver, wire
        assert parsers() == before
    finally:
        gc.enable()
