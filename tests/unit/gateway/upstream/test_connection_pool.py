"""Connections to an upstream are kept for less time than it keeps them, and given back whatever happens."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest

from gateway.core.deployment import Deployment, Limits, Timeouts
from gateway.core.errors import PAUSED, Refusal
from gateway.proxy.queue.deployment_line import BusyError
from gateway.proxy.upstream import connection_pool as module
from gateway.proxy.upstream.connection import UpstreamConnection
from gateway.proxy.upstream.connection_pool import ConnectionPool
from gateway.proxy.upstream.response_head import UpstreamError
from tests.harness.patience import PATIENCE
from tests.harness.pools import SOMEBODY, WholeAnswer, answer_on, ask, pool_of
from tests.harness.sockets.stream_server import serving
from tests.harness.sockets.upstream_wire import UpstreamWire

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


async def answer_all(answer: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer every request so, and close no connection."""
    while True:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with serving(partial(answer_all, ANSWER)) as url:
        yield url


def upstream_of(url: str, **limits: int) -> ConnectionPool:
    return pool_of(Deployment("demo", "acme", url, limits=Limits(**limits)))


async def until_idle(upstream: ConnectionPool) -> None:
    async with asyncio.timeout(PATIENCE):
        while upstream.connections["idle"] == 0:
            await asyncio.sleep(0.01)


async def test_a_connection_in_steady_use_is_not_kept_for_ever(url: str) -> None:
    upstream = upstream_of(url)
    first = await ask(upstream)
    first.opened_at -= module._MOST_SECONDS * 0.9
    assert await ask(upstream) is first
    first.opened_at -= module._MOST_SECONDS * 0.1
    upstream.release(await upstream.connect(SOMEBODY))
    assert first.is_closing()
    assert await ask(upstream) is not first
    upstream.close()


@pytest.mark.parametrize(("said", "most"), [(b"Keep-Alive: timeout=5, max=100\r\n", 95), (b"", 995)])
async def test_a_connection_serves_as_often_as_its_server_says(said: bytes, most: int) -> None:
    connection = UpstreamConnection()
    wire = UpstreamWire(connection)
    for number in range(1, most + 1):
        connection.send_request(WholeAnswer(), b"GET / HTTP/1.1\r\n\r\n")
        wire.deliver(ANSWER.replace(b"Content", said + b"Content"))
        assert connection.may_be_reused() == (number < most)
        connection.release()


async def test_a_connection_opened_ahead_is_idle_when_its_request_is_told(url: str) -> None:
    upstream, told = upstream_of(url, connections=1), asyncio.Event()
    assert upstream.open_ahead(SOMEBODY, told.set)
    assert upstream.connections == {"in_use": 1, "idle": 0, "waiting": 0}
    assert not upstream.open_ahead(SOMEBODY, told.set), "it would be one more than may be in use"
    await told.wait()
    assert upstream.connections == {"in_use": 0, "idle": 1, "waiting": 0}
    connection = upstream.connect_at_once(SOMEBODY)
    assert connection is not None
    upstream.release(connection)
    upstream.close()


async def test_a_request_is_told_when_no_connection_can_be_opened_ahead() -> None:
    upstream, told = upstream_of("http://127.0.0.1:9"), asyncio.Event()
    assert upstream.open_ahead(SOMEBODY, told.set)
    await told.wait()
    assert upstream.connections == {"in_use": 0, "idle": 0, "waiting": 0}
    upstream.close()


async def test_a_request_does_not_wait_for_long_for_a_connection_ahead(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream, told = upstream_of(url), asyncio.Event()
    monkeypatch.setattr(module, "_AHEAD_SECONDS", 0.01)
    monkeypatch.setattr(upstream, "_open_once", asyncio.Event().wait)
    assert upstream.open_ahead(SOMEBODY, told.set)
    await told.wait()
    assert upstream.connections == {"in_use": 0, "idle": 0, "waiting": 0}
    upstream.close()


async def test_nothing_is_opened_ahead_for_who_is_turned_away(url: str) -> None:
    upstream = upstream_of(url)
    upstream.turn_away(partial(Refusal, PAUSED, "paused"))
    assert not upstream.open_ahead(SOMEBODY, lambda: None)
    upstream.turn_away(None)
    upstream.close()
    assert not upstream.open_ahead(SOMEBODY, lambda: None)


async def test_a_pool_that_is_closed_opens_nothing_more(url: str) -> None:
    upstream, told = upstream_of(url), asyncio.Event()
    assert upstream.open_ahead(SOMEBODY, told.set)
    await asyncio.sleep(0)
    upstream.close()
    await told.wait()
    assert upstream.connections == {"in_use": 0, "idle": 0, "waiting": 0}


async def test_who_waits_for_a_connection_ahead_is_told_when_nothing_was_begun(url: str) -> None:
    upstream, told = upstream_of(url), asyncio.Event()
    assert upstream.open_ahead(SOMEBODY, told.set)
    upstream.close()
    async with asyncio.timeout(PATIENCE):
        await told.wait()
    assert upstream.connections == {"in_use": 0, "idle": 0, "waiting": 0}


@pytest.fixture
async def chunking(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ConnectionPool]:
    """The connections of a server that answers in chunks, and keeps them open."""
    monkeypatch.setattr(module, "_TRIAL_SECONDS", 0.05)
    async with serving(partial(answer_all, CHUNKED)) as url:
        upstream = upstream_of(url)
        yield upstream
        upstream.close()


async def test_one_connection_at_a_time_is_tried_behind_chunks(chunking: ConnectionPool) -> None:
    connections = [await chunking.connect(SOMEBODY) for _ in range(20)]
    for connection in connections:
        await answer_on(connection)
    for connection in connections:
        chunking.release(connection)
    assert sum(not connection.is_closing() for connection in connections) == 1
    await until_idle(chunking)


async def test_a_server_that_keeps_them_open_is_not_tried_again_while_it_is_well(chunking: ConnectionPool) -> None:
    await ask(chunking)
    await until_idle(chunking)
    chunking.turn_away(None)  # after each probe that found it well
    await ask(chunking)
    assert chunking.connections["idle"] == 1


async def test_a_connection_that_llama_server_may_soon_close_is_not_used(
    url: str,
) -> None:
    upstream = upstream_of(url)
    first = await ask(upstream)
    first.idle_since -= module._IDLE_SECONDS * 0.9
    assert await ask(upstream) is first
    first.idle_since -= module._IDLE_SECONDS  # and the sweep, which would close it, has not come round
    assert await ask(upstream) is not first
    upstream.close()


async def test_idle_connections_are_closed_in_time(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_IDLE_SECONDS", 0.1)
    upstream = upstream_of(url)
    connection = await ask(upstream)
    async with asyncio.timeout(PATIENCE):
        while not connection.is_closing():
            await asyncio.sleep(0.01)
    assert upstream.connections == {"in_use": 0, "idle": 0, "waiting": 0}


async def test_places_are_given_back_in_turn_whoever_gives_up_meanwhile(url: str) -> None:
    upstream = upstream_of(url, connections=1, waiting=4)
    held = await upstream.connect(SOMEBODY)
    waiting = [asyncio.create_task(upstream.connect(SOMEBODY)) for _ in range(4)]
    await asyncio.sleep(0)
    with pytest.raises(BusyError):
        await upstream.connect(SOMEBODY)
    waiting[0].cancel()
    await asyncio.sleep(0)
    assert upstream.connections["waiting"] == 3
    upstream.release(held)
    waiting[1].cancel()  # in the very moment in which it was given the place
    second = await waiting[2]
    assert not waiting[3].done()
    upstream.release(second)
    upstream.release(await waiting[3])
    assert upstream.connections == {"in_use": 0, "idle": 0, "waiting": 0}
    assert waiting[0].cancelled()
    assert waiting[1].cancelled()


async def test_who_leaves_the_line_in_the_moment_of_its_turn_is_passed_over(url: str) -> None:
    upstream = upstream_of(url, connections=1, waiting=2)
    held = await upstream.connect(SOMEBODY)
    leaving, staying = (asyncio.create_task(upstream.connect(SOMEBODY)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    upstream.release(held)  # before the one that leaves has noticed
    upstream.release(await staying)
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert upstream.connections == {"in_use": 0, "idle": 0, "waiting": 0}


async def test_who_has_waited_too_long_leaves_the_line_and_keeps_no_place(url: str) -> None:
    limits, timeouts = Limits(connections=1, waiting=2), Timeouts(queue=0.02)
    upstream = pool_of(Deployment("demo", "acme", url, limits=limits, timeouts=timeouts))
    held = await upstream.connect(SOMEBODY)
    waiting = [asyncio.create_task(upstream.connect(SOMEBODY)) for _ in range(2)]
    for late in waiting:
        with pytest.raises(BusyError, match=r"no place was free within 0\.02 s"):
            await late
    assert upstream.connections == {"in_use": 1, "idle": 0, "waiting": 0}
    upstream.release(held)
    upstream.release(await upstream.connect(SOMEBODY))
    assert upstream.connections["in_use"] == 0


async def test_an_upstream_that_is_away_keeps_no_place() -> None:
    upstream = upstream_of("http://127.0.0.1:1", connections=1, waiting=0)
    for _ in range(3):
        with pytest.raises(UpstreamError):
            await upstream.connect(SOMEBODY)
    assert upstream.connections == {"in_use": 0, "idle": 0, "waiting": 0}


@pytest.mark.parametrize("answer", [ANSWER, CHUNKED], ids=["length", "chunks"])
async def test_a_closed_upstream_keeps_no_connection(answer: bytes) -> None:
    async with serving(partial(answer_all, answer)) as url:
        upstream = upstream_of(url)
        connection = await upstream.connect(SOMEBODY)
        upstream.close()
        await answer_on(connection)
        upstream.release(connection)
        assert connection.is_closing()
