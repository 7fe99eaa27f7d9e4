"""When it is noticed that a client has left: as llama-server's `recv_with_timeout` does it, and at once if wanted.

The times were seen at llama-server b11434 with streams of 16 tokens a second: a plain answer's slot was free a second
after its client had left a quiet server, and never while another stream ran.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from mockserver import MockLlamaServer
from tests.harness.sockets.rawhttp import connect, encode, read_head

PATH = "/completion"
ENDLESS = b'{"prompt":"Once","ignore_eos":true,"stream":%s}'


@asynccontextmanager
async def slow_mock(**given: Any) -> AsyncIterator[MockLlamaServer]:
    """Two tokens a second, by a clock that is moved by hand."""
    options: dict[str, Any] = {"clock": "virtual", "tokens_per_second": 2, "slots": 2, "context": 1 << 20} | given
    async with MockLlamaServer(**options) as mock:
        yield mock


async def begin(mock: MockLlamaServer, *, stream: bool) -> asyncio.StreamWriter:
    """A request whose answer, or whose wait for a slot, has begun."""
    known = len(mock.requests)
    reader, writer = await connect(mock.url)
    writer.write(encode("POST", PATH, {}, ENDLESS % (b"true" if stream else b"false")))
    await mock.wait_for_requests(known + 1)
    await mock.advance(0.6)  # a step, into which the request did not come any more, and a bit of its own
    if stream and mock.server_context.pool.deferred == 0:
        await read_head(reader)
    return writer


async def leave(mock: MockLlamaServer, writer: asyncio.StreamWriter) -> None:
    known = len([entry for entry in mock.requests if entry.ended == "aborted"])
    writer.transport.abort()
    await mock.wait_for_requests(known + 1, ended="aborted")


async def seconds_until_free(mock: MockLlamaServer, busy: int, most: float = 5.0) -> float | None:
    """Seconds until no more than so many slots work and nobody waits; None if that takes more than `most`."""
    start = mock.clock.now()
    while (passed := mock.clock.now() - start) <= most:
        if mock.server_context.pool.busy <= busy and mock.server_context.pool.deferred == 0:
            return passed
        await mock.advance(0.1)
    return None


async def test_a_plain_answers_client_is_looked_after_once_a_second() -> None:
    async with slow_mock() as mock:
        writer = await begin(mock, stream=False)
        await mock.advance(1.0)
        await leave(mock, writer)
        assert await seconds_until_free(mock, busy=0) == pytest.approx(0.4, abs=0.11)


async def test_a_plain_answers_client_is_not_missed_while_another_stream_runs() -> None:
    async with slow_mock() as mock:
        other, writer = await begin(mock, stream=True), await begin(mock, stream=False)
        await leave(mock, writer)
        assert await seconds_until_free(mock, busy=1) is None
        await leave(mock, other)
        assert await seconds_until_free(mock, busy=0) == pytest.approx(1.5, abs=0.51)


@pytest.mark.parametrize("stream", [True, False])
async def test_who_left_the_line_keeps_the_place_while_another_stream_runs(stream: bool) -> None:
    async with slow_mock(slots=1) as mock:
        other, waiting = await begin(mock, stream=True), await begin(mock, stream=stream)
        assert mock.server_context.pool.deferred == 1
        await leave(mock, waiting)
        assert await seconds_until_free(mock, busy=1) is None
        await leave(mock, other)
        assert await seconds_until_free(mock, busy=0) is not None


async def test_a_streams_client_is_missed_at_its_next_result() -> None:
    async with slow_mock() as mock:
        writer = await begin(mock, stream=True)
        await leave(mock, writer)
        assert mock.server_context.pool.busy == 1
        assert await seconds_until_free(mock, busy=0) == pytest.approx(0.4, abs=0.11)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_is_missed_at_once_if_wanted(stream: bool) -> None:
    async with slow_mock(leaving="immediate") as mock:
        other, writer = await begin(mock, stream=True), await begin(mock, stream=stream)
        await leave(mock, writer)
        assert mock.server_context.pool.busy == 1
        other.transport.abort()


async def test_who_asks_for_the_slots_puts_off_the_look_after_a_client() -> None:
    async with slow_mock(metrics_endpoint=True) as mock:
        writer = await begin(mock, stream=False)
        await leave(mock, writer)
        for _ in range(5):
            reader, asking = await connect(mock.url)
            asking.write(encode("GET", "/slots", {}, b""))
            await read_head(reader)
            asking.close()
            await mock.advance(0.7)
        assert mock.server_context.pool.busy == 1
        assert await seconds_until_free(mock, busy=0) == pytest.approx(0.4, abs=0.11)


async def test_a_server_that_goes_away_forgets_its_clients() -> None:
    async with slow_mock() as mock:
        writer = await begin(mock, stream=False)
        await leave(mock, writer)
        await mock.set_state("paused")
        await mock.set_state("ready")
        assert mock.server_context.pool.busy == 0
